"""Where a picture is too hot, as regions with boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mlops.tabular.table import BoolArray
from mlops.vision.backbone import Single

# A region reaches out from what is over the limit to where the heat falls to this share of it.
REACH: Final = 0.75
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

    Args:
        heat: (rows, columns) over the whole picture of height x width pixels.
        limit: above 0.
    """
    warm = (heat > REACH * limit).astype(np.uint8)
    n, labels, stats, _centres = cv2.connectedComponentsWithStats(warm, connectivity=8)
    down, across = height / heat.shape[0], width / heat.shape[1]
    found = []
    for number in range(1, n):
        mask = labels == number
        hottest = float(heat[mask].max())
        if hottest <= limit:
            continue
        left, top, wide, high, area = (int(value) for value in stats[number])
        first_x, first_y = int(left * across), int(top * down)
        last_x, last_y = int(np.ceil((left + wide) * across)), int(np.ceil((top + high) * down))
        found.append(
            Region(
                first_x, first_y, min(last_x, width) - first_x, min(last_y, height) - first_y,
                max(1, round(area * down * across)), hottest, mask,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda region: -region.heat)[:MOST_REGIONS])
