"""A line that never stops: what its outputs will be in the next step, from what is known now.

There are no parts, only time. It is looked at step by step (a minute), and of each step's
readings everything known at its beginning may be used: outputs measured so far, process values
so far, those of earlier stages with the delay they take to arrive. Nothing of the step itself.
The gap between what is known and what is forecast is therefore up to one step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

from mlops.lives import FloatArray
from mlops.quality.aggregation import aggregate
from mlops.regimes import IntArray

# Of a step only what is known before it counts: everything is moved by one step at the end.
WINDOWS = (1, 5, 15)
SMOOTHINGS = (0.15, 0.3, 0.5, 0.7)
MEDIANS = (3, 7)
# Transport delays that are tried, in steps.
DELAYS = (0, 1, 2, 4, 8)
# Process models: penalties of the ridge on standardised changes, how fast the level is followed
# that changes are taken from, and the longest time between two fits.
PENALTIES = (30.0, 300.0)
LEVELS = (0.1, 0.3)
FIRST_FIT = 40
REFIT = 10
N_REFITS = 30
CLIP = 3.0
KEPT_CHANGE = 0.9  # changes beyond this quantile are cut down to it


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity step by step; a step without a reading repeats the one before.

    Attributes:
        mean, median, last: (n_steps,) of the readings of each step.
        total, count: (n_steps,) sum and number of its readings.
    """

    mean: FloatArray
    median: FloatArray
    last: FloatArray
    total: FloatArray
    count: FloatArray

    @classmethod
    def of(cls, values: FloatArray, steps: IntArray, n_steps: int) -> Series:
        """Sum readings up.

        Args:
            values: (n,) known readings in the order of time.
            steps: (n,) step of each, never decreasing.
        """
        count = np.bincount(steps, minlength=n_steps).astype(np.float64)
        total = np.bincount(steps, weights=values, minlength=n_steps).astype(np.float64)
        cuts = np.searchsorted(steps, np.arange(n_steps + 1))
        parts = [values[a:b] for a, b in pairwise(cuts)]
        median = np.array([np.median(part) if len(part) else np.nan for part in parts])
        last = np.array([part[-1] if len(part) else np.nan for part in parts])
        mean = np.divide(total, count, out=np.full(n_steps, np.nan), where=count > 0)
        return cls(_carried(mean), _carried(median), _carried(last), total, count)

    def moving_average(self, n_steps: int) -> FloatArray:
        """Return the mean of all readings of the last steps, this one included."""
        total, count = _window(self.total, n_steps), _window(self.count, n_steps)
        mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return _carried(mean)


def _window(values: FloatArray, length: int) -> FloatArray:
    summed = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    return np.asarray(summed[ends] - summed[np.maximum(ends - length, 0)])


def _carried(values: FloatArray) -> FloatArray:
    """Return the values with gaps filled by what was last known; before the first, by it."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    place = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    return np.asarray(values[np.where(place < 0, int(np.argmax(known)), place)])


def smoothed(values: FloatArray, share: float) -> FloatArray:
    """Return exponentially weighted means along the first axis; each value weighs `share`."""
    start = scipy.signal.lfilter_zi([share], [1.0, share - 1.0])
    state = start[:, None] * values[:1] if values.ndim > 1 else start * values[0]
    out, _state = scipy.signal.lfilter([share], [1.0, share - 1.0], values, axis=0, zi=state)
    return np.asarray(out, dtype=np.float64)


def before(values: FloatArray, n_steps: int = 1) -> FloatArray:
    """Return what was known so many steps ago; the first value where there was none."""
    if n_steps == 0:
        return values
    return np.concatenate([np.repeat(values[:1], n_steps, axis=0), values[:-n_steps]])


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What was said of every step of one output before it began.

    Attributes:
        ours: (n_steps,).
        alone: (n_steps,) by the same way from the output's own past, process values left out.
        last: (n_steps,) the last reading known.
        averages: by length in steps, (n_steps,) the moving average.
        process_weight: mean weight of the process models.
        drivers: process values that weigh most in the last fit, strongest first, with the
            delay in steps.
    """

    ours: FloatArray
    alone: FloatArray
    last: FloatArray
    averages: dict[int, FloatArray]
    process_weight: float
    drivers: tuple[tuple[str, int], ...]


def forecast(
    output: Series, values: FloatArray, steps: IntArray, inputs: FloatArray,
    names: tuple[str, ...], *, n_train: int,
) -> Forecasts:  # fmt: skip
    """Forecast an output step by step.

    Args:
        values, steps: (n,) its readings and their steps.
        inputs: (n_steps, n_inputs) means of process values and of earlier stages' outputs.
        names: of the inputs.
        n_train: steps from which delays are learnt.
    """
    averages = {length: before(output.moving_average(length)) for length in WINDOWS}
    own = [*averages.values(), *_smoothers(output)]
    level = before(smoothed(output.median, 0.5))
    changes, delays = _changes(inputs, output.median, level, n_train)
    models, weights = [], np.zeros(len(names))
    for penalty in PENALTIES:
        said, weights = _ridge(changes, output.median, level, penalty)
        models.append(said)
    ours, used = aggregate(np.array([*own, *models]), values, steps)
    alone, _used = aggregate(np.array(own), values, steps)
    by_input = np.abs(weights.reshape(len(LEVELS), -1)).sum(axis=0)
    strongest = [int(i) for i in np.argsort(-by_input, kind="stable")[:3] if by_input[i] > 0]
    return Forecasts(
        ours, alone, before(output.last), averages,
        float(used[n_train:, len(own) :].sum(axis=1).mean()),
        tuple((names[i], int(delays[i])) for i in strongest),
    )  # fmt: skip


def _smoothers(output: Series) -> list[FloatArray]:
    smooth = [
        before(smoothed(values, share))
        for values in (output.mean, output.median)
        for share in SMOOTHINGS
    ]
    run = [before(_running_median(output.median, length)) for length in MEDIANS]
    trend = output.median + 0.5 * (output.median - before(output.median))
    return [*smooth, *run, before(output.median), before(trend)]


def _running_median(values: FloatArray, length: int) -> FloatArray:
    padded = np.concatenate([np.repeat(values[:1], length - 1), values])
    runs = np.lib.stride_tricks.sliding_window_view(padded, length)
    return np.asarray(np.median(runs, axis=1), dtype=np.float64)


def _changes(
    inputs: FloatArray, target: FloatArray, level: FloatArray, n_train: int
) -> tuple[FloatArray, IntArray]:
    """Return (n_steps, len(LEVELS) * n_inputs) how inputs left their level, each with its delay.

    Changes, not values: a line wanders, and what a value meant an hour ago it no longer means.
    The delay is the one with which an input's changes went most along with the output's.
    """
    moved = [before(inputs - smoothed(inputs, share)) for share in LEVELS]
    gone = target - level
    strength = np.array([_along(before(moved[-1], delay), gone, n_train) for delay in DELAYS])
    best = np.argmax(strength, axis=0) if strength.size else np.zeros(0, dtype=np.int64)
    delays = np.array(DELAYS, dtype=np.int64)[best]
    parts = []
    for one in moved:
        shifted = np.stack([before(one, delay) for delay in DELAYS])
        parts.append(shifted[best, :, np.arange(inputs.shape[1])].T)
    return np.hstack(parts), delays


def _along(inputs: FloatArray, target: FloatArray, n_train: int) -> FloatArray:
    """Return (n_inputs,) absolute correlations over the training steps."""
    x, y = inputs[:n_train], target[:n_train]
    x, y = x - x.mean(axis=0), y - y.mean()
    scale = np.sqrt((x**2).sum(axis=0) * float(y @ y))
    along = np.divide(x.T @ y, scale, out=np.zeros(x.shape[1]), where=scale > 1e-12)
    return np.asarray(np.abs(along), dtype=np.float64)


def _ridge(
    changes: FloatArray, target: FloatArray, level: FloatArray, penalty: float
) -> tuple[FloatArray, FloatArray]:
    """Return (n_steps,) forecasts, fitted again and again to the steps before, and last weights."""
    said, n_steps = level.copy(), len(level)
    weights: FloatArray = np.zeros(changes.shape[1])
    if not changes.shape[1]:
        return said, weights
    every = max(REFIT, n_steps // N_REFITS)
    for start in range(FIRST_FIT, n_steps, every):
        seen, gone = changes[:start], (target - level)[:start]
        middle, spread = seen.mean(axis=0), seen.std(axis=0)
        largest = float(np.quantile(np.abs(gone), KEPT_CHANGE))
        scaled = _scaled(middle, spread)
        x = scaled(seen)
        gram = x.T @ x + penalty * np.eye(x.shape[1])
        moments = x.T @ np.clip(gone, -largest, largest)
        weights = np.asarray(np.linalg.solve(gram, moments), dtype=np.float64)
        block = slice(start, start + every)
        said[block] += np.clip(scaled(changes[block]) @ weights, -largest, largest)
    return said, weights


def _scaled(middle: FloatArray, spread: FloatArray) -> Callable[[FloatArray], FloatArray]:
    moves = spread > 1e-9 * (1.0 + np.abs(middle))

    def scaled(changes: FloatArray) -> FloatArray:
        away = np.divide(changes - middle, spread, out=np.zeros_like(changes), where=moves)
        return np.clip(away, -CLIP, CLIP)

    return scaled
