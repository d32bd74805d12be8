"""What kind of defect a region shows, learned from regions that people have named.

A region is cut out with its surroundings and named as a picture is (`classes`), so that a defect
is known wherever in the part it lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from mlops.vision import classes
from mlops.vision.backbone import Pixels
from mlops.vision.boxes import Box
from mlops.vision.classes import ClassModel, NotEnoughLabels
from mlops.vision.lessons import UNNAMED, Lesson

# Of a kind, so many named regions are needed; a kind with fewer is not told apart.
LEAST_OF_A_KIND: Final = 5
MOST_OF_A_KIND: Final = 60
# A cut is square: this many times the longer side of the region, and at least so many pixels.
ROOM: Final = 1.6
LEAST_SIDE: Final = 64


def learned(lessons: Sequence[Lesson]) -> ClassModel | None:
    """Return what names regions; None where fewer than two kinds have been shown often enough."""
    counts = Counter(box.label for one in lessons for box in one.boxes)
    often = {label for label, n in counts.items() if n >= LEAST_OF_A_KIND and label != UNNAMED}
    taken: Counter[str] = Counter()
    pictures, labels = [], []
    for one in reversed(lessons):  # the newest of each kind
        for box in one.boxes:
            if box.label in often and taken[box.label] < MOST_OF_A_KIND:
                taken[box.label] += 1
                pictures.append(classes.views(cut(one.pixels, box.box)))
                labels.append(box.label)
    if len(often) < 2:
        return None
    try:
        return classes.train(pictures, labels).model
    except NotEnoughLabels:
        return None


def named(model: ClassModel, pixels: Pixels, box: Box) -> tuple[str, float]:
    """Return the kind that a region shows and how sure that is; "" where it is like none."""
    judgement = model.judge(classes.seen(cut(pixels, box)))
    label, probability = judgement.classes[0]
    return (label, probability) if judgement.is_known else ("", 0.0)


def cut(pixels: Pixels, box: Box) -> Pixels:
    """Return the square around a region, moved inside of the picture where it reaches out."""
    height, width = pixels.shape[:2]
    longest = max(box.right - box.left, box.bottom - box.top)
    side = min(height, width, max(LEAST_SIDE, round(ROOM * longest)))
    across, down = box.centre
    left = int(np.clip(round(across - side / 2), 0, width - side))
    top = int(np.clip(round(down - side / 2), 0, height - side))
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])
