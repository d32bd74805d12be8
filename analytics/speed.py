"""How fast a machine works while it works, against its ideal rate.

Speed is measured on the cycling clock, which stands still while the machine does, over windows
of at least five ideal cycles and 60 s. Within a window the rate is taken from the first count to
the last: the number of counts in a fixed window jumps by one and would call a machine at full
speed slow now and then. Where readings are sparse the window grows until their spacing costs at
most 5 %.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analytics.counters import Increments
from analytics.cues import FloatArray, IntArray

FULL_SPEED = 0.9
WINDOW_CYCLES = 5
LEAST_WINDOW_MS = 60_000.0
READINGS_PER_WINDOW = 20


@dataclass(frozen=True)
class Clock:
    """The cycling clock at the edges of the elementary intervals, and its runs.

    Attributes:
        at: cycling milliseconds before each edge.
        low, high: per interval, the clock at the start and end of the run it belongs to; a run
            is cycling time not broken by a stop longer than the stop limit.
    """

    at: FloatArray
    low: FloatArray
    high: FloatArray


def window_ms(*, ideal_rate_per_h: float, sampling_ms: FloatArray) -> FloatArray:
    """Choose how much cycling time one speed is measured over."""
    cycles = WINDOW_CYCLES * 3_600_000 / ideal_rate_per_h
    return np.maximum(max(cycles, LEAST_WINDOW_MS), READINGS_PER_WINDOW * sampling_ms)


def cycling_clock(
    edges: IntArray, cycling: npt.NDArray[np.bool_], *, stop_limit_ms: float
) -> Clock:
    """Lay the cycling clock over the elementary intervals."""
    lengths = np.diff(edges).astype(np.float64)
    at = np.concatenate([[0.0], np.cumsum(lengths * cycling)])
    # A new run begins at the first cycling interval after a long enough stop.
    stopped = np.cumsum(lengths * ~cycling)
    begins = np.flatnonzero(cycling)
    low, high = at[:-1].copy(), at[1:].copy()
    if len(begins) == 0:
        return Clock(at, low, high)
    pause_before = np.diff(stopped[begins], prepend=stopped[begins[0]])
    run = np.cumsum(pause_before > stop_limit_ms)
    first = np.flatnonzero(np.diff(run, prepend=run[0] - 1))
    last = np.append(first[1:], len(run)) - 1
    position = run - run[0]
    low[begins] = at[begins][first][position]
    high[begins] = at[begins + 1][last][position]
    return Clock(at, low, high)


def count_ratios(
    clock: Clock,
    edges: IntArray,
    cycling: npt.NDArray[np.bool_],
    counted: Increments,
    *,
    ideal_rate_per_h: float,
    sampling_ms: FloatArray,
) -> FloatArray:
    """Measure the rate around each elementary interval as a share of the ideal rate.

    Args:
        sampling_ms: (n_intervals,) the spacing of the readings there.

    Returns:
        (n_intervals,): NaN where the machine does not cycle, or has not cycled long enough in
        one go for a window (too little to call it slow).
    """
    width = window_ms(ideal_rate_per_h=ideal_rate_per_h, sampling_ms=sampling_ms)
    at, amount = _counts_on_clock(clock, edges, cycling, counted)
    before = np.concatenate([[0.0], np.cumsum(amount)])
    middle = (clock.at[:-1] + clock.at[1:]) / 2
    start = np.clip(middle - width / 2, clock.low, np.maximum(clock.low, clock.high - width))
    end = np.minimum(start + width, clock.high)
    first = np.searchsorted(at, start, side="left")
    last = np.searchsorted(at, end, side="right") - 1
    n_between = last - first
    plain = (before[last + 1] - before[first]) / np.maximum(end - start, 1.0)
    safe_first, safe_last = np.minimum(first, len(at) - 1), np.maximum(last, 0)
    precise = np.zeros_like(plain)
    if len(at):
        span = at[safe_last] - at[safe_first]
        between = before[last + 1] - before[np.minimum(first + 1, len(at))]
        precise = between / np.maximum(span, 1.0)
    per_ms = np.where(n_between >= 2, precise, plain)
    enough = cycling & (end - start >= 0.9 * width)
    return np.where(enough, per_ms * 3_600_000 / ideal_rate_per_h, np.nan)


def _counts_on_clock(
    clock: Clock, edges: IntArray, cycling: npt.NDArray[np.bool_], counted: Increments
) -> tuple[FloatArray, FloatArray]:
    """Keep the counts made while cycling; one across a gap belongs to totals, not to speed."""
    made = counted.counted > 0
    times, amount = counted.times[made], counted.counted[made]
    interval = np.searchsorted(edges, times, side="left") - 1
    inside = (interval >= 0) & (interval < len(cycling))
    times, amount, interval = times[inside], amount[inside], interval[inside]
    good = cycling[interval]
    return np.interp(times[good], edges, clock.at), amount[good]


def drop_short_slowness(
    edges: IntArray, slow: npt.NDArray[np.bool_], *, least_ms: float
) -> npt.NDArray[np.bool_]:
    """Clear slow stretches shorter than a speed can be told in."""
    if not slow.any():
        return slow
    change = np.flatnonzero(np.diff(np.concatenate([[False], slow, [False]]).astype(np.int8)))
    starts, ends = change[::2], change[1::2]
    out = slow.copy()
    for start, end in zip(starts, ends, strict=True):
        if edges[end] - edges[start] < least_ms:
            out[start:end] = False
    return out
