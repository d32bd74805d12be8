"""Where in a picture something is, once people have drawn boxes or brushed masks.

The picture is cut in cells of 16 pixels, each described by the network's answers there at three
scales. Linear discriminants say of a cell what it shows: one of the labels, or the rest. Cells
of a label that hang together become a box. Several thresholds are tried on each picture, so that
a faint thing and a strong one each get the box that stands out most from its surroundings.

This needs few labels and no graphics card, and is coarse: a box is right within a cell or two.
What is smaller than a cell is better found against good pictures or a golden one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mlops.artifacts import ArtifactRefused, Bundle
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.vision import backbone
from mlops.vision.alignment import Map, Pixels
from mlops.vision.backbone import Features
from mlops.vision.boxes import Box, Found, Labelled, overlaps
from mlops.vision.classes import (
    Discriminants,
    discriminants,
    probabilities,
    unpacked_discriminants,
)
from mlops.vision.detection import Seen, best_threshold
from mlops.vision.golden import Mask

FORM: Final = "location-1"
SIDE: Final = 320  # pixels of the longer side as the network is given the picture
CELL_PX: Final = 16
STRIDES: Final = (8, 16, 32)
N_FIGURES: Final = sum(backbone.CHANNELS[stride] for stride in STRIDES)
MIN_BOXES: Final = 3  # of a label
N_FOLDS: Final = 5
# More cells than this teach nothing more and cost memory: an even choice is learnt from.
MAX_CELLS: Final = 30_000
# Neighbouring cells say the same: their scores are far surer than they are right.
SHARPNESS: Final = 0.3
THRESHOLDS: Final = (0.2, 0.35, 0.5, 0.65, 0.8)
MIN_IOU: Final = 0.5
MAX_OVERLAP: Final = 0.4  # of two boxes of one label
FINER: Final = 4  # heat is drawn at so many points a cell's side
RIM_SHARE: Final = 0.2  # of a box's longer side: the surroundings that it must stand out of
MIN_CELLS: Final = 0.75  # a box has at least such sides
# cv2.resize takes so many channels at once.
CHANNELS_AT_ONCE: Final = 64


class NotEnoughBoxes(ValueError):
    """Too few boxes are drawn to learn from; says of which label."""


@dataclass(frozen=True, slots=True)
class Example:
    """A picture's cells and what people drew on it.

    Attributes:
        cells: (rows, columns, n_figures) as of `cells_of`.
        size: (height, width) of the picture in pixels.
        boxes: in the picture's pixels.
        masks: where a brush was used, (height, width) for each box; None: all of the box.
    """

    cells: Map
    size: tuple[int, int]
    boxes: Sequence[Labelled]
    masks: Sequence[Mask | None] = ()

    def codes(self, labels: Sequence[str]) -> IntArray:
        """Return (rows, columns): 0 the rest, 1 on the labels; smaller boxes lie on top."""
        rows, columns = self.cells.shape[:2]
        codes = np.zeros((rows, columns), dtype=np.int64)
        y = (np.arange(rows) + 0.5) * self.size[0] / rows
        x = (np.arange(columns) + 0.5) * self.size[1] / columns
        masks = [*self.masks, *[None] * (len(self.boxes) - len(self.masks))]
        for place in sorted(range(len(self.boxes)), key=lambda i: -self.boxes[i].box.area):
            box, label = self.boxes[place].box, self.boxes[place].label
            inside = np.outer((y > box.top) & (y < box.bottom), (x > box.left) & (x < box.right))
            mask = masks[place]
            if mask is not None:
                inside &= mask[y.astype(int)][:, x.astype(int)]
            codes[inside] = labels.index(label) + 1
        return codes


def seen(pixels: Pixels) -> Features:
    """Return what the network makes of a picture whose longer side is made `SIDE`."""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(CELL_PX, round(side * scale / CELL_PX) * CELL_PX) for side in (height, width))
    fitted_height, fitted_width = size
    return backbone.shared().features(
        backbone.fitted(pixels, height=fitted_height, width=fitted_width)
    )


def cells_of(features: Features) -> Map:
    """Return (rows, columns, n_figures): the answers at three scales, cell by cell."""
    rows, columns = features.maps[CELL_PX].shape[:2]
    parts = []
    for stride in STRIDES:
        own = features.maps[stride]
        how = cv2.INTER_AREA if stride < CELL_PX else cv2.INTER_LINEAR
        for start in range(0, own.shape[2], CHANNELS_AT_ONCE):
            part = np.ascontiguousarray(own[..., start : start + CHANNELS_AT_ONCE])
            parts.append(cv2.resize(part, (columns, rows), interpolation=how))
    return np.concatenate(parts, axis=2).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LocationModel:
    """Finds labelled things.

    Attributes:
        labels: of the discriminants' outputs after the first, which is the rest.
        threshold: least score to call a box found.
    """

    labels: tuple[str, ...]
    parts: Discriminants
    threshold: float

    def heat(self, cells: Map) -> FloatArray:
        """Return (rows, columns, 1 + n_labels): what each cell shows, the rest first."""
        rows, columns = cells.shape[:2]
        scores = self.parts.scores(cells.reshape(rows * columns, -1).astype(np.float64))
        return probabilities(scores, SHARPNESS, 0.0).reshape(rows, columns, -1)

    def judge(self, features: Features, size: tuple[int, int]) -> list[Found]:
        """Return the boxes found in a picture of that (height, width), the surest first."""
        return [
            found for found in self.all_boxes(cells_of(features), size)
            if found.score >= self.threshold
        ]  # fmt: skip

    def all_boxes(self, cells: Map, size: tuple[int, int]) -> list[Found]:
        """Return every box, however unsure."""
        heat = self.heat(cells)
        found = [
            box for code, label in enumerate(self.labels, 1)
            for box in boxes_of(heat[..., code], label, size)
        ]  # fmt: skip
        return sorted(found, key=lambda one: (-one.score, one.box))


def boxes_of(heat: FloatArray, label: str, size: tuple[int, int]) -> list[Found]:
    """Return boxes around what is hot, the ones that stand out most; none lies on another.

    The score is the mean heat inside less half of the mean heat around.
    """
    rows, columns = heat.shape
    fine = cv2.resize(heat, (columns * FINER, rows * FINER), interpolation=cv2.INTER_LINEAR)
    scale_y, scale_x = size[0] / fine.shape[0], size[1] / fine.shape[1]
    tried: list[Found] = []
    for threshold in THRESHOLDS:
        hot = (fine > threshold).astype(np.uint8)
        _n, _pieces, stats, _centres = cv2.connectedComponentsWithStats(hot, connectivity=8)
        for left, top, width, height, area in stats[1:].tolist():
            if min(width, height) < MIN_CELLS * FINER:
                continue
            box = Box(
                left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y
            )
            score = _standing_out(np.asarray(fine), left, top, width, height)
            tried.append(Found(box, label, score, round(area * scale_x * scale_y)))
    kept: list[Found] = []
    for one in sorted(tried, key=lambda f: (-f.score, f.box)):
        if not kept or overlaps([one.box], [k.box for k in kept]).max() < MAX_OVERLAP:
            kept.append(one)
    return kept


def _standing_out(fine: FloatArray, left: int, top: int, width: int, height: int) -> float:
    inside = fine[top : top + height, left : left + width]
    rim = max(2, round(RIM_SHARE * max(width, height)))
    wide = fine[max(0, top - rim) : top + height + rim, max(0, left - rim) : left + width + rim]
    n_around = wide.size - inside.size
    around = (wide.sum() - inside.sum()) / n_around if n_around else 0.0
    return float(np.clip(inside.mean() - around / 2, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model, and per picture every box by one that had not seen it, beside the truth."""

    model: LocationModel
    judged: tuple[Seen, ...]


def train(examples: Sequence[Example]) -> Training:
    """Learn to find what people drew boxes around; pictures without any show the rest.

    Raises:
        NotEnoughBoxes: no label, or one with under `MIN_BOXES` boxes, or one picture alone.
    """
    labels = tuple(sorted({box.label for one in examples for box in one.boxes}))
    _check_enough(examples, labels)
    order = np.random.default_rng(0).permutation(len(examples))
    folds = np.empty(len(examples), dtype=np.int64)
    folds[order] = np.arange(len(examples)) % min(N_FOLDS, len(examples))
    judged: list[Seen] = [Seen((), ())] * len(examples)
    for fold in np.unique(folds):
        rest = [one for one, own in zip(examples, folds, strict=True) if own != fold]
        model = LocationModel(labels, _learnt(rest, labels), 0.0)
        for place in np.flatnonzero(folds == fold).tolist():
            one = examples[place]
            judged[place] = Seen(model.all_boxes(one.cells, one.size), one.boxes)
    threshold = best_threshold(judged, min_iou=MIN_IOU)
    return Training(LocationModel(labels, _learnt(examples, labels), threshold), tuple(judged))


def _check_enough(examples: Sequence[Example], labels: Sequence[str]) -> None:
    drawn = [box.label for one in examples for box in one.boxes]
    few = [f"{label} ({drawn.count(label)})" for label in labels if drawn.count(label) < MIN_BOXES]
    if not labels or few or len(examples) < 2:
        raise NotEnoughBoxes(
            f"Places are learnt from at least {MIN_BOXES} boxes of each label, in two pictures "
            f"or more; too few are drawn: {', '.join(few) or len(drawn)}."
        )


def _learnt(examples: Sequence[Example], labels: Sequence[str]) -> Discriminants:
    figures = np.concatenate([one.cells.reshape(-1, N_FIGURES) for one in examples])
    codes = np.concatenate([one.codes(labels).ravel() for one in examples])
    step = -(-len(codes) // MAX_CELLS)
    # A label that shows in a few cells only keeps all of them.
    chosen = np.unique(
        np.concatenate(
            [
                np.flatnonzero(codes == code)[:: step if np.sum(codes == code) > 1000 else 1]
                for code in range(len(labels) + 1)
            ]
        )
    )
    return discriminants(
        figures[chosen].astype(np.float64), codes[chosen], n_classes=len(labels) + 1
    )


def pack(model: LocationModel) -> Bundle:
    """Return the model as JSON and arrays."""
    parts = model.parts
    return Bundle(
        manifest={"form": FORM, "labels": list(model.labels), "threshold": model.threshold},
        arrays={
            "middle": parts.middle, "scale": parts.scale, "weights": parts.weights,
            "offsets": parts.offsets,
        },
        onnx=b"",
    )  # fmt: skip


def unpack(bundle: Bundle) -> LocationModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by another version.
    """
    head = bundle.manifest
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        labels = tuple(str(label) for label in head["labels"])
        parts = unpacked_discriminants(
            bundle.arrays, n_classes=len(labels) + 1, n_figures=N_FIGURES
        )
        return LocationModel(labels, parts, float(head["threshold"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that judging needs.") from error
