"""Patches of good pictures, remembered: what lies far from all of them is unusual.

Nothing is assumed about where a part lies or how many looks it has; in turn a patch that is good in
one place is good everywhere. As many patches are kept as cover the good ones best.

Source: Roth and others, Towards total recall in industrial anomaly detection (CVPR, 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.regimes import IntArray
from mlops.vision.backbone import Single
from mlops.vision.places import inverse_root

RIDGE: Final = 0.01
MOST_MEMBERS: Final = 2000
MOST_CANDIDATES: Final = 40_000
N_PROJECTED: Final = 48  # dimensions in which members are chosen; distances use all
SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Memory:
    """Members of the good patches.

    Attributes:
        mean: (n_channels,).
        whitening: (n_channels, n_channels).
        members: (n_members, n_channels), whitened.
    """

    mean: Single
    whitening: Single
    members: Single

    def whitened(self, patches: Single) -> Single:
        """Return patches (..., n_channels) in the space where distances are measured."""
        return np.asarray((patches - self.mean) @ self.whitening, np.float32)

    def distance(self, patches: Single) -> Single:
        """Return (rows, columns) the distance of each patch to the nearest good one."""
        flat = self.whitened(patches).reshape(-1, patches.shape[-1])
        return nearest(flat, self.members).reshape(patches.shape[:2])


def fit(good: Single, *, most_members: int = MOST_MEMBERS) -> tuple[Memory, Single]:
    """Remember good pictures, and judge each by what is remembered of the others.

    Args:
        good: (n, rows, columns, n_channels), n of at least 2.

    Returns:
        The memory, and (n, rows, columns) the distances of the good pictures to members that come
        from other pictures.
    """
    rows, columns, n_channels = good.shape[1:]
    flat = good.reshape(-1, n_channels)
    chosen = _candidates(len(flat))
    candidates = flat[chosen]
    mean = candidates.mean(axis=0)
    candidates = candidates - mean
    whitening = inverse_root(np.cov(candidates.T, dtype=np.float64), ridge=RIDGE)
    candidates = candidates @ whitening
    members = covering(candidates, min(most_members, len(candidates) // 2))
    memory = Memory(mean, whitening, candidates[members])
    source = chosen[members] // (rows * columns)
    left_out = [
        Memory(mean, whitening, memory.members[source != number]).distance(one)
        for number, one in enumerate(good)
    ]
    return memory, np.stack(left_out)


def nearest(points: Single, members: Single) -> Single:
    """Return (n,) the distance of each point to the nearest member, per root of a dimension.

    One product and one maximum: |x - m|^2 = |x|^2 - 2 (x m - |m|^2 / 2).
    """
    n_channels = points.shape[1]
    halved = 0.5 * (members**2).sum(axis=1, keepdims=True)
    closest = (points @ members.T - halved.T).max(axis=1)
    squared = (points**2).sum(axis=1) - 2.0 * closest
    return np.asarray(np.sqrt(np.maximum(squared, 0.0) / n_channels), np.float32)


def _candidates(n: int) -> IntArray:
    if n <= MOST_CANDIDATES:
        return np.arange(n, dtype=np.int64)
    drawn = np.random.default_rng(SEED).permutation(n)[:MOST_CANDIDATES]
    return np.sort(drawn).astype(np.int64)


def covering(points: Single, n_members: int) -> IntArray:
    """Choose points one by one, each the farthest from those chosen before (k-centre, greedy).

    Source: Sener and Savarese, Active learning for convolutional neural networks (ICLR, 2018).
    """
    rng = np.random.default_rng(SEED)
    projected = points @ rng.normal(size=(points.shape[1], N_PROJECTED)).astype(np.float32)
    squared = (projected**2).sum(axis=1)
    apart = np.full(len(points), np.inf, np.float32)
    chosen = [0]
    while len(chosen) < n_members:
        last = chosen[-1]
        np.minimum(apart, squared + squared[last] - 2.0 * (projected @ projected[last]), out=apart)
        chosen.append(int(apart.argmax()))
    return np.array(chosen, dtype=np.int64)
