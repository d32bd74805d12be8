"""Folders of pictures with Pascal VOC annotations: `images/` and `annotations/NAME.xml`.

Of an annotation the objects' `name` and `bndbox` (xmin, ymin, xmax, ymax) are read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree  # nosec B405

import numpy as np

from mlops.benchmarks import BadFolder
from mlops.vision.alignment import Pixels
from mlops.vision.boxes import Box, Labelled
from mlops.vision.pictures import PictureRefused, decode

ENDS: Final = ("xmin", "ymin", "xmax", "ymax")
PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture and its boxes; None where no annotation is there."""

    path: Path
    boxes: tuple[Labelled, ...] | None

    def pixels(self) -> Pixels:
        """Return the decoded picture.

        Raises:
            BadFolder: it is none; says why.
        """
        try:
            return decode(self.path.read_bytes()).pixels
        except PictureRefused as error:
            raise BadFolder(f"{self.path}: {error.message} Take it out or replace it.") from error

    @property
    def label(self) -> str | None:
        """The label whose boxes cover most of the picture, None where there is no box."""
        areas: Counter[str] = Counter()
        for labelled in self.boxes or ():
            areas[labelled.label] += round(labelled.box.area)
        return min(areas, key=lambda name: (-areas[name], name)) if areas else None


def is_voc(folder: Path) -> bool:
    return (folder / "images").is_dir() and any((folder / "annotations").glob("*.xml"))


def read(folder: Path) -> list[Annotated]:
    """Read all pictures in the order of their names.

    Raises:
        BadFolder: an annotation cannot be read; says which, why and what to do.
    """
    found = []
    for path in sorted((folder / "images").iterdir()):
        if path.suffix.lower() in PICTURES:
            annotation = folder / "annotations" / f"{path.stem}.xml"
            found.append(Annotated(path, read_boxes(annotation) if annotation.is_file() else None))
    return found


def read_boxes(path: Path) -> tuple[Labelled, ...]:
    """Read the objects of an annotation.

    Raises:
        BadFolder: it is no XML, or an object lacks a name or four numbers in order.
    """
    try:
        # The folder is the person's own, and expat limits how far entities unfold.
        root = ElementTree.parse(path).getroot()  # noqa: S314  # nosec B314
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise BadFolder(f"{path} is no XML: {error}. Annotate the picture anew.") from error
    found = []
    for number, entry in enumerate(root.iter("object"), 1):
        try:
            found.append(_object(entry))
        except ValueError as error:
            raise BadFolder(f"{path}, object {number}: {error} Mend or remove it.") from error
    return tuple(found)


def _object(entry: ElementTree.Element) -> Labelled:
    name = (entry.findtext("name") or "").strip()
    if not name:
        raise ValueError("It has no name.")
    texts = [entry.findtext(f"bndbox/{end}") for end in ENDS]
    try:
        left, top, right, bottom = (float(text or "") for text in texts)
    except ValueError:
        raise ValueError(f"Its bndbox has no four numbers {', '.join(ENDS)}.") from None
    if not np.all(np.isfinite([left, top, right, bottom])) or right <= left or bottom <= top:
        raise ValueError("Its box has no inside: xmax and ymax must be above xmin and ymin.")
    # VOC counts from 1 and names the last pixel within.
    return Labelled(Box(max(0.0, left - 1), max(0.0, top - 1), right, bottom), name)
