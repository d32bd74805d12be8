"""Time and output of one machine over a period, and what follows from them (ISO 22400-2 words).

Sums are kept, ratios are computed from sums: an OEE is never averaged. Time without data is
taken out and shown as coverage; work outside the calendar is added as overtime, so that parts
made in a break cannot lift the OEE over its true value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.cues import IntArray
from analytics.evidence import Samples
from analytics.states import State, StateInterval

_CYCLING = frozenset({State.RUN, State.SLOW})
_STOPPED = frozenset({State.IDLE, State.DOWN, State.SETUP})
PROVISIONAL_BELOW = 0.95
HIDDEN_BELOW = 0.5


@dataclass(frozen=True)
class ShiftSums:
    """Sums over a period; milliseconds, parts, kWh.

    Attributes:
        busy_ms: known planned busy time (PBT) with overtime. cycling_ms: of it, producing (APT).
        unknown_ms: planned time without data. stopped_ms: by state, planned time only.
        n_parts: all that were made. ideal_ms: what those made in known time take at the ideal
            rate, or None.
        energy_kwh: over known time, None without a power signal.
    """

    busy_ms: int = 0
    cycling_ms: int = 0
    unknown_ms: int = 0
    idle_ms: int = 0
    down_ms: int = 0
    setup_ms: int = 0
    n_parts: float = 0.0
    ideal_ms: float | None = None
    energy_kwh: float | None = None

    @property
    def lost_ms(self) -> int:
        return self.idle_ms + self.down_ms + self.setup_ms

    @property
    def coverage(self) -> float | None:
        total = self.busy_ms + self.unknown_ms
        return self.busy_ms / total if total else None

    @property
    def availability(self) -> float | None:
        return self.cycling_ms / self.busy_ms if self.busy_ms else None

    @property
    def performance(self) -> float | None:
        if self.ideal_ms is None or not self.cycling_ms:
            return None
        return self.ideal_ms / self.cycling_ms

    @property
    def oee(self) -> float | None:
        """Ideal time of the parts over the busy time; every part counts as good.

        None where it cannot be said: nothing planned, no ideal rate, or too little known.
        """
        coverage = self.coverage
        if self.ideal_ms is None or not self.busy_ms or coverage is None:
            return None
        return self.ideal_ms / self.busy_ms if coverage >= HIDDEN_BELOW else None


def total(sums: Iterable[ShiftSums]) -> ShiftSums:
    """Add up machines; those without an ideal rate stay out of the OEE, their time too."""
    parts = list(sums)
    rated = [s for s in parts if s.ideal_ms is not None]
    energies = [s.energy_kwh for s in parts if s.energy_kwh is not None]
    return ShiftSums(
        busy_ms=sum(s.busy_ms for s in rated),
        cycling_ms=sum(s.cycling_ms for s in rated),
        unknown_ms=sum(s.unknown_ms for s in rated),
        idle_ms=sum(s.idle_ms for s in parts),
        down_ms=sum(s.down_ms for s in parts),
        setup_ms=sum(s.setup_ms for s in parts),
        n_parts=sum(s.n_parts for s in parts),
        ideal_ms=sum(s.ideal_ms or 0.0 for s in rated) if rated else None,
        energy_kwh=sum(energies) if energies else None,
    )


def shift_sums(
    intervals: Sequence[StateInterval],
    *,
    working: IntArray | None,
    n_parts: float,
    ideal_rate_per_h: float | None,
    has_count: bool,
    n_parts_in_gaps: float = 0.0,
    energy_kwh: float | None = None,
) -> ShiftSums:
    """Sum what a machine did.

    Args:
        working: (n, 2) planned production in ms; None is all the time.
        n_parts: parts counted in the period. n_parts_in_gaps: those of them that were made while
            nothing was known; they say nothing about the speed of known time.
    """
    planned = dict.fromkeys(State, 0)
    whole = dict.fromkeys(State, 0)
    for interval in intervals:
        whole[interval.state] += interval.length_ms
        planned[interval.state] += overlap_ms(interval.start_ms, interval.end_ms, working)
    cycling = sum(whole[state] for state in _CYCLING)
    stopped = {state: planned[state] for state in _STOPPED}
    return ShiftSums(
        busy_ms=cycling + sum(stopped.values()),
        cycling_ms=cycling,
        unknown_ms=planned[State.NODATA],
        idle_ms=stopped[State.IDLE],
        down_ms=stopped[State.DOWN],
        setup_ms=stopped[State.SETUP],
        n_parts=n_parts,
        ideal_ms=(n_parts - n_parts_in_gaps) * 3_600_000 / ideal_rate_per_h
        if ideal_rate_per_h and has_count
        else None,
        energy_kwh=energy_kwh,
    )


def overlap_ms(start_ms: int, end_ms: int, spans: IntArray | None) -> int:
    """Measure how much of `[start_ms, end_ms)` lies in ascending, disjoint spans."""
    if spans is None:
        return end_ms - start_ms
    left, right = np.maximum(spans[:, 0], start_ms), np.minimum(spans[:, 1], end_ms)
    return int(np.maximum(right - left, 0).sum())


def energy_kwh(power_kw: Samples, *, start_ms: int, end_ms: int, longest_gap_ms: int) -> float:
    """Integrate power over a period; a value holds until the next, but not across a gap."""
    inside = (power_kw.times >= start_ms) & (power_kw.times < end_ms) & ~np.isnan(power_kw.values)
    times, values = power_kw.times[inside], power_kw.values[inside]
    held = np.minimum(np.diff(np.append(times, end_ms)), longest_gap_ms)
    return float((values * held).sum() / 3_600_000)
