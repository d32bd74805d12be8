"""A model of remaining life as a bundle, and back."""

from __future__ import annotations

import numpy as np

from mlops.artifacts import ArtifactRefused, Bundle
from mlops.conformal import Spread
from mlops.features import FeatureSpec, Standardiser
from mlops.maintenance.rul import Healthy, RulModel
from mlops.regimes import Regimes

FORM = 1


def pack(model: RulModel) -> Bundle:
    """Return the model as JSON, arrays and ONNX."""
    standardiser = model.spec.standardiser
    return Bundle(
        manifest={
            "form": FORM,
            "signals": list(model.signals),
            "step": model.step,
            "cap": model.cap,
            "typical_steps": model.spec.typical_steps,
            "quantiles": {str(level): value for level, value in model.quantiles.items()},
        },
        arrays={
            "regime_columns": standardiser.regimes.columns,
            "regime_centres": standardiser.regimes.centres,
            "regime_scale": standardiser.regimes.scale,
            "kept": standardiser.kept,
            "median": standardiser.median,
            "spread": standardiser.spread,
            "index_weights": model.spec.index_weights,
            "error_knots": model.spread.knots,
            "error_widths": model.spread.widths,
            "healthy_scores": model.healthy.scores,
            "healthy_usual": model.healthy.usual,
            "errors": model.errors,
            "ranges": model.ranges,
        },
        onnx=model.serialised,
    )


def unpack(bundle: Bundle) -> RulModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by a newer version.
    """
    head, arrays = bundle.manifest, bundle.arrays
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        regimes = Regimes(
            arrays["regime_columns"].astype(np.int64),
            arrays["regime_centres"],
            arrays["regime_scale"],
        )
        standardiser = Standardiser(
            regimes, arrays["kept"].astype(np.int64), arrays["median"], arrays["spread"]
        )
        return RulModel(
            signals=tuple(head["signals"]),
            step=float(head["step"]),
            cap=float(head["cap"]),
            spec=FeatureSpec(standardiser, float(head["typical_steps"]), arrays["index_weights"]),
            spread=Spread(arrays["error_knots"], arrays["error_widths"]),
            quantiles={float(level): float(v) for level, v in head["quantiles"].items()},
            healthy=Healthy(arrays["healthy_scores"], arrays["healthy_usual"]),
            serialised=bundle.onnx,
            errors=arrays.get("errors", np.zeros(0)),
            ranges=arrays.get("ranges", np.zeros((0, 0, 2))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that scoring needs.") from error
