"""A picture as a grid of patches, each described by what the network sees there and around.

Every patch of 8 x 8 pixels of the resized picture joins the maps of strides 4, 8 and 16, averaged
over their neighbours, so that fine scratches and coarse shapes both count.

Source: Roth and others, Towards total recall in industrial anomaly detection (CVPR, 2022), for
locally averaged features of several depths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from mlops.lives import FloatArray
from mlops.vision import backbone
from mlops.vision.backbone import CHANNELS, Pixels, Single

STRIDES: Final = (4, 8, 16)
GRID: Final = 8  # pixels a patch is apart from the next
N_CHANNELS: Final = sum(CHANNELS[stride] for stride in STRIDES)
AREA: Final = 320 * 320  # pixels of the resized picture, whatever its shape
STEP: Final = 32  # each side is a multiple of it, so that all grids line up
LEAST_SIDE, MOST_SIDE = 96, 960


@dataclass(frozen=True, slots=True)
class Frame:
    """The size at which pictures of a product are looked at, in pixels."""

    height: int
    width: int

    @classmethod
    def around(cls, height: int, width: int) -> Frame:
        """Return the frame of `AREA` for pictures of this shape; very long ones are squeezed."""
        scale = float(np.sqrt(AREA / (height * width)))
        sides = [
            int(np.clip(round(side * scale / STEP) * STEP, LEAST_SIDE, MOST_SIDE))
            for side in (height, width)
        ]
        return cls(*sides)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // GRID, self.width // GRID


@dataclass(frozen=True, slots=True)
class Described:
    """A picture as the models see it.

    Attributes:
        embedding: (1280,) the picture as a whole.
        patches: (rows, columns, `N_CHANNELS`).
    """

    embedding: Single
    patches: Single


def describe(pixels: Pixels, frame: Frame) -> Described:
    """Look at a picture at the size of the frame."""
    seen = backbone.shared().features(
        backbone.fitted(pixels, height=frame.height, width=frame.width)
    )
    rows, columns = frame.grid
    parts = [_on_grid(seen.maps[stride], rows, columns) for stride in STRIDES]
    return Described(seen.embedding, np.concatenate(parts, axis=2))


def _on_grid(cells: Single, rows: int, columns: int) -> Single:
    """Bring (r, c, channels) to rows x columns, averaged over 3 x 3 of the coarser grid."""
    down, across = _spread(rows, cells.shape[0]), _spread(columns, cells.shape[1])
    wide = np.tensordot(down, cells, 1)
    return np.asarray(np.einsum("ic,rcn->rin", across, wide, optimize=True), np.float32)


@lru_cache(maxsize=64)
def _spread(n_out: int, n_in: int) -> Single:
    """Return (n_out, n_in) weights: means of blocks where it shrinks, linear where it grows."""
    if n_in >= n_out:
        blocks = np.repeat(np.eye(n_out), n_in // n_out, axis=1) / (n_in // n_out)
        return (_mean_of_three(n_out) @ blocks).astype(np.float32)
    centres = ((np.arange(n_out) + 0.5) * n_in / n_out - 0.5).clip(0, n_in - 1)
    between = np.maximum(1.0 - np.abs(centres[:, None] - np.arange(n_in)), 0.0)
    return (between @ _mean_of_three(n_in)).astype(np.float32)


def _mean_of_three(n: int) -> FloatArray:
    """Return (n, n) weights of each cell and its neighbours; the edges repeat."""
    near = (np.arange(n)[:, None] + np.array([-1, 0, 1])).clip(0, n - 1)
    weights = np.zeros((n, n))
    np.add.at(weights, (np.arange(n)[:, None], near), 1.0 / 3.0)
    return weights
