"""Where a picture is too hot, as regions with boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mlops.tabular.table import BoolArray
from mlops.vision.backbone import Single

# A region reaches out from what is over the limit to where the heat falls to this share of it.
REACH: Final = 0.75
HALF: Final = 0.5
# A region has warmed so much around it, in parts of the picture's side (three patches).
HALO: Final = 0.075
MOST_REGIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Region:
    """One place of a picture.

    Attributes:
        left, top, width, height: its box in pixels of the picture.
        area: in pixels of the picture.
        heat: of its hottest point.
        mask: of the size of the heat map.
    """

    left: int
    top: int
    width: int
    height: int
    area: int
    heat: float
    mask: BoolArray


def regions_of(heat: Single, *, limit: float, height: int, width: int) -> tuple[Region, ...]:
    """Return the regions over a limit, hottest first, at most `MOST_REGIONS`.

    Heat spreads from a defect over its surroundings, the farther the hotter it is: a region ends
    where the heat has fallen to half of its hottest point. What is hot on its own beyond that is
    a region of its own.

    Args:
        heat: (rows, columns) over the whole picture of height x width pixels.
        limit: above 0.
    """
    warm = (heat > REACH * limit).astype(np.uint8)
    n, labels = cv2.connectedComponents(warm, connectivity=8)
    found = []
    for number in range(1, n):
        for mask, hottest in _parted(np.where(labels == number, heat, 0.0), limit):
            found.append(_region(mask, hottest, height, width))
    return tuple(sorted(found, key=lambda region: -region.heat)[:MOST_REGIONS])


def _parted(heat: Single, limit: float) -> Iterator[tuple[BoolArray, float]]:
    """Take the hottest region out of connected heat, with what it has warmed, as long as one is
    left that is hotter than all around it."""
    rest = heat.copy()
    reach = max(1, round(HALO * float(np.sqrt(heat.size))))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    for _ in range(MOST_REGIONS):
        peak = np.unravel_index(int(rest.argmax()), rest.shape)
        hottest = float(rest[peak])
        if hottest <= limit:
            return
        over = (rest >= max(REACH * limit, HALF * hottest)).astype(np.uint8)
        _n, parts = cv2.connectedComponents(over, connectivity=8)
        mask = np.asarray(parts == parts[peak], dtype=np.bool_)
        row, column = int(peak[0]), int(peak[1])
        beside = heat[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
        if beside.max() > hottest:  # the slope of a region that was taken out
            rest[mask] = 0.0
            continue
        yield mask, hottest
        rest[cv2.dilate(mask.astype(np.uint8), around) > 0] = 0.0


def _region(mask: BoolArray, hottest: float, height: int, width: int) -> Region:
    down, across = height / mask.shape[0], width / mask.shape[1]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0] * across), int(rows[0] * down)
    right = min(width, int(np.ceil((columns[-1] + 1) * across)))
    bottom = min(height, int(np.ceil((rows[-1] + 1) * down)))
    area = max(1, round(float(mask.sum()) * down * across))
    return Region(left, top, right - left, bottom - top, area, hottest, mask)
