"""Signals that stand still or fall silent although they never did for so long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlops.lives import FloatArray

# Three times the longest rest ever seen, and never less than half a minute at a row a second.
PATIENCE: Final = 3.0
MIN_ROWS: Final = 30
# A signal with fewer levels is a switch: it may rest as long as it likes.
MIN_LEVELS: Final = 10


@dataclass(frozen=True, slots=True)
class Stillness:
    """How many rows each signal may show the same value; inf where any number is usual."""

    rows: FloatArray

    @classmethod
    def fit(cls, values: FloatArray) -> Stillness:
        """Learn from normal history (n, n_signals)."""
        longest = run_lengths(values).max(axis=0)
        levels = np.array([len(np.unique(column[~np.isnan(column)])) for column in values.T])
        usual = (levels < MIN_LEVELS) | (longest > 0.1 * len(values))
        return cls(np.where(usual, np.inf, np.maximum(PATIENCE * longest, MIN_ROWS)))

    def shares(self, runs: FloatArray) -> FloatArray:
        """Return run lengths as parts of what is allowed; above 1 the signal is stuck."""
        shares: FloatArray = runs / self.rows
        return np.where(shares > 1.0, shares, 0.0)

    def scaled(self, factor: float) -> Stillness:
        """Return the limits moved as those of squared distances were."""
        return replace(self, rows=self.rows * np.sqrt(factor))


def run_lengths(values: FloatArray) -> FloatArray:
    """Return (n, n_signals) for how many rows each value has stood; silence counts as standing."""
    rows = np.arange(len(values))[:, None]
    known = ~np.isnan(values)
    last = np.maximum.accumulate(np.where(known, rows, 0), axis=0)
    filled = np.take_along_axis(values, last, axis=0)
    moved = known.copy()
    # Before a signal's first value there is nothing that it could have moved from.
    moved[1:] &= filled[1:] != filled[:-1]
    since = np.maximum.accumulate(np.where(moved, rows, 0), axis=0)
    return (rows - since + 1).astype(np.float64)
