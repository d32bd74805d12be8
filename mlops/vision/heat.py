"""Distances of several views joined to one map of how unusual each place is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from mlops.vision.backbone import Single
from mlops.vision.limits import threshold_of
from mlops.vision.patches import Frame

# Standard deviations in cells. Single cells are noisy; faint but wide damage shows only in the mean
# of many.
SMOOTHINGS: Final = (1.0, 3.0, 8.0)
RARE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Scale:
    """What a distance amounts to: 0 for a usual good patch, 1 for the worst of a good picture."""

    usual: float
    worst: float

    @classmethod
    def of(cls, good: Single) -> Scale:
        """Measure (n, rows, columns) distances of good pictures, each as if never seen."""
        usual = float(np.median(good))
        worst = float(np.median(good.reshape(len(good), -1).max(axis=1)))
        return cls(usual, max(worst, usual + 1e-6))

    @classmethod
    def under_limit(cls, good: Single) -> Scale:
        """Measure the same, but let 1 be what hardly a good picture exceeds.

        So widths at which good pictures differ much, for the light on them, count less.
        """
        usual = float(np.median(good))
        hottest = good.reshape(len(good), -1).max(axis=1).astype(np.float64) - usual
        return cls(usual, usual + max(threshold_of(hottest, rate=RARE), 1e-6))

    def level(self, distance: Single) -> Single:
        """Return distances in this scale."""
        return (distance - np.float32(self.usual)) / np.float32(self.worst - self.usual)


UNSCALED: Final = Scale(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Blend:
    """How distances of the views are joined.

    Attributes:
        share: how much the places count, 0 to 1; the memory counts the rest.
        widths: of the joined heat after each of `SMOOTHINGS`.
    """

    share: float
    places: Scale
    memory: Scale
    known: Scale = UNSCALED
    widths: tuple[Scale, ...] = (UNSCALED,) * len(SMOOTHINGS)

    def fitted(self, raw: Single) -> Blend:
        """Return the blend scaled by good pictures: (n, rows, columns) of `raw`, never seen."""
        return replace(
            self,
            widths=tuple(
                Scale.under_limit(np.stack([_smoothed(one, width) for one in raw]))
                for width in SMOOTHINGS
            ),
        )

    def smoothed(self, raw: Single) -> Single:
        """Return (rows, columns) heat, the highest over all widths.

        0 is usual, 1 is what hardly a good picture exceeds at any one width.
        """
        levels = [
            scale.level(_smoothed(raw, width))
            for width, scale in zip(SMOOTHINGS, self.widths, strict=True)
        ]
        return np.asarray(np.stack(levels).max(axis=0), np.float32)

    def raw(self, near: Single, far: Single | None, likeness: Single | None = None) -> Single:
        """Return (rows, columns) heat before smoothing.

        Args:
            near: distances from the places.
            far: distances from the memory; may be left out where the places count alone.
            likeness: to known defects. It can only add.
        """
        heat = self.places.level(near)
        if far is not None and self.share < 1.0:
            heat = self.share * heat + (1.0 - self.share) * self.memory.level(far)
        if likeness is not None:
            heat = np.maximum(heat, self.known.level(likeness))
        return np.asarray(heat, np.float32)


def _smoothed(raw: Single, width: float) -> Single:
    return np.asarray(cv2.GaussianBlur(raw, (0, 0), width, borderType=cv2.BORDER_REFLECT))


def enlarged(cells: Single, frame: Frame, *, height: int = 0, width: int = 0) -> Single:
    """Return heat in the size of the frame, or an eighth of the picture's size if that is more."""
    size = (max(frame.width, -(-width // 8)), max(frame.height, -(-height // 8)))
    return np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR))


def score_of(cells: Single, frame: Frame) -> float:
    """Return how hot the hottest point of a picture is."""
    return float(enlarged(cells, frame).max())
