"""A model of outcomes as a bundle, and back."""

from __future__ import annotations

import numpy as np

from mlops.artifacts import ArtifactRefused, Bundle
from mlops.tabular.boosting import Heads
from mlops.tabular.derived import Design, from_code
from mlops.tabular.model import TabularModel
from mlops.tabular.table import Column

FORM = "tabular-1"


def pack(model: TabularModel) -> Bundle:
    """Return the model as JSON, arrays and ONNX."""
    design = model.design
    return Bundle(
        manifest={
            "form": FORM,
            "columns": [{"name": c.name, "levels": list(c.levels)} for c in model.columns],
            "classes": list(model.classes),
            "heads": list(model.heads.names),
            "heads_are_modes": model.heads.are_modes,
            "threshold": model.threshold,
        },
        arrays={
            "numbers": np.array(design.numbers, dtype=np.int64),
            "levels": np.array(design.levels, dtype=np.int64).reshape(-1, 2),
            "derived": np.array([d.code for d in design.derived], dtype=np.int64).reshape(-1, 3),
            "sigmoids": model.sigmoids,
            "usual": model.usual,
            "range": model.range,
        },
        onnx=model.serialised,
    )


def unpack(bundle: Bundle) -> TabularModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by a newer version.
    """
    head, arrays = bundle.manifest, bundle.arrays
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        design = Design(
            tuple(int(i) for i in arrays["numbers"]),
            tuple((int(column), int(code)) for column, code in arrays["levels"]),
            tuple(from_code(*(int(i) for i in code)) for code in arrays["derived"]),
        )
        return TabularModel(
            columns=tuple(Column(c["name"], tuple(c["levels"])) for c in head["columns"]),
            classes=tuple(head["classes"]),
            heads=Heads(tuple(head["heads"]), bool(head["heads_are_modes"])),
            design=design, sigmoids=arrays["sigmoids"], threshold=float(head["threshold"]),
            usual=arrays["usual"], range=arrays["range"], serialised=bundle.onnx,
        )  # fmt: skip
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that scoring needs.") from error
