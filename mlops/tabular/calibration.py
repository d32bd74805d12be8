"""Scores as probabilities.

Platt's sigmoid rather than an isotonic staircase: it has two parameters, so it can be fitted
out of fold on a few dozen events, and it keeps the order of the scores.

Source: Platt, Probabilistic outputs for support vector machines (1999), with the numerically
safe Newton steps of Lin, Lin and Weng, A note on Platt's probabilistic outputs (2007).
"""

from __future__ import annotations

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.table import BoolArray

MAX_STEPS = 50
RIDGE = 1e-3
SMALLEST = 1e-6


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Return probabilities of log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -500.0, 500.0))), dtype=np.float64)


def logit(probability: FloatArray) -> FloatArray:
    """Return log-odds, finite also for 0 and 1."""
    inside = np.clip(probability, SMALLEST, 1.0 - SMALLEST)
    return np.log(inside / (1.0 - inside))


def platt(log_odds: FloatArray, happened: BoolArray) -> tuple[float, float]:
    """Return slope and offset with which sigmoid(slope * log_odds + offset) fits best.

    The slope is never negative: scores that point the wrong way carry no information, and the
    base rate is what remains.
    """
    n_yes = int(happened.sum())
    n_no = len(happened) - n_yes
    # Targets short of 0 and 1, as if one more case of each kind had been seen (Platt).
    target = np.where(happened, (n_yes + 1.0) / (n_yes + 2.0), 1.0 / (n_no + 2.0))
    base = float(logit(np.array([(n_yes + 1.0) / (len(happened) + 2.0)]))[0])
    design = np.column_stack([log_odds, np.ones(len(log_odds))])
    found = np.array([0.0, base])
    loss = _loss(design @ found, target)
    for _step in range(MAX_STEPS):
        p = sigmoid(design @ found)
        gradient = design.T @ (p - target)
        curvature = (design * (p * (1.0 - p))[:, None]).T @ design + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and _loss(design @ (found - size * step), target) > loss:
            size /= 2.0
        found = found - size * step
        better = _loss(design @ found, target)
        if loss - better < 1e-9 * max(loss, 1.0):
            break
        loss = better
    return (float(found[0]), float(found[1])) if found[0] > 0 else (0.0, base)


def _loss(log_odds: FloatArray, target: FloatArray) -> float:
    return float(np.sum(np.logaddexp(0.0, log_odds) - target * log_odds))


def fit(log_odds: FloatArray, codes: IntArray) -> FloatArray:
    """Return (n_outputs, 2) slopes and offsets.

    Args:
        log_odds: (n, 1) of the event, or (n, n_classes) of each class against the others.
        codes: (n,) classes; of two, 1 is the event.
    """
    first = 1 if log_odds.shape[1] == 1 else 0
    return np.array([platt(column, codes == first + k) for k, column in enumerate(log_odds.T)])


def probabilities(log_odds: FloatArray, sigmoids: FloatArray) -> FloatArray:
    """Return (n, n_classes) probabilities that sum to 1 for (n, n_outputs) log-odds."""
    own = np.clip(sigmoid(log_odds * sigmoids[:, 0] + sigmoids[:, 1]), SMALLEST, 1.0 - SMALLEST)
    if own.shape[1] == 1:
        return np.hstack([1.0 - own, own])
    return np.asarray(own / own.sum(axis=1, keepdims=True), dtype=np.float64)
