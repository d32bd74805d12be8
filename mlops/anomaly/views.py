"""Views of a row: the same deviation looked at over different spans of time.

A jump shows in the change from the row before, a broken relation between signals in the row
itself, a small fault that stays in exponential means over the last rows. Batch and stream
compute the same numbers.

Source: Lowry and others, A multivariate exponentially weighted moving average control chart
(Technometrics, 1992), with its exact variance for the first rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy

from mlops.lives import FloatArray
from mlops.regimes import IntArray

# Weight of the newest row: 1 is the row itself, 0.2 remembers some 10 rows, 0.05 some 40.
WEIGHTS: Final = (1.0, 0.2, 0.05)
CHANGE: Final = 0  # the first view; the others follow in the order of WEIGHTS
N_VIEWS: Final = 1 + len(WEIGHTS)


def views(scores: FloatArray) -> FloatArray:
    """Return (N_VIEWS, n, n_signals) of z-scores (n, n_signals).

    Before the first row the machine is taken to be as usual, and the means are scaled to have
    the same variance from the first row on.
    """
    rows = np.arange(1, len(scores) + 1, dtype=np.int64)
    result = np.empty((N_VIEWS, *scores.shape))
    result[CHANGE, :1] = 0.0
    result[CHANGE, 1:] = np.diff(scores, axis=0)
    for view, weight in enumerate(WEIGHTS, start=1):
        mean = (
            scipy.signal.lfilter([weight], [1.0, weight - 1.0], scores, axis=0)
            if weight < 1
            else scores
        )
        result[view] = mean / _growth(weight, rows)[:, None]
    return result


def _growth(weight: float, rows: IntArray) -> FloatArray:
    """Return the standard deviation of the mean after so many rows, 1 in the long run."""
    growth: FloatArray = np.sqrt(1.0 - (1.0 - weight) ** (2.0 * rows))
    return growth


class Memory:
    """What the views need to remember of a stream."""

    def __init__(self, n_signals: int) -> None:
        self.n_rows = 0
        self._last = np.zeros(n_signals)
        self._means = np.zeros((len(WEIGHTS), n_signals))
        self._weights = np.array(WEIGHTS)[:, None]

    def push(self, scores: FloatArray) -> FloatArray:
        """Return (N_VIEWS, n_signals) of the next row's z-scores (n_signals,)."""
        self.n_rows += 1
        change = scores - self._last if self.n_rows > 1 else np.zeros_like(scores)
        self._last = scores
        self._means += self._weights * (scores - self._means)
        growth = np.sqrt(1.0 - (1.0 - self._weights) ** (2.0 * self.n_rows))
        return np.vstack([change, self._means / growth])
