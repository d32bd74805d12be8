"""JSON to readings: the whole body straight into typed structs.

Only when that fails, or a number needs a closer look, does `salvaging` take the body apart item
by item, so that one bad reading never sinks its batch and each one that is refused is named by
its index, a code and a sentence.
"""

from datetime import datetime
from itertools import chain
from typing import Annotated

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


# When a reading was taken: a time with its offset, or milliseconds since 1970.
DateTime = Annotated[datetime, msgspec.Meta(tz=True)]
Stamp = DateTime | int


class Reading(msgspec.Struct, gc=False):
    """One reading as sent: a time and a set of values by key."""

    values: dict[str, Value]
    ts: Stamp | None = None


class _Envelope(msgspec.Struct):
    """An object: either one reading, or a list of them under `readings`."""

    values: dict[str, Value] | None = None
    ts: Stamp | None = None
    readings: list[Reading] | None = None


class Rejection(msgspec.Struct, frozen=True):
    """Why one item of a request was refused, and what was sent (not repeated in the answer)."""

    index: int
    code: str
    message: str
    item: str = ""
    # The time it carried, where that is why it was refused.
    time_us: int | None = None


class ItemRefused(Exception):
    """One item is refused; raised and caught inside this package."""

    def __init__(self, code: str, message: str, *, time_us: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.time_us = time_us

    def rejection(self, index: int, item: str) -> Rejection:
        return Rejection(
            index, self.code, self.message, item[: limits.MAX_ITEM_SHOWN], self.time_us
        )


class Decoded:
    """The readings of one request as parallel lists, times in microseconds since 1970."""

    __slots__ = ("indexes", "n_received", "numbers", "rejected", "stamps", "times", "values")

    def __init__(self) -> None:
        self.n_received = 0
        self.indexes: list[int] | range = range(0)
        self.times: list[int] = []
        # The times once more, where they came as an array.
        self.stamps: npt.NDArray[np.int64] | None = None
        self.values: list[dict[str, Value]] = []
        self.rejected: list[Rejection] = []
        # All values one after the other, when there are many and nothing but numbers.
        self.numbers: npt.NDArray[np.float64] | None = None

    def common_keys(self) -> tuple[str, ...] | None:
        """The keys of every reading, where they are the same in the same order."""
        keys = tuple(self.values[0])
        return keys if all(map(keys.__eq__, map(tuple, self.values))) else None

    def values_at(self, position: int) -> dict[str, Value]:
        return self.values[position]

    def spread(self) -> None:
        """Make `values` hold every reading; a form that does not keep them so overrides it."""


class ServerTimes:
    """Times for readings that carry none: now, but never the same microsecond twice.

    Two readings of one device without a time are two readings, not a repeat.
    """

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self, now_us: int) -> int:
        self.last = max(now_us, self.last + 1)
        return self.last


_decode_list = msgspec.json.Decoder(list[Reading]).decode
_decode_object = msgspec.json.Decoder(_Envelope).decode


def decode(body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded | None:
    """Decode a well-formed body; None when it needs `salvaging`.

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
    time_us = time_of(envelope.ts, now_us, server_times)
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
    if not all(out.values) or not numbers_are_plain(out):
        return None
    times = stamps_of([reading.ts for reading in readings], now_us, server_times)
    if times is None:
        return None
    out.times = times
    return out


def stamps_of(
    sent: list[datetime | int | None], now_us: int, server_times: ServerTimes
) -> list[int] | None:
    """Return times in microseconds; None where one of them needs a closer look."""
    if set(map(type, sent)) == {datetime}:
        times = [(ts - EPOCH) // MICROSECOND for ts in sent]  # type: ignore[operator]
    else:
        found = [time_of(ts, now_us, server_times) for ts in sent]
        times = [time for time in found if time is not None]
        if len(times) < len(found):
            return None
    if times and not 0 <= min(times) <= max(times) <= now_us + limits.FUTURE_LIMIT_US:
        return None
    return times


def time_of(ts: datetime | int | None, now_us: int, server_times: ServerTimes) -> int | None:
    if ts is None:
        return server_times.next(now_us)
    if isinstance(ts, int):
        return ts * 1000 if ts >= MIN_EPOCH_MS else None
    return to_us(ts)


def numbers_are_plain(out: Decoded) -> bool:
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
