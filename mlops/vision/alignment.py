"""Bring a picture onto a template: as a whole first, then block by block.

The whole picture is moved by an affine map: phase correlation for the shift, then the
correlation coefficient climbed from coarse to fine (ECC). Where that fails, because the part
lies turned, starts all around are tried. What is left (a line camera's uneven feed, a
board that is not flat) is a field of small shifts, one a block, smooth over several blocks: a
defect is smaller than that and cannot pull the picture to itself.

Source: Evangelidis and Psarakis, IEEE Trans. PAMI 30(10), 2008 (ECC).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

# Below this correlation coefficient the start was wrong and the part may lie turned.
GOOD_CORRELATION: Final = 0.9
# An affine map beyond these is no camera that moved: the search ran away.
MAX_STRETCH: Final = 0.15
MAX_SHIFT: Final = 0.25  # of the longer side
# Longest sides of the pictures on which ECC climbs, coarse to fine, and its steps there.
ECC_SIDES: Final = ((160, 30), (320, 20))
BLOCK_PX: Final = 8
LOCAL_SHIFT_PX: Final = 3
# Blocks over which the field of shifts is smooth (standard deviation).
SMOOTH_BLOCKS: Final = 4.0
# Grey levels that a shift of one pixel must save to be believed.
COST_OF_SHIFT: Final = 0.02
TURN_STEP_DEGREES: Final = 10


@dataclass(frozen=True, slots=True)
class Aligned:
    """A picture brought onto its template.

    Attributes:
        pixels: of the template's size.
        map_xy: (h, w, 2) where in the picture each pixel of the template was found.
        correlation: of template and aligned picture, 1 where they are alike.
    """

    pixels: Pixels
    map_xy: Map
    correlation: float


def grey_of(pixels: Pixels) -> Pixels:
    """Return (h, w) brightness of (h, w) or (h, w, 3) RGB."""
    if pixels.ndim == 2:
        return pixels
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def align(template: Pixels, picture: Pixels) -> Aligned:
    """Bring a picture, grey or RGB and of any size, onto a template.

    The map is always smooth and near to a whole: a picture of something else is returned as it
    best fits, with a low correlation.
    """
    grey, target = grey_of(picture), grey_of(template)
    affine = _whole(target, grey)
    height, width = target.shape
    moved = cv2.warpAffine(
        grey, affine, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    field = shifts(target, np.asarray(moved, dtype=np.uint8))
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x + field[..., 0], y + field[..., 1]
    map_xy = np.stack(
        [
            affine[0, 0] * x + affine[0, 1] * y + affine[0, 2],
            affine[1, 0] * x + affine[1, 1] * y + affine[1, 2],
        ],
        axis=-1,
    ).astype(np.float32)
    pixels = cv2.remap(
        picture, map_xy[..., 0], map_xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    aligned = np.asarray(pixels, dtype=np.uint8)
    return Aligned(aligned, map_xy, correlation(target, grey_of(aligned)))


def correlation(one: Pixels | Map, other: Pixels | Map) -> float:
    """Return the correlation coefficient of two grey pictures, slightly blurred."""
    blurred = [cv2.GaussianBlur(p, (0, 0), 1.5).astype(np.float32) for p in (one, other)]
    a, b = (p - p.mean() for p in blurred)
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale > 0 else 1.0


def _whole(template: Pixels, picture: Pixels) -> Map:
    """Return the (2, 3) map from template to picture."""
    scale_x, scale_y = picture.shape[1] / template.shape[1], picture.shape[0] / template.shape[0]
    start = np.array([[scale_x, 0, 0], [0, scale_y, 0]], dtype=np.float32)
    found, quality = _climbed(template, picture, _shifted(template, picture, start))
    if quality >= GOOD_CORRELATION:
        return found
    turned, turned_quality = _climbed(template, picture, _turned(template, picture, start))
    return turned if turned_quality > quality else found


def _small(picture: Pixels, side: int) -> tuple[Map, float]:
    scale = min(1.0, side / max(picture.shape))
    size = (max(16, round(picture.shape[1] * scale)), max(16, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32), scale


def _moved(template: Pixels, picture: Pixels, affine: Map) -> Map:
    """Return the picture moved by the map, as small as the coarsest step sees it."""
    small, scale = _small(template, ECC_SIDES[0][0])
    own, own_scale = _small(picture, ECC_SIDES[0][0])
    shrunk = _rescaled(affine, scale, own_scale)
    moved = cv2.warpAffine(
        own, shrunk, (small.shape[1], small.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(moved, dtype=np.float32)


def _rescaled(affine: Map, scale: float, own_scale: float) -> Map:
    """Return the map between both pictures made smaller by their scales."""
    shrunk = affine.copy()
    shrunk[:, :2] *= own_scale / scale
    shrunk[:, 2] *= own_scale
    return shrunk


def _shifted(template: Pixels, picture: Pixels, start: Map) -> Map:
    """Return the start, shifted by phase correlation where that makes the pictures more alike."""
    small, scale = _small(template, ECC_SIDES[0][0])
    other = _moved(template, picture, start)
    window = cv2.createHanningWindow((small.shape[1], small.shape[0]), cv2.CV_32F)
    (x, y), _response = cv2.phaseCorrelate(small - small.mean(), other - other.mean(), window)
    if np.hypot(x, y) > MAX_SHIFT * max(small.shape):
        return start
    moved = start.copy()
    moved[:, 2] += start[:, :2] @ np.array([x / scale, y / scale], dtype=np.float32)
    return max(start, moved, key=lambda affine: _likeness(template, picture, affine))


def _likeness(template: Pixels, picture: Pixels, affine: Map) -> float:
    small, _scale = _small(template, ECC_SIDES[0][0])
    return correlation(small, _moved(template, picture, affine))


def _climbed(template: Pixels, picture: Pixels, start: Map) -> tuple[Map, float]:
    """Return the start improved by ECC, and how alike the pictures are then."""
    found = start
    for side, n_steps in ECC_SIDES:
        small, scale = _small(template, side)
        other, other_scale = _small(picture, side)
        guess = _rescaled(found, scale, other_scale)
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, n_steps, 1e-4)
        try:
            _value, climbed = cv2.findTransformECC(small, other, guess, cv2.MOTION_AFFINE, stop)
        except cv2.error:
            continue  # it did not converge: the start stands
        guess = _rescaled(np.asarray(climbed, dtype=np.float32), 1 / scale, 1 / other_scale)
        if _is_near(guess, start, max(picture.shape)):
            found = guess
    return found, _likeness(template, picture, found)


def _is_near(found: Map, start: Map, side: int) -> bool:
    stretch = float(np.abs(found[:, :2] - start[:, :2]).max())
    return stretch < MAX_STRETCH and float(np.abs(found[:, 2] - start[:, 2]).max()) < (
        MAX_SHIFT * side
    )


def _turned(template: Pixels, picture: Pixels, start: Map) -> Map:
    """Return the start turned about the middle, and shifted, as the pictures are most alike."""
    middle = np.array([(template.shape[1] - 1) / 2, (template.shape[0] - 1) / 2, 1])
    tried = []
    for degrees in range(TURN_STEP_DEGREES, 360, TURN_STEP_DEGREES):
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        affine = start.astype(np.float64)
        affine[:, :2] = start[:, :2] @ turn
        affine[:, 2] += start @ middle - affine @ middle
        tried.append(_shifted(template, picture, affine.astype(np.float32)))
    return max(tried, key=lambda affine: _likeness(template, picture, affine))


def shifts(template: Pixels, picture: Pixels) -> Map:
    """Return (h, w, 2) the small shifts that bring a picture onto a template, block by block.

    Every whole shift of up to `LOCAL_SHIFT_PX` is tried for each block together with its
    surroundings; where nothing speaks for one (a blank area), it is none.
    """
    height, width = template.shape
    reach = LOCAL_SHIFT_PX
    framed = cv2.copyMakeBorder(picture, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    tried = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T[:, ::-1]
    size = (max(1, width // BLOCK_PX), max(1, height // BLOCK_PX))
    costs = np.empty((len(tried), size[1], size[0]), dtype=np.float32)
    for number, (x, y) in enumerate(tried):
        moved = framed[reach + y : reach + y + height, reach + x : reach + x + width]
        blocks = cv2.resize(cv2.absdiff(template, moved), size, interpolation=cv2.INTER_AREA)
        costs[number] = cv2.GaussianBlur(blocks.astype(np.float32), (0, 0), SMOOTH_BLOCKS)
        costs[number] += COST_OF_SHIFT * float(np.hypot(x, y))
    best = tried[np.argmin(costs, axis=0)].astype(np.float32)
    smooth = cv2.GaussianBlur(best, (0, 0), SMOOTH_BLOCKS / 2)
    return np.asarray(cv2.resize(smooth, (width, height)), dtype=np.float32)
