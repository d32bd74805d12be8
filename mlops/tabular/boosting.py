"""Boosted trees for outcomes: one set of trees for each way in which a case can end.

A rare event that comes about in several ways (overload, heat, wear) is learnt way by way where
records tell them apart: each way is a simple region, their union is not. The event's
probability is that of at least one of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.calibration import logit, sigmoid
from mlops.tabular.table import BoolArray, Outcome

# A way seen in fewer cases than this has no trees of its own.
MIN_CASES_OF_A_MODE = 10
OTHER_MODE = "other"
FEW_ROWS: Final = 8_000

# Small trees, many of them. By cross-validation on a public table of 8,000 cases, half or twice
# the leaves, cases a leaf, learning rate or penalty move average precision by less than 0.003.
BOOSTING: Final[dict[str, Any]] = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_child_samples": 10,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 255,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
N_ROUNDS: Final = 200
# Enough to tell which features trees would use; the rest only sharpens what they say.
N_ROUNDS_TO_RANK: Final = 60


@dataclass(frozen=True, slots=True)
class Heads:
    """What each set of trees is asked.

    Attributes:
        names: of modes or classes; one event without modes has one head.
        are_modes: the heads are ways of one event, which may coincide.
    """

    names: tuple[str, ...]
    are_modes: bool

    @classmethod
    def of(cls, outcome: Outcome) -> Heads:
        """Choose heads by how often each mode or class was seen."""
        if not outcome.is_binary:
            return cls(outcome.classes, are_modes=False)
        event = outcome.codes == 1
        named = [
            name for name, cases in sorted(outcome.modes.items())
            if np.sum(cases & event) >= MIN_CASES_OF_A_MODE
        ]  # fmt: skip
        if not named:
            return cls((outcome.classes[1],), are_modes=True)
        rest = event & ~np.any([outcome.modes[name] for name in named], axis=0)
        if np.sum(rest) >= MIN_CASES_OF_A_MODE:
            named.append(OTHER_MODE)
        return cls(tuple(named), are_modes=True)

    def targets(self, outcome: Outcome) -> list[BoolArray]:
        """Return (n_cases,) per head: whether it should say yes."""
        if not self.are_modes:
            return [outcome.codes == code for code in range(len(self.names))]
        event = outcome.codes == 1
        if len(self.names) == 1 and self.names[0] not in outcome.modes:
            return [event]
        named = {name: outcome.modes[name] & event for name in self.names if name != OTHER_MODE}
        rest = event & ~np.any(list(named.values()), axis=0)
        return [named.get(name, rest) for name in self.names]

    def log_odds(self, margins: FloatArray) -> FloatArray:
        """Return (n, n_outputs) log-odds of (n, n_heads) margins: of the event, or per class."""
        if not self.are_modes or len(self.names) == 1:
            return margins
        none: FloatArray = np.prod(1.0 - sigmoid(margins), axis=1, keepdims=True)
        return logit(1.0 - none)


def fit(
    features: FloatArray, targets: Sequence[BoolArray], *, n_threads: int = 0,
    n_rounds: int = N_ROUNDS,
) -> list[Any]:  # fmt: skip
    """Train one booster a head."""
    # Threads that spin while they wait starve whatever else runs on a small machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here: only training needs it, and it starts threads that must not be forked.
    import lightgbm

    settings = {**BOOSTING, "num_threads": 1 if len(features) < FEW_ROWS else n_threads}
    data = lightgbm.Dataset(features, params=settings, free_raw_data=False)
    boosters = []
    for head, target in enumerate(targets):
        # Binned once: the features of all heads are the same.
        data.set_label(target.astype(float))
        boosters.append(lightgbm.train({**settings, "seed": head}, data, n_rounds))
    return boosters


def margins(boosters: Sequence[Any], features: FloatArray) -> FloatArray:
    """Return (n, n_heads) margins."""
    return np.column_stack([np.asarray(b.predict(features, raw_score=True)) for b in boosters])


def gains(boosters: Sequence[Any]) -> FloatArray:
    """Return (n_features,) the share of the splits' gain, every head weighing the same."""
    total = np.zeros(boosters[0].num_feature())
    for booster in boosters:
        own = np.asarray(booster.feature_importance("gain"), dtype=np.float64)
        total += own / own.sum() if own.sum() > 0 else 0.0
    return total / len(boosters)


def order_by_gain(boosters: Sequence[Any]) -> IntArray:
    """Return the places of features, most gain first; those without any are left out."""
    gain = gains(boosters)
    order = np.argsort(-gain, kind="stable")
    return np.asarray(order[gain[order] > 0], dtype=np.int64)
