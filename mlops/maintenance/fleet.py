"""One detector for a fleet of like machines, each seen from its own usual level. No Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.anomaly import detector as detectors
from mlops.anomaly import packing
from mlops.anomaly.detector import Detector
from mlops.anomaly.health import MIN_ROWS, Baseline
from mlops.artifacts import ArtifactRefused, Bundle
from mlops.lives import FloatArray
from mlops.regimes import find_regimes

# Machines built alike differ by this much at most in how widely a signal spreads.
SCALES: Final = (0.2, 5.0)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A detector, and how each machine is laid over the fleet before it is asked.

    Attributes:
        spacing_ms: the step of time that rows are averaged to.
        own: machine -> (median, spread), (n_regimes, n_signals) each.
    """

    detector: Detector
    spacing_ms: int
    own: Mapping[str, tuple[FloatArray, FloatArray]]

    def aligned(self, machine: str, values: FloatArray) -> FloatArray:
        """Return rows (n, n_signals) of a machine as the fleet would show them.

        A machine that was not there at the training is taken as it is.
        """
        known = self.own.get(machine)
        return values if known is None else _aligned(self.detector.baseline, *known, values)


def fit(rows: Mapping[str, FloatArray], *, signals: Sequence[str], spacing_ms: int) -> Fleet:
    """Learn from usual rows (n, n_signals) of each machine, in order of time.

    Raises:
        NotEnoughHistory: too few rows.
    """
    pooled = np.vstack(list(rows.values()))
    whole = Baseline.fit(pooled, find_regimes(pooled))
    own = {}
    for key, values in rows.items():
        if len(values) >= MIN_ROWS:
            mine = Baseline.fit(values, whole.regimes)
            own[key] = (mine.median, mine.spread)
    aligned = [
        _aligned(whole, *own[key], values) if key in own else values for key, values in rows.items()
    ]
    found = detectors.fit(np.vstack(aligned), signals=signals, regimes=whole.regimes)
    return Fleet(found, spacing_ms, own)


def _aligned(
    whole: Baseline, median: FloatArray, spread: FloatArray, values: FloatArray
) -> FloatArray:
    _filled, regime = whole.assign(values)
    with np.errstate(invalid="ignore"):
        scale = whole.spread[regime] / spread[regime]
    # A regime that one of them hardly knows has no scale: then only the level is laid over.
    scale = np.where(np.isfinite(scale), np.clip(scale, *SCALES), 1.0)
    known = np.isfinite(spread[regime])
    moved = whole.median[regime] + (values - median[regime]) * scale
    result: FloatArray = np.where(known, moved, values)
    return result


def pack(fleet: Fleet) -> Bundle:
    """Return the fleet's model as JSON and arrays."""
    bundle = packing.pack(fleet.detector)
    machines = sorted(fleet.own)
    shape = (0, *fleet.detector.baseline.median.shape)
    return Bundle(
        manifest={**bundle.manifest, "spacing_ms": fleet.spacing_ms, "machines": machines},
        arrays={
            **bundle.arrays,
            "own_median": np.array([fleet.own[m][0] for m in machines]).reshape(-1, *shape[1:]),
            "own_spread": np.array([fleet.own[m][1] for m in machines]).reshape(-1, *shape[1:]),
        },
        onnx=b"",
    )


def unpack(bundle: Bundle) -> Fleet:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else.
    """
    found = packing.unpack(bundle)
    try:
        machines = [str(machine) for machine in bundle.manifest["machines"]]
        medians, spreads = bundle.arrays["own_median"], bundle.arrays["own_spread"]
        spacing_ms = int(bundle.manifest["spacing_ms"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that scoring needs.") from error
    shape = (len(machines), *found.baseline.median.shape)
    if medians.shape != shape or spreads.shape != shape or spacing_ms <= 0:
        raise ArtifactRefused("The parts of the stored model do not fit each other.")
    own = {m: (medians[i], spreads[i]) for i, m in enumerate(machines)}
    return Fleet(found, spacing_ms, own)
