"""Limits that good pictures stay under, from few of them."""

from __future__ import annotations

import numpy as np
import scipy

from mlops import conformal
from mlops.lives import FloatArray

LEAST_SCORE = 1e-6


def threshold_of(good_scores: FloatArray, *, rate: float) -> float:
    """Return the score that a further good picture exceeds with probability `rate`.

    Where the pictures are enough to say so by themselves, the conformal quantile is taken. Where
    they are too few, the scores are taken for log-normal: the upper end of the prediction
    interval of Student's t, which is wide where pictures are few.

    Args:
        good_scores: (n,), n of at least 2, of good pictures that the model had not seen.
        rate: 0 to 1, both excluded.
    """
    by_count = conformal.quantile([np.array([score]) for score in good_scores], 1.0 - rate)
    if by_count is not None:
        return by_count
    n = len(good_scores)
    logs = np.log(np.maximum(good_scores, LEAST_SCORE))
    quantile = float(scipy.stats.t.ppf(1.0 - rate, n - 1))
    reach = quantile * float(logs.std(ddof=1)) * np.sqrt(1.0 + 1.0 / n)
    return float(np.exp(logs.mean() + reach))
