"""Pictures of good and defective parts in folders, as benchmarks bring them.

A category is a folder that holds good pictures to learn from, in `train/good/` or in `good/`.
Either the folder itself is a category, or its sub-folders are.

- `train/good/`: all of it is learnt from. `test/good/` and `test/<defect>/` are judged.
- `good/` without `train/`: learnt from as well; where there is no `test/good/`, every third picture
  by name is held back and judged. Defects lie in `test/<defect>/` or in folders `defect*/` beside.
- Masks, white where the defect is: `ground_truth/<defect>/` or `masks/<defect>/` or `masks/`, named
  like the picture, perhaps with `_mask` behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from mlops.benchmarks import BadFolder
from mlops.tabular.table import BoolArray
from mlops.vision import pictures
from mlops.vision.backbone import Pixels

SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
GOOD: Final = "good"
MASK_FOLDERS: Final = ("ground_truth", "masks")
HELD_BACK: Final = 3  # every third


@dataclass(frozen=True, slots=True)
class Tested:
    """A picture to judge.

    Attributes:
        kind: `good`, or the name of the defect.
        mask: the file that marks the defect, if there is one.
    """

    path: Path
    kind: str
    mask: Path | None


@dataclass(frozen=True, slots=True)
class Category:
    """One product."""

    name: str
    good: tuple[Path, ...]
    tested: tuple[Tested, ...]


def categories(folder: Path) -> list[Category]:
    """Return the categories of a folder, in the order of their names.

    Raises:
        BadFolder: one of them has nothing to judge.
    """
    return [_category(place) for place in _places(folder)]


def has_good(folder: Path) -> bool:
    """Say whether there is a category in the folder."""
    return bool(_places(folder))


def read(path: Path) -> Pixels:
    """Return a picture through the product's own door.

    Raises:
        BadFolder: it is refused; says which and why.
    """
    try:
        return pictures.decode(path.read_bytes()).pixels
    except pictures.PictureRefused as error:
        raise BadFolder(f"{path}: {error.message}") from error


def read_mask(path: Path, *, height: int, width: int) -> BoolArray:
    """Return a mask at a size of (height, width).

    Raises:
        BadFolder: it is no picture.
    """
    grey = read(path).max(axis=2)
    resized = cv2.resize(grey, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized > 127)


def picture_files(folder: Path) -> list[Path]:
    """Return the pictures that lie in a folder, by name."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _places(folder: Path) -> list[Path]:
    if _good_folder(folder):
        return [folder]
    return [place for place in _subfolders(folder) if _good_folder(place)]


def _good_folder(place: Path) -> Path | None:
    for folder in (place / "train" / GOOD, place / GOOD):
        if picture_files(folder):
            return folder
    return None


def _category(place: Path) -> Category:
    folder = _good_folder(place)
    assert folder is not None
    good = picture_files(folder)
    tested = list(_tested(place))
    if not any(one.kind == GOOD for one in tested):
        if folder.parent.name == "train":
            raise BadFolder(f"{place} holds no good pictures to judge in test/{GOOD}.")
        held_back = good[HELD_BACK - 1 :: HELD_BACK]
        good = [path for path in good if path not in held_back]
        tested += [Tested(path, GOOD, None) for path in held_back]
    if all(one.kind == GOOD for one in tested):
        raise BadFolder(f"{place} holds no pictures of defects, in test/<defect> or defect*.")
    return Category(place.resolve().name, tuple(good), tuple(tested))


def _tested(place: Path) -> Iterator[Tested]:
    inside = _subfolders(place / "test") if (place / "test").is_dir() else []
    beside = [folder for folder in _subfolders(place) if folder.name.startswith("defect")]
    for folder in [*inside, *beside]:
        for path in picture_files(folder):
            mask = None if folder.name == GOOD else _mask_of(place, folder.name, path.stem)
            yield Tested(path, folder.name, mask)


def _mask_of(place: Path, kind: str, stem: str) -> Path | None:
    folders = [place / name / kind for name in MASK_FOLDERS] + [place / "masks"]
    for folder in folders:
        for path in picture_files(folder):
            if path.stem in (stem, f"{stem}_mask"):
                return path
    return None
