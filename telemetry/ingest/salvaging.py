"""The slow path: takes a body apart item by item and says of each refused one why.

For bodies that the fast path of `decoding` gave up: broken JSON, numbers that cannot be kept,
wrong types, bad times. Nothing here recurses into what was sent, so that depth costs nothing.
"""

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec

from telemetry.ingest import columnar, limits
from telemetry.ingest.decoding import (
    MAX_EXACT_INT,
    MAX_MAGNITUDE,
    MIN_EPOCH_MS,
    Decoded,
    ItemRefused,
    ServerTimes,
    Value,
    check_count,
)
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.splitting import split_items
from telemetry.times import to_us

_TS_LIST = re.compile(rb'"ts"\s*:\s*\[')
Item = TypeVar("Item")
Normalise = Callable[[Any], Any]


def salvage(
    body: bytes,
    *,
    now_us: int,
    server_times: ServerTimes,
    normalise: Normalise = lambda data: data,
) -> Decoded:
    """Decode item by item and say of each refused one why.

    `normalise` turns an item of another form into `{"ts": ..., "values": {...}}`.

    Raises:
        RequestRefused: 400 when the body cannot be taken apart into items at all.
    """
    items = split_items(body)
    check_count(len(items))
    if len(items) == 1 and items[0][:1] == b"{" and _TS_LIST.search(items[0]):
        columns = _parsed_columns(items[0])
        if columns is not None:
            return _from_columns(columns, now_us, server_times)

    def checked(item: bytes) -> tuple[int, dict[str, Value]]:
        return check_item(normalise(_parse(item)), now_us, server_times)

    return collect(items, checked, _text)


def _from_columns(columns: dict[str, Any], now_us: int, server_times: ServerTimes) -> Decoded:
    def checked(item: dict[str, Any]) -> tuple[int, dict[str, Value]]:
        return check_item(item, now_us, server_times)

    return collect(columnar.rows(columns), checked, _dumped)


def collect(
    items: Iterable[Item],
    checked: Callable[[Item], tuple[int, dict[str, Value]]],
    text_of: Callable[[Item], str],
) -> Decoded:
    """Sort items into readings and rejections, each under its index."""
    out = Decoded()
    indexes: list[int] = []
    for index, item in enumerate(items):
        out.n_received += 1
        try:
            time_us, values = checked(item)
        except ItemRefused as refusal:
            out.rejected.append(refusal.rejection(index, text_of(item)))
        else:
            indexes.append(index)
            out.times.append(time_us)
            out.values.append(values)
    out.indexes = indexes
    return out


def _text(item: bytes) -> str:
    # Four bytes a character at most.
    return item[: 4 * limits.MAX_ITEM_SHOWN].decode(errors="replace")


def _dumped(item: dict[str, Any]) -> str:
    return json.dumps(item, default=lambda bad: bad.sent)


class _BadNumber:
    """Stands in a decoded item where a number was that cannot be kept."""

    def __init__(self, code: str, message: str, sent: str) -> None:
        self.code = code
        self.message = message
        self.sent = sent[:40]


def parse_int(text: str) -> int | _BadNumber:
    if len(text) > 20:
        return _BadNumber(
            "number_too_large", f"a whole number of {len(text)} digits is too large", text
        )
    return int(text)


def _parse_constant(text: str) -> _BadNumber:
    return _BadNumber("not_finite", f"{text} is not a number that can be stored", text)


def _parsed_columns(body: bytes) -> dict[str, Any] | None:
    """The body, where it is meant to be columns; None where it is one reading with a bad time."""
    try:
        data = _parse(body)
    except ItemRefused as refusal:
        raise RequestRefused(400, "malformed_json", refusal.message) from None
    return data if columnar.is_columnar(data) else None


def _parse(item: bytes) -> Any:
    try:
        return json.loads(item, parse_int=parse_int, parse_constant=_parse_constant)
    except RecursionError:
        raise ItemRefused("too_deep", "The item is nested too deeply.") from None
    except UnicodeDecodeError:
        raise ItemRefused("bad_text", "The item is not valid UTF-8.") from None
    except ValueError as error:
        raise ItemRefused("malformed", f"The item is not valid JSON: {error}.") from None


def check_item(data: Any, now_us: int, server_times: ServerTimes) -> tuple[int, dict[str, Value]]:
    """Return time and values of a reading, or raise ItemRefused."""
    if not isinstance(data, dict):
        raise ItemRefused("wrong_type", "A reading is an object with ts and values.")
    values = data.get("values")
    if values is None:
        raise ItemRefused("no_values", "The reading has no values.")
    if not isinstance(values, dict):
        raise ItemRefused("wrong_type", "values is an object of keys and values.")
    if not values:
        raise ItemRefused("no_values", "The reading has no values.")
    checked = {check_key(key): check_value(key, value) for key, value in values.items()}
    # Last, because it hands out a server time that would be lost on a refused item.
    return _time_from(data.get("ts"), now_us, server_times), checked


def check_key(key: str) -> str:
    """Return the key, or raise ItemRefused."""
    if not key:
        raise ItemRefused("bad_key", "A key is empty.")
    if len(key) > limits.MAX_KEY_LENGTH:
        raise ItemRefused(
            "key_too_long",
            f"The key {shown(key)} has {len(key)} characters, "
            f"at most {limits.MAX_KEY_LENGTH} are taken.",
        )
    if not key.isprintable():
        raise ItemRefused("bad_key", f"The key {shown(key)} holds characters that do not print.")
    return key


def check_text(key: str, text: str) -> str:
    """Return the text value, or raise ItemRefused."""
    if len(text) > limits.MAX_TEXT_LENGTH:
        raise ItemRefused(
            "text_too_long",
            f"The text of {shown(key)} has {len(text)} characters, "
            f"at most {limits.MAX_TEXT_LENGTH} are taken.",
        )
    if "\x00" in text or not _is_encodable(text):
        raise ItemRefused("bad_text", f"The text of {shown(key)} holds a NUL or half a character.")
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_value(key: str, value: object) -> Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, _BadNumber):
        raise ItemRefused(value.code, f"The value of {shown(key)}: {value.message}.")
    if isinstance(value, int):
        if abs(value) > MAX_EXACT_INT:
            raise ItemRefused(
                "number_too_large",
                f"The value of {shown(key)} is beyond 2^53 and would not be kept exactly: "
                "send it as a text or as a decimal number.",
            )
        return float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ItemRefused("not_finite", f"The value of {shown(key)} is not a finite number.")
        if abs(value) > MAX_MAGNITUDE:
            raise ItemRefused(
                "number_too_large", f"The value of {shown(key)} is beyond {MAX_MAGNITUDE:g}."
            )
        return value
    if isinstance(value, str):
        return check_text(key, value)
    raise ItemRefused(
        "wrong_type", f"The value of {shown(key)} is neither a number, a text, true nor false."
    )


def _time_from(ts: object, now_us: int, server_times: ServerTimes) -> int:
    if ts is None:
        return server_times.next(now_us)
    if isinstance(ts, _BadNumber):
        bad_time(ts.message)
    if isinstance(ts, int) and not isinstance(ts, bool):
        if 0 <= ts < MIN_EPOCH_MS:
            bad_time(f"{ts} milliseconds lie in {1970 + ts // 31_556_952_000}; are these seconds?")
        us = ts * 1000
    elif isinstance(ts, str):
        us = _parse_time(ts)
    else:
        bad_time("ts is an RFC 3339 time with an offset, or whole milliseconds since 1970")
    return check_time(us, now_us)


def check_time(time_us: int, now_us: int) -> int:
    """Return a time that can be taken, or raise ItemRefused."""
    if time_us < 0:
        bad_time("ts lies before 1970")
    if time_us > now_us + limits.FUTURE_LIMIT_US:
        hours = (time_us - now_us) / 3_600_000_000
        raise ItemRefused(
            "in_the_future",
            f"The time lies {hours:.4g} h ahead of the server's clock; at most 24 h are taken.",
            time_us=time_us,
        )
    return time_us


def _parse_time(text: str) -> int:
    try:
        at = msgspec.convert(text, Annotated[datetime, msgspec.Meta(tz=True)])
    except (msgspec.ValidationError, ValueError):
        bad_time(f"{shown(text)} is not an RFC 3339 time with an offset")
    return to_us(at)


def bad_time(message: str) -> NoReturn:
    raise ItemRefused("bad_time", f"{message[:1].upper()}{message[1:]}.")


def shown(text: str) -> str:
    """A name as it may stand in an answer: short and printable."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")
