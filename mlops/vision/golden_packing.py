"""A golden picture as a bundle of arrays and JSON, and back. There is no ONNX in it."""

from __future__ import annotations

from typing import Final

import numpy as np

from mlops.artifacts import ArtifactRefused, Bundle
from mlops.vision.golden import Golden

FORM: Final = "golden-1"


def pack(model: Golden) -> Bundle:
    """Return the model as JSON and arrays."""
    manifest = {
        "form": FORM, "noise": model.noise, "contrast": model.contrast, "limit": model.limit,
        "n_good": model.n_good,
    }  # fmt: skip
    return Bundle(manifest, {"template": model.template, "low": model.low, "high": model.high}, b"")


def unpack(bundle: Bundle) -> Golden:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by another version.
    """
    head = bundle.manifest
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        template, low, high = (
            bundle.arrays[name].astype(np.uint8) for name in ("template", "low", "high")
        )
        model = Golden(
            template, low, high, float(head["noise"]), float(head["contrast"]),
            float(head["limit"]), int(head["n_good"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that judging needs.") from error
    if template.ndim not in (2, 3) or not template.shape == low.shape == high.shape:
        raise ArtifactRefused("The parts of the stored model do not fit each other.")
    return model
