"""What a difference does to its surroundings, in figures that tell kinds of defects apart.

A board is two phases, conductor and gap, and most of its faults are named by what they do to
them: an open parts a conductor, a short joins two, a spur grows out of one, a spurious piece
touches none. So the template is split in two phases by brightness, and the region's rim is
looked at: in how many arcs does it touch the phase that it has become, in how many the one that
it was, and how many pieces of each phase are there before and after. Which phase is conductor
is not asked: the same figures serve bright and dark ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from mlops.lives import FloatArray
from mlops.vision.alignment import Map, Pixels, grey_of
from mlops.vision.golden import Comparison, Golden, Mask, Region

# Rims at these distances from the region. The first may still see an edge that lies a pixel
# beside its place; the last may reach a neighbour.
RIMS_PX: Final = (2, 4, 6)
# Surroundings in which pieces are counted, on each side of the box.
WINDOW_PX: Final = 14
# Pieces smaller than this are crumbs of an edge.
MIN_PIECE_PX: Final = 6
FAR_PX: Final = 100.0
# The difference, blurred so: a blob stays high, an uneven edge does not.
BLURS_PX: Final = (2.0, 4.0)

NAMES: Final = (
    "is_brighter", "area", "strength", "width", "height", "fill", "longest", "shortest", "depth",
    "difference", "difference_spread", "apart_before",
    *(
        f"{what}_{rim}" for rim in RIMS_PX
        for what in ("arcs_became", "arcs_was", "pieces_touched", "share_became")
    ),
    "pieces_became_before", "pieces_became_after", "pieces_was_before", "pieces_was_after",
    "seen_became_after", "seen_was_after", "nearest_became", "farthest_became",
    "width_of_was", "unrest", *(f"peak_{blur}" for blur in BLURS_PX), "peak_above_rim",
    "nearest_other", "n_others_near", "n_larger", "usual_area", "usual_peak", "cut_off",
)  # fmt: skip


def phases(golden: Golden) -> Mask:
    """Return (h, w), true where the template is bright (Otsu's threshold)."""
    _threshold, split = cv2.threshold(
        grey_of(golden.template), 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU
    )
    return np.asarray(split, dtype=np.bool_)


class Surroundings:
    """What is known of one comparison, prepared once for all of its regions."""

    def __init__(self, golden: Golden, comparison: Comparison) -> None:
        self._template = grey_of(golden.template)
        self._picture = grey_of(comparison.aligned.pixels)
        self._contrast = golden.contrast
        self._regions = comparison.regions
        self._bright = phases(golden)
        # A template of one phase alone (a blank sheet) has its opposite at the end of the scale.
        self._levels = [
            cv2.mean(self._template, phase.astype(np.uint8))[0] if phase.any() else end
            for phase, end in ((~self._bright, 0.0), (self._bright, 255.0))
        ]
        self._seen_bright = self._picture > sum(self._levels) / 2
        split = self._bright.astype(np.uint8)
        self._to_bright = _distance(1 - split)
        self._to_dark = _distance(split)
        difference = self._picture.astype(np.float32) - self._template
        self._blurred = [
            cv2.GaussianBlur(difference / golden.contrast, (0, 0), blur) for blur in BLURS_PX
        ]
        self._areas = np.array([region.area for region in self._regions])
        self._peaks = np.array([self._peak(region)[-1] for region in self._regions])

    def figures(self) -> FloatArray:
        """Return (n_regions, len(NAMES)), NaN where a figure has no meaning."""
        rows = [self._of(region) for region in self._regions]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(NAMES))

    def _of(self, region: Region) -> list[float]:
        window, mask = self._window(region)
        became = self._bright[window] == region.is_brighter
        return [
            *self._shape(region),
            *self._change(region, window, mask),
            *_rims(mask, became),
            *self._pieces(region, window, mask, became),
            *self._distances(region, window, mask),
            *self._standing_out(region, window, mask),
            *self._neighbours(region),
            float(_touches(region, self._template.shape)),
        ]

    def _window(self, region: Region) -> tuple[tuple[slice, slice], Mask]:
        """Return the surroundings in the picture and the region's mask in them."""
        left, top, right, bottom = (int(v) for v in region.box)
        height, width = self._template.shape
        rows = slice(max(0, top - WINDOW_PX), min(height, bottom + WINDOW_PX))
        columns = slice(max(0, left - WINDOW_PX), min(width, right + WINDOW_PX))
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.bool_)
        inside = mask[top - rows.start :, left - columns.start :]
        inside[: bottom - top, : right - left] = region.mask
        return (rows, columns), mask

    def _shape(self, region: Region) -> list[float]:
        width, height = (
            region.box.right - region.box.left, region.box.bottom - region.box.top
        )  # fmt: skip
        points = np.argwhere(region.mask)[:, ::-1].astype(np.float32)
        _centre, sides, _angle = cv2.minAreaRect(points)
        depth = _distance(np.pad(region.mask, 1).astype(np.uint8)).max()
        return [
            float(region.is_brighter), float(region.area), region.strength, width, height,
            region.area / (width * height), max(sides) + 1, min(sides) + 1, float(depth),
        ]  # fmt: skip

    def _change(self, region: Region, window: tuple[slice, slice], mask: Mask) -> list[float]:
        """Return change and its spread, and how far the template was from what came of it."""
        before = self._template[window][mask].astype(np.float64)
        change = self._picture[window][mask] - before
        apart = np.abs(before - self._levels[region.is_brighter])
        return [
            float(value) / self._contrast
            for value in (np.abs(change).mean(), change.std(), apart.mean())
        ]

    def _pieces(
        self, region: Region, window: tuple[slice, slice], mask: Mask, became: Mask
    ) -> list[float]:
        """Count pieces of both phases: before, with the region turned over, and as seen."""
        seen = self._seen_bright[window] == region.is_brighter
        filled = _filled(mask)
        return [
            _count(became), _count(became | filled), _count(~became), _count(~became & ~filled),
            _count(seen), _count(~seen),
        ]  # fmt: skip

    def _distances(self, region: Region, window: tuple[slice, slice], mask: Mask) -> list[float]:
        to_became = self._to_bright if region.is_brighter else self._to_dark
        rim = _grown(mask, RIMS_PX[-1]) & ~_grown(mask, RIMS_PX[0])
        unrest = np.abs(self._picture[window].astype(np.int16) - self._template[window])[rim]
        near = to_became[window][mask]
        return [
            float(near.min()), float(near.max()), float(to_became[window].max()),
            float(unrest.mean()) / self._contrast,
        ]  # fmt: skip

    def _peak(self, region: Region) -> list[float]:
        left, top, right, bottom = (int(v) for v in region.box)
        sign = 1 if region.is_brighter else -1
        return [
            float((sign * blurred[top:bottom, left:right][region.mask]).max())
            for blurred in self._blurred
        ]

    def _standing_out(self, region: Region, window: tuple[slice, slice], mask: Mask) -> list[float]:
        rim = _grown(mask, 2 * RIMS_PX[-1]) & ~_grown(mask, RIMS_PX[-1])
        around = np.abs(self._blurred[-1][window][rim])
        peaks = self._peak(region)
        return [*peaks, peaks[-1] - float(around.mean()) if rim.any() else np.nan]

    def _neighbours(self, region: Region) -> list[float]:
        x, y = region.box.centre
        apart = [
            float(np.hypot(x - other.box.centre[0], y - other.box.centre[1]))
            for other in self._regions if other is not region and other.strength > 0
        ]  # fmt: skip
        return [
            min(apart, default=FAR_PX), float(sum(d < FAR_PX / 2 for d in apart)),
            float(np.sum(self._areas > region.area)), float(np.median(self._areas)),
            float(np.median(self._peaks)),
        ]  # fmt: skip


def _distance(away_from_zero: Pixels) -> Map:
    """Return the distance of each pixel to the nearest zero, at most `FAR_PX`."""
    found = cv2.distanceTransform(away_from_zero, cv2.DIST_L2, 3)
    return np.minimum(found, np.float32(FAR_PX)).astype(np.float32, copy=False)


def _grown(mask: Mask, reach: int) -> Mask:
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), around), dtype=np.bool_)


def _filled(mask: Mask) -> Mask:
    """Return the region as one piece: closed, so that dotted strokes do not leak."""
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    closed = cv2.morphologyEx(
        np.pad(mask, 8).astype(np.uint8), cv2.MORPH_CLOSE, around
    )[8:-8, 8:-8]  # fmt: skip
    return np.asarray(_grown(np.asarray(closed, dtype=np.bool_), 1))


def _rims(mask: Mask, became: Mask) -> list[float]:
    """Return for each rim: arcs of both phases, pieces touched, share of the phase it became."""
    found: list[float] = []
    filled = _filled(mask)
    _n, pieces = cv2.connectedComponents(became.astype(np.uint8), connectivity=8)
    for reach in RIMS_PX:
        rim = _grown(filled, reach) & ~_grown(filled, reach - 1)
        touched = np.bincount(pieces[rim & became], minlength=1)[1:]
        found += [
            _count(rim & became, smallest=2), _count(rim & ~became, smallest=2),
            float(np.sum(touched >= 2)), float(became[rim].mean()) if rim.any() else np.nan,
        ]  # fmt: skip
    return found


def _count(mask: Mask, *, smallest: int = MIN_PIECE_PX) -> float:
    """Return the number of pieces that are more than a crumb."""
    _n, _labels, stats, _centres = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    return float(np.sum(stats[1:, cv2.CC_STAT_AREA] >= smallest))


def _touches(region: Region, shape: Sequence[int]) -> bool:
    left, top, right, bottom = region.box
    return left <= 1 or top <= 1 or right >= shape[1] - 1 or bottom >= shape[0] - 1
