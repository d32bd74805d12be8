"""Pictures with Pascal VOC annotations: what kind each is, and where.

The kind of a picture is the label whose boxes cover most of it. Everything is cross-validated:
stratified by kind, five parts, several rounds for kinds, one for places. Sharpness, thresholds
and whether to turn pictures are chosen within the parts learnt from.

Pictures without an annotation are left out; an annotation without objects says that there is
nothing, and such a picture shows the rest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from sklearn import metrics
from sklearn.model_selection import StratifiedKFold

from mlops import artifacts
from mlops.artifacts import Identity
from mlops.benchmarks import BadFolder, Figures, Say, TooFewPictures, one_core, voc
from mlops.benchmarks.voc import Annotated
from mlops.lives import FloatArray
from mlops.vision import classes, detection, location
from mlops.vision.backbone import Features
from mlops.vision.boxes import Labelled
from mlops.vision.classes import ClassModel, Judgement, NotEnoughLabels
from mlops.vision.detection import Seen
from mlops.vision.location import Example, NotEnoughBoxes

FORM: Final = "images/ with annotations/*.xml (Pascal VOC), for kinds and places"
N_PARTS: Final = 5
N_ROUNDS: Final = 3
FEW: Final = 5  # pictures of a kind, for the figure of a first day
MIN_IOU: Final = 0.5
PUBLISHED: Final = (
    "kinds over 0.99 (fine-tuned networks on all 1,800 pictures, quoted without source); "
    "places: mAP at IoU 0.5 about 0.75 to 0.80 (YOLO family, 1,260 pictures to learn from, quoted "
    "without source); over IoU 0.5 to 0.95: 0.386 YOLOv11, 0.359 YOLOv8 (arXiv 2510.21811)"
)


@dataclass(frozen=True, slots=True)
class _Known:
    """A picture of a kind, and what the network makes of it."""

    label: str
    boxes: tuple[Labelled, ...]
    size: tuple[int, int]
    views: FloatArray
    features: Features
    wide: Features


def reads(folder: Path) -> bool:
    """Say whether the folder has this form, with two kinds to tell apart."""
    return voc.is_voc(folder)


def run(folder: Path, *, say: Say) -> Figures:
    """Measure kinds and places.

    Raises:
        BadFolder: a file does not fit, or there are too few pictures of a kind.
    """
    name = folder.resolve().name
    pictures = voc.read(folder)
    kinds = Counter(picture.label for picture in pictures if picture.label)
    say(f"{name}: {', '.join(f'{kind} {n}' for kind, n in sorted(kinds.items()))}")
    few = sorted(kind for kind, n in kinds.items() if n < N_PARTS)
    if few:
        say(f"  under {N_PARTS} pictures, left out: {', '.join(few)}")
    n_unknown = sum(picture.boxes is None for picture in pictures)
    if n_unknown:
        say(f"  {n_unknown} pictures have no annotation and are left out")
    chosen = [p for p in pictures if p.label and p.label not in few]
    if len({picture.label for picture in chosen}) < 2:
        raise TooFewPictures(
            f"{folder}: two kinds with at least {N_PARTS} pictures each are needed."
        )
    with one_core.one_core():
        known = [_known(picture) for picture in chosen]
        figures = _kinds(known, say) | _few(known, say) | _times(known, chosen, say)
        figures |= _places(known, say)
    say(f"  published: {PUBLISHED}")
    return {name: {key: round(value, 4) for key, value in figures.items()}}


def _known(picture: Annotated) -> _Known:
    pixels = picture.pixels()
    return _Known(
        picture.label or "", picture.boxes or (), (pixels.shape[0], pixels.shape[1]),
        classes.views(pixels), classes.seen(pixels), location.seen(pixels),
    )  # fmt: skip


def _parts(labels: Sequence[str], seed: int) -> list[tuple[list[int], list[int]]]:
    split = StratifiedKFold(N_PARTS, shuffle=True, random_state=seed).split(labels, labels)
    return [(train.tolist(), test.tolist()) for train, test in split]


def _taught(known: Sequence[_Known]) -> ClassModel:
    """Train, seal and open the model as serving does: what is measured is what would be served."""
    try:
        model = classes.train([one.views for one in known], [one.label for one in known]).model
    except NotEnoughLabels as error:
        raise BadFolder(str(error)) from error
    identity = Identity("benchmark", "vision", "benchmark", 1)
    sealed = artifacts.seal(classes.pack(model), identity=identity, key="benchmark")
    return classes.unpack(artifacts.open_sealed(sealed, identity=identity, key="benchmark"))


def _kinds(known: Sequence[_Known], say: Say) -> dict[str, float]:
    labels = [one.label for one in known]
    rounds, sure, n_unknown = [], [], 0
    said = np.empty(len(known), dtype=object)
    for seed in range(N_ROUNDS):
        for train, test in _parts(labels, seed):
            model = _taught([known[place] for place in train])
            for place in test:
                judged = model.judge(known[place].features)
                said[place], probability = judged.classes[0]
                sure.append(probability)
                n_unknown += not judged.is_known
        right = said == np.array(labels)
        rounds.append((float(right.mean()), float(metrics.f1_score(labels, said, average="macro"))))
    accuracy, macro_f1 = np.mean(rounds, axis=0)
    spread = float(np.std([one for one, _f1 in rounds]))
    unknown = n_unknown / (N_ROUNDS * len(known))
    say(
        f"  kinds, {N_ROUNDS} rounds of {N_PARTS} parts: accuracy {accuracy:.3f} (from round to "
        f"round {spread:.3f}), macro F1 {macro_f1:.3f}; said with {np.mean(sure):.3f} on average; "
        f"{unknown:.1%} called unknown"
    )
    return {
        "accuracy": float(accuracy), "macro_f1": float(macro_f1), "accuracy_spread": spread,
        "mean_probability": float(np.mean(sure)), "unknown_share": unknown,
        "n": float(len(known)),
    }  # fmt: skip


def _few(known: Sequence[_Known], say: Say) -> dict[str, float]:
    """Measure with five pictures of a kind, and with one kind never named."""
    labels = np.array([one.label for one in known])
    kinds = sorted(set(labels.tolist()))
    right, foreign = [], []
    for seed in range(N_ROUNDS):
        rng = np.random.default_rng(seed)
        chosen = {kind: rng.permutation(np.flatnonzero(labels == kind))[:FEW] for kind in kinds}
        train = np.concatenate(list(chosen.values()))
        model = _taught([known[place] for place in train])
        rest = sorted(set(range(len(known))) - set(train.tolist()))
        right += [model.judge(known[i].features).classes[0][0] == labels[i] for i in rest]
    if len(kinds) > 2:
        for kind in kinds:
            model = _taught([one for one in known if one.label != kind])
            own = [one for one in known if one.label == kind]
            foreign += [not model.judge(one.features).is_known for one in own]
    figures = {}
    if right:
        figures["accuracy_5_each"] = float(np.mean(right))
        say(f"  learnt from {FEW} pictures of a kind: accuracy {np.mean(right):.3f}")
    if foreign:
        figures["foreign_unknown_share"] = float(np.mean(foreign))
        say(f"  a kind never named is called unknown in {np.mean(foreign):.0%}")
    return figures


def _judged(model: ClassModel, picture: Annotated) -> Judgement:
    return model.judge(classes.seen(picture.pixels()))


def _times(known: Sequence[_Known], pictures: Sequence[Annotated], say: Say) -> dict[str, float]:
    started = time.monotonic()
    model = _taught(known)
    train_s = time.monotonic() - started
    took = [
        one_core.timed(partial(_judged, model, picture))[1]
        for picture in pictures[:: max(1, len(pictures) // 30)]
    ]
    figures = one_core.figures(took)
    say(
        f"  {figures['ms_per_image']:.0f} ms a picture on one core ({figures['ms_elapsed']:.0f} by "
        f"the clock), from file to kind"
    )
    return figures | {"train_s": train_s}


def _places(known: Sequence[_Known], say: Say) -> dict[str, float]:
    examples = [Example(location.cells_of(one.wide), one.size, one.boxes) for one in known]
    ranked: list[Seen] = []
    found: list[Seen] = []
    try:
        for train, test in _parts([one.label for one in known], 0):
            model = location.train([examples[place] for place in train]).model
            for place in test:
                one = examples[place]
                boxes = model.all_boxes(one.cells, one.size)
                ranked.append(Seen(boxes, one.boxes))
                found.append(Seen([b for b in boxes if b.score >= model.threshold], one.boxes))
    except NotEnoughBoxes as error:
        say(f"  places are not measured: {error}")
        return {}
    both = detection.agreement(found, min_iou=MIN_IOU)
    mean = detection.mean_average_precision(ranked, min_iou=MIN_IOU)
    figures = {"map_iou50": mean, "f_iou50": both.f}
    figures["map_iou33"] = detection.mean_average_precision(ranked, min_iou=0.33)
    say(
        f"  places, {N_PARTS} parts, {len(known) * 4 // 5} pictures to learn from: mAP "
        f"{mean:.3f} at IoU 0.5, {figures['map_iou33']:.3f} at 0.33; F {both.f:.3f} "
        f"(precision {both.precision:.3f}, recall {both.recall:.3f})"
    )
    for label in sorted({true.label for seen in ranked for true in seen.truth}):
        own = detection.average_precision(ranked, min_iou=MIN_IOU, label=label)
        say(f"  {label}: AP {own:.3f}")
    return figures
