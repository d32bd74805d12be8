"""Limits for scores that remember: a hundred rows of a slow signal are not a hundred witnesses."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy

from mlops.lives import FloatArray

# Correlation below this is noise of its own estimate.
_FADED: Final = 0.05
_FEWEST: Final = 3.0
# Beyond these an F distribution hardly changes, or means nothing.
_DEGREES: Final = (0.2, 200.0)


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

    Squared distances of normal rows follow a scaled F distribution: the more signals vary, the
    larger its first degrees of freedom, the more rows the limit rests on, the larger its second.
    The second is the number of independent rows, so a short or slow history gives a wide limit
    instead of false alarms; the first and the scale are those with the same mean and variance
    of logarithms, which a few outliers hardly move.

    Args:
        scores: (n,) > 0, of normal rows that the scoring was not fitted on, in order of time.

    Source: Tracy, Young and Mason, Multivariate control charts for individual observations
    (Journal of Quality Technology, 1992).
    """
    logs = np.log(np.maximum(scores, 1e-12))
    n = independent_rows(logs)
    k = _degrees(float(logs.var()) - _log_variance(n))
    mean = _log_mean(k) - _log_mean(n)
    return float(np.exp(logs.mean() - mean) * scipy.stats.f.ppf(1.0 - rate, k, n))


def _log_variance(degrees: float) -> float:
    """Return the variance of the logarithm of a chi-square over its degrees of freedom."""
    return float(scipy.special.polygamma(1, degrees / 2.0))


def _log_mean(degrees: float) -> float:
    """Return the mean of the logarithm of a chi-square over its degrees of freedom."""
    return float(scipy.special.digamma(degrees / 2.0) - np.log(degrees / 2.0))


def _degrees(log_variance: float) -> float:
    """Return the degrees of freedom of a chi-square with this variance of its logarithm."""
    few, many = _DEGREES
    if log_variance <= _log_variance(many):
        return many
    if log_variance >= _log_variance(few):
        return few
    return float(scipy.optimize.brentq(lambda k: _log_variance(k) - log_variance, few, many))
