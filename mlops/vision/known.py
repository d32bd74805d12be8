"""Defects that people have shown: what looks more like one of them than like any good part.

This is what lets a missed defect change the model. A patch is judged by how much farther it lies
from good patches than from shown ones, in the whitened space of the memory. It is the two-class
nearest-neighbour rule with a limit set by good pictures: Cover and Hart, Nearest neighbor pattern
classification (IEEE Trans. Information Theory, 1967).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mlops.regimes import IntArray
from mlops.tabular.table import BoolArray
from mlops.vision.backbone import Single
from mlops.vision.memory import Memory, covering, nearest

MOST_EXEMPLARS: Final = 512
# A cell belongs to a defect from this share of it on.
LEAST_COVER: Final = 0.25
# Without a mask: this share of the cells, the most unusual ones, is taken for the defect.
UNMARKED_SHARE: Final = 0.005
# Cells inside a generous mask that look like any good part teach nothing.
LEAST_UNUSUAL: Final = 0.8  # quantile of what good pictures show
NEAREST: Final = 0.1  # times the distance to good: the very picture shown is not infinitely near


@dataclass(frozen=True, slots=True)
class Known:
    """Patches of shown defects.

    Attributes:
        exemplars: (n, n_channels), whitened as the memory's members.
        sources: (n,) the number of the shown picture that each comes from.
    """

    exemplars: Single
    sources: IntArray

    def likeness(self, memory: Memory, patches: Single, far: Single) -> Single:
        """Return (rows, columns) how many times nearer each patch is to a defect than to good.

        Args:
            patches: (rows, columns, n_channels) as described, not whitened.
            far: (rows, columns) distances to the memory.
        """
        flat = memory.whitened(patches).reshape(-1, patches.shape[-1])
        near = nearest(flat, self.exemplars).reshape(far.shape)
        likeness: Single = far / np.maximum(near, NEAREST * far + 1e-6)
        return likeness

    def without(self, source: int) -> Known | None:
        """Return what is known from the other pictures; None if that is nothing."""
        others = self.sources != source
        return Known(self.exemplars[others], self.sources[others]) if others.any() else None


def fit(
    memory: Memory, shown: list[tuple[Single, Single, BoolArray | None]], *, usual: float
) -> Known:
    """Take exemplars from pictures with defects.

    Args:
        shown: of each picture its patches, its unusualness (rows, columns), and its mask in pixels
            (height, width) where somebody has marked the defect.
        usual: the distance to the memory that `LEAST_UNUSUAL` of good patches stay under.
    """
    taken, sources = [], []
    for number, (patches, unusual, mask) in enumerate(shown):
        cells = _most_unusual(unusual) if mask is None else cells_of(mask, unusual.shape)
        worth = cells & (memory.distance(patches) >= usual)
        worth = worth if worth.any() else cells
        taken.append(memory.whitened(patches[worth]))
        sources.append(np.full(len(taken[-1]), number, dtype=np.int64))
    exemplars, numbers = np.concatenate(taken), np.concatenate(sources)
    if len(exemplars) > MOST_EXEMPLARS:
        kept = np.sort(covering(exemplars, MOST_EXEMPLARS))
        exemplars, numbers = exemplars[kept], numbers[kept]
    return Known(exemplars, numbers)


def cells_of(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    """Return which cells of a grid the mask covers; the most covered one if none is enough."""
    rows, columns = shape
    cover = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    least = min(LEAST_COVER, float(cover.max()))
    covered: BoolArray = (cover >= least) & (cover > 0)
    return covered


def _most_unusual(unusual: Single) -> BoolArray:
    n = max(1, round(UNMARKED_SHARE * unusual.size))
    most: BoolArray = unusual >= np.partition(unusual, -n, axis=None)[-n]
    return most
