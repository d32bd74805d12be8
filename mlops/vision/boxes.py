"""Boxes around what was found, and how well they fit those that people drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlops.lives import FloatArray


class Box(NamedTuple):
    """A rectangle of pixels: right and bottom are the first column and row outside of it."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Labelled:
    """A box that a person drew, and what it holds."""

    box: Box
    label: str


@dataclass(frozen=True, slots=True)
class Found:
    """A box that a model says holds something.

    Attributes:
        score: probability that it does and that the label is right, 0 to 1.
        area: pixels that differ, those of the box where not known.
    """

    box: Box
    label: str
    score: float
    area: int


def overlaps(boxes: Sequence[Box], others: Sequence[Box]) -> FloatArray:
    """Return (n, m) intersection over union."""
    if not boxes or not others:
        return np.zeros((len(boxes), len(others)))
    a = np.array(boxes, dtype=np.float64)[:, None]
    b = np.array(others, dtype=np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=-1)
    areas = [np.prod(np.maximum(one[..., 2:] - one[..., :2], 0.0), axis=-1) for one in (a, b)]
    union = areas[0] + areas[1] - shared
    result: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def merged(found: Sequence[Found], *, share: float) -> list[Found]:
    """Join boxes of one label that share so much of the smaller one's area; the better score stays.

    The joint box is the smallest that holds both.
    """
    kept: list[Found] = []
    for one in sorted(found, key=lambda f: (-f.score, f.box)):
        for place, other in enumerate(kept):
            if one.label == other.label and _shared_of_smaller(one.box, other.box) > share:
                box = Box(
                    *np.minimum(one.box[:2], other.box[:2]), *np.maximum(one.box[2:], other.box[2:])
                )
                kept[place] = Found(box, other.label, other.score, other.area + one.area)
                break
        else:
            kept.append(one)
    return kept


def _shared_of_smaller(one: Box, other: Box) -> float:
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    smaller = min(one.area, other.area)
    return max(0.0, width) * max(0.0, height) / smaller if smaller > 0 else 0.0
