"""Pictures of parts: what is unusual, what is wrong, and where.

Every form that recognises the folder is measured; figures of the same block are joined. Each is a
module with `reads(folder)` and `run(folder, *, say)`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Final

from mlops.benchmarks import (
    BadFolder,
    Figures,
    Say,
    TooFewPictures,
    vision_boards,
    vision_good,
    vision_voc,
    vision_voc_classes,
)

FORMS: Final[tuple[ModuleType, ...]] = (
    vision_good,
    vision_boards,
    vision_voc_classes,
    vision_voc,
)


def run(folder: Path, *, say: Say) -> Figures:
    """Measure the product's models on a folder of pictures.

    Raises:
        BadFolder: it has none of the forms, or a file does not fit.
    """
    forms = [form for form in FORMS if form.reads(folder)]
    if not forms:
        described = "; ".join(str(form.FORM) for form in FORMS)
        raise BadFolder(f"{folder} has none of the forms that are read: {described}.")
    figures: Figures = {}
    lacking: list[TooFewPictures] = []
    for form in forms:
        try:
            for block, measured in form.run(folder, say=say).items():
                figures.setdefault(block, {}).update(measured)
        except TooFewPictures as error:
            say(f"  {error}")
            lacking.append(error)
    if not figures:
        raise lacking[0]
    return figures
