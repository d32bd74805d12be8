"""An inspector as a bundle of arrays and JSON, and back. There is no ONNX in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlops.artifacts import Array, ArtifactRefused, Bundle
from mlops.vision.acquisition import REFERENCE_SIDE, Acquisition
from mlops.vision.anomaly import AnomalyModel
from mlops.vision.backbone import N_EMBEDDING
from mlops.vision.heat import SMOOTHINGS, Blend, Scale
from mlops.vision.inspector import Inspector
from mlops.vision.known import Known
from mlops.vision.memory import Memory
from mlops.vision.patches import N_CHANNELS, Frame
from mlops.vision.places import Places

FORM = 1
KIND = "visual_anomaly"


def pack(inspector: Inspector) -> Bundle:
    """Return the inspector as JSON and arrays."""
    model, taken = inspector.model, inspector.acquisition
    blend = model.blend
    manifest = {
        "form": FORM, "kind": KIND,
        "frame": [model.frame.height, model.frame.width],
        "share": blend.share,
        "views": [_pair(one) for one in (blend.places, blend.memory, blend.known)],
        "widths": [_pair(one) for one in blend.widths],
        "threshold": model.threshold, "rate": model.rate,
        "brightness": list(taken.brightness), "sharpness": list(taken.sharpness),
        "clipped": taken.clipped, "shift": taken.shift, "foreign": taken.foreign,
    }  # fmt: skip
    arrays: dict[str, Array] = {
        "places_mean": model.places.mean, "places_whitening": model.places.whitening,
        "places_restless": model.places.restless,
        "memory_mean": model.memory.mean, "memory_whitening": model.memory.whitening,
        "memory_members": model.memory.members,
        "sizes": taken.sizes, "reference": taken.reference, "embeddings": taken.embeddings,
    }  # fmt: skip
    if model.known is not None:
        arrays |= {"exemplars": model.known.exemplars, "sources": model.known.sources}
    return Bundle(manifest, arrays, b"")


def unpack(bundle: Bundle) -> Inspector:
    """Return the inspector of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by another version.
    """
    head, arrays = bundle.manifest, bundle.arrays
    if head.get("form") != FORM or head.get("kind") != KIND:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        inspector = Inspector(_model(head, arrays), _acquisition(head, arrays))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that judging needs.") from error
    if not _model_fits(inspector.model) or not _acquisition_fits(inspector.acquisition):
        raise ArtifactRefused("The parts of the stored model do not fit each other.")
    return inspector


def _pair(scale: Scale) -> list[float]:
    return [scale.usual, scale.worst]


def _scale(pair: list[float]) -> Scale:
    usual, worst = pair
    return Scale(float(usual), float(worst))


def _model(head: Mapping[str, Any], arrays: Mapping[str, Array]) -> AnomalyModel:
    height, width = (int(side) for side in head["frame"])
    of_places, of_memory, of_known = (_scale(pair) for pair in head["views"])
    widths = tuple(_scale(pair) for pair in head["widths"])
    known = None
    if "exemplars" in arrays:
        known = Known(arrays["exemplars"], arrays["sources"].astype(np.int64))
    return AnomalyModel(
        Frame(height, width),
        Places(arrays["places_mean"], arrays["places_whitening"], arrays["places_restless"]),
        Memory(arrays["memory_mean"], arrays["memory_whitening"], arrays["memory_members"]),
        known, Blend(float(head["share"]), of_places, of_memory, of_known, widths),
        float(head["threshold"]), float(head["rate"]),
    )  # fmt: skip


def _acquisition(head: Mapping[str, Any], arrays: Mapping[str, Array]) -> Acquisition:
    usual_brightness, brightness_room = (float(value) for value in head["brightness"])
    usual_sharpness, sharpness_room = (float(value) for value in head["sharpness"])
    return Acquisition(
        arrays["sizes"], (usual_brightness, brightness_room), (usual_sharpness, sharpness_room),
        float(head["clipped"]), arrays["reference"], float(head["shift"]), arrays["embeddings"],
        float(head["foreign"]),
    )  # fmt: skip


def _model_fits(model: AnomalyModel) -> bool:
    square, blend, known = (N_CHANNELS, N_CHANNELS), model.blend, model.known
    scales = (blend.places, blend.memory, blend.known, *blend.widths)
    return (
        min(model.frame.grid) > 0
        and model.places.mean.shape == (*model.frame.grid, N_CHANNELS)
        and model.places.restless.shape == model.frame.grid
        and model.places.whitening.shape == model.memory.whitening.shape == square
        and model.memory.mean.shape == (N_CHANNELS,)
        and model.memory.members.ndim == 2
        and model.memory.members.shape[0] > 0
        and model.memory.members.shape[1] == N_CHANNELS
        and (known is None or known.exemplars.shape == (len(known.sources), N_CHANNELS))
        and 0.0 <= blend.share <= 1.0
        and len(blend.widths) == len(SMOOTHINGS)
        and all(one.worst > one.usual for one in scales)
        and bool((model.places.restless > 0.0).all())
        and model.threshold > 0.0
    )


def _acquisition_fits(taken: Acquisition) -> bool:
    return (
        taken.sizes.shape == (2, 2)
        and taken.reference.shape == (REFERENCE_SIDE, REFERENCE_SIDE)
        and taken.embeddings.ndim == 2
        and len(taken.embeddings) > 0
        and taken.embeddings.shape[1] == N_EMBEDDING
        and min(taken.brightness[1], taken.sharpness[1], taken.clipped, taken.foreign) > 0.0
    )
