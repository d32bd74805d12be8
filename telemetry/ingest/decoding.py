"""JSON to readings.

The fast path decodes the whole body straight into typed structs. Only when that fails, or a
number needs a closer look, is the body taken apart item by item, so that one bad reading never
sinks its batch and each one that is refused is named by its index, a code and a sentence.
"""

import json
import math
import re
from datetime import datetime
from itertools import chain
from typing import Annotated, Any, NoReturn

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry.ingest import limits
from telemetry.ingest.errors import RequestRefused
from telemetry.times import EPOCH, MICROSECOND, to_us

Value = float | bool | str

# Above this a float64 no longer holds every integer: what would be stored is not what was sent.
MAX_EXACT_INT = 2**53
# Sums of a long history must not overflow; error marks like DBL_MAX lie above.
MAX_MAGNITUDE = 1e300
# Milliseconds below this are 1970 to March 1973: in truth somebody sent seconds.
MIN_EPOCH_MS = 100_000_000_000

# From here on numpy is cheaper than a loop.
MANY = 16
_FIRST = range(1)


class Reading(msgspec.Struct, gc=False):
    """One reading as sent: a time and a set of values by key."""

    values: dict[str, Value]
    ts: Annotated[datetime, msgspec.Meta(tz=True)] | int | None = None


class _Envelope(msgspec.Struct):
    """An object: either one reading, or a list of them under `readings`."""

    values: dict[str, Value] | None = None
    ts: Annotated[datetime, msgspec.Meta(tz=True)] | int | None = None
    readings: list[Reading] | None = None


class Rejection(msgspec.Struct, frozen=True):
    """Why one item of a request was refused."""

    index: int
    code: str
    message: str


class ItemRefused(Exception):
    """One item is refused; raised and caught inside this package."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Decoded:
    """The readings of one request as parallel lists, times in microseconds since 1970."""

    __slots__ = ("indexes", "n_received", "numbers", "rejected", "times", "values")

    def __init__(self) -> None:
        self.n_received = 0
        self.indexes: list[int] | range = range(0)
        self.times: list[int] = []
        self.values: list[dict[str, Value]] = []
        self.rejected: list[Rejection] = []
        # All values one after the other, when there are many and nothing but numbers.
        self.numbers: npt.NDArray[np.float64] | None = None


class ServerTimes:
    """Times for readings that carry none: now, but never the same microsecond twice.

    Two readings of one device without a time are two readings, not a repeat.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_us: int) -> int:
        self._last = max(now_us, self._last + 1)
        return self._last


_decode_list = msgspec.json.Decoder(list[Reading]).decode
_decode_object = msgspec.json.Decoder(_Envelope).decode


def decode(body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded | None:
    """Decode a well-formed body; None when it needs `decode_leniently`.

    Raises:
        RequestRefused: 413 when the request holds too many readings.
    """
    try:
        if body[:1] == b"{":
            envelope = _decode_object(body)
            if envelope.readings is not None:
                readings = envelope.readings
            else:
                return _single(envelope, now_us, server_times)
        else:
            readings = _decode_list(body)
    # ValueError: bad UTF-8 inside a string; RecursionError: nesting below an unknown field.
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    check_count(len(readings))
    return _columns(readings, now_us, server_times)


def _single(envelope: _Envelope, now_us: int, server_times: ServerTimes) -> Decoded | None:
    """The same as `_columns` for one reading, at a third of the cost."""
    values = envelope.values
    if not values:
        return None
    for value in values.values():
        if type(value) is float and not -MAX_EXACT_INT < value < MAX_EXACT_INT:
            return None
    time_us = _time_of(envelope.ts, now_us, server_times)
    if time_us is None or not 0 <= time_us <= now_us + limits.FUTURE_LIMIT_US:
        return None
    out = Decoded()
    out.n_received = 1
    out.indexes = _FIRST
    out.times = [time_us]
    out.values = [values]
    return out


def _columns(readings: list[Reading], now_us: int, server_times: ServerTimes) -> Decoded | None:
    out = Decoded()
    out.n_received = len(readings)
    out.indexes = range(len(readings))
    out.values = [reading.values for reading in readings]
    if not all(out.values) or not _numbers_are_plain(out):
        return None
    sent = [reading.ts for reading in readings]
    kinds = set(map(type, sent))
    if kinds == {datetime}:
        out.times = [(ts - EPOCH) // MICROSECOND for ts in sent]  # type: ignore[operator]
    else:
        times = [_time_of(ts, now_us, server_times) for ts in sent]
        if None in times:
            return None
        out.times = times  # type: ignore[assignment]
    if readings and not 0 <= min(out.times) <= max(out.times) <= now_us + limits.FUTURE_LIMIT_US:
        return None
    return out


def _time_of(ts: datetime | int | None, now_us: int, server_times: ServerTimes) -> int | None:
    if ts is None:
        return server_times.next(now_us)
    if isinstance(ts, int):
        return ts * 1000 if ts >= MIN_EPOCH_MS else None
    return to_us(ts)


def _numbers_are_plain(out: Decoded) -> bool:
    """Say whether every number is small enough to be exact; remember them as one array."""
    if len(out.values) < MANY:
        for items in out.values:
            for value in items.values():
                if type(value) is float and not -MAX_EXACT_INT < value < MAX_EXACT_INT:
                    return False
        return True
    flat = list(chain.from_iterable([items.values() for items in out.values]))
    kinds = set(map(type, flat))
    if kinds == {float}:
        numbers = np.fromiter(flat, np.float64, len(flat))
        out.numbers = numbers
    else:
        numbers = np.array([value for value in flat if type(value) is float], np.float64)
    return not numbers.size or bool(np.abs(numbers).max() < MAX_EXACT_INT)


def check_count(n_readings: int) -> None:
    if n_readings > limits.MAX_READINGS_PER_REQUEST:
        raise RequestRefused(
            413,
            "too_many_readings",
            f"{n_readings} readings in one request, at most "
            f"{limits.MAX_READINGS_PER_REQUEST} are taken: send smaller batches.",
        )


# -- the slow path ---------------------------------------------------------------------------


def decode_leniently(body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded:
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
