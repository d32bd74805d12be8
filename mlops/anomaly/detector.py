"""Level 2: a multivariate detector that knows regimes, in batch and row by row.

z-scores within the regime (level 1) are looked at in four views (`views`). Each view has a
Mahalanobis distance whose centre and covariance come from normal history and whose limit comes
from parts of that history it was not fitted on. A row's score is its largest distance over the
limit, so 1 is the limit whatever the machine.

The covariance of a mean is measured as it is met in use: each part of the history against the
mean of the parts before. A signal that wanders by itself thereby gets the room it needs, and a
steady one keeps its sharp limit.

Sources: Hotelling, Multivariate quality control (1947); Lowry and others (Technometrics, 1992);
for contributions Alcala and Qin, Reconstruction-based contribution for process monitoring
(Automatica, 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from mlops.anomaly.health import Baseline, NotEnoughHistory
from mlops.anomaly.limits import prediction_limit
from mlops.anomaly.still import Stillness, run_lengths
from mlops.anomaly.views import CHANGE, N_VIEWS, Memory, views
from mlops.lives import FloatArray
from mlops.regimes import IntArray, Regimes

BoolArray = npt.NDArray[np.bool_]

# Ways to cut the history into parts: enough to see a signal wander, and each part long enough
# to judge a row by. Where the cuts fall is chance, so several ways are averaged.
N_PARTS: Final = (3, 4, 5)
MIN_ROWS: Final = 100
# One row in 500, near the 1 in 370 of a control chart with three sigma.
FALSE_ALARM_RATE: Final = 0.002
# Part of every correlation that is given up, so that the covariance can always be inverted.
# Detection changes little between 0.003 and 0.05.
SHRINKAGE: Final = 0.01
# A z-score beyond this says no more than "far outside"; it keeps arithmetic finite.
CLIP: Final = 1e4


@dataclass(frozen=True, slots=True)
class Scores:
    """What a detector says about rows, oldest first.

    Attributes:
        score: (n,) largest distance over its limit; above 1 is anomalous.
        contributions: (n, n_signals) >= 0, the part of the score that would go if the signal
            were as the others let expect; they need not sum to the score.
        z: (n, n_signals) signed modified z-scores of level 1.
        regime: (n,) the regime of each row.
    """

    score: FloatArray
    contributions: FloatArray
    z: FloatArray
    regime: IntArray

    def __len__(self) -> int:
        return len(self.score)

    @property
    def is_anomalous(self) -> BoolArray:
        return self.score > 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """What a detector says about one row; see `Scores`."""

    score: float
    contributions: FloatArray
    z: FloatArray
    regime: int

    @property
    def is_anomalous(self) -> bool:
        return self.score > 1.0


@dataclass(frozen=True, slots=True)
class Detector:
    """A fitted detector.

    Attributes:
        signals: names of the columns, in order.
        centre: (N_VIEWS, n_signals) of the views.
        precision: (N_VIEWS, n_signals, n_signals) inverse covariances.
        limit: (N_VIEWS,) of the squared distances.
        stillness: how long a signal may stand still.
        rate: the stated false-alarm rate, shared among the views.
    """

    signals: tuple[str, ...]
    baseline: Baseline
    centre: FloatArray
    precision: FloatArray
    limit: FloatArray
    stillness: Stillness
    rate: float

    def score(self, values: FloatArray) -> Scores:
        """Score rows (n, n_signals), NaN where a signal is silent, from a fresh start."""
        filled, regime = self.baseline.assign(values)
        z = self._clipped(filled, regime)
        deviations = views(z) - self.centre[:, None, :]
        still = self.stillness.shares(run_lengths(values))
        score, contributions = self._judge(deviations, still)
        return Scores(score, contributions, z, regime)

    def stream(self) -> Stream:
        """Return a scorer that is given one row at a time and says the same as `score`."""
        return Stream(self)

    def calibrated(self, scores: FloatArray, rate: float) -> Detector:
        """Return the detector with its limit moved so that this part of the scores lies above.

        Args:
            scores: (n,) of normal rows that it was not fitted on.
        """
        factor = float(np.quantile(scores, 1.0 - rate)) ** 2
        return replace(
            self, limit=self.limit * factor, rate=rate, stillness=self.stillness.scaled(factor)
        )

    def _clipped(self, filled: FloatArray, regime: IntArray) -> FloatArray:
        return np.clip(self.baseline.scores_of(filled, regime), -CLIP, CLIP)

    def _judge(self, deviations: FloatArray, still: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return scores (n,) and contributions (n, n_signals) of deviations by view and row."""
        pulled = deviations @ self.precision
        squared = np.maximum(np.sum(pulled * deviations, axis=2), 0.0)
        score = np.sqrt(squared / self.limit[:, None])
        worst, rows = np.argmax(score, axis=0), np.arange(score.shape[1])
        diagonal = np.diagonal(self.precision, axis1=1, axis2=2)
        lost = pulled[worst, rows] ** 2 / diagonal[worst]
        contributions = np.sqrt(lost / self.limit[worst][:, None])
        contributions = np.maximum(contributions, np.where(still > 1.0, still, 0.0))
        return np.maximum(score[worst, rows], still.max(axis=1, initial=0.0)), contributions


class Stream:
    """Scores a machine's rows as they come; holds a few numbers a signal."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._memory = Memory(len(detector.signals))
        self._last = detector.baseline.median[0].copy()
        self._stood = np.full(len(detector.signals), np.nan)
        self._runs = np.zeros(len(detector.signals))

    def push(self, row: FloatArray) -> Score:
        """Score the next row (n_signals,), NaN where a signal is silent."""
        detector = self._detector
        self._last = np.where(np.isnan(row), self._last, row)
        filled = self._last[None, :]
        regime = detector.baseline.regimes.assign(filled)
        z = detector._clipped(filled, regime)[0]
        deviations = self._memory.push(z) - detector.centre
        score, contributions = detector._judge(
            deviations[:, None, :], detector.stillness.shares(self._run_lengths(row)[None, :])
        )
        return Score(float(score[0]), contributions[0], z, int(regime[0]))

    def _run_lengths(self, row: FloatArray) -> FloatArray:
        known = ~np.isnan(row)
        moved = known & (row != self._stood)
        self._stood = np.where(known, row, self._stood)
        self._runs = np.where(moved, 1.0, self._runs + 1.0)
        return self._runs


def fit(
    values: FloatArray,
    *,
    signals: Sequence[str],
    rate: float = FALSE_ALARM_RATE,
    regimes: Regimes | None = None,
) -> Detector:
    """Learn from normal history, or history that is mostly normal.

    Args:
        values: (n, n_signals) in order of time, evenly spaced, NaN where a signal was silent.
        rate: false alarms a row to aim at.
        regimes: known from elsewhere; else sought in the rows.

    Raises:
        NotEnoughHistory: fewer than 100 rows, or than three a signal.
    """
    needed = max(MIN_ROWS, 3 * values.shape[1])
    if len(values) < needed:
        raise NotEnoughHistory(len(values), needed)
    baseline = Baseline.fit(values, regimes)
    filled, regime = baseline.assign(values)
    seen = views(np.clip(baseline.scores_of(filled, regime), -CLIP, CLIP))
    cuts = [np.array_split(np.arange(len(values)), n) for n in N_PARTS]
    precision = np.empty((N_VIEWS, values.shape[1], values.shape[1]))
    limit = np.empty(N_VIEWS)
    for view, rows in enumerate(seen):
        precision[view] = _precision(
            np.mean([_moments(rows, parts, view) for parts in cuts], axis=0)
        )
        held_out = [_held_out(rows, parts, view) for parts in cuts]
        limits = [prediction_limit(distance, rate / N_VIEWS) for distance in held_out]
        limit[view] = np.exp(np.mean(np.log(limits)))
    centre = np.array([_centre(rows, view) for view, rows in enumerate(seen)])
    return Detector(tuple(signals), baseline, centre, precision, limit, Stillness.fit(values), rate)


def _centre(rows: FloatArray, view: int) -> FloatArray:
    """Return (n_signals,) the usual level in a view; changes are about nothing."""
    return np.zeros(rows.shape[1]) if view == CHANGE else rows.mean(axis=0)


def _moments(rows: FloatArray, parts: Sequence[IntArray], view: int) -> FloatArray:
    """Return (n_signals, n_signals) second moments of each part against the parts before it."""
    if view == CHANGE:
        residuals = rows[np.concatenate(parts)]
    else:
        residuals = np.vstack(
            [
                rows[parts[i]] - rows[np.concatenate(parts[:i])].mean(axis=0)
                for i in range(1, len(parts))
            ]
        )
    moments: FloatArray = residuals.T @ residuals / len(residuals)
    return moments


def _precision(moments: FloatArray) -> FloatArray:
    """Return the inverse of shrunk second moments; 0 for signals that stand still."""
    scale = np.sqrt(np.diag(moments))
    moves = scale > 1e-9
    scale = np.where(moves, scale, 1.0)
    correlation = (1.0 - SHRINKAGE) * moments / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    inverse = np.linalg.inv(correlation) / np.outer(scale, scale)
    # A little on the diagonal keeps contributions defined where a signal has no say.
    kept: FloatArray = np.where(np.outer(moves, moves), inverse, 0.0) + np.diag(1e-12 * ~moves)
    return kept


def _held_out(rows: FloatArray, parts: Sequence[IntArray], view: int) -> FloatArray:
    """Return (n,) squared distances of each part by what the other parts know."""
    distance = np.empty(len(rows))
    for part in parts:
        others = [other for other in parts if other is not part]
        off = rows[part] - _centre(rows[np.concatenate(others)], view)
        precision = _precision(_moments(rows, others, view))
        distance[part] = np.sum((off @ precision) * off, axis=1)
    return distance
