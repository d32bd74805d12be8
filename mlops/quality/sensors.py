"""Which measurements of a line can be believed: stuck and dropped-out sensors by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.tabular.table import BoolArray

# A zero further from what else is read (or from the set point) than this many robust standard
# deviations is a sensor that fell silent.
FAR = 3.0
MIN_SHARE_BELIEVED = 0.5
MAX_SHARE_OF_ONE_VALUE = 0.8
_TO_DEVIATION = 1.4826  # median absolute deviation to standard deviation, of a normal


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a sensor's readings are worth.

    Attributes:
        believed: (n,) readings that are measurements.
        fault: why it is left out, in words; empty for a live one.
    """

    believed: BoolArray
    fault: str

    @property
    def is_live(self) -> bool:
        return not self.fault

    @property
    def share_lost(self) -> float:
        return 1.0 - float(self.believed.mean())


def look_at(values: FloatArray, set_points: FloatArray | None = None) -> Sensor:
    """Tell readings from silence, and a live sensor from a stuck one.

    Args:
        values: (n,), NaN where nothing was read.
        set_points: (n,), where the process has them.
    """
    known = np.isfinite(values)
    others = values[known & (values != 0.0)]
    if not len(others):
        return Sensor(np.zeros(len(values), dtype=np.bool_), "always zero or unknown")
    middle, spread = robust(others)
    away = abs(middle) > FAR * spread
    if set_points is not None and np.isfinite(set_points).any():
        away = away or abs(float(np.nanmedian(set_points))) > FAR * spread
    believed = known & (values != 0.0) if away else known
    return Sensor(np.asarray(believed, dtype=np.bool_), _fault(values, believed))


def robust(values: FloatArray) -> tuple[float, float]:
    """Return median and robust standard deviation; the plain one where most values are equal."""
    middle = float(np.median(values))
    spread = _TO_DEVIATION * float(np.median(np.abs(values - middle)))
    return middle, spread if spread > 0 else float(values.std())


def _fault(values: FloatArray, believed: BoolArray) -> str:
    share = float(believed.mean())
    if share < MIN_SHARE_BELIEVED:
        return f"zero or unknown in {1.0 - share:.0%} of its readings"
    seen, counts = np.unique(values[believed], return_counts=True)
    if len(seen) == 1:
        return f"never changes from {seen[0]:g}"
    most = int(np.argmax(counts))
    if counts[most] > MAX_SHARE_OF_ONE_VALUE * counts.sum():
        return f"stuck at {seen[most]:g} in {counts[most] / counts.sum():.0%} of its readings"
    return ""
