"""The slow path: takes a body apart item by item and says of each refused one why.

For bodies that the fast path of `decoding` gave up: broken JSON, numbers that cannot be kept,
wrong types, bad times. Nothing here recurses into what was sent, so that depth costs nothing.
"""

import json
import math
import re
from datetime import datetime
from typing import Annotated, Any, NoReturn

import msgspec

from telemetry.ingest import limits
from telemetry.ingest.decoding import (
    MAX_EXACT_INT,
    MAX_MAGNITUDE,
    MIN_EPOCH_MS,
    Decoded,
    ItemRefused,
    Rejection,
    ServerTimes,
    Value,
    check_count,
)
from telemetry.ingest.errors import RequestRefused
from telemetry.times import to_us


def salvage(body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded:
    """Decode item by item and say of each refused one why.

    Raises:
        RequestRefused: 400 when the body cannot be taken apart into items at all.
    """
    items = split_items(body)
    check_count(len(items))
    out = Decoded()
    out.n_received = len(items)
    indexes: list[int] = []
    for index, item in enumerate(items):
        try:
            time_us, values = _decode_item(item, now_us, server_times)
        except ItemRefused as refusal:
            out.rejected.append(Rejection(index, refusal.code, refusal.message))
        else:
            indexes.append(index)
            out.times.append(time_us)
            out.values.append(values)
    out.indexes = indexes
    return out


# A string, or a bracket, or a comma: all that is needed to find where items begin and end,
# at any depth of nesting and without understanding what is between.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_READINGS = re.compile(rb"\s*:\s*\[")


def split_items(body: bytes) -> list[bytes]:
    """Cut a body into its items: the elements of the list, or the one object.

    Raises:
        RequestRefused: 400, the brackets do not balance or it is neither list nor object.
    """
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if text[:1] == b"[":
        items, end = _list_items(text, 0)
    elif text[:1] == b"{":
        start = _readings_start(text)
        if start is None:
            return [text]
        items, _ = _list_items(text, start)
        end = len(text)
    else:
        raise _malformed("The body is neither a JSON object nor a JSON list.")
    if end != len(text):
        raise _malformed("There is text after the end of the list.")
    return items


def _list_items(text: bytes, start: int) -> tuple[list[bytes], int]:
    items: list[bytes] = []
    depth = 0
    item_start = start + 1
    for token in _TOKEN.finditer(text, start):
        char = token.group()
        if char == b"," and depth == 1:
            items.append(text[item_start : token.start()].strip())
            item_start = token.end()
        elif char in (b"[", b"{"):
            depth += 1
        elif char in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                last = text[item_start : token.start()].strip()
                if last or items:
                    items.append(last)
                return items, token.end()
    raise _malformed("The JSON is cut off: the list of readings does not end.")


def _readings_start(text: bytes) -> int | None:
    depth = 0
    for token in _TOKEN.finditer(text):
        char = token.group()
        if char in (b"[", b"{"):
            depth += 1
        elif char in (b"]", b"}"):
            depth -= 1
        elif depth == 1 and char == b'"readings"':
            match = _READINGS.match(text, token.end())
            if match:
                return match.end() - 1
    if depth != 0:
        raise _malformed("The JSON is cut off: brackets are not closed.")
    return None


def _malformed(message: str) -> RequestRefused:
    return RequestRefused(400, "malformed_json", message)


class _BadNumber:
    """Stands in a decoded item where a number was that cannot be kept."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message


def _parse_int(text: str) -> int | _BadNumber:
    if len(text) > 20:
        return _BadNumber("number_too_large", f"a whole number of {len(text)} digits is too large")
    return int(text)


def _parse_constant(text: str) -> _BadNumber:
    return _BadNumber("not_finite", f"{text} is not a number that can be stored")


def _decode_item(
    item: bytes, now_us: int, server_times: ServerTimes
) -> tuple[int, dict[str, Value]]:
    try:
        data: Any = json.loads(item, parse_int=_parse_int, parse_constant=_parse_constant)
    except RecursionError:
        raise ItemRefused("too_deep", "The item is nested too deeply.") from None
    except UnicodeDecodeError:
        raise ItemRefused("bad_text", "The item is not valid UTF-8.") from None
    except ValueError as error:
        raise ItemRefused("malformed", f"The item is not valid JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ItemRefused("wrong_type", "A reading is an object with ts and values.")
    values = data.get("values")
    if values is None:
        raise ItemRefused("no_values", "The reading has no values.")
    if not isinstance(values, dict):
        raise ItemRefused("wrong_type", "values is an object of keys and values.")
    if not values:
        raise ItemRefused("no_values", "The reading has no values.")
    checked = {check_key(key): _check_value(key, value) for key, value in values.items()}
    # Last, because it hands out a server time that would be lost on a refused item.
    return _check_time(data.get("ts"), now_us, server_times), checked


def check_key(key: str) -> str:
    """Return the key, or raise ItemRefused."""
    if not key:
        raise ItemRefused("bad_key", "A key is empty.")
    if len(key) > limits.MAX_KEY_LENGTH:
        raise ItemRefused(
            "key_too_long",
            f"The key {_shown(key)} has {len(key)} characters, "
            f"at most {limits.MAX_KEY_LENGTH} are taken.",
        )
    if not key.isprintable():
        raise ItemRefused("bad_key", f"The key {_shown(key)} holds characters that do not print.")
    return key


def check_text(key: str, text: str) -> str:
    """Return the text value, or raise ItemRefused."""
    if len(text) > limits.MAX_TEXT_LENGTH:
        raise ItemRefused(
            "text_too_long",
            f"The text of {_shown(key)} has {len(text)} characters, "
            f"at most {limits.MAX_TEXT_LENGTH} are taken.",
        )
    if "\x00" in text or not _is_encodable(text):
        raise ItemRefused("bad_text", f"The text of {_shown(key)} holds a NUL or half a character.")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_value(key: str, value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, _BadNumber):
        raise ItemRefused(value.code, f"The value of {_shown(key)}: {value.message}.")
    if isinstance(value, int):
        if abs(value) > MAX_EXACT_INT:
            raise ItemRefused(
                "number_too_large",
                f"The value of {_shown(key)} is beyond 2^53 and would not be kept exactly: "
                "send it as a text or as a decimal number.",
            )
        return float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ItemRefused("not_finite", f"The value of {_shown(key)} is not a finite number.")
        if abs(value) > MAX_MAGNITUDE:
            raise ItemRefused(
                "number_too_large", f"The value of {_shown(key)} is beyond {MAX_MAGNITUDE:g}."
            )
        return value
    if isinstance(value, str):
        return check_text(key, value)
    raise ItemRefused(
        "wrong_type", f"The value of {_shown(key)} is neither a number, a text, true nor false."
    )


def _check_time(ts: object, now_us: int, server_times: ServerTimes) -> int:
    if ts is None:
        return server_times.next(now_us)
    if isinstance(ts, _BadNumber):
        _bad_time(ts.message)
    if isinstance(ts, int) and not isinstance(ts, bool):
        if 0 <= ts < MIN_EPOCH_MS:
            _bad_time(f"{ts} milliseconds lie in {1970 + ts // 31_556_952_000}; are these seconds?")
        us = ts * 1000
    elif isinstance(ts, str):
        us = _parse_time(ts)
    else:
        _bad_time("ts is an RFC 3339 time with an offset, or whole milliseconds since 1970")
    if us < 0:
        _bad_time("ts lies before 1970")
    if us > now_us + limits.FUTURE_LIMIT_US:
        hours = (us - now_us) / 3_600_000_000
        raise ItemRefused(
            "in_the_future",
            f"The time lies {hours:.4g} h ahead of the server's clock; at most 24 h are taken.",
        )
    return us


def _parse_time(text: str) -> int:
    try:
        at = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except (msgspec.ValidationError, ValueError):
        _bad_time(f"{_shown(text)} is not an RFC 3339 time with an offset")
    return to_us(at)


def _bad_time(message: str) -> NoReturn:
    raise ItemRefused("bad_time", f"{message[:1].upper()}{message[1:]}.")


def _shown(text: str) -> str:
    """A name as it may stand in an answer: short and printable."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")
