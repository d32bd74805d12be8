"""The columnar form of a body: `{"ts": [...], "values": {key: [...]}}`.

Whole columns of numbers become one array without an object for each reading. A null in a column
means that the reading has no such key. What is not as it should be is left to `salvaging`, by
way of `rows`, so that a bad number refuses its own reading only.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry.ingest.decoding import (
    MANY,
    MAX_EXACT_INT,
    Decoded,
    ServerTimes,
    Value,
    check_count,
    numbers_are_plain,
)
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.stamps import times_of

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class _Times(msgspec.Struct, gc=False):
    """Only the times, to tell the form and to read the values once they are known to fit."""

    ts: list[str | int | None]
    values: msgspec.Raw


class Columnar(Decoded):
    """Readings that are nothing but the same numbers, kept as the columns they came in."""

    __slots__ = ("keys",)

    def __init__(self, keys: tuple[str, ...], stamps: Int64s, numbers: Floats) -> None:
        super().__init__()
        self.n_received = len(stamps)
        self.indexes = range(len(stamps))
        self.times = stamps.tolist()
        self.stamps = stamps
        self.keys = keys
        self.numbers = numbers

    def common_keys(self) -> tuple[str, ...]:
        return self.keys

    def values_at(self, position: int) -> dict[str, Value]:
        assert self.numbers is not None
        return dict(zip(self.keys, self.numbers[position].tolist(), strict=True))

    def spread(self) -> None:
        assert self.numbers is not None
        self.values = [dict(zip(self.keys, row, strict=True)) for row in self.numbers.tolist()]


_decode_times = msgspec.json.Decoder(_Times).decode
_decode_numbers = msgspec.json.Decoder(dict[str, list[float]]).decode
_decode_mixed = msgspec.json.Decoder(dict[str, list[Value | None]]).decode


def decode(body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded | None:
    """Decode a well-formed columnar body; None when it is none or needs `salvaging`.

    Raises:
        RequestRefused: 413 when the request holds too many readings.
    """
    try:
        sent = _decode_times(body)
        check_count(len(sent.ts))
        times = times_of(sent.ts, now_us, server_times)
        if times is None:
            return None
        try:
            numbers = _decode_numbers(sent.values)
        except msgspec.ValidationError:
            return _mixed(times, _decode_mixed(sent.values))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return _uniform(times, numbers)


def _uniform(times: Int64s, columns: dict[str, list[float]]) -> Decoded | None:
    n = len(times)
    if not columns or any(len(column) != n for column in columns.values()):
        return None
    if n < MANY:
        return _mixed(times, columns)  # type: ignore[arg-type]
    flat = np.fromiter(chain.from_iterable(columns.values()), np.float64, n * len(columns))
    if np.abs(flat).max() >= MAX_EXACT_INT:
        return None
    return Columnar(tuple(columns), times, flat.reshape(len(columns), n).T)


def _mixed(times: Int64s, columns: dict[str, list[Value | None]]) -> Decoded | None:
    n = len(times)
    if not columns or any(len(column) != n for column in columns.values()):
        return None
    out = Decoded()
    out.n_received = n
    out.indexes = range(n)
    out.times = times.tolist()
    keys = tuple(columns)
    out.values = [
        {key: value for key, value in zip(keys, row, strict=True) if value is not None}
        for row in zip(*columns.values(), strict=True)
    ]
    return out if all(out.values) and numbers_are_plain(out) else None


# -- one by one --------------------------------------------------------------------------------


def is_columnar(data: object) -> bool:
    """Say whether a decoded body is meant to be columns: a list of times tells."""
    return isinstance(data, dict) and isinstance(data.get("ts"), list)


def rows(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the readings of columns one after the other, in the form of single ones.

    Raises:
        RequestRefused: 400, the columns do not fit together.
    """
    times, columns = data["ts"], data.get("values")
    if not isinstance(columns, dict) or not columns:
        raise _bad("values is an object of keys and lists when ts is a list.")
    check_count(len(times))
    for key, column in columns.items():
        shown = ascii(key[:40])
        if not isinstance(column, list):
            raise _bad(f"The column {shown} is not a list, as ts is.")
        if len(column) != len(times):
            raise _bad(f"The column {shown} has {len(column)} values for {len(times)} times in ts.")
    return (
        {
            "ts": ts,
            "values": {key: col[i] for key, col in columns.items() if col[i] is not None},
        }
        for i, ts in enumerate(times)
    )


def _bad(message: str) -> RequestRefused:
    return RequestRefused(400, "bad_columns", message)
