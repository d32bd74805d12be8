"""Folders with good pictures to learn from, and masks: the form of MVTec AD."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from sklearn.metrics import roc_auc_score

from mlops.benchmarks import Figures, Say, picture_folders
from mlops.benchmarks.one_core import one_core
from mlops.benchmarks.picture_folders import GOOD, Category
from mlops.benchmarks.vision_one_class import Judged, figures_of, judge, teach
from mlops.vision.anomaly import MOST_GOOD

FORM: Final = "train/good or good with pictures, test/<defect> or defect* beside"
MEAN: Final = "mean"
PUBLISHED: Final = (
    "published, image AUROC on MVTec AD, mean of 15: PatchCore 0.991 and PaDiM 0.979 with Wide "
    "ResNet-50 (pixels 0.981 and 0.975); SPADE 0.855. A network as small as this one: no such "
    "figure is published with the same settings"
)


def reads(folder: Path) -> bool:
    """Say whether a folder holds categories with good pictures."""
    return folder.is_dir() and picture_folders.has_good(folder)


def run(folder: Path, *, say: Say) -> Figures:
    """Measure each category: learnt from good pictures alone, judged on all others.

    Raises:
        BadFolder: a category cannot be read; says why.
    """
    figures: Figures = {}
    with one_core():
        for category in picture_folders.categories(folder):
            figures[category.name] = _measured(category, say)
    if len(figures) > 1:
        names = set.intersection(*(set(one) for one in figures.values()))
        figures[MEAN] = {
            name: round(float(np.mean([one[name] for one in figures.values()])), 4)
            for name in sorted(names)
        }
        say(f"{MEAN}: image AUROC {figures[MEAN]['image_auroc']:.4f}")
    say(f"  {PUBLISHED}")
    return figures


def _measured(category: Category, say: Say) -> dict[str, float]:
    chosen = np.linspace(0, len(category.good) - 1, min(len(category.good), MOST_GOOD))
    taught = teach([picture_folders.read(category.good[int(i)]) for i in chosen.round()])
    judged = judge(taught.inspector, [one.path.read_bytes for one in category.tested])
    is_defect = np.array([one.kind != GOOD for one in category.tested])
    figures = figures_of(taught, judged, is_defect)
    figures |= _of_pixels(category, judged)
    say(
        f"{category.name}: image AUROC {figures['image_auroc']:.4f}"
        + (f", pixel AUROC {figures['pixel_auroc']:.4f}" if "pixel_auroc" in figures else "")
        + f"; at its own threshold {figures['false_reject_rate']:.1%} of good pictures rejected, "
        f"{figures['escape_rate']:.1%} of defects escape"
    )
    say(
        f"  {figures['n_good']:.0f} good pictures learnt in {figures['train_s']:.1f} s, "
        f"{figures['memory_mb']:.1f} MB; {figures['ms_per_image']:.0f} ms an image"
    )
    for kind in sorted({one.kind for one in category.tested} - {GOOD}):
        of_kind = np.array([one.kind in (GOOD, kind) for one in category.tested])
        auroc = roc_auc_score(is_defect[of_kind], judged.scores[of_kind])
        say(f"  {kind}: image AUROC {auroc:.4f}")
    return {name: round(value, 4) for name, value in figures.items()}


def _of_pixels(category: Category, judged: Judged) -> dict[str, float]:
    """Return the AUROC of pixels of good pictures and of those whose defect is marked."""
    heats, truths = [], []
    for one, verdict in zip(category.tested, judged.verdicts, strict=True):
        height, width = verdict.heat.shape
        if one.mask is not None:
            truths.append(picture_folders.read_mask(one.mask, height=height, width=width))
        elif one.kind == GOOD:
            truths.append(np.zeros((height, width), dtype=np.bool_))
        else:
            continue
        heats.append(verdict.heat)
    truth = np.concatenate([one.ravel() for one in truths])
    if not truth.any():
        return {}
    heat = np.concatenate([one.ravel() for one in heats])
    return {"pixel_auroc": float(roc_auc_score(truth, heat))}
