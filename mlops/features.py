"""Features of a life: signals made comparable, then summed up over the past of each step.

Every feature of step t depends on steps 0..t only. Pure arithmetic, no Django.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlops.lives import FloatArray, Life, typical_steps
from mlops.regimes import IntArray, Regimes, find_regimes

# Windows in parts of a typical life, so that lives of 200 cycles and of 2,000 hours are looked
# at alike: the first ones average noise away, the last ones see the trend.
SIGNAL_WINDOWS = (0.025, 0.075, 0.15, 0.3)
SIGNAL_TRENDS = (0.15, 0.3)
INDEX_WINDOWS = (0.025, 0.05, 0.075, 0.125, 0.2, 0.3)
INDEX_TRENDS = (0.075, 0.15, 0.25, 0.4)
START = 0.075
# A modified z-score beyond this says no more than "far outside".
CLIP = 10.0
MIN_POINTS_OF_A_TREND = 5


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Turns signals into robust z-scores within their operating regime.

    Attributes:
        regimes: how to tell the regimes apart.
        kept: (n_kept,) the signals that carry information.
        median, spread: (n_regimes, n_signals); spread is inf where the signal stands still.
    """

    regimes: Regimes
    kept: IntArray
    median: FloatArray
    spread: FloatArray

    @classmethod
    def fit(cls, lives: Sequence[Life]) -> Standardiser:
        """Learn regimes and levels from the signals alone; no label is looked at.

        Regimes are sought in first halves of lives: a condition seen only towards the end is
        wear, not a way of running the machine.
        """
        everything = np.vstack([life.values for life in lives])
        fallback = _nan_median(everything)
        filled = [filled_forward(life.values, fallback) for life in lives]
        early = np.vstack([values[: (len(values) + 1) // 2] for values in filled])
        values = np.vstack(filled)
        regimes = find_regimes(early)
        labels = regimes.assign(values)
        median = np.empty((len(regimes), values.shape[1]))
        spread = np.empty_like(median)
        for regime in range(len(regimes)):
            rows = values[labels == regime]
            median[regime], spread[regime] = _level_and_spread(rows if len(rows) else values)
        kept = np.flatnonzero(np.isfinite(spread).any(axis=0) & _often_known(everything))
        return cls(regimes, kept.astype(np.int64), median, spread)

    def transform(self, values: FloatArray) -> FloatArray:
        """Return (n, n_kept) z-scores; what is unknown keeps its last value, then the usual one."""
        filled = filled_forward(values, self.median[0])
        labels = self.regimes.assign(filled)
        scores = (filled - self.median[labels]) / self.spread[labels]
        return np.clip(scores[:, self.kept], -CLIP, CLIP)


def _often_known(values: FloatArray) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = np.mean(~np.isnan(values), axis=0) >= 0.5
    return known


def _nan_median(values: FloatArray) -> FloatArray:
    """Return the median of each column, 0 for one that was never known."""
    known = ~np.isnan(values).all(axis=0)
    median = np.zeros(values.shape[1])
    if known.any():
        median[known] = np.nanmedian(values[:, known], axis=0)
    return median


def _level_and_spread(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return median and spread: 1.4826 MAD, or the standard deviation where that is larger.

    The MAD alone is zero for a signal that mostly stands on one level, and small beside a long
    trend; either would blow z-scores up. Standing still gives inf, so that its z-score is 0.
    """
    median = np.median(rows, axis=0)
    mad = 1.4826 * np.median(np.abs(rows - median), axis=0)
    spread = np.maximum(mad, rows.std(axis=0))
    still = spread <= 1e-6 * (np.abs(median) + 1e-9)
    return median, np.where(still, np.inf, spread)


def filled_forward(values: FloatArray, start: FloatArray) -> FloatArray:
    """Replace each NaN by the last known value before it, or by `start` where there is none."""
    stacked = np.vstack([start, values])
    known = ~np.isnan(stacked)
    last = np.maximum.accumulate(np.where(known, np.arange(len(stacked))[:, None], 0), axis=0)
    return np.take_along_axis(stacked, last, axis=0)[1:]


def rolling_mean(scores: FloatArray, window: int) -> FloatArray:
    """Return the mean of the last `window` steps (fewer at the start)."""
    total = _cumulative(scores)
    end = np.arange(1, len(scores) + 1)
    start = np.maximum(0, end - window)
    return (total[end] - total[start]) / (end - start)[:, None]


def expanding_mean(scores: FloatArray) -> FloatArray:
    """Return the mean of everything up to each step."""
    return rolling_mean(scores, len(scores))


def rolling_slope(scores: FloatArray, window: int) -> FloatArray:
    """Return the least-squares slope per step over the last `window` steps.

    0 where fewer than 5 steps are known: a trend needs something to rest on.
    """
    n_rows = len(scores)
    time = np.arange(n_rows, dtype=float)[:, None]
    end = np.arange(1, n_rows + 1)
    start = np.maximum(0, end - window)
    n = (end - start).astype(float)[:, None]
    sums = [_cumulative(part) for part in (scores, time * scores, time, time**2)]
    s_y, s_ty, s_t, s_tt = (part[end] - part[start] for part in sums)
    divisor = n * s_tt - s_t**2
    slope = (n * s_ty - s_t * s_y) / np.where(divisor > 0, divisor, 1.0)
    return np.where(n >= MIN_POINTS_OF_A_TREND, slope, 0.0)


def start_level(scores: FloatArray, window: int) -> FloatArray:
    """Return the mean of the first `window` steps, as far as they are known at each step."""
    known = expanding_mean(scores[:window])
    rest = np.repeat(known[-1:], max(0, len(scores) - window), axis=0)
    return np.vstack([known, rest])


def _cumulative(values: FloatArray) -> FloatArray:
    return np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])


def _mean_weights(n_rows: int, window: int) -> FloatArray:
    weights = np.zeros(n_rows)
    weights[-min(window, n_rows) :] = 1.0 / min(window, n_rows)
    return weights


def _slope_weights(n_rows: int, window: int) -> FloatArray:
    n = min(window, n_rows)
    weights = np.zeros(n_rows)
    if n >= MIN_POINTS_OF_A_TREND:
        time = np.arange(n) - (n - 1) / 2.0
        weights[-n:] = time / np.sum(time**2)
    return weights


def constant_block(
    levels: FloatArray, windows: Sequence[float], trends: Sequence[float]
) -> FloatArray:
    """Return (width, n_signals) features of signals that never moved from these levels.

    The level itself in means, nothing in trends and in the distance from the start.
    """
    shape = np.concatenate([np.ones(len(windows) + 1), np.zeros(len(trends) + 1)])
    return shape[:, None] * levels[None, :]


@dataclass(frozen=True, slots=True)
class LastStep:
    """The features of one step before members weigh the signals.

    Attributes:
        signal_block: (signal features, n_kept).
        index_block: (index features, n_kept): what each signal adds to an index per unit weight.
    """

    signal_block: FloatArray
    index_block: FloatArray

    def without(self, signal: int, *, usual: float) -> LastStep:
        """Return the step as if one signal had stood at its usual level all along."""
        level = np.array([usual])
        signals, indices = self.signal_block.copy(), self.index_block.copy()
        signals[:, [signal]] = constant_block(level, SIGNAL_WINDOWS, SIGNAL_TRENDS)
        indices[:, [signal]] = constant_block(level, INDEX_WINDOWS, INDEX_TRENDS)
        return LastStep(signals, indices)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """How features are made: everything that training and scoring must do alike.

    Attributes:
        standardiser: signals to z-scores.
        typical_steps: length of a typical life, which the windows are parts of.
        index_weights: (n_members, n_kept) each member's linear health index over the z-scores.
            A member sees its own index only: its weights come from that member's lives.
    """

    standardiser: Standardiser
    typical_steps: float
    index_weights: FloatArray

    def steps(self, part: float) -> int:
        """Return a part of a typical life in whole steps, at least 2."""
        return max(2, round(part * self.typical_steps))

    def matrix(self, life: Life) -> FloatArray:
        """Return (n_steps, n_features) of a life: signals, one block per index, usage."""
        return self.matrix_of(self.standardiser.transform(life.values), life.usage)

    def matrix_of(self, scores: FloatArray, usage: FloatArray) -> FloatArray:
        """Return the features of z-scores (n_steps, n_kept) at these usages."""
        signals = self._block(scores, SIGNAL_WINDOWS, SIGNAL_TRENDS)
        indices = scores @ self.index_weights.T
        per_member = [
            self._block(indices[:, [member]], INDEX_WINDOWS, INDEX_TRENDS)
            for member in range(len(self.index_weights))
        ]
        # What the model is given in production is float32: train on nothing finer.
        return (
            np.hstack([signals, *per_member, usage[:, None]]).astype(np.float32).astype(np.float64)
        )

    def last(self, scores: FloatArray) -> LastStep:
        """Return what the last step's features are made of, signal by signal.

        Equal to the last row of `matrix_of`, at a fraction of the work: every feature is a
        weighted sum over the past, so the weights of the last step suffice.
        """
        n_rows = len(scores)
        start = self.steps(START)
        by_block = []
        for windows, trends in (
            (SIGNAL_WINDOWS, SIGNAL_TRENDS),
            (INDEX_WINDOWS, INDEX_TRENDS),
        ):
            weights = [
                *(_mean_weights(n_rows, self.steps(part)) for part in windows),
                _mean_weights(n_rows, n_rows),
                *(_slope_weights(n_rows, self.steps(part)) for part in trends),
                _mean_weights(n_rows, start) - _mean_weights(n_rows, start)[::-1],
            ]
            by_block.append(np.array(weights) @ scores)
        return LastStep(by_block[0], by_block[1])

    def row(self, last: LastStep, usage: float) -> FloatArray:
        """Return (n_features,) of a last step, in the order of `matrix`."""
        indices = (last.index_block @ self.index_weights.T).T
        parts = [last.signal_block.ravel(), indices.ravel(), np.array([usage])]
        return np.concatenate(parts).astype(np.float32).astype(np.float64)

    def columns_of(self, member: int) -> IntArray:
        """Return the columns of `matrix` that a member may look at."""
        n_signals = self._width(SIGNAL_WINDOWS, SIGNAL_TRENDS) * len(self.standardiser.kept)
        n_index = self._width(INDEX_WINDOWS, INDEX_TRENDS)
        own = n_signals + n_index * member + np.arange(n_index)
        usage = n_signals + n_index * len(self.index_weights)
        return np.concatenate([np.arange(n_signals), own, [usage]]).astype(np.int64)

    def _block(
        self, scores: FloatArray, windows: Sequence[float], trends: Sequence[float]
    ) -> FloatArray:
        start = self.steps(START)
        level = start_level(scores, start)
        return np.hstack(
            [
                *(rolling_mean(scores, self.steps(part)) for part in windows),
                expanding_mean(scores),
                *(rolling_slope(scores, self.steps(part)) for part in trends),
                rolling_mean(scores, start) - level,
            ]
        )

    @staticmethod
    def _width(windows: Sequence[float], trends: Sequence[float]) -> int:
        return len(windows) + len(trends) + 2


def health_index(scores: Sequence[FloatArray], targets: Sequence[FloatArray]) -> FloatArray:
    """Return (n_kept,) weights of the linear index that follows the target best.

    Ridge regression with one unit of penalty per typical life, each life weighing the same. The
    index is scaled so that the whole range of the target spans about 4, as z-scores do.
    """
    stacked, target = np.vstack(scores), np.concatenate(targets)
    weight = equal_weights([len(part) for part in scores])
    centred = stacked - np.average(stacked, axis=0, weights=weight)
    gram = centred.T @ (centred * weight[:, None]) + np.eye(stacked.shape[1])
    wanted = centred.T @ (weight * (target - np.average(target, weights=weight)))
    span = float(np.ptp(target)) or 1.0
    solved: FloatArray = np.asarray(np.linalg.solve(gram, wanted), np.float64)
    weights: FloatArray = solved * 4.0 / span
    return weights


def equal_weights(lengths: Sequence[int]) -> FloatArray:
    """Return one weight a step so that each life weighs the same, 1 a step on average."""
    mean = float(np.mean(lengths))
    return np.concatenate([np.full(n, mean / n) for n in lengths])


def new_spec(lives: Sequence[Life]) -> FeatureSpec:
    """Fit everything that looks at signals only; the indices are added by training."""
    standardiser = Standardiser.fit(lives)
    return FeatureSpec(
        standardiser, typical_steps(lives), np.zeros((0, len(standardiser.kept)), dtype=float)
    )
