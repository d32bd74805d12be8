"""Was the picture taken as it should have been? Checked before anything is said of the part.

What is usual is learnt from good pictures of the product. Each statistic is one that a defect in
one spot hardly moves: the mean of the picture, the median of its tiles, its shift as a whole.

Sources: Pech-Pacheco and others, Diatom autofocusing in brightfield microscopy (ICPR, 2000), for
the variance of the Laplacian; Kuglin and Hines, The phase correlation image alignment method
(1975); Hampel, The influence curve (JASA, 1974), for limits by median and MAD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mlops.lives import FloatArray
from mlops.vision.backbone import Pixels, Single, fitted

REFERENCE_SIDE: Final = 256  # pixels in which shifts are measured
MOST_SIDE: Final = 1024  # pixels in which sharpness is measured
N_TILES: Final = 8  # a side
LEAST_OVERLAP: Final = 0.25  # of two pictures, to say that one is the other displaced
TEXTURED: Final = 0.25  # share of the tiles, those with most structure, that tell sharpness
REACH: Final = 6.0  # robust standard deviations from the median that are still usual
DARK, BRIGHT = 2, 253  # grey values that count as clipped

# What differs by less is never called out, however alike the good pictures are.
LEAST_BRIGHTNESS: Final = 0.25  # of the logarithm
LEAST_SHARPNESS: Final = 0.5  # of the logarithm
LEAST_CLIPPED: Final = 0.15  # share of the pixels
LEAST_SHIFT: Final = 0.03  # of a side
SIZE_ROOM: Final = 0.05  # share of a side
FOREIGN: Final = 2.0  # times as far from all good pictures as the most foreign of them
LEAST_FOREIGN: Final = 0.12  # cosine distance
# Good pictures that lie farther apart, or correlate less with the mean of the others, are not
# placed alike: nothing can be said of a shift.
PLACED: Final = 0.10  # of a side
ALIKE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a picture.

    Attributes:
        code: wrong_size, too_dark, too_bright, clipped, blurred, moved or wrong_product.
        sentence: for people, with the figures.
        value, limit: what was measured and what it was held against.
    """

    code: str
    sentence: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How good pictures of a product are taken.

    Attributes:
        sizes: (2, 2) least and most height and width, pixels.
        brightness: usual logarithm of the mean grey value, and how far it may lie off.
        sharpness: the same for the logarithm of fine over coarse structure.
        clipped: the share of clipped pixels that is usual at most.
        reference: (side, side) mean of the good pictures in grey.
        shift: the farthest that the picture may be displaced, share of a side; 0 where the good
            pictures are not placed alike, and nothing can be said.
        embeddings: (n, 1280) of the good pictures, of length 1.
        foreign: the farthest that a picture may lie from the nearest of them, cosine distance.
    """

    sizes: FloatArray
    brightness: tuple[float, float]
    sharpness: tuple[float, float]
    clipped: float
    reference: Single
    shift: float
    embeddings: Single
    foreign: float

    def complaints(self, pixels: Pixels, embedding: Single) -> tuple[Complaint, ...]:
        """Return what is wrong with a picture, whose embedding the backbone gave."""
        grey = grey_of(pixels)
        found = [
            self._size(pixels), self._brightness(grey), self._clipped(grey),
            self._sharpness(grey), self._shift(grey), self._product(embedding),
        ]  # fmt: skip
        return tuple(one for one in found if one is not None)

    def _size(self, pixels: Pixels) -> Complaint | None:
        sides = np.array(pixels.shape[:2], dtype=np.float64)
        low, high = self.sizes * np.array([[1.0 - SIZE_ROOM], [1.0 + SIZE_ROOM]])
        if ((low <= sides) & (sides <= high)).all():
            return None
        usual = self.sizes.mean(axis=0)
        return Complaint(
            "wrong_size",
            f"The picture has {sides[1]:.0f} x {sides[0]:.0f} pixels; good ones have about "
            f"{usual[1]:.0f} x {usual[0]:.0f}.",
            float(sides.prod()), float(usual.prod()),
        )  # fmt: skip

    def _brightness(self, grey: Pixels) -> Complaint | None:
        value, (usual, room) = brightness_of(grey), self.brightness
        if abs(value - usual) <= room:
            return None
        code, word = ("too_dark", "darker") if value < usual else ("too_bright", "brighter")
        limit = usual - room if value < usual else usual + room
        return Complaint(
            code,
            f"The picture is {word} than any good one should be: its mean grey value is "
            f"{np.exp(value):.0f} of 255, usual is {np.exp(usual):.0f}.",
            float(np.exp(value)), float(np.exp(limit)),
        )  # fmt: skip

    def _clipped(self, grey: Pixels) -> Complaint | None:
        value = clipped_of(grey)
        if value <= self.clipped:
            return None
        return Complaint(
            "clipped",
            f"{value:.0%} of the picture is pure black or white and shows nothing; good pictures "
            f"have at most {self.clipped:.0%}.",
            value, self.clipped,
        )  # fmt: skip

    def _sharpness(self, grey: Pixels) -> Complaint | None:
        value, (usual, room) = sharpness_of(grey), self.sharpness
        if value >= usual - room:
            return None
        return Complaint(
            "blurred",
            f"The picture is blurred: it has {np.exp(value - usual):.0%} of the fine structure of "
            f"good ones; {np.exp(-room):.0%} is the least.",
            float(np.exp(value - usual)), float(np.exp(-room)),
        )  # fmt: skip

    def _shift(self, grey: Pixels) -> Complaint | None:
        if self.shift == 0.0:
            return None
        value = shift_of(_small(grey), self.reference)
        if value <= self.shift:
            return None
        return Complaint(
            "moved",
            f"The picture is displaced by {value:.0%} of its side against the good ones; "
            f"{self.shift:.0%} is the most. Camera or part may have moved.",
            value, self.shift,
        )  # fmt: skip

    def strangeness(self, embedding: Single) -> float:
        """Return how far a picture lies from the nearest good one, cosine distance."""
        return float(1.0 - (self.embeddings @ _normed(embedding)).max())

    def _product(self, embedding: Single) -> Complaint | None:
        value = self.strangeness(embedding)
        if value <= self.foreign:
            return None
        return Complaint(
            "wrong_product",
            f"The picture looks like none of the good ones: it lies {value / self.foreign:.1f} "
            f"times as far off as it may. It may show another product.",
            value, self.foreign,
        )  # fmt: skip


def learn(good: Sequence[Pixels], embeddings: Single) -> Acquisition:
    """Learn how pictures of a product are taken.

    Args:
        good: at least 3 pictures.
        embeddings: (n, 1280) of them, from the backbone.
    """
    greys = [grey_of(pixels) for pixels in good]
    sides = np.array([pixels.shape[:2] for pixels in good], dtype=np.float64)
    small = np.stack([_small(grey) for grey in greys])
    normed = np.stack([_normed(one) for one in embeddings])
    return Acquisition(
        np.stack([sides.min(axis=0), sides.max(axis=0)]),
        _usual([brightness_of(grey) for grey in greys], LEAST_BRIGHTNESS),
        _usual([sharpness_of(grey) for grey in greys], LEAST_SHARPNESS),
        min(1.0, max(clipped_of(grey) for grey in greys) + LEAST_CLIPPED),
        small.mean(axis=0), _shift_limit(small), normed, _foreign_limit(normed),
    )  # fmt: skip


def _usual(values: list[float], least: float) -> tuple[float, float]:
    """Return the median, and a room that no good picture leaves and few others like it would."""
    median = float(np.median(values))
    apart = np.abs(np.array(values) - median)
    return median, max(REACH * 1.4826 * float(np.median(apart)), 1.25 * float(apart.max()), least)


def _shift_limit(small: Single) -> float:
    """Hold each good picture against the mean of the others."""
    n, total = len(small), small.sum(axis=0)
    others = [(total - one) / (n - 1) for one in small]
    alike = [_likeness(one, other) for one, other in zip(small, others, strict=True)]
    shifts = [shift_of(one, other) for one, other in zip(small, others, strict=True)]
    if float(np.median(alike)) < ALIKE or float(np.quantile(shifts, 0.9)) > PLACED:
        return 0.0
    usual, room = _usual(shifts, LEAST_SHIFT)
    return usual + room


def _foreign_limit(normed: Single) -> float:
    distance = 1.0 - normed @ normed.T
    np.fill_diagonal(distance, np.inf)
    return max(FOREIGN * float(distance.min(axis=1).max()), LEAST_FOREIGN)


def grey_of(pixels: Pixels) -> Pixels:
    """Return the picture in grey, of at most `MOST_SIDE` pixels a side."""
    scale = min(1.0, MOST_SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(cv2.cvtColor(fitted(pixels, height=height, width=width), cv2.COLOR_RGB2GRAY))


def brightness_of(grey: Pixels) -> float:
    """Return the logarithm of the mean grey value."""
    return float(np.log(max(float(grey.mean()), 1.0)))


def clipped_of(grey: Pixels) -> float:
    """Return the share of pixels without any shade."""
    return float(((grey <= DARK) | (grey >= BRIGHT)).mean())


def sharpness_of(grey: Pixels) -> float:
    """Return the logarithm of fine over coarse structure, the median of structured tiles.

    Both are variances of a Laplacian, so brighter light and higher contrast cancel out.
    """
    of_fine = _variances(grey)
    of_coarse = _variances(np.asarray(cv2.GaussianBlur(grey, (0, 0), 2.0), np.uint8))
    n = max(1, int(TEXTURED * len(of_coarse)))
    structured = np.argsort(-of_coarse)[:n]
    ratio = (of_fine[structured] + 1e-3) / (of_coarse[structured] + 1e-3)
    return float(np.log(np.median(ratio)))


def _variances(grey: Pixels) -> FloatArray:
    """Return (`N_TILES`**2,) variances of the Laplacian in tiles."""
    rows = np.array_split(cv2.Laplacian(grey, cv2.CV_32F), N_TILES)
    tiles = [tile for row in rows for tile in np.array_split(row, N_TILES, axis=1)]
    return np.array([tile.var() for tile in tiles], dtype=np.float64)


def shift_of(one: Single, other: Single) -> float:
    """Return how far a small grey picture is displaced against another, as share of a side.

    A displacement that does not make the pictures more alike is an error of the method: 0.
    """
    window = cv2.createHanningWindow((REFERENCE_SIDE, REFERENCE_SIDE), cv2.CV_32F)
    # OpenCV 5 lays the window over its inputs in place: it gets copies.
    (across, down), _response = cv2.phaseCorrelate(one.copy(), other.copy(), window)
    inside = np.ones_like(one)
    back = np.array([[1.0, 0.0, across], [0.0, 1.0, down]])
    size = (REFERENCE_SIDE, REFERENCE_SIDE)
    shared = cv2.warpAffine(inside, back, size) > 0.5
    moved = np.asarray(cv2.warpAffine(one, back, size), np.float32)
    is_better = _likeness(moved[shared], other[shared]) > _likeness(one, other)
    if shared.mean() < LEAST_OVERLAP or not is_better:
        return 0.0
    return float(np.hypot(across, down) / REFERENCE_SIDE)


def _likeness(one: Single, other: Single) -> float:
    """Return the correlation of two pictures."""
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    length = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / max(length, 1e-6)


def _small(grey: Pixels) -> Single:
    size = (REFERENCE_SIDE, REFERENCE_SIDE)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _normed(embedding: Single) -> Single:
    return np.asarray(embedding / max(float(np.linalg.norm(embedding)), 1e-6), np.float32)
