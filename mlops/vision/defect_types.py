"""What a difference from the golden template is: learnt from regions that people named.

Every candidate of the comparison becomes a row of figures (`surroundings`), boosted trees say
which label it has or that it is nothing (an edge that was etched unevenly). Boxes are drawn as
the people drew theirs: each label has the margins they usually left. Any labels will do, and
any product: nothing here knows what an open or a short is.

Pieces of one defect beside its main one are left out of training, and joined to it in judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlops import trees
from mlops.artifacts import ArtifactRefused, Bundle
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.vision import surroundings
from mlops.vision.alignment import Pixels
from mlops.vision.boxes import Box, Found, Labelled, merged, overlaps
from mlops.vision.detection import Seen, best_threshold
from mlops.vision.golden import Comparison, Golden, compare

FORM: Final = "defect-types-1"
# What counts as found while thresholds are chosen: the usual measure for boards.
MIN_IOU: Final = 0.33
JOINED_SHARE: Final = 0.3
MIN_REGIONS: Final = 20
N_FOLDS: Final = 5
# Before margins are known, a region is taken to be a box that fits so loosely.
FIRST_MARGIN_PX: Final = 8.0
N_ROUNDS: Final = 200
BOOSTING: Final[dict[str, Any]] = {
    "objective": "multiclass",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_child_samples": 10,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


class NotEnoughRegions(ValueError):
    """Too few regions are named to learn kinds of defects from; says how many are needed."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """A picture beside its template, and what people say is wrong with it.

    Attributes:
        boxes: of everything that is wrong, in the picture's pixels; none for a good picture.
        group: pictures of one group are never on both sides of a fold.
    """

    golden: Golden
    picture: Pixels
    boxes: Sequence[Labelled]
    group: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a picture, and what it was compared by.

    Attributes:
        found: what is sure enough, the surest first.
        doubtful: what is less sure than the threshold, for a person to look at.
    """

    found: tuple[Found, ...]
    doubtful: tuple[Found, ...]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class TypeModel:
    """Names differences.

    Attributes:
        labels: in the order of the trees' outputs, after the first, which is "nothing".
        margins: (n_labels, 4) pixels to add on the left, top, right and bottom of a region.
        sharpness: what the trees' scores are multiplied with to be as sure as they are right.
        threshold: least probability of a label to call it found.
        serialised: ONNX, figures to scores.
    """

    labels: tuple[str, ...]
    margins: FloatArray
    sharpness: float
    threshold: float
    serialised: bytes

    def judge(self, golden: Golden, picture: Pixels, onnx: trees.OnnxModel) -> Verdict:
        """Return what is wrong with a picture, the surest first. `onnx` is of `serialised`."""
        comparison = compare(golden, picture)
        figures = surroundings.Surroundings(golden, comparison).figures()
        if not len(figures):
            return Verdict((), (), comparison)
        probability = softmax(onnx.predict_all(figures) * self.sharpness)
        found = self.named(comparison, probability, picture.shape)
        return Verdict(
            tuple(one for one in found if one.score >= self.threshold),
            tuple(one for one in found if one.score < self.threshold), comparison,
        )  # fmt: skip

    def named(
        self, comparison: Comparison, probability: FloatArray, shape: Sequence[int]
    ) -> list[Found]:
        """Return every candidate with its likeliest label, however unlikely."""
        return _named(comparison, probability, self.labels, self.margins, shape)


def softmax(scores: FloatArray) -> FloatArray:
    """Return (n, n_classes) probabilities that sum up to 1."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    result: FloatArray = raised / raised.sum(axis=1, keepdims=True)
    return result


def _named(
    comparison: Comparison, probability: FloatArray, labels: Sequence[str], margins: FloatArray,
    shape: Sequence[int],
) -> list[Found]:  # fmt: skip
    found = []
    for region, row in zip(comparison.regions, probability, strict=True):
        code = int(np.argmax(row[1:]))
        if row[code + 1] >= row[0]:
            box = _widened(region.place, margins[code], shape)
            found.append(Found(box, labels[code], float(row[code + 1]), region.area))
    return merged(found, share=JOINED_SHARE)


def _widened(box: Box, margins: FloatArray, shape: Sequence[int]) -> Box:
    left, top, right, bottom = margins
    return Box(
        max(0.0, box.left - float(left)), max(0.0, box.top - float(top)),
        min(float(shape[1]), box.right + float(right)),
        min(float(shape[0]), box.bottom + float(bottom)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The candidates of one picture: figures, the box of each (-1: none) and its label's code."""

    comparison: Comparison
    figures: FloatArray
    owners: IntArray
    codes: IntArray
    is_main: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model and what is known of it.

    Attributes:
        judged: per picture what a model that had not seen it found, beside the truth.
        n_regions: label -> regions learnt from.
        n_unseen: boxes in which the comparison shows no difference: none can be learnt there.
    """

    model: TypeModel
    judged: tuple[Seen, ...]
    n_regions: dict[str, int]
    n_unseen: int


def train(pictures: Sequence[LabelledPicture]) -> Training:
    """Learn the kinds of defects from labelled pictures.

    Sharpness and threshold come from folds in which no picture, and no group, is on both sides.

    Raises:
        NotEnoughRegions: too few boxes, or none of them where the pictures differ.
    """
    labels = tuple(sorted({box.label for one in pictures for box in one.boxes}))
    candidates = [_candidates(one, labels) for one in pictures]
    codes = np.concatenate([c.codes[c.is_main] for c in candidates]) if candidates else np.zeros(0)
    n_regions = {label: int(np.sum(codes == code)) for code, label in enumerate(labels, 1)}
    groups = np.array([one.group for one in pictures])
    if sum(n_regions.values()) < MIN_REGIONS or len(set(groups)) < 2:
        raise NotEnoughRegions(
            f"Kinds of defects are learnt from at least {MIN_REGIONS} boxes in two groups of "
            f"pictures; {sum(n_regions.values())} are drawn where the pictures differ."
        )
    margins = _margins(pictures, candidates, len(labels))
    scores = _unseen_scores(candidates, groups, len(labels) + 1)
    sharpness = _sharpness(scores, candidates)
    judged = tuple(
        Seen(
            _named(one.comparison, softmax(own * sharpness), labels, margins,
                   picture.picture.shape),
            picture.boxes,
        )
        for own, one, picture in zip(scores, candidates, pictures, strict=True)
    )  # fmt: skip
    threshold = best_threshold(judged, min_iou=MIN_IOU)
    kept = tuple(Seen([f for f in s.found if f.score >= threshold], s.truth) for s in judged)
    booster = _boosters(candidates, len(labels) + 1)
    serialised = _serialised(booster, len(labels) + 1)
    n_boxes = sum(len(one.boxes) for one in pictures)
    n_met = sum(len(set(c.owners[c.owners >= 0])) for c in candidates)
    return Training(
        TypeModel(labels, margins, sharpness, threshold, serialised), kept, n_regions,
        n_boxes - n_met,
    )  # fmt: skip


def _candidates(one: LabelledPicture, labels: Sequence[str]) -> _Candidates:
    comparison = compare(one.golden, one.picture)
    figures = surroundings.Surroundings(one.golden, comparison).figures()
    regions = comparison.regions
    owners = np.full(len(regions), -1, dtype=np.int64)
    is_main = np.ones(len(regions), dtype=np.bool_)
    loose = np.full(4, FIRST_MARGIN_PX)
    shared = overlaps(
        [_widened(region.place, loose, one.picture.shape) for region in regions],
        [labelled.box for labelled in one.boxes],
    )
    for place, region in enumerate(regions):
        inside = [_holds(labelled.box, region.place.centre) for labelled in one.boxes]
        if any(inside):
            owners[place] = int(np.argmax(np.where(inside, shared[place], -1.0)))
    for box in set(owners[owners >= 0].tolist()):
        own = np.flatnonzero(owners == box)
        areas = [regions[place].area for place in own]
        is_main[own] = own == own[int(np.argmax(areas))]
    codes = np.array(
        [0 if owner < 0 else labels.index(one.boxes[owner].label) + 1 for owner in owners.tolist()],
        dtype=np.int64,
    )
    return _Candidates(comparison, figures, owners, codes, is_main)


def _holds(box: Box, point: tuple[float, float]) -> bool:
    return box.left <= point[0] <= box.right and box.top <= point[1] <= box.bottom


def _margins(
    pictures: Sequence[LabelledPicture], candidates: Sequence[_Candidates], n_labels: int
) -> FloatArray:
    """Return the median margins of each label, drawn to those of all where there are few."""
    rows: list[list[float]] = []
    codes: list[int] = []
    for one, own in zip(pictures, candidates, strict=True):
        for place in np.flatnonzero(own.is_main & (own.codes > 0)).tolist():
            region = own.comparison.regions[place].place
            box = one.boxes[own.owners[place]].box
            rows.append(
                [region.left - box.left, region.top - box.top, box.right - region.right,
                 box.bottom - region.bottom]
            )  # fmt: skip
            codes.append(int(own.codes[place]))
    table, labels = np.array(rows), np.array(codes)
    everywhere = np.median(table, axis=0)
    margins = np.tile(everywhere, (n_labels, 1))
    for code in range(1, n_labels + 1):
        n = int(np.sum(labels == code))
        if n:
            middle = np.median(table[labels == code], axis=0)
            margins[code - 1] = (n * middle + 5 * everywhere) / (n + 5)
    return margins


def _boosters(candidates: Sequence[_Candidates], n_classes: int) -> Any:
    import lightgbm

    figures = np.vstack([c.figures[c.is_main] for c in candidates])
    codes = np.concatenate([c.codes[c.is_main] for c in candidates])
    n_few = int(np.sum(codes > 0)) // (4 * n_classes)
    settings = BOOSTING | {
        "num_class": n_classes, "seed": 0,
        "min_child_samples": int(np.clip(n_few, 2, BOOSTING["min_child_samples"])),
    }  # fmt: skip
    data = lightgbm.Dataset(figures.astype(np.float32), codes)
    return lightgbm.train(settings, data, num_boost_round=N_ROUNDS)


def _serialised(booster: Any, n_classes: int) -> bytes:
    """Return the trees as ONNX: tree number i adds to the score of class i modulo n_classes."""
    return trees.multiclass_to_onnx(
        booster, n_features=len(surroundings.NAMES), n_classes=n_classes
    )


def _unseen_scores(
    candidates: Sequence[_Candidates], groups: np.ndarray[Any, Any], n_classes: int
) -> list[FloatArray]:
    """Return for each picture the scores of its candidates by trees that know none of its group."""
    names = np.unique(groups)
    order = np.random.default_rng(0).permutation(len(names))
    fold_of = {name: int(order[i]) % min(N_FOLDS, len(names)) for i, name in enumerate(names)}
    folds = np.array([fold_of[group] for group in groups])
    scores: list[FloatArray] = [np.zeros((0, n_classes))] * len(candidates)
    for fold in np.unique(folds):
        booster = _boosters([c for c, f in zip(candidates, folds, strict=True) if f != fold],
                            n_classes)  # fmt: skip
        for place in np.flatnonzero(folds == fold).tolist():
            figures = candidates[place].figures
            if len(figures):
                scores[place] = booster.predict(figures.astype(np.float32), raw_score=True)
    return scores


def _sharpness(scores: Sequence[FloatArray], candidates: Sequence[_Candidates]) -> float:
    """Return the factor with which the scores' likelihood is highest (temperature scaling).

    Source: Guo and others, On Calibration of Modern Neural Networks, ICML 2017.
    """
    rows = np.vstack([s[c.is_main] for s, c in zip(scores, candidates, strict=True)])
    codes = np.concatenate([c.codes[c.is_main] for c in candidates])
    tried = np.geomspace(0.2, 2.0, 40)
    losses = [
        -np.mean(np.log(softmax(rows * factor)[np.arange(len(codes)), codes] + 1e-12))
        for factor in tried
    ]
    return float(tried[int(np.argmin(losses))])


def pack(model: TypeModel) -> Bundle:
    """Return the model as JSON, arrays and ONNX."""
    return Bundle(
        manifest={
            "form": FORM, "labels": list(model.labels), "figures": list(surroundings.NAMES),
            "sharpness": model.sharpness, "threshold": model.threshold,
        },
        arrays={"margins": model.margins},
        onnx=model.serialised,
    )  # fmt: skip


def unpack(bundle: Bundle) -> TypeModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by another version.
    """
    head = bundle.manifest
    if head.get("form") != FORM or head.get("figures") != list(surroundings.NAMES):
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        labels = tuple(str(label) for label in head["labels"])
        margins = np.asarray(bundle.arrays["margins"], dtype=np.float64)
        if margins.shape != (len(labels), 4):
            raise ArtifactRefused("The stored model lacks the margins of a label.")
        return TypeModel(
            labels, margins, float(head["sharpness"]), float(head["threshold"]), bundle.onnx
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that judging needs.") from error
