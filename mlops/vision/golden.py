"""Compare a picture with a golden one: what is there that should not be, what is missing.

The picture is brought onto the template, its light evened out, and each pixel compared with the
range of the template in its surroundings, so that an edge may lie a pixel beside its place. What
leaves the range is gathered into regions.

Two limits are kept apart. A candidate leaves the range at all; what it is may still turn out to
be an uneven edge. A region counts as a difference when enough of it is left with twice the
tolerance: an edge that jitters vanishes, a defect does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from mlops.vision.alignment import Aligned, Map, Pixels, align, grey_of
from mlops.vision.boxes import Box

Mask = npt.NDArray[np.bool_]

JITTER_PX: Final = 1
# A difference below this many grey levels is seen on no good picture's paper print either; the
# noise of the pictures themselves raises it.
MIN_DIFFERENCE: Final = 16.0
NOISE_DEVIATIONS: Final = 6.0
MIN_AREA_PX: Final = 9
# A picture of something else differs everywhere: only so many regions, the strongest, are kept.
MAX_REGIONS: Final = 200
# Pieces of a region may lie apart by this share of the longer side: strokes, dust, etching.
GAP: Final = 1 / 160
# Strength from which a region counts while no further good picture tells what is usual: about
# three by three pixels of full contrast, left after twice the tolerance.
USUAL_LIMIT: Final = 10.0
# Above the strongest region of good pictures by this factor.
MARGIN: Final = 1.25
MIN_CONTRAST: Final = 32.0
MAX_SIDE: Final = 1600  # larger pictures are compared at this size
LIGHT_SCALE: Final = 8  # blocks of this many pixels for evening out light
MAX_CORRECTION: Final = 2.0


class NoGoodPicture(ValueError):
    """A golden template needs at least one good picture."""


@dataclass(frozen=True, slots=True)
class Region:
    """A connected difference.

    Attributes:
        box: in the template's pixels, as far as it is compared.
        place: the same in the picture's own pixels.
        mask: (height, width) of the box, which pixels differ.
        is_brighter: than the template.
        strength: what is left with twice the tolerance, in pixels of full contrast.
    """

    box: Box
    place: Box
    mask: Mask
    is_brighter: bool
    strength: float

    @property
    def area(self) -> int:
        return int(self.mask.sum())


@dataclass(frozen=True, slots=True)
class Golden:
    """A template and what good pictures may differ from it.

    Attributes:
        template: (h, w) or (h, w, 3), the median of the good pictures.
        low, high: of the same shape, the range of the good pictures.
        noise: grey levels that a difference must exceed.
        contrast: grey levels between the template's dark and bright parts.
        limit: strength from which a region counts.
        n_good: pictures it was made of.
    """

    template: Pixels
    low: Pixels
    high: Pixels
    noise: float
    contrast: float
    limit: float
    n_good: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A picture beside its template.

    Attributes:
        aligned: the picture brought onto the template, its light evened out.
        regions: all candidates, the strongest first.
        score: strength of the strongest, 0 where there is none.
    """

    aligned: Aligned
    regions: tuple[Region, ...]
    score: float

    def beyond(self, limit: float) -> tuple[Region, ...]:
        return tuple(region for region in self.regions if region.strength > limit)


def golden_of(good: Sequence[Pixels]) -> Golden:
    """Return the template of one or several good pictures of the same product.

    With three or more the limit is the strongest region that one of them shows against the
    others, plus a margin; with fewer it is `USUAL_LIMIT`.

    Raises:
        NoGoodPicture: none was given.
    """
    if not good:
        raise NoGoodPicture("A template needs at least one good picture.")
    first = _simple(fit_to_work(good[0]))
    colours = first.ndim == 3
    moved = [first]
    for picture in good[1:]:
        aligned = align(first, _like(fit_to_work(picture), colours=colours))
        moved.append(evened(first, aligned.pixels))
    whole = _made_of(moved, USUAL_LIMIT)
    if len(moved) < 3:
        return whole
    strongest = []
    for number, picture in enumerate(moved):
        rest = _made_of([*moved[:number], *moved[number + 1 :]], USUAL_LIMIT)
        strongest.append(max((r.strength for r in _regions(rest, picture)), default=0.0))
    limit = max(USUAL_LIMIT / 2, MARGIN * max(strongest))
    return _made_of(moved, limit)


def _made_of(moved: Sequence[Pixels], limit: float) -> Golden:
    stack = np.stack(moved)
    template = np.median(stack, axis=0).astype(np.uint8) if len(moved) > 2 else moved[0]
    grey = grey_of(template)
    dark, bright = np.percentile(grey, [2, 98])
    residuals = [np.abs(grey_of(one).astype(np.int16) - grey) for one in moved]
    spread = 1.4826 * float(np.median(np.stack(residuals))) if len(moved) > 1 else 0.0
    noise = max(MIN_DIFFERENCE, NOISE_DEVIATIONS * max(spread, _grain(grey)))
    contrast = max(MIN_CONTRAST, float(bright - dark))
    return Golden(
        template, stack.min(axis=0), stack.max(axis=0), noise, contrast, limit, len(moved)
    )


def _grain(grey: Pixels) -> float:
    """Return the deviation of a picture's noise, from neighbours' second differences.

    Source: Immerkaer, Computer Vision and Image Understanding 64(2), 1996; with the median
    rather than the mean, so that edges do not count.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    response = cv2.filter2D(grey.astype(np.float32), cv2.CV_32F, kernel)
    return 1.4826 * float(np.median(np.abs(response))) / 6


def compare(golden: Golden, picture: Pixels) -> Comparison:
    """Find where a picture differs from the template."""
    colours = golden.template.ndim == 3
    fitted = fit_to_work(picture)
    aligned = align(golden.template, _like(fitted, colours=colours))
    lit = evened(golden.template, aligned.pixels)
    map_xy = aligned.map_xy * np.float32(picture.shape[1] / fitted.shape[1])
    regions = tuple(
        replace(region, place=_place(region.box, map_xy, picture.shape))
        for region in _regions(golden, lit, _shown(map_xy, picture.shape))
    )
    return Comparison(
        Aligned(lit, map_xy, aligned.correlation), regions,
        max((region.strength for region in regions), default=0.0),
    )  # fmt: skip


def _shown(map_xy: Map, shape: Sequence[int]) -> Mask:
    """Return (h, w), true where the picture shows that part of the template, and its rim."""
    x, y = map_xy[..., 0], map_xy[..., 1]
    shown = (x >= -0.5) & (x <= shape[1] - 0.5) & (y >= -0.5) & (y <= shape[0] - 0.5)
    around = np.ones((4 * JITTER_PX + 1, 4 * JITTER_PX + 1), dtype=np.uint8)
    return np.asarray(cv2.erode(shown.astype(np.uint8), around), dtype=np.bool_)


def _place(box: Box, map_xy: Map, shape: Sequence[int]) -> Box:
    """Return the box around what a box of the template shows of the picture."""
    left, top, right, bottom = (int(v) for v in box)
    own = map_xy[top:bottom, left:right].reshape(-1, 2)
    low, high = own.min(axis=0), own.max(axis=0) + 1
    size = np.array([shape[1], shape[0]], dtype=np.float32)
    return Box(*(float(v) for v in (*np.clip(low, 0, size - 1), *np.clip(high, 1, size))))


def fit_to_work(picture: Pixels) -> Pixels:
    """Return the picture, made smaller where its longer side exceeds `MAX_SIDE`."""
    scale = MAX_SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _simple(picture: Pixels) -> Pixels:
    """Return (h, w) where the picture is grey, whatever its number of channels."""
    if picture.ndim == 3 and np.all(picture[..., :1] == picture):
        return np.ascontiguousarray(picture[..., 0])
    return picture


def _like(picture: Pixels, *, colours: bool) -> Pixels:
    if colours and picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    return picture if colours else grey_of(picture)


def evened(template: Pixels, picture: Pixels) -> Pixels:
    """Return the picture in the template's light: as bright, block by block, as it should be.

    The gain is fitted to what agrees and smooth over an eighth of the picture, so that a defect
    is not taken for a shadow.
    """
    target, grey = grey_of(template), grey_of(picture)
    size = (max(1, target.shape[1] // LIGHT_SCALE), max(1, target.shape[0] // LIGHT_SCALE))
    t, p = (
        cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.float32) + 1
        for one in (target, grey)
    )
    smooth = max(size) / 8
    gain = np.full_like(t, float(np.median(t / p)))
    for _ in range(4):
        weight = 1 / (1 + ((t - gain * p) / 10) ** 2)
        above = cv2.GaussianBlur(weight * t * p, (0, 0), smooth)
        below = cv2.GaussianBlur(weight * p * p, (0, 0), smooth)
        gain = np.clip(above / np.maximum(below, 1e-3), 1 / MAX_CORRECTION, MAX_CORRECTION)
    whole = np.asarray(cv2.resize(gain, (target.shape[1], target.shape[0])), dtype=np.float32)
    whole = whole if picture.ndim == 2 else np.repeat(whole[..., None], 3, axis=2)
    return np.asarray(cv2.multiply(picture, whole, dtype=cv2.CV_8U), dtype=np.uint8)


def _excess(golden: Golden, picture: Pixels, reach: int) -> tuple[Map, Map]:
    """Return (h, w) grey levels above and below the range within some pixels' reach."""
    around = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    above = cv2.subtract(picture, cv2.dilate(golden.high, around))
    below = cv2.subtract(cv2.erode(golden.low, around), picture)
    if picture.ndim == 3:
        above, below = above.max(axis=2), below.max(axis=2)
    return np.asarray(above), np.asarray(below)


def _regions(golden: Golden, picture: Pixels, shown: Mask | None = None) -> tuple[Region, ...]:
    near = _excess(golden, picture, JITTER_PX)
    far = _excess(golden, picture, 2 * JITTER_PX)
    # In colours a pixel may be both above (one channel) and below: it is what it is more.
    brighter = near[0] >= near[1]
    found: list[Region] = []
    for is_brighter, own, left in ((True, near[0], far[0]), (False, near[1], far[1])):
        mask = (own > golden.noise) & (brighter if is_brighter else ~brighter)
        mask = mask if shown is None else mask & shown
        strength = np.where(left > golden.noise, left, 0).astype(np.float32) / golden.contrast
        found += _components(mask, strength, is_brighter=is_brighter)
    found.sort(key=lambda region: (-region.strength, -region.area, region.box))
    return tuple(found[:MAX_REGIONS])


def _components(mask: Mask, strength: Map, *, is_brighter: bool) -> list[Region]:
    gap = max(2, round(max(mask.shape) * GAP))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, around)
    n, labels, stats, _centres = cv2.connectedComponentsWithStats(closed, connectivity=8)
    found = []
    for label in range(1, n):
        left, top, width, height = (int(v) for v in stats[label, :4])
        rows, columns = slice(top, top + height), slice(left, left + width)
        own = (labels[rows, columns] == label) & mask[rows, columns]
        if own.sum() < MIN_AREA_PX:
            continue
        # A component of the closed mask ends where its own pixels end.
        strong = float(strength[rows, columns][own].sum())
        box = Box(left, top, left + width, top + height)
        found.append(Region(box, box, own, is_brighter, strong))
    return found
