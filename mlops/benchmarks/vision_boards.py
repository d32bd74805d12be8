"""Boards beside their templates: NAME_test.*, NAME_temp.* and NAME.txt.

Each line of NAME.txt is a box: left, top, right, bottom in pixels of the tested picture and the
type, a number or a word, parted by spaces or commas. An empty file says that the board is good;
without a file it is not known what is wrong with it, and the pair is only counted.

Where the folder has `train` and `test`, kinds of defects are learnt in the first and judged in
the second; otherwise pairs are cross-validated. Pairs of one board (names alike in their first
five characters) are kept together in choosing the threshold.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from mlops import artifacts
from mlops.artifacts import Identity
from mlops.benchmarks import BadFolder, Figures, Say, one_core
from mlops.benchmarks.one_core import Took
from mlops.trees import OnnxModel
from mlops.vision import defect_types, detection
from mlops.vision.boxes import Box, Labelled
from mlops.vision.defect_types import LabelledPicture, NotEnoughRegions, TypeModel, Verdict
from mlops.vision.detection import Seen
from mlops.vision.golden import Golden, golden_of
from mlops.vision.pictures import PictureRefused, decode

FORM: Final = "NAME_test.*, NAME_temp.* and NAME.txt, in train/ and test/ or in one folder"
TEMPLATE, TESTED = "_temp", "_test"
# The measure of this form: a box of the same type that overlaps by more than a third.
MIN_IOU: Final = 0.33
N_FOLDS: Final = 5
BOARD_CHARACTERS: Final = 5
PUBLISHED: Final = (
    "DeepPCB F 0.982, mAP 0.986 (its authors' network on the full data; README of "
    "tangsanli5201/DeepPCB)"
)
# Types of the public set, for reading only.
NAMES: Final = {
    "1": "open", "2": "short", "3": "mousebite", "4": "spur", "5": "spurious copper",
    "6": "pin-hole",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """A tested board and its template; boxes are None where nobody wrote down what is wrong."""

    name: str
    template: Path
    tested: Path
    boxes: tuple[Labelled, ...] | None

    @property
    def board(self) -> str:
        return self.name[:BOARD_CHARACTERS]

    def labelled(self) -> LabelledPicture:
        golden = golden_of([_pixels(self.template)])
        return LabelledPicture(golden, _pixels(self.tested), self.boxes or (), self.board)


def reads(folder: Path) -> bool:
    """Say whether the folder has this form."""
    return any(_tested(place) for place in _places(folder))


def run(folder: Path, *, say: Say) -> Figures:
    """Learn and judge boards.

    Raises:
        BadFolder: a file or a line does not fit; says which and what to do.
    """
    name = folder.resolve().name
    if _tested(folder / "train") and _tested(folder / "test"):
        train, test = read(folder / "train"), read(folder / "test")
        how = f"{len(test)} pairs of test/, learnt from {len(train)} of train/"
        say(f"{name}: {how}")
        parts = [(train, test)]
    else:
        pairs = [pair for place in _places(folder) for pair in read(place)]
        parts = _folds(pairs)
        say(f"{name}: {len(pairs)} pairs, cross-validated in {len(parts)} parts")
    try:
        with one_core.one_core():
            measured = [_measured(train, test, say) for train, test in parts]
    except NotEnoughRegions as error:
        raise BadFolder(f"{folder}: {error}") from error
    seen = [one for part in measured for one in part.seen]
    ranked = [one for part in measured for one in part.ranked]
    figures = _figures(seen) | one_core.figures([one for part in measured for one in part.took])
    figures |= {
        "map_iou33": detection.mean_average_precision(ranked, min_iou=MIN_IOU),
        "train_s": sum(part.train_s for part in measured),
        "n": float(len(seen)),
    }
    _say_figures(seen, figures, say)
    return {name: {key: round(value, 4) for key, value in figures.items()}}


def _places(folder: Path) -> list[Path]:
    return [place for place in (folder / "train", folder / "test", folder) if place.is_dir()]


def _tested(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.*") if path.stem.endswith(TESTED))


def read(folder: Path) -> list[Pair]:
    """Read the pairs of one folder in the order of their names.

    Raises:
        BadFolder: a template is missing, or a line of boxes cannot be read.
    """
    pairs = []
    for tested in _tested(folder):
        name = tested.stem.removesuffix(TESTED)
        templates = sorted(folder.glob(f"{name}{TEMPLATE}.*"))
        if not templates:
            raise BadFolder(f"{tested} has no template: add {name}{TEMPLATE}{tested.suffix}.")
        boxes = folder / f"{name}.txt"
        pairs.append(
            Pair(name, templates[0], tested, read_boxes(boxes) if boxes.is_file() else None)
        )
    return pairs


def read_boxes(path: Path) -> tuple[Labelled, ...]:
    """Read one box a line.

    Raises:
        BadFolder: names the file, the line, the reason and what to do.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            found.append(_box(words))
        except ValueError as error:
            raise BadFolder(
                f"{path}, line {number}: {error} A line is: left top right bottom type."
            ) from error
    return tuple(found)


def _box(words: Sequence[str]) -> Labelled:
    if len(words) != 5:
        raise ValueError(f"5 entries are expected, there are {len(words)}.")
    try:
        left, top, right, bottom = (float(word) for word in words[:4])
    except ValueError:
        raise ValueError(f"{' '.join(words[:4])!r} are not four numbers.") from None
    if not np.all(np.isfinite([left, top, right, bottom])) or right <= left or bottom <= top:
        raise ValueError("The box has no inside: right and bottom must be above left and top.")
    return Labelled(Box(left, top, right, bottom), words[4])


def _pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    try:
        return decode(path.read_bytes()).pixels
    except PictureRefused as error:
        raise BadFolder(f"{path}: {error.message} Take the pair out or replace it.") from error


def _folds(pairs: Sequence[Pair]) -> list[tuple[list[Pair], list[Pair]]]:
    """Divide pairs so that a board is on one side only, where there are boards enough."""
    boards = sorted({pair.board for pair in pairs})
    keys = [pair.board if len(boards) >= N_FOLDS else pair.name for pair in pairs]
    names = sorted(set(keys))
    order = np.random.default_rng(0).permutation(len(names))
    fold_of = {name: int(order[i]) % N_FOLDS for i, name in enumerate(names)}
    parts = []
    for fold in sorted(set(fold_of.values())):
        train = [pair for pair, key in zip(pairs, keys, strict=True) if fold_of[key] != fold]
        test = [pair for pair, key in zip(pairs, keys, strict=True) if fold_of[key] == fold]
        parts.append((train, test))
    return parts


@dataclass(frozen=True, slots=True)
class _Measured:
    seen: list[Seen]
    ranked: list[Seen]
    took: list[Took]
    train_s: float


def _measured(train: Sequence[Pair], test: Sequence[Pair], say: Say) -> _Measured:
    started = time.monotonic()
    known = [pair.labelled() for pair in train if pair.boxes is not None]
    training = defect_types.train(known)
    train_s = time.monotonic() - started
    unseen = detection.agreement(training.judged, min_iou=MIN_IOU)
    say(
        f"  learnt from {len(known)} pairs in {train_s:.0f} s; on those of boards not learnt from "
        f"F {unseen.f:.3f}; {training.n_unseen} boxes show no difference"
    )
    model = _through_storage(training.model)
    onnx = OnnxModel(model.serialised)
    seen, ranked, took = [], [], []
    for pair in test:
        if pair.boxes is None:
            continue
        golden = golden_of([_pixels(pair.template)])
        data = pair.tested.read_bytes()
        verdict, own = one_core.timed(partial(_judged, model, golden, data, onnx))
        took.append(own)
        seen.append(Seen(verdict.found, pair.boxes))
        ranked.append(Seen((*verdict.found, *verdict.doubtful), pair.boxes))
    n_unknown = len(test) - len(seen)
    if n_unknown:
        say(f"  {n_unknown} pairs have no file of boxes and are not judged")
    return _Measured(seen, ranked, took, train_s)


def _judged(model: TypeModel, golden: Golden, data: bytes, onnx: OnnxModel) -> Verdict:
    return model.judge(golden, decode(data).pixels, onnx)


def _through_storage(model: TypeModel) -> TypeModel:
    """Seal and open the model as serving does: what is measured is what would be served."""
    identity = Identity("benchmark", "vision", "benchmark", 1)
    sealed = artifacts.seal(defect_types.pack(model), identity=identity, key="benchmark")
    return defect_types.unpack(artifacts.open_sealed(sealed, identity=identity, key="benchmark"))


def _figures(seen: Sequence[Seen]) -> dict[str, float]:
    both = detection.agreement(seen, min_iou=MIN_IOU)
    place = detection.agreement([one.unlabelled() for one in seen], min_iou=MIN_IOU)
    return {
        "f_iou33": both.f, "precision": both.precision, "recall": both.recall,
        "f_iou33_place_only": place.f,
    }  # fmt: skip


def _say_figures(seen: Sequence[Seen], figures: Mapping[str, float], say: Say) -> None:
    say(
        f"  F {figures['f_iou33']:.3f} at IoU above {MIN_IOU} with the type right (precision "
        f"{figures['precision']:.3f}, recall {figures['recall']:.3f}), by place alone "
        f"{figures['f_iou33_place_only']:.3f}, mAP {figures['map_iou33']:.3f}"
    )
    for label in sorted({true.label for one in seen for true in one.truth}):
        own = detection.agreement(seen, min_iou=MIN_IOU, label=label)
        say(
            f"  type {label} ({NAMES.get(label, 'as labelled')}): {own.n_true} boxes, precision "
            f"{own.precision:.3f}, recall {own.recall:.3f}, F {own.f:.3f}"
        )
    say(
        f"  {figures['ms_per_image']:.0f} ms a picture on one core ("
        f"{figures['ms_elapsed']:.0f} by the clock), the template at hand"
    )
    say(f"  published: {PUBLISHED}")
