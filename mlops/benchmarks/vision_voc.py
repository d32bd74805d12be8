"""Folders of pictures with Pascal VOC annotations, each class in turn taken for the good one.

A picture belongs to the class whose boxes cover most of it. Half of the good class is learnt from,
the other half and the other classes are judged. Where the defect lies has no meaning here: to the
texture of one class the texture of another is foreign everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mlops.benchmarks import Figures, Say, TooFewPictures, picture_folders, voc
from mlops.benchmarks.one_core import one_core
from mlops.benchmarks.vision_one_class import figures_of, judge, teach
from mlops.vision.anomaly import LEAST_GOOD, MOST_GOOD

FORM: Final = "images/ with annotations/*.xml (Pascal VOC)"
MEAN: Final = "one_class_mean"
LEAST_PICTURES: Final = LEAST_GOOD + 5  # of a class: to learn from, and to judge
MOST_OTHERS: Final = 60  # of each other class: an even choice by name


def reads(folder: Path) -> bool:
    """Say whether a folder holds pictures and annotations."""
    return voc.is_voc(folder)


def run(folder: Path, *, say: Say) -> Figures:
    """Measure one-class models, one for each class with enough pictures.

    Raises:
        BadFolder: an annotation or a picture cannot be read, or no class has enough pictures.
    """
    classes = by_class(folder, say)
    figures: Figures = {}
    with one_core():
        for name, paths in classes.items():
            if len(paths) < LEAST_PICTURES:
                say(f"{name}: {len(paths)} pictures are too few; {LEAST_PICTURES} are needed")
                continue
            figures[f"one_class_{name}"] = _measured(name, classes, say)
    if not figures or len(classes) < 2:
        raise TooFewPictures(
            f"{folder} needs two classes, one of them with {LEAST_PICTURES} pictures."
        )
    figures[MEAN] = {
        name: round(float(np.mean([one[name] for one in figures.values()])), 4)
        for name in next(iter(figures.values()))
    }
    say(f"one class as good, mean: image AUROC {figures[MEAN]['image_auroc']:.4f}")
    return figures


def by_class(folder: Path, say: Say) -> dict[str, list[Path]]:
    """Return the pictures of each class, by name. Those without annotation are left out.

    Raises:
        BadFolder: an annotation cannot be read; says which.
    """
    classes: dict[str, list[Path]] = {}
    n_unknown = 0
    for one in voc.read(folder):
        if one.label is None:
            n_unknown += 1
        else:
            classes.setdefault(one.label, []).append(one.path)
    if n_unknown:
        say(f"{n_unknown} pictures without an annotated object are left out")
    return dict(sorted(classes.items()))


def _measured(name: str, classes: Mapping[str, Sequence[Path]], say: Say) -> dict[str, float]:
    paths = classes[name]
    learnt = paths[0::2] if len(paths) >= 2 * LEAST_GOOD else paths[:LEAST_GOOD]
    good = [path for path in paths if path not in learnt]
    taught = teach([picture_folders.read(path) for path in learnt[:MOST_GOOD]])
    others = [
        path for other, paths in classes.items() if other != name
        for path in paths[:: -(-len(paths) // MOST_OTHERS)]
    ]  # fmt: skip
    tested = [*good, *others]
    judged = judge(taught.inspector, [path.read_bytes for path in tested])
    is_defect = np.arange(len(tested)) >= len(good)
    figures = figures_of(taught, judged, is_defect)
    say(
        f"{name} as good: image AUROC {figures['image_auroc']:.4f} "
        f"({taught.n_good} pictures learnt, {len(good)} of the same and {len(others)} of "
        f"other classes judged, {figures['ms_per_image']:.0f} ms an image)"
    )
    return {key: round(value, 4) for key, value in figures.items()}
