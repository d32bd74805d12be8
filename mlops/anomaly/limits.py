"""Limits for scores that remember: a hundred rows of a slow signal are not a hundred witnesses."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import stats

from mlops.lives import FloatArray

# Correlation below this is noise of its own estimate.
_FADED: Final = 0.05
_FEWEST: Final = 3.0


def independent_rows(series: FloatArray) -> float:
    """Return how many independent rows (n,) are worth: n / (1 + 2 sum of autocorrelations).

    The sum ends where correlation has faded or at a third of the series; never below 3.

    Source: Bayley and Hammersley, The effective number of independent observations in an
    autocorrelated time series (JRSS B supplement, 1946).
    """
    n = len(series)
    centred = series - series.mean()
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    covariance = np.fft.irfft(spectrum, size)[: max(2, n // 3)] / n
    if covariance[0] <= 0:
        return float(max(n, _FEWEST))
    correlation = covariance[1:] / covariance[0]
    faded = np.flatnonzero(correlation < _FADED)
    end = int(faded[0]) if len(faded) else len(correlation)
    return float(max(n / (1.0 + 2.0 * correlation[:end].sum()), _FEWEST))


def prediction_limit(scores: FloatArray, rate: float) -> float:
    """Return the limit that one further normal row exceeds with the given probability.

    Logarithms of the scores are taken to be normal, which gives squared distances a tail on the
    heavy side: well-behaved machines raise fewer alarms than stated. The degrees of freedom
    count independent rows, so a short or slow history gives a wide limit, not false alarms.

    Args:
        scores: (n,) > 0, of normal rows that the scoring was not fitted on, in order of time.
    """
    logs = np.log(np.maximum(scores, 1e-12))
    n = independent_rows(logs)
    quantile = float(stats.t.ppf(1.0 - rate, n - 1.0))
    return float(np.exp(logs.mean() + quantile * logs.std() * np.sqrt(1.0 + 1.0 / n)))
