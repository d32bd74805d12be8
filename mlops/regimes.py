"""Operating regimes: the few ways in which a machine is run, found without being told.

Load, speed and product move every signal far more than wear does, so values are only
comparable within one regime.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlops.lives import FloatArray

IntArray = npt.NDArray[np.int64]

MAX_PIECES = 16
MAX_SAMPLE = 5000
# Two neighbouring pieces cut from one cloud lie 1.4 (normal) to 1.8 (uniform) apart in this
# measure; clouds with empty space between them lie beyond 3.
SEPARATED = 3.0
# A regime moves several signals at once. One signal alone that sits on two levels is a flag or
# a coarse sensor, and splitting on it would only erase that signal.
MIN_SIGNALS_MOVED = 2
MIN_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Regimes:
    """Centres of the regimes.

    Attributes:
        columns: (n_used,) signals that tell regimes apart.
        centres: (n_regimes, n_used) in the signals' units.
        scale: (n_used,) spread within a regime.
    """

    columns: IntArray
    centres: FloatArray
    scale: FloatArray

    @classmethod
    def single(cls) -> Regimes:
        """Return the one regime of what is always done in the same way."""
        return cls(np.zeros(0, np.int64), np.zeros((1, 0)), np.ones(0))

    def __len__(self) -> int:
        return len(self.centres)

    def assign(self, values: FloatArray) -> IntArray:
        """Return (n,) the regime of each row; signals that are NaN have no say."""
        if len(self) == 1:
            return np.zeros(len(values), dtype=np.int64)
        scaled = values[:, self.columns] / self.scale
        distance = np.stack(
            [np.nansum((scaled - c) ** 2, axis=1) for c in self.centres / self.scale], axis=1
        )
        nearest: IntArray = np.argmin(distance, axis=1).astype(np.int64)
        return nearest


def find_regimes(values: FloatArray, *, seed: int = 0) -> Regimes:
    """Find the regimes in rows of all lives together.

    Cuts the rows into many small pieces and joins those with no empty space between them, so
    the number of regimes is an outcome, not a setting: a machine run in one way has one.

    Args:
        values: (n, n_signals), NaN allowed.
    """
    rng = np.random.default_rng(seed)
    sample = values[~np.isnan(values).any(axis=1)]
    if len(sample) > MAX_SAMPLE:
        sample = sample[rng.choice(len(sample), MAX_SAMPLE, replace=False)]
    spread = sample.std(axis=0) if len(sample) else np.zeros(values.shape[1])
    level = np.abs(sample.mean(axis=0)) if len(sample) else spread
    columns = np.flatnonzero(spread > 1e-9 * (level + 1e-9)).astype(np.int64)
    if len(columns) < MIN_SIGNALS_MOVED or len(sample) < 10 * MAX_PIECES:
        return _single(columns)
    sample, spread = sample[:, columns], spread[columns]
    labels = _joined((sample - sample.mean(axis=0)) / spread, seed=seed)
    names, counts = np.unique(labels, return_counts=True)
    names = names[counts >= MIN_SHARE * len(sample)]
    if len(names) < 2:
        return _single(columns)
    clouds = [sample[labels == name] for name in names]
    within = np.sqrt(np.mean([cloud.var(axis=0) for cloud in clouds], axis=0))
    centres = np.array([cloud.mean(axis=0) for cloud in clouds])
    return Regimes(columns, centres, np.maximum(within, 1e-3 * spread))


def _single(columns: IntArray) -> Regimes:
    return Regimes(columns, np.zeros((1, len(columns))), np.ones(len(columns)))


def _joined(scaled: FloatArray, *, seed: int) -> IntArray:
    """Label the rows by k-means pieces, joined where no gap lies between two of them."""
    # Imported here: scoring assigns regimes but never searches for them.
    from sklearn.cluster import KMeans

    distinct = len(np.unique(scaled, axis=0))
    n_pieces = min(MAX_PIECES, distinct)
    pieces = KMeans(n_pieces, n_init=4, random_state=seed).fit_predict(scaled)
    root = np.arange(n_pieces)
    for i in range(n_pieces):
        for j in range(i):
            if not _apart(scaled[pieces == i], scaled[pieces == j]):
                root[root == root[i]] = root[j]
    labels: IntArray = root[pieces].astype(np.int64)
    return labels


def _apart(a: FloatArray, b: FloatArray) -> bool:
    """Tell whether there is empty space between two pieces, in several signals."""
    difference = b.mean(axis=0) - a.mean(axis=0)
    length = float(np.linalg.norm(difference))
    if length == 0.0:
        return False
    axis = difference / length
    gap = length / (float((a @ axis).std() + (b @ axis).std()) + 1e-9)
    moved = np.abs(difference) / (a.std(axis=0) + b.std(axis=0) + 1e-9) > 2.0
    return gap > SEPARATED and int(moved.sum()) >= MIN_SIGNALS_MOVED
