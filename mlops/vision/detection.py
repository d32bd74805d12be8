"""How well found boxes agree with those that people drew.

Each box is matched at most once, the surest first, to the box of the same label in the same
picture that it overlaps most. As in the Pascal VOC challenge: Everingham and others,
International Journal of Computer Vision 88(2), 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mlops.lives import FloatArray
from mlops.tabular.table import BoolArray
from mlops.vision.boxes import Found, Labelled, overlaps


@dataclass(frozen=True, slots=True)
class Agreement:
    """Precision, recall and F of one label or of all."""

    n_true: int
    n_found: int
    n_right: int

    @property
    def precision(self) -> float:
        return self.n_right / self.n_found if self.n_found else 0.0

    @property
    def recall(self) -> float:
        return self.n_right / self.n_true if self.n_true else 0.0

    @property
    def f(self) -> float:
        both = self.n_found + self.n_true
        return 2 * self.n_right / both if both else 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in one picture, and what is there."""

    found: Sequence[Found]
    truth: Sequence[Labelled]

    def unlabelled(self) -> Seen:
        """Return the same with one label for all: the place alone counts."""
        return Seen(
            [replace(found, label="") for found in self.found],
            [replace(true, label="") for true in self.truth],
        )


def hits(seen: Seen, *, min_iou: float) -> BoolArray:
    """Return (n_found,), true where a box is matched: overlap above `min_iou`, same label."""
    shared = overlaps([f.box for f in seen.found], [t.box for t in seen.truth])
    right = np.zeros(len(seen.found), dtype=np.bool_)
    free = np.ones(len(seen.truth), dtype=np.bool_)
    for place in sorted(range(len(seen.found)), key=lambda i: -seen.found[i].score):
        same = np.array([t.label == seen.found[place].label for t in seen.truth], dtype=np.bool_)
        own = np.where(free & same, shared[place], 0.0)
        if len(own) and own.max() > min_iou:
            free[int(np.argmax(own))] = False
            right[place] = True
    return right


def agreement(pictures: Sequence[Seen], *, min_iou: float, label: str | None = None) -> Agreement:
    """Return the agreement over all pictures, of one label where one is given."""
    n_true = n_found = n_right = 0
    for seen in pictures:
        right = hits(seen, min_iou=min_iou)
        own = np.array([label is None or f.label == label for f in seen.found], dtype=np.bool_)
        n_found += int(own.sum())
        n_right += int((right & own).sum())
        n_true += sum(label is None or t.label == label for t in seen.truth)
    return Agreement(n_true, n_found, n_right)


def average_precision(pictures: Sequence[Seen], *, min_iou: float, label: str) -> float:
    """Return the area under precision over recall, precision made never to rise; NaN if none."""
    n_true = sum(t.label == label for seen in pictures for t in seen.truth)
    if n_true == 0:
        return float("nan")
    scored = [
        (found.score, bool(right))
        for seen in pictures
        for found, right in zip(seen.found, hits(seen, min_iou=min_iou), strict=True)
        if found.label == label
    ]
    right = np.array([hit for _score, hit in sorted(scored, key=lambda s: -s[0])], dtype=np.float64)
    recall: FloatArray = np.concatenate([[0.0], np.cumsum(right) / n_true])
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(sum((b - a) * p for (a, b), p in zip(pairwise(recall), best, strict=True)))


def mean_average_precision(pictures: Sequence[Seen], *, min_iou: float) -> float:
    """Return the mean over all labels that are there, NaN where none is."""
    labels = sorted({true.label for seen in pictures for true in seen.truth})
    each = [average_precision(pictures, min_iou=min_iou, label=label) for label in labels]
    return float(np.mean(each)) if each else float("nan")


def best_threshold(pictures: Sequence[Seen], *, min_iou: float) -> float:
    """Return the least score to call a box found at which F is highest."""
    scored = sorted(
        (
            (found.score, bool(right))
            for seen in pictures
            for found, right in zip(seen.found, hits(seen, min_iou=min_iou), strict=True)
        ),
        key=lambda s: -s[0],
    )
    n_true = sum(len(seen.truth) for seen in pictures)
    if not scored or not n_true:
        return 0.5
    score = np.array([s for s, _hit in scored])
    f = 2 * np.cumsum([hit for _s, hit in scored]) / (np.arange(1, len(score) + 1) + n_true)
    best = int(np.argmax(f))
    # Half-way to the next score: the chosen one is not on the brink.
    return float((score[best] + (score[best + 1] if best + 1 < len(score) else 0.0)) / 2)
