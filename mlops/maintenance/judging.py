"""How well remaining life is forecast, on lives that the forecaster had not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from mlops.conformal import Spread
from mlops.lives import FloatArray, Life
from mlops.maintenance import evaluation
from mlops.regimes import IntArray

if TYPE_CHECKING:
    from mlops.maintenance.rul import RulModel

N_ERRORS: Final = 200


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Per failed life: forecasts by the member that never saw it, and the capped truth.

    `near` marks the moments no further from failure than the horizon. Intervals are calibrated
    on these alone: the many moments long before are easy (the truth is the cap), and counting
    them would buy narrow intervals where they matter most.
    """

    which: list[int]
    predicted: list[FloatArray]
    true: list[FloatArray]
    near: list[npt.NDArray[np.bool_]]


def signed_errors(held_out: HeldOut, spread: Spread) -> FloatArray:
    """Return (200,) points evenly spread over the distribution of truth less forecast.

    In units of `spread`, on the moments near failure, each life weighing the same.
    """
    errors, weights = [], []
    for true, predicted, near in zip(held_out.true, held_out.predicted, held_out.near, strict=True):
        if near.any():
            errors.append(((true - predicted) / spread.at(predicted))[near])
            weights.append(np.full(int(near.sum()), 1.0 / near.sum()))
    values, weight = np.concatenate(errors), np.concatenate(weights)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    at = (np.arange(N_ERRORS) + 0.5) / N_ERRORS
    found: FloatArray = values[order][np.minimum(np.searchsorted(reached, at), len(values) - 1)]
    return found


def losses_of(lives: Sequence[Life], held_out: HeldOut, cap: float) -> dict[str, float]:
    """Return life -> mean absolute error in parts of the horizon."""
    return {
        lives[i].key: float(np.mean(np.abs(predicted - true))) / cap
        for i, predicted, true in zip(
            held_out.which, held_out.predicted, held_out.true, strict=True
        )
    }


def losses_by_age(
    lives: Sequence[Life], folds: IntArray, held_out: HeldOut, cap: float
) -> dict[str, float]:
    """Return the losses of knowing only how long lives last."""
    return {
        lives[i].key: float(np.mean(np.abs(by_age - true))) / cap
        for i, by_age, true in _by_age(lives, folds, held_out, cap)
    }


def metrics(
    lives: Sequence[Life], folds: IntArray, held_out: HeldOut, model: RulModel
) -> dict[str, float]:
    """Return figures on lives never seen, each life weighing the same."""
    squared = np.array(
        [np.mean((p - t) ** 2) for p, t in zip(held_out.predicted, held_out.true, strict=True)]
    )
    draws = np.random.default_rng(0).integers(0, len(squared), (500, len(squared)))
    resampled = np.sqrt(squared[draws].mean(axis=1))
    by_age = [np.mean((a - t) ** 2) for _i, a, t in _by_age(lives, folds, held_out, model.cap)]
    found = {
        "n_lives": float(len(squared)),
        "n_units": float(len({life.group for life in lives})),
        "n_steps": float(sum(len(life) for life in lives)),
        "rmse_capped": float(np.sqrt(squared.mean())),
        "rmse_capped_low": float(np.quantile(resampled, 0.05)),
        "rmse_capped_high": float(np.quantile(resampled, 0.95)),
        "rmse_by_age_alone": float(np.sqrt(np.mean(by_age))),
        "nasa_score_per_step": float(
            np.mean(
                [
                    evaluation.nasa_score(t, p) / len(t)
                    for p, t in zip(held_out.predicted, held_out.true, strict=True)
                ]
            )
        ),
    }
    for level in model.quantiles:
        covered = [
            np.mean((np.abs(t - p) <= model.quantiles[level] * model.spread.at(p))[near])
            for p, t, near in zip(held_out.predicted, held_out.true, held_out.near, strict=True)
        ]
        found[f"coverage_{round(level * 100)}"] = float(np.mean(covered))
    return found


def _by_age(
    lives: Sequence[Life], folds: IntArray, held_out: HeldOut, cap: float
) -> list[tuple[int, FloatArray, FloatArray]]:
    """Return per life: its place, what its age alone would forecast, and the truth."""
    found = []
    for place, i in enumerate(held_out.which):
        others = [life.usage[-1] for j, life in enumerate(lives) if folds[j] != folds[i]]
        true = held_out.true[place]
        by_age = np.clip(np.mean(others) - lives[i].usage[-len(true) :], 0.0, cap)
        found.append((i, by_age, true))
    return found
