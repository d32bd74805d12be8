"""How far ahead wear can be seen at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlops.features import START, FeatureSpec, equal_weights, health_index, rolling_mean
from mlops.lives import FloatArray, Life, preferred

# Knees are sought between a tenth of a typical life and the whole of it.
CANDIDATES = np.linspace(0.1, 1.0, 46)
# Wear that grows evenly and wear that speeds up: the first sees the knee too late, the second
# too early.
SHAPES = (1.0, 2.0)


def horizon(lives: Sequence[Life], spec: FeatureSpec) -> float:
    """Return the usage before failure from which on a machine can be told from a healthy one.

    Earlier than that every machine looks alike, and a model trained on the full remaining life
    would be asked to tell apart what cannot be: targets are capped here.

    A linear health index is fitted to the lives; its course against the usage left is level up
    to a knee and bends from there on. The knee with the least squared error is taken for each
    shape of wear, then their geometric mean, rounded to a preferred number since the estimate
    is rough. On the C-MAPSS sets this gives the customary 125 cycles.

    Args:
        lives: at least one that ended in a failure.
    """
    failed = [life for life in lives if life.failed]
    scores = [
        rolling_mean(spec.standardiser.transform(life.values), spec.steps(START)) for life in failed
    ]
    left = [life.remaining() for life in failed]
    longest = float(np.median([life.usage[-1] - life.usage[0] for life in failed]))
    if longest <= 0:
        return 1.0
    weights = health_index(scores, [np.minimum(part, longest) for part in left])
    index = np.vstack(scores) @ weights
    weight = equal_weights([len(part) for part in left])
    knees = [_knee(index, np.concatenate(left), weight, longest, shape) for shape in SHAPES]
    return preferred(float(np.exp(np.mean(np.log(knees)))))


def _knee(
    index: FloatArray, left: FloatArray, weight: FloatArray, longest: float, shape: float
) -> float:
    errors = []
    for knee in CANDIDATES * longest:
        bent = (np.maximum(knee - left, 0.0) / knee) ** shape
        errors.append(_squared_error(bent, index, weight))
    return float(CANDIDATES[int(np.argmin(errors))] * longest)


def _squared_error(x: FloatArray, y: FloatArray, weight: FloatArray) -> float:
    """Return the weighted squared error of the best straight line."""
    x = x - np.average(x, weights=weight)
    y = y - np.average(y, weights=weight)
    variance = float(np.average(x * x, weights=weight))
    covariance = float(np.average(x * y, weights=weight))
    return float(np.average(y * y, weights=weight)) - (
        covariance**2 / variance if variance > 0 else 0.0
    )
