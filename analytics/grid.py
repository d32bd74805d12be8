"""The elementary intervals of one machine: the stretches on which nothing changes."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics import silence
from analytics.counters import Increments, increments
from analytics.cues import FloatArray, IntArray
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
    counting_edges = _counting_spans(evidence, rules, silent, until_ms=end_ms)
    cuts = [
        np.asarray([start_ms, *borders], dtype=np.int64),
        evidence.seen,
        silent.ravel(),
        np.empty(0, dtype=np.int64) if working is None else working.ravel(),
        *(signal.times for signal in evidence.stepped),
        *(spans.ravel() for spans in counting_edges.spans),
    ]
    edges = np.unique(np.concatenate(cuts))
    edges = np.append(edges[(edges >= start_ms) & (edges < end_ms)], end_ms)
    at = edges[:-1]
    first_seen = int(evidence.seen[0]) if len(evidence.seen) else end_ms
    power = _held(evidence.power, at)
    return Grid(
        edges=edges,
        known=(at >= first_seen) & ~inside(at, silent),
        working=np.ones(len(at), dtype=bool) if working is None else inside(at, working),
        cue=_strongest([cue.held_at(at) for cue in evidence.cues], len(at)),
        fault=_held(evidence.fault, at) > 0.5,
        speed=_held(evidence.speed, at),
        power=power,
        is_load=_is_load(power, evidence.power),
        counting=counting_edges.on(at),
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
class _CountingSpans:
    counted: Increments | None
    steady: IntArray
    recent: IntArray
    stalled: IntArray

    @property
    def spans(self) -> tuple[IntArray, IntArray, IntArray]:
        return self.steady, self.recent, self.stalled

    def on(self, at: IntArray) -> Counting | None:
        if self.counted is None:
            return None
        steady, recent, stalled = (inside(at, spans) for spans in self.spans)
        return Counting(self.counted, steady=steady, recent=recent, stalled=stalled)


_NO_SPANS = np.empty((0, 2), dtype=np.int64)


def _counting_spans(
    evidence: Evidence, rules: Rules, silent: IntArray, *, until_ms: int
) -> _CountingSpans:
    """Read the stretches between counts; one without a count for long enough is a stop from
    its first second, whether or not it has ended.

    A stretch into which a silence falls is judged up to the silence only: what was or was not
    counted during it says nothing about known time.
    """
    ideal = rules.ideal_rate_per_h
    if evidence.count is None or len(evidence.count.times) == 0:
        return _CountingSpans(None, _NO_SPANS, _NO_SPANS, _NO_SPANS)
    counted = increments(
        evidence.count.times,
        evidence.count.values,
        max_rate_per_h=ideal * FASTEST_RATIO if ideal else None,
    )
    made = counted.counted > 0
    # The first reading is a baseline: it starts the first gap without being a count.
    at = np.concatenate([counted.times[:1], counted.times[made]])
    amount = np.append(counted.counted[made], 0.5)  # the open gap: less than one so far
    ends = np.append(at[1:], max(until_ms, int(at[-1])))
    is_open = np.arange(len(at)) == len(at) - 1
    ends, is_cut = _up_to_silence(at, ends, silent)
    is_open, amount = is_open | is_cut, np.where(is_cut, 0.5, amount)
    gaps = (ends - at).astype(np.float64)
    # A count is seen at the next reading only: sparse readings must not look like stops.
    sampling_ms = float(np.median(np.diff(evidence.count.times))) if len(counted.times) > 1 else 0.0
    spans = np.column_stack([at, ends])
    close = gaps <= rules.stop_limit_ms + sampling_ms
    stalled = np.zeros(len(at), dtype=bool)
    if ideal:
        least_ms = max(5 * 3_600_000 / ideal, LEAST_WINDOW_MS) + sampling_ms
        stalled = (amount / np.maximum(gaps, 1) * 3_600_000 < NO_CYCLE * ideal) & (gaps > least_ms)
    return _CountingSpans(counted, spans[close & ~is_open], spans[close & is_open], spans[stalled])


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
