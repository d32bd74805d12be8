"""A detector as a bundle of arrays and JSON, and back. There is no ONNX in it."""

from __future__ import annotations

import numpy as np

from mlops.anomaly.detector import Detector
from mlops.anomaly.health import Baseline
from mlops.anomaly.still import Stillness
from mlops.anomaly.views import N_VIEWS
from mlops.artifacts import ArtifactRefused, Bundle
from mlops.regimes import Regimes

FORM = 1
KIND = "anomaly"


def pack(detector: Detector) -> Bundle:
    """Return the detector as JSON and arrays."""
    baseline = detector.baseline
    return Bundle(
        manifest={
            "form": FORM,
            "kind": KIND,
            "signals": list(detector.signals),
            "rate": detector.rate,
        },
        arrays={
            "regime_columns": baseline.regimes.columns,
            "regime_centres": baseline.regimes.centres,
            "regime_scale": baseline.regimes.scale,
            "median": baseline.median,
            "spread": baseline.spread,
            "usual": baseline.usual,
            "centre": detector.centre,
            "precision": detector.precision,
            "limit": detector.limit,
            "still_rows": detector.stillness.rows,
        },
        onnx=b"",
    )


def unpack(bundle: Bundle) -> Detector:
    """Return the detector of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by a newer version.
    """
    head, arrays = bundle.manifest, bundle.arrays
    if head.get("form") != FORM or head.get("kind") != KIND:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        regimes = Regimes(
            arrays["regime_columns"].astype(np.int64),
            arrays["regime_centres"],
            arrays["regime_scale"],
        )
        detector = Detector(
            signals=tuple(head["signals"]),
            baseline=Baseline(regimes, arrays["median"], arrays["spread"], arrays["usual"]),
            centre=arrays["centre"],
            precision=arrays["precision"],
            limit=arrays["limit"],
            stillness=Stillness(arrays["still_rows"]),
            rate=float(head["rate"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that scoring needs.") from error
    if not _fits(detector):
        raise ArtifactRefused("The parts of the stored model do not fit each other.")
    return detector


def _fits(detector: Detector) -> bool:
    n, n_regimes = len(detector.signals), len(detector.baseline.regimes)
    baseline = detector.baseline
    return (
        detector.centre.shape == (N_VIEWS, n)
        and detector.precision.shape == (N_VIEWS, n, n)
        and detector.limit.shape == (N_VIEWS,)
        and detector.stillness.rows.shape == (n,)
        and baseline.median.shape == baseline.spread.shape == (n_regimes, n)
        and baseline.usual.shape == (n_regimes, n, 2)
    )
