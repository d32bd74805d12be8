"""From readings to a life: which readings count as use, and how much. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from mlops.lives import FloatArray, Life, preferred, resample

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# Words for "at work" as controls and gateways say them (MTConnect Execution, PackML, common ones).
RUNNING_WORDS = frozenset(
    {"ACTIVE", "RUNNING", "RUN", "EXECUTE", "PRODUCING", "PRODUCTION", "CUTTING", "IN_CYCLE", "ON"}
)
MS_PER_HOUR = 3_600_000.0
MS_PER_DAY = 24 * 3_600_000
FORTNIGHT_MS = 14 * MS_PER_DAY
# Between two readings further apart than this, or than three usual gaps, nobody knows whether
# the machine ran: the time does not count.
LONGEST_KNOWN_GAP_MS = 600_000.0


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything one machine reported, as columns.

    Attributes:
        times: (n,) ms since 1970, ascending.
        columns: signal -> (n,) values, NaN where absent.
        meter: (n,) the meter of use, or None: use is operating hours.
        running: (n,) whether the machine was at work, or None: whenever it reports.
    """

    times: IntArray
    columns: Mapping[str, FloatArray]
    meter: FloatArray | None
    running: BoolArray | None


@dataclass(frozen=True, slots=True)
class Span:
    """A life in calendar time; `end` None: it goes on."""

    start: datetime | None
    end: datetime | None


def spans(
    *, commissioned_at: datetime | None, failures: Iterable[tuple[datetime, datetime | None]]
) -> list[Span]:
    """Cut a machine's time into lives: from being put right to the next failure.

    Args:
        failures: (failed_at, restored_at) in order; restored_at None means still down, and
            nothing after it is a life until a later failure shows that it ran again.

    Returns:
        Lives in order; the last one goes on unless the machine is down.
    """
    result: list[Span] = []
    start, is_down = commissioned_at, False
    for failed_at, restored_at in failures:
        if not is_down and (start is None or failed_at > start):
            result.append(Span(start, failed_at))
        start, is_down = restored_at, restored_at is None
    if not is_down:
        result.append(Span(start, None))
    return result


def running_from_words(words: Sequence[str | None]) -> BoolArray | None:
    """Return at which readings the machine was at work; the last word said holds.

    None where no word is understood: then every reading counts.
    """
    known = {word for word in words if word is not None}
    if not any(word.strip().upper() in RUNNING_WORDS for word in known):
        return None
    state = False
    running = np.zeros(len(words), dtype=np.bool_)
    for i, word in enumerate(words):
        if word is not None:
            state = word.strip().upper() in RUNNING_WORDS
        running[i] = state
    return running


def usage_of(recording: Recording) -> FloatArray:
    """Return (n,) use from the first reading on: by the meter, else hours at work."""
    if len(recording.times) == 0:
        return np.zeros(0)
    if recording.meter is not None:
        return _metered(recording.meter)
    gaps = np.diff(recording.times).astype(np.float64)
    if len(gaps) == 0:
        return np.zeros(1)
    longest = max(LONGEST_KNOWN_GAP_MS, 3.0 * float(np.median(gaps)))
    counted = np.where(gaps <= longest, gaps, 0.0)
    if recording.running is not None:
        counted = counted * recording.running[:-1]
    return np.concatenate([[0.0], np.cumsum(counted) / MS_PER_HOUR])


def usage_per_day(recording: Recording, *, until: datetime) -> float | None:
    """Return the use a calendar day over the last fortnight, or None below a day of history."""
    if len(recording.times) < 2:
        return None
    end = int(until.timestamp() * 1000)
    start = max(int(recording.times[0]), end - FORTNIGHT_MS)
    if end - start < MS_PER_DAY:
        return None
    usage = usage_of(recording)
    before = int(np.searchsorted(recording.times, start, side="left"))
    return (
        float(usage[-1] - usage[before]) * MS_PER_DAY / (end - start)
        if before < len(usage)
        else 0.0
    )


def _metered(meter: FloatArray) -> FloatArray:
    """Add up a meter's increments: one that was reset or replaced goes on from where it was."""
    known = np.flatnonzero(~np.isnan(meter))
    usage = np.zeros(len(meter))
    if len(known) == 0:
        return usage
    increments = np.maximum(np.diff(meter[known]), 0.0)
    usage[known[1:]] = increments
    return np.asarray(np.cumsum(usage), dtype=np.float64)


def counters(recording: Recording, *, ends: Sequence[datetime]) -> set[str]:
    """Return the signals that only ever count up, through failures and repairs alike.

    They tell the calendar, not the machine. A measure of wear may rise all life long too, but a
    repair brings it down: so at least one life must have ended within the recording to tell.
    """
    if len(recording.times) == 0:
        return set()
    first, last = int(recording.times[0]), int(recording.times[-1])
    if not any(first < int(end.timestamp() * 1000) < last for end in ends):
        return set()
    found = set()
    for key, column in recording.columns.items():
        steps = np.diff(column[~np.isnan(column)])
        if np.all(steps >= 0) and np.any(steps > 0):
            found.add(key)
    return found


def within(recording: Recording, span: Span) -> Recording:
    """Return the readings of one life; the moment of failure belongs to it."""
    start = 0 if span.start is None else int(span.start.timestamp() * 1000)
    end = None if span.end is None else int(span.end.timestamp() * 1000)
    first = int(np.searchsorted(recording.times, start, side="left"))
    last = len(recording.times)
    if end is not None:
        last = int(np.searchsorted(recording.times, end, side="right"))
    part = slice(first, last)
    return Recording(
        recording.times[part],
        {key: column[part] for key, column in recording.columns.items()},
        None if recording.meter is None else recording.meter[part],
        None if recording.running is None else recording.running[part],
    )


def life_of(
    recording: Recording, *, signals: Sequence[str], step: float, key: str, group: str, failed: bool
) -> Life | None:
    """Return the life in steps of use, or None where the machine did nothing in it.

    Only readings made at work count: what an idle machine reports says nothing of its wear.
    """
    usage = usage_of(recording)
    if len(usage) == 0:
        return None
    empty = np.full(len(usage), np.nan)
    values = np.column_stack([recording.columns.get(signal, empty) for signal in signals])
    if recording.running is not None:
        usage, values = usage[recording.running], values[recording.running]
    if len(usage) == 0:
        return None
    steps, means = resample(usage=usage, values=values, step=step)
    return Life(key, group, steps, means, failed)


def natural_step(usages: Sequence[FloatArray], *, is_metered: bool) -> float:
    """Return the narrowest sensible step: what the meter counts by, or an hour.

    Lives of few hours are cut finer, so that a typical one has about 150 steps.
    """
    if is_metered:
        increments = np.concatenate([np.diff(np.unique(usage)) for usage in usages])
        return float(np.median(increments)) if len(increments) else 1.0
    typical = float(np.median([usage[-1] for usage in usages if len(usage)] or [0.0]))
    return min(1.0, preferred(typical / 150.0)) if typical > 0 else 1.0
