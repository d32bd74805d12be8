"""What machines report while they run, evenly spaced in time, for whatever looks for anomalies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from mlops import datasets
from mlops.history import IntArray, Recording
from mlops.lives import FloatArray, preferred
from production.models import Machine

# So far back is looked for what is usual, and so many rows a machine at most.
LOOK_BACK: Final = timedelta(days=14)
MAX_ROWS: Final = 5_000
MIN_SPACING_MS: Final = 10_000
# The last part of a life that ended in a failure is not what is usual.
WORN_PART: Final = 0.25


@dataclass(frozen=True, slots=True)
class Rows:
    """Mean values of one machine while it ran.

    Attributes:
        times: (n,) ms since 1970, the start of each step, ascending.
        values: (n, n_signals), NaN where a signal was silent.
    """

    times: IntArray
    values: FloatArray

    def __len__(self) -> int:
        return len(self.times)

    def at(self, row: int) -> datetime:
        return datetime.fromtimestamp(int(self.times[row]) / 1000, UTC)

    def where(self, kept: IntArray) -> Rows:
        """Return some of the rows, by their places."""
        return Rows(self.times[kept], self.values[kept])


def spacing_of(recordings: Sequence[Recording]) -> int:
    """Return the step in ms: the usual gap between readings, or wider where there are many."""
    gaps = [float(np.median(np.diff(r.times))) for r in recordings if len(r.times) > 1]
    if not gaps:
        return MIN_SPACING_MS
    longest = max(int(r.times[-1] - r.times[0]) for r in recordings if len(r.times) > 1)
    wanted = max(float(np.median(gaps)), longest / MAX_ROWS, float(MIN_SPACING_MS))
    return round(preferred(wanted))


def rows_of(recording: Recording, *, signals: Sequence[str], spacing_ms: int) -> Rows:
    """Average the readings made at work into steps of time; a step without any is absent."""
    times = recording.times
    empty = np.full(len(times), np.nan)
    values = np.column_stack([recording.columns.get(key, empty) for key in signals])
    if recording.running is not None:
        times, values = times[recording.running], values[recording.running]
    if not len(times):
        return Rows(np.zeros(0, np.int64), np.zeros((0, len(signals))))
    steps, first = np.unique(times // spacing_ms, return_index=True)
    known = ~np.isnan(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), first, axis=0)
    counts = np.add.reduceat(known.astype(np.float64), first, axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
    return Rows((steps * spacing_ms).astype(np.int64), means)


def usual_rows(machine: Machine, rows: Rows, *, at: datetime) -> Rows:
    """Leave out the last quarter of each life that ended in a failure, and what was down."""
    keep = np.zeros(len(rows), dtype=np.bool_)
    for span in datasets.spans_of(machine, at=at):
        start = 0 if span.start is None else int(span.start.timestamp() * 1000)
        begun = max(start, int(rows.times[0])) if len(rows) else start
        end = int(at.timestamp() * 1000)
        if span.end is not None:
            failed = int(span.end.timestamp() * 1000)
            end = round(failed - WORN_PART * (failed - begun))
        keep |= (rows.times >= start) & (rows.times < end)
    return rows.where(np.flatnonzero(keep))


def digest_of(rows: Mapping[str, Rows], signals: Sequence[str]) -> str:
    """Name the exact data of a training: SHA-256 over every machine, time and value."""
    total = hashlib.sha256("\0".join(signals).encode())
    for key, one in sorted(rows.items()):
        total.update(f"\1{key}\0{len(one)}\0".encode())
        total.update(np.ascontiguousarray(one.times, dtype="<i8").tobytes())
        total.update(np.ascontiguousarray(one.values, dtype="<f8").tobytes())
    return total.hexdigest()
