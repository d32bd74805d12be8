"""Conformal intervals for quantities known of whole runs.

Rows of one run are not exchangeable, runs are. So a run counts once, however many moments of
it are looked at: every moment carries the weight of its run divided by their number, and one
further run's weight stands for the run to be predicted.

Source: Lei and others, Distribution-free predictive inference for regression (JASA, 2018);
Lee, Barber and Willett, Distribution-free inference with hierarchical data (2023), for several
moments of each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops.features import equal_weights
from mlops.lives import FloatArray

N_KNOTS = 11


def runs_needed(level: float) -> int:
    """Return the fewest runs that support an interval of this level (0.9 needs 9)."""
    return int(np.ceil(level / (1.0 - level) - 1e-9))


def quantile(scores: Sequence[FloatArray], level: float) -> float | None:
    """Return the score that a further run's moment stays under with the given probability.

    With one moment a run this is the ceil((n + 1) * level)-th smallest of n scores.

    Args:
        scores: one array a run: how far its moments lay from their predictions.

    Returns:
        None where the runs are too few for the level: there is not enough data.
    """
    n_runs = len(scores)
    if n_runs < runs_needed(level):
        return None
    values = np.concatenate(scores)
    weights = np.concatenate([np.full(len(s), 1.0 / (len(s) * (n_runs + 1))) for s in scores])
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    index = int(np.searchsorted(reached, level - 1e-12))
    return float(values[order][min(index, len(values) - 1)])


@dataclass(frozen=True, slots=True)
class Spread:
    """How uncertain a prediction of each size is, before calibration.

    Attributes:
        knots: (n_knots,) predictions, increasing.
        widths: (n_knots,) mean absolute error around them.
    """

    knots: FloatArray
    widths: FloatArray

    @classmethod
    def fit(
        cls, predicted: Sequence[FloatArray], true: Sequence[FloatArray], *, cap: float
    ) -> Spread:
        """Average errors of runs around each knot, each run weighing the same."""
        weight = equal_weights([len(part) for part in predicted])
        at = np.concatenate(predicted)
        error = np.abs(np.concatenate(true) - at)
        knots = np.linspace(0.0, cap, N_KNOTS)
        near = np.exp(-0.5 * ((knots[:, None] - at[None, :]) / (0.1 * cap)) ** 2) * weight
        # One step of weight at the overall mean keeps empty knots finite.
        overall = float(np.average(error, weights=weight))
        widths = (near @ error + overall) / (near.sum(axis=1) + 1.0)
        return cls(knots, np.maximum(widths, 0.01 * cap))

    def at(self, predicted: FloatArray) -> FloatArray:
        """Return the width to expect around each prediction."""
        return np.interp(predicted, self.knots, self.widths)
