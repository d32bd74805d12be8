"""The elementary intervals of one machine: the stretches on which nothing changes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics import silence
from analytics.counters import Increments, increments
from analytics.cues import Cue, FloatArray, IntArray
from analytics.evidence import Evidence, Rules, Samples

BoolArray = npt.NDArray[np.bool_]
# Counts beyond this are no production; ideal rates are set by people and are often too low.
FASTEST_RATIO = 2.0
NO_CYCLE = 0.1  # below this share of the ideal rate nothing is being made
LEAST_WINDOW_MS = 60_000.0


@dataclass(frozen=True)
class Counting:
    """What the counter says on each elementary interval.

    Attributes:
        steady: between two counts that follow each other within the stop limit.
        recent: after the newest count, still within the stop limit.
        stalled: counts come slower than a tenth of the ideal rate.
    """

    counted: Increments
    steady: BoolArray
    recent: BoolArray
    stalled: BoolArray


@dataclass(frozen=True)
class Grid:
    """Elementary intervals `[edges[i], edges[i + 1])` and what holds on each of them.

    Attributes:
        known: readings came. working: production is planned.
        cue: `analytics.cues.Cue`, NaN where no state signal speaks.
        is_load: power above what the machine draws when it only stands ready.
    """

    edges: IntArray
    known: BoolArray
    working: BoolArray
    cue: FloatArray
    fault: BoolArray
    speed: FloatArray
    power: FloatArray
    is_load: BoolArray
    counting: Counting | None


def elementary_grid(
    evidence: Evidence,
    *,
    start_ms: int,
    end_ms: int,
    rules: Rules,
    working: IntArray | None,
    borders: Iterable[int],
) -> Grid:
    """Cut `[start_ms, end_ms)` at everything that changes, and say what holds in between."""
    silent = _silences(evidence, rules, until_ms=end_ms)
    gaps = _count_gaps(evidence, rules, silent, until_ms=end_ms)
    cuts = [
        np.asarray([start_ms, *borders], dtype=np.int64),
        evidence.seen,
        silent.ravel(),
        np.empty(0, dtype=np.int64) if working is None else working.ravel(),
        *(signal.times for signal in evidence.stepped),
    ]
    if gaps is not None:
        cuts += [gaps.begins, gaps.ends]
    edges = np.unique(np.concatenate(cuts))
    edges = np.append(edges[(edges >= start_ms) & (edges < end_ms)], end_ms)
    at = edges[:-1]
    first_seen = int(evidence.seen[0]) if len(evidence.seen) else end_ms
    power = _held(evidence.power, at)
    cue = _strongest([cue.held_at(at) for cue in evidence.cues], len(at))
    known = (at >= first_seen) & ~inside(at, silent)
    return Grid(
        edges=edges,
        known=known,
        working=np.ones(len(at), dtype=bool) if working is None else inside(at, working),
        cue=cue,
        fault=_held(evidence.fault, at) > 0.5,
        speed=_held(evidence.speed, at),
        power=power,
        is_load=_is_load(power, evidence.power),
        counting=_counting(gaps, edges, known & (np.isnan(cue) | (cue == Cue.CYCLING)), rules),
    )


def inside(instants: IntArray, spans: IntArray) -> BoolArray:
    """Tell which instants lie in one of the ascending, disjoint `[start, end)` spans."""
    if len(spans) == 0:
        return np.zeros(len(instants), dtype=bool)
    newest = np.searchsorted(spans[:, 0], instants, side="right") - 1
    return np.asarray((newest >= 0) & (instants < spans[np.maximum(newest, 0), 1]))


def _silences(evidence: Evidence, rules: Rules, *, until_ms: int) -> IntArray:
    if len(evidence.seen) == 0:
        return np.empty((0, 2), dtype=np.int64)
    expected_s = rules.expected_interval_s
    expected_ms = None if expected_s is None else expected_s * 1000
    return silence.silences(evidence.seen, until_ms=until_ms, expected_ms=expected_ms)


def _held(signal: Samples | None, at: IntArray) -> FloatArray:
    return np.full(len(at), np.nan) if signal is None else signal.held_at(at)


def _strongest(cues: list[FloatArray], n_intervals: int) -> FloatArray:
    strongest = np.full(n_intervals, np.nan)
    for cue in cues:
        strongest = np.fmin(strongest, cue)
    return strongest


@dataclass(frozen=True)
class _CountGaps:
    """The stretches between counts: `[begins, ends)`, and how much was counted at the end.

    Attributes:
        is_open: no count ended it (yet), or none that says something about known time.
        sampling_ms: a count is seen at the next reading only, this much later at most.
    """

    counted: Increments
    begins: IntArray
    ends: IntArray
    amount: FloatArray
    is_open: BoolArray
    sampling_ms: float


def _count_gaps(
    evidence: Evidence, rules: Rules, silent: IntArray, *, until_ms: int
) -> _CountGaps | None:
    """Cut time at the counts; a stretch into which a silence falls ends where that begins.

    What was or was not counted during a silence says nothing about known time.
    """
    ideal = rules.ideal_rate_per_h
    if evidence.count is None or len(evidence.count.times) == 0:
        return None
    times = evidence.count.times
    fastest = ideal * FASTEST_RATIO if ideal else None
    counted = increments(times, evidence.count.values, max_rate_per_h=fastest)
    made = counted.counted > 0
    # The first reading is a baseline: it starts the first stretch without being a count.
    begins = np.concatenate([times[:1], times[made]])
    ends = np.append(begins[1:], max(until_ms, int(begins[-1])))
    ends, is_cut = _up_to_silence(begins, ends, silent)
    is_open = is_cut | (np.arange(len(begins)) == len(begins) - 1)
    # An open stretch has seen less than one count so far.
    amount = np.where(is_open, 0.5, np.append(counted.counted[made], 0.5))
    sampling_ms = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return _CountGaps(counted, begins, ends, amount, is_open, sampling_ms)


def _counting(
    gaps: _CountGaps | None, edges: IntArray, active: BoolArray, rules: Rules
) -> Counting | None:
    """Judge each stretch between counts: steady work, work so far, or no cycle worth the name.

    Only time in which the control claims to work (or says nothing) can be too long for a count:
    a machine that worked until it was stopped was not idle before.
    """
    if gaps is None:
        return None
    at = edges[:-1]
    spans = np.column_stack([gaps.begins, gaps.ends])
    close = gaps.ends - gaps.begins <= rules.stop_limit_ms + gaps.sampling_ms
    stalled = np.zeros(len(spans), dtype=bool)
    if rules.ideal_rate_per_h:
        ideal = rules.ideal_rate_per_h
        clock = np.concatenate([[0.0], np.cumsum(np.diff(edges) * active)])
        worked = np.interp(gaps.ends, edges, clock) - np.interp(gaps.begins, edges, clock)
        least_ms = max(5 * 3_600_000 / ideal, LEAST_WINDOW_MS) + gaps.sampling_ms
        rate_per_h = gaps.amount / np.maximum(worked, 1) * 3_600_000
        stalled = (rate_per_h < NO_CYCLE * ideal) & (worked > least_ms)
    return Counting(
        gaps.counted,
        steady=inside(at, spans[close & ~gaps.is_open]),
        recent=inside(at, spans[close & gaps.is_open]),
        stalled=inside(at, spans[stalled]),
    )


def _up_to_silence(at: IntArray, ends: IntArray, silent: IntArray) -> tuple[IntArray, BoolArray]:
    """Cut the stretches `[at, ends)` at the first silence that begins in them."""
    if len(silent) == 0:
        return ends, np.zeros(len(at), dtype=bool)
    following = np.searchsorted(silent[:, 0], at, side="right")
    begins = silent[np.minimum(following, len(silent) - 1), 0]
    is_cut = (following < len(silent)) & (begins < ends)
    return np.where(is_cut, begins, ends), is_cut


def _is_load(power: FloatArray, samples: Samples | None) -> BoolArray:
    """Split power into standing ready and working, where the readings show two levels.

    Source: Otsu, A threshold selection method from gray-level histograms (IEEE SMC, 1979); two
    classes are believed when they explain 80 % of the variance. With one level any power that
    is not nearly zero is work: a compressor that never rests has no other level to show.
    """
    if samples is None:
        return np.zeros(len(power), dtype=bool)
    values = np.sort(samples.values[~np.isnan(samples.values)])
    if len(values) == 0 or values[-1] <= 0:
        return np.zeros(len(power), dtype=bool)
    threshold = 0.1 * values[-1]
    total = values.var() * len(values)
    if len(values) > 10 and total > 0:
        n_low = np.arange(1, len(values))
        low_sum = np.cumsum(values)[:-1]
        low, high = low_sum / n_low, (values.sum() - low_sum) / (len(values) - n_low)
        between = n_low * (len(values) - n_low) / len(values) * (high - low) ** 2
        best = int(np.argmax(between))
        is_apart = low[best] < 0.6 * high[best]
        if between[best] > 0.8 * total and is_apart:
            threshold = (low[best] + high[best]) / 2
    return np.asarray(power > threshold)
