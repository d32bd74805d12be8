"""Readings written into a file, piece by piece: what an export holds and in which form.

Long form, one row a value, because signals of different machines rarely share a time and a
column a signal would be mostly holes. Rows are in the order of the devices, then of time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from telemetry.models import Export, Signal, SignalKey
from telemetry.selectors import RawResult

# A piece of this many readings is in memory at a time.
PIECE_READINGS = 100_000
HOUR = timedelta(hours=1)
SCHEMA = pa.schema(
    [
        ("time_utc", pa.timestamp("ms", tz="UTC")),
        ("epoch_ms", pa.int64()),
        ("machine", pa.string()),
        ("device", pa.string()),
        ("signal", pa.string()),
        ("key", pa.string()),
        ("unit", pa.string()),
        ("value", pa.float64()),
        ("text", pa.string()),
    ]
)
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time with about as many readings as may be in memory at once."""

    start: datetime
    end: datetime
    n_readings: int


class Writer(Protocol):
    """Takes tables one after the other."""

    def write(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def pieces(
    hours: Sequence[tuple[datetime, int]], *, start: datetime, end: datetime
) -> Iterator[Piece]:
    """Cut [start, end) along the hours that hold readings; empty hours cost nothing."""
    first, last, n_held = None, None, 0
    for hour, n_readings in hours:
        if n_readings > PIECE_READINGS:
            if first is not None and last is not None:
                yield Piece(max(first, start), min(last, end), n_held)
            first, n_held = None, 0
            yield from _shares(hour, n_readings, start=start, end=end)
            continue
        if first is not None and last is not None and n_held + n_readings > PIECE_READINGS:
            yield Piece(max(first, start), min(last, end), n_held)
            first, n_held = None, 0
        first = hour if first is None else first
        last, n_held = hour + HOUR, n_held + n_readings
    if first is not None and last is not None:
        yield Piece(max(first, start), min(last, end), n_held)


def _shares(hour: datetime, n_readings: int, *, start: datetime, end: datetime) -> Iterator[Piece]:
    n_shares = -(-n_readings // PIECE_READINGS)
    for share in range(n_shares):
        left = max(hour + HOUR * share / n_shares, start)
        right = min(hour + HOUR * (share + 1) / n_shares, end)
        if left < right:
            yield Piece(left, right, n_readings // n_shares)


def table(readings: RawResult, signals: Sequence[Signal]) -> pa.Table:
    """Return the values of some signals of one device as rows, in the order of time."""
    parts = [part for signal in signals if (part := _rows(readings, signal)) is not None]
    if not parts:
        return SCHEMA.empty_table()
    whole = pa.concat_tables(parts)
    return whole.sort_by("epoch_ms") if len(parts) > 1 else whole


def _rows(readings: RawResult, signal: Signal) -> pa.Table | None:
    key = signal.key.key
    if readings.kinds.get(key) != signal.key.kind:
        return None
    column = readings.columns[key]
    is_there = ~np.isnan(column)
    n_rows = int(is_there.sum())
    if not n_rows:
        return None
    times = pa.array(readings.times[is_there], pa.int64())
    if signal.key.kind == SignalKey.Kind.TEXT:
        values = pa.nulls(n_rows, pa.float64())
        texts = pa.array([text for text in readings.texts(key) if text is not None], pa.string())
    else:
        values = pa.array(column[is_there] * signal.scale, pa.float64())
        texts = pa.nulls(n_rows, pa.string())
    machine = signal.device.machine
    names = (machine.name if machine else "", signal.device.name, signal.label, key, signal.unit)
    columns = [times.cast(pa.timestamp("ms")).cast(pa.timestamp("ms", tz="UTC")), times]
    columns += [pa.repeat(pa.scalar(name, pa.string()), n_rows) for name in names]
    return pa.Table.from_arrays([*columns, values, texts], schema=SCHEMA)


def open_file(path: Path, form: str) -> Writer:
    """Open a file of one of the two forms; it grows by one row group or stretch a table."""
    return _Parquet(path) if form == Export.Form.PARQUET else _Csv(path)


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._file = pyarrow.parquet.ParquetWriter(path, SCHEMA, compression="zstd")

    def write(self, table: pa.Table) -> None:
        self._file.write_table(table)

    def close(self) -> None:
        self._file.close()


class _Csv:
    def __init__(self, path: Path) -> None:
        written = pa.schema([("time_utc", pa.string()), *list(SCHEMA)[1:]])
        self._file = pyarrow.csv.CSVWriter(path, written)
        self._schema = written

    def write(self, table: pa.Table) -> None:
        columns: list[Any] = [_iso(table["epoch_ms"])]
        for name in SCHEMA.names[1:]:
            column = table[name]
            columns.append(_harmless(column) if column.type == pa.string() else column)
        self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._file.close()


def _iso(epoch_ms: Any) -> Any:
    times = epoch_ms.to_numpy().astype("datetime64[ms]")
    return pa.array(np.char.add(np.datetime_as_string(times, unit="ms"), "Z"))


def _harmless(column: Any) -> Any:
    """Put an apostrophe before what a spreadsheet would run; each distinct text is seen once."""
    encoded = column.combine_chunks().dictionary_encode()
    safe = [
        f"'{text}" if text is not None and text.startswith(_FORMULA) else text
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(safe, pa.string())).cast(
        pa.string()
    )
