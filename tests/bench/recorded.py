"""Recorded data as readings: the folders `hydraulic_1hz`, `cmapss` and `nab` of TAKT_DATA.

Times end well before the present, so that every hour is closed. Where a recording has no clock
one is given to it, said in the text of its set.
"""

import csv
import gzip
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.bench.installation import ROOT

Value = float | bool | str

FIRST_AT = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) * 1000
CMAPSS_STEP_MS = 60_000


@dataclass(frozen=True)
class Recording:
    """Readings of one device: times in ms since 1970 (n,), and a column (n,) for each key."""

    device: int  # counted from 0
    times_ms: npt.NDArray[np.int64]
    columns: Mapping[str, Sequence[Value]]

    @property
    def n_points(self) -> int:
        return len(self.times_ms) * len(self.columns)


@dataclass(frozen=True)
class DataSet:
    """Recordings of some devices; it is loaded into a factory of this name."""

    name: str
    text: str
    n_devices: int
    recordings: Callable[[], Iterable[Recording]]


def folder() -> Path:
    """Where recorded data lies."""
    return Path(os.environ.get("TAKT_DATA") or ROOT / ".." / "shared" / "data")


def data_sets() -> Iterator[DataSet]:
    """Read the sets that are there, and say which are not."""
    for name, text, read in _SETS:
        place = folder() / name
        if place.is_dir():
            found = list(read(place))
            yield DataSet(name, text, len(found), partial(iter, found))
        else:
            print(f"{name}: absent, not measured (set TAKT_DATA to the folder that holds it)")


def _hydraulic(place: Path) -> Iterator[Recording]:
    cycles = np.load(place / "hydraulic_1hz.npz")
    columns = {
        # float32 in the file; the sensors gave three decimals.
        key: np.round(cycles[key].astype(np.float64).ravel(), 3).tolist()
        for key in sorted(cycles)
        if key != "stable_flag"
    }
    n = len(next(iter(columns.values())))
    yield Recording(0, FIRST_AT + 1000 * np.arange(n), columns)


def _cmapss(place: Path) -> Iterator[Recording]:
    device = 0
    for path in sorted(place.glob("train_*.csv.gz")):
        header, rows = _table(path)
        table = np.array(rows, dtype=np.float64)
        for unit in np.unique(table[:, 0]):
            own = table[table[:, 0] == unit]
            times = FIRST_AT + CMAPSS_STEP_MS * own[:, 1].astype(np.int64)
            columns = {key: own[:, i].tolist() for i, key in enumerate(header) if i > 1}
            yield Recording(device, times, columns)
            device += 1


def _nab(place: Path) -> Iterator[Recording]:
    for device, path in enumerate(sorted(place.glob("*/*.csv.gz"))):
        _, rows = _table(path)
        values = {
            int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) * 1000: float(value)
            for at, value in rows  # a repeated time (the end of summer time) counts once
        }
        times = sorted(values)
        yield Recording(device, np.array(times), {"value": [values[at] for at in times]})


def _table(path: Path) -> tuple[list[str], list[Any]]:
    with gzip.open(path, "rt", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


_SETS = (
    ("hydraulic_1hz", "1 device, 8 signals at 1 Hz", _hydraulic),
    ("cmapss", "360 units, 24 signals, a flight a minute", _cmapss),
    ("nab", "31 devices, 1 signal, times as recorded (5 minutes to 1 hour)", _nab),
)
