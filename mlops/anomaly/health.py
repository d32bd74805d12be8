"""Level 1: how far each signal lies from its usual level in the same operating regime.

Useful from the first hour: medians need no training and forgive a bad row. Fitting costs
milliseconds, so a baseline grows by being fitted again on more rows.

Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC, 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.features import filled_forward
from mlops.lives import FloatArray
from mlops.regimes import IntArray, Regimes, find_regimes

# A regime seen in fewer rows has no usual level yet.
MIN_ROWS: Final = 30
# Modified z-scores beyond this are usually called outliers (Iglewicz and Hoaglin).
OUTLIER: Final = 3.5
# How steeply the index falls around an outlier: 90 at z = 2, 50 at 3.5, 6 at 7.
STEEPNESS: Final = 4.0
USUAL: Final = (0.05, 0.95)


class NotEnoughHistory(ValueError):
    """Too few rows to know what is usual."""

    def __init__(self, n_rows: int, n_needed: int) -> None:
        self.n_rows, self.n_needed = n_rows, n_needed
        super().__init__(f"Not enough data: {n_rows} of {n_needed} rows of history are there.")


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual, regime by regime.

    Attributes:
        regimes: how to tell the regimes apart.
        median, spread: (n_regimes, n_signals); spread is 1.4826 MAD, inf where a signal stood
            still or the regime is hardly known, so that nothing is claimed.
        usual: (n_regimes, n_signals, 2) where nine in ten values lie; NaN where not known.
    """

    regimes: Regimes
    median: FloatArray
    spread: FloatArray
    usual: FloatArray

    @classmethod
    def fit(cls, values: FloatArray, regimes: Regimes | None = None) -> Baseline:
        """Learn the usual levels.

        Args:
            values: (n, n_signals), NaN where a signal was silent.
            regimes: known from elsewhere, a fleet of like machines for one; else sought here.

        Raises:
            NotEnoughHistory: fewer than 30 rows.
        """
        if len(values) < MIN_ROWS:
            raise NotEnoughHistory(len(values), MIN_ROWS)
        filled = filled_forward(values, _median(values))
        regimes = find_regimes(filled) if regimes is None else regimes
        labels = regimes.assign(filled)
        shape = (len(regimes), values.shape[1])
        median, spread = np.empty(shape), np.full(shape, np.inf)
        usual = np.full((*shape, 2), np.nan)
        median[:] = _median(values)
        for regime in range(len(regimes)):
            rows = filled[labels == regime]
            if len(rows) < MIN_ROWS:
                continue
            median[regime] = np.median(rows, axis=0)
            spread[regime] = _spread(rows, median[regime])
            usual[regime] = np.quantile(rows, USUAL, axis=0).T
        return cls(regimes, median, spread, usual)

    @property
    def n_signals(self) -> int:
        return int(self.median.shape[1])

    def assign(self, values: FloatArray) -> tuple[FloatArray, IntArray]:
        """Return the rows with silences filled by the last value known, and their regimes."""
        filled = filled_forward(values, self.median[0])
        return filled, self.regimes.assign(filled)

    def scores(self, values: FloatArray) -> FloatArray:
        """Return (n, n_signals) signed modified z-scores within each row's regime.

        0 where nothing can be said: the signal stood still in the past, or the regime is new.
        """
        filled, labels = self.assign(values)
        return self.scores_of(filled, labels)

    def scores_of(self, filled: FloatArray, labels: IntArray) -> FloatArray:
        """Return the z-scores of rows whose regimes are known."""
        scores: FloatArray = (filled - self.median[labels]) / self.spread[labels]
        return scores


@dataclass(frozen=True, slots=True)
class Deviation:
    """One signal's part in a verdict.

    Attributes:
        signal: column of the values.
        z: signed modified z-score of its recent median.
        value: recent median in the signal's unit.
        usual: where nine in ten values lie in the regime of the last row, if known.
    """

    signal: int
    z: float
    value: float
    usual: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Health:
    """A machine's state in one number.

    Attributes:
        index: 100 as usual, 50 where a signal is an outlier, towards 0 beyond.
        deviations: every signal, most deviating first.
    """

    index: float
    deviations: tuple[Deviation, ...]


def health(baseline: Baseline, window: FloatArray) -> Health:
    """Sum up the latest rows (n, n_signals) of a machine.

    The median over the window is judged, so that one spike does not make a machine ill.

    Raises:
        NotEnoughHistory: the window is empty.
    """
    if not len(window):
        raise NotEnoughHistory(0, 1)
    filled, labels = baseline.assign(window)
    z = np.median(baseline.scores_of(filled, labels), axis=0)
    now = labels == labels[-1]
    value = np.median(filled[now], axis=0)
    order = np.argsort(-np.abs(z), kind="stable")
    worst = float(np.abs(z).max()) if len(z) else 0.0
    deviations = tuple(
        Deviation(int(i), float(z[i]), float(value[i]), usual_of(baseline, int(labels[-1]), int(i)))
        for i in order
    )
    return Health(100.0 / (1.0 + (worst / OUTLIER) ** STEEPNESS), deviations)


def usual_of(baseline: Baseline, regime: int, signal: int) -> tuple[float, float] | None:
    """Return where nine in ten values of a signal lie in a regime; None if not known."""
    low, high = (float(end) for end in baseline.usual[regime, signal])
    return None if np.isnan(low) else (low, high)


def _median(values: FloatArray) -> FloatArray:
    known = ~np.isnan(values).all(axis=0)
    median = np.zeros(values.shape[1])
    if known.any():
        median[known] = np.nanmedian(values[:, known], axis=0)
    return median


def _spread(rows: FloatArray, median: FloatArray) -> FloatArray:
    """Return 1.4826 MAD; 1.2533 times the mean deviation where half of the values are equal."""
    off = np.abs(rows - median)
    mad, mean = 1.4826 * np.median(off, axis=0), 1.2533 * off.mean(axis=0)
    tiny = 1e-6 * (np.abs(median) + 1e-9)
    spread = np.where(mad > tiny, mad, mean)
    return np.where(spread > tiny, spread, np.inf)
