"""Remaining useful life from run-to-failure histories.

Gradient boosting on features of the past, one member per group of held-out lives. The members
together are the model; each life is judged by the member that never saw it, which gives the
metrics and calibrates the intervals (cross-conformal), so no life is wasted on validation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from mlops import conformal, trees
from mlops import lives as lives_module
from mlops.conformal import Spread
from mlops.drift import Reference
from mlops.features import FeatureSpec, equal_weights, health_index, new_spec
from mlops.lives import FloatArray, Life
from mlops.maintenance import judging
from mlops.maintenance.horizon import horizon
from mlops.maintenance.judging import HeldOut
from mlops.regimes import IntArray

Progress = Callable[[float, str], None]

LEVEL: Final = 0.8  # the interval that is shown
REPORTED_LEVELS: Final = (0.8, 0.9)
# Nine runs are what a 90 % interval needs at least; fewer are no evidence.
MIN_LIVES: Final = conformal.runs_needed(max(REPORTED_LEVELS))
MAX_MEMBERS: Final = 5
MAX_MEMBERS_WHEN_FEW: Final = 10
FEW: Final = 30
FEW_ROWS: Final = 8_000
# A chance from here on says enough, however far beyond the horizon is asked.
SURE: Final = 0.9
# A machine younger than this part of a typical life has shown too little.
MIN_HISTORY: Final = 0.05

# Chosen by cross-validation over training units of two sets of engines; results depend little
# on any of them (within 0.3 cycles for half or twice the value).
BOOSTING: Final[dict[str, Any]] = {
    "objective": "regression",
    "learning_rate": 0.03,
    "num_leaves": 15,
    "feature_fraction": 0.3,
    "bagging_fraction": 0.4,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
}
N_ROUNDS: Final = 300


class NotEnoughLives(ValueError):
    """Too few lives ended in a failure to learn from and to test on."""

    def __init__(self, n_lives: int, n_needed: int = MIN_LIVES) -> None:
        self.n_lives, self.n_needed = n_lives, n_needed
        missing = n_needed - n_lives
        super().__init__(
            f"Not enough data: needs about {missing} more failure{'s' if missing != 1 else ''} "
            f"of this kind ({n_lives} of {n_needed} known)."
        )


class TooLittleHistory(ValueError):
    """The machine has run too short a time since it was put right."""

    def __init__(self, n_steps: int, n_needed: int) -> None:
        self.n_steps, self.n_needed = n_steps, n_needed
        super().__init__(
            f"Not enough data: this machine has {n_steps} steps of history since it was last "
            f"put right, {n_needed} are needed."
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is left of one life.

    Attributes:
        rul: usage left; never above the horizon.
        intervals: level -> (low, high); a high end at the horizon means "or more".
        open_ended: the shown interval reaches the horizon.
    """

    rul: float
    intervals: dict[float, tuple[float, float]]
    open_ended: bool


@dataclass(frozen=True, slots=True)
class Healthy:
    """What healthy machines look like.

    Attributes:
        scores: (n_kept,) mean z-score per signal.
        usual: (n_regimes, n_signals, 2) the 5 % and 95 % points in the signals' own units.
    """

    scores: FloatArray
    usual: FloatArray


@dataclass(frozen=True, slots=True)
class RulModel:
    """Everything scoring needs.

    Attributes:
        signals: names of the columns of `Life.values`, in order.
        step: usage per step that lives are resampled to.
        cap: horizon in the unit of usage.
        quantiles: level -> conformal quantile in units of `spread`.
    """

    signals: tuple[str, ...]
    step: float
    cap: float
    spec: FeatureSpec
    spread: Spread
    quantiles: dict[float, float]
    healthy: Healthy
    serialised: bytes
    # (n,) signed errors in units of `spread`, evenly spread over their distribution; empty in
    # models made before chances were told.
    errors: FloatArray = field(default_factory=lambda: np.zeros(0))
    # (n_regimes, n_signals, 2) what training saw of each signal (`drift.Reference`); empty in
    # models made before drift was watched.
    ranges: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 2)))

    @property
    def min_steps(self) -> int:
        return self.spec.steps(MIN_HISTORY)

    def interval(self, rul: float, level: float) -> tuple[float, float]:
        """Return the interval around a forecast, cut at 0 and at the horizon."""
        reach = self.quantiles[level] * float(self.spread.at(np.array([rul]))[0])
        return max(0.0, rul - reach), min(self.cap, rul + reach)

    def chance_within(self, rul: float, usage: float) -> float | None:
        """Return the chance of failure within so much more use, or None where it cannot be told.

        Beyond the horizon it can be told only where failure before the horizon is all but sure.

        The share of held-out errors that would put the failure there, with one further life's
        error to either side (conformal predictive distribution; Vovk and others, 2017).
        """
        if not len(self.errors):
            return None
        reach = float(self.spread.at(np.array([rul]))[0])
        ends = rul + self.errors * reach
        # What lies at the horizon is further off than it by an unknown length.
        n_below = int(np.sum((ends <= usage) & (ends < self.cap - 1e-9)))
        chance = (n_below + 0.5) / (len(self.errors) + 1.0)
        return None if usage >= self.cap and chance < SURE else chance

    def forecast(self, life: Life, onnx: trees.OnnxModel) -> Forecast:
        """Forecast what is left after the last step of a life.

        Raises:
            TooLittleHistory: the life is too short to say anything.
        """
        if len(life) < self.min_steps:
            raise TooLittleHistory(len(life), self.min_steps)
        last = self.spec.last(self.spec.standardiser.transform(life.values))
        row = self.spec.row(last, float(life.usage[-1]))
        rul = float(np.clip(onnx.predict(row[None, :])[0], 0.0, self.cap))
        intervals = {level: self.interval(rul, level) for level in self.quantiles}
        return Forecast(rul, intervals, open_ended=intervals[LEVEL][1] >= self.cap)


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model and what is known about it.

    Attributes:
        losses: life -> mean absolute error in parts of the horizon, by a member that had not
            seen the life.
        by_age: the same where only the usual length of lives is known: what has to be beaten.
    """

    model: RulModel
    metrics: dict[str, float]
    parameters: dict[str, str | float | int]
    digest: str
    losses: dict[str, float]
    by_age: dict[str, float]


def train(
    lives: Sequence[Life],
    *,
    signals: Sequence[str],
    step: float = 1.0,
    cap: float | None = None,
    n_threads: int = 0,
    progress: Progress = lambda _share, _message: None,
) -> Training:
    """Train, evaluate on lives never seen, and calibrate.

    Args:
        lives: of one machine type. Those that go on are censored, neither good nor bad, and are
            left out.
        signals: names of the columns of the lives' values.
        step: usage per step of the lives, kept for scoring.
        cap: horizon in the unit of usage; chosen from the lives where not given.
        n_threads: threads of the training, 0 for all.

    Raises:
        NotEnoughLives: with how many more failures are needed.
    """
    lives = [life for life in lives if life.failed]
    if len(lives) < MIN_LIVES:
        raise NotEnoughLives(len(lives))
    progress(0.02, "Finding operating regimes")
    spec = new_spec(lives)
    if not len(spec.standardiser.kept):
        raise lives_module.UnusableLives("No signal moves: there is nothing to learn from.")
    cap = horizon(lives, spec) if cap is None else cap
    folds = folds_of(lives)
    n_members = int(np.max(folds)) + 1
    spec = replace(spec, index_weights=_indices(lives, folds, spec, cap))
    progress(0.1, "Building features")
    matrices = [spec.matrix(life) for life in lives]
    boosters: list[Any] = []
    for member in range(n_members):
        progress(0.15 + 0.75 * member / n_members, f"Training member {member + 1}")
        boosters.append(_member(lives, matrices, folds, spec, cap, member, n_threads))
    progress(0.9, "Evaluating on lives never seen")
    held_out = _held_out(lives, matrices, folds, spec, cap, boosters)
    spread = Spread.fit(
        [p[near] for p, near in zip(held_out.predicted, held_out.near, strict=True)],
        [t[near] for t, near in zip(held_out.true, held_out.near, strict=True)],
        cap=cap,
    )
    model = RulModel(
        signals=tuple(signals), step=step, cap=cap, spec=spec, spread=spread,
        quantiles=_quantiles(held_out, spread), healthy=_healthy(lives, spec, cap),
        errors=judging.signed_errors(held_out, spread),
        ranges=Reference.of(
            spec.standardiser.regimes, np.vstack([life.values for life in lives])
        ).ranges,
        serialised=trees.to_onnx(
            boosters, [spec.columns_of(m) for m in range(len(boosters))],
            n_features=matrices[0].shape[1],
        ),
    )  # fmt: skip
    metrics = judging.metrics(lives, folds, held_out, model)
    parameters = {
        **{key: value for key, value in BOOSTING.items() if isinstance(value, str | float | int)},
        "n_rounds": N_ROUNDS, "n_members": len(boosters), "cap": cap, "step": step,
        "n_regimes": len(spec.standardiser.regimes), "n_signals": len(spec.standardiser.kept),
        "n_features": matrices[0].shape[1],
    }  # fmt: skip
    return Training(
        model, metrics, parameters, lives_module.digest(lives, signals),
        losses=judging.losses_of(lives, held_out, cap),
        by_age=judging.losses_by_age(lives, folds, held_out, cap),
    )  # fmt: skip


def folds_of(lives: Sequence[Life], *, seed: int = 0) -> IntArray:
    """Deal the lives out to members; each member is trained without its own.

    All lives of a unit go to the same member, unless there are fewer than 5 units: then lives
    are dealt out singly. Few lives are left out one by one (at most 10 members).
    """
    units = sorted({life.group for life in lives})
    names = [life.group for life in lives]
    if len(units) < MAX_MEMBERS:
        names = [life.key for life in lives]
        units = sorted(set(names))
    n_members = MAX_MEMBERS if len(units) > FEW else min(len(units), MAX_MEMBERS_WHEN_FEW)
    order = np.random.default_rng(seed).permutation(len(units))
    member_of = {units[unit]: place % n_members for place, unit in enumerate(order)}
    return np.array([member_of[name] for name in names], dtype=np.int64)


def targets_of(life: Life, cap: float) -> FloatArray:
    """Return (n,) what is left at each step, capped at the horizon."""
    return np.minimum(life.remaining(), cap)


def _indices(lives: Sequence[Life], folds: IntArray, spec: FeatureSpec, cap: float) -> FloatArray:
    """Return one health index per member, each fitted without the member's own lives."""
    scores = [spec.standardiser.transform(life.values) for life in lives]
    rows = []
    for member in range(int(np.max(folds)) + 1):
        seen = [int(i) for i in np.flatnonzero(folds != member)]
        rows.append(
            health_index([scores[i] for i in seen], [targets_of(lives[i], cap) for i in seen])
        )
    return np.array(rows)


def _member(
    lives: Sequence[Life], matrices: Sequence[FloatArray], folds: IntArray,
    spec: FeatureSpec, cap: float, member: int, n_threads: int,
) -> Any:  # fmt: skip
    # Threads that spin while they wait starve whatever else runs on a small machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Imported here: only training needs it, and it starts threads that must not be forked.
    import lightgbm

    columns = spec.columns_of(member)
    seen = [int(i) for i in np.flatnonzero(folds != member)]
    rows = [matrices[i][:, columns] for i in seen]
    targets = [targets_of(lives[i], cap) for i in seen]
    n_rows = sum(len(part) for part in rows)
    settings = {
        **BOOSTING,
        "seed": member,
        # Threads cost more than they bring on few rows.
        "num_threads": 1 if n_rows < FEW_ROWS else n_threads,
        "min_child_samples": int(np.clip(n_rows / 150, 10, 100)),
    }
    data = lightgbm.Dataset(
        np.vstack(rows),
        label=np.concatenate(targets),
        weight=equal_weights([len(part) for part in rows]),
    )
    return lightgbm.train(settings, data, num_boost_round=N_ROUNDS)


def _held_out(
    lives: Sequence[Life], matrices: Sequence[FloatArray], folds: IntArray,
    spec: FeatureSpec, cap: float, boosters: Sequence[Any],
) -> HeldOut:  # fmt: skip
    result = HeldOut([], [], [], [])
    first = spec.steps(MIN_HISTORY)
    for i, life in enumerate(lives):
        if len(life) <= first:
            continue
        member = int(folds[i])
        # From the first moment on at which a forecast would be made, every moment counts: a
        # running machine may be asked about at any of them.
        rows = matrices[i][first - 1 :][:, spec.columns_of(member)]
        result.which.append(i)
        result.predicted.append(np.clip(boosters[member].predict(rows), 0.0, cap))
        result.true.append(targets_of(life, cap)[first - 1 :])
        result.near.append(life.remaining()[first - 1 :] <= cap)
    return result


def _quantiles(held_out: HeldOut, spread: Spread) -> dict[float, float]:
    scores = [
        (np.abs(true - predicted) / spread.at(predicted))[near]
        for true, predicted, near in zip(
            held_out.true, held_out.predicted, held_out.near, strict=True
        )
    ]
    found = {level: conformal.quantile(scores, level) for level in REPORTED_LEVELS}
    if any(value is None for value in found.values()):
        raise NotEnoughLives(len(scores))
    return {level: value for level, value in found.items() if value is not None}


def _healthy(lives: Sequence[Life], spec: FeatureSpec, cap: float) -> Healthy:
    """Describe steps further than the horizon from failure, or first thirds where none are."""
    scores, values = [], []
    for life in lives:
        far = np.flatnonzero(targets_of(life, cap) >= cap)
        far = far if len(far) else np.arange(max(1, len(life) // 3))
        scores.append(spec.standardiser.transform(life.values)[far])
        values.append(life.values[far])
    stacked = np.vstack(values)
    regimes = spec.standardiser.regimes.assign(stacked)
    usual = np.full((len(spec.standardiser.regimes), stacked.shape[1], 2), np.nan)
    for regime in range(len(usual)):
        rows = stacked[regimes == regime]
        known_columns = ~np.isnan(rows).all(axis=0) if len(rows) else np.zeros(0, dtype=bool)
        if known_columns.any():
            usual[regime, known_columns] = np.nanquantile(
                rows[:, known_columns], [0.05, 0.95], axis=0
            ).T
    return Healthy(np.mean(np.vstack(scores), axis=0), usual)
