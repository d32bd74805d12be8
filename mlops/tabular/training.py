"""From cases to a model, or to the answer that there is no evidence of one.

The way is the same for every table: folds that keep groups together, forecasts by models that
never saw the case, calibration and threshold from those, a test against chance, and only where
that is passed a model trained on all cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mlops import trees
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular import boosting, calibration, scores, skill
from mlops.tabular import folds as folds_module
from mlops.tabular.boosting import Heads
from mlops.tabular.crossfit import OutOfFold, out_of_fold, propose
from mlops.tabular.folds import Fold, NotEnoughCases
from mlops.tabular.model import TabularModel, called
from mlops.tabular.scores import ClassReport
from mlops.tabular.skill import Skill
from mlops.tabular.table import Outcome, Table, UnusableTable, digest

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Costs:
    """What a wrong announcement costs, in any one unit."""

    false_alarm: float
    miss: float

    @property
    def threshold(self) -> float:
        """The probability from which on announcing is cheaper than waiting."""
        return self.false_alarm / (self.false_alarm + self.miss)


@dataclass(frozen=True, slots=True)
class Judged:
    """Held-back cases and what was said of them.

    Attributes:
        rows: (n_judged,) places of the cases.
        probability: (n_judged, n_classes).
        called: (n_judged,) the class announced.
        fold: (n_judged,) which fold held them back; what different models say is compared
            within folds only.
    """

    rows: IntArray
    probability: FloatArray
    called: IntArray
    fold: IntArray


@dataclass(frozen=True, slots=True)
class Training:
    """What was learnt, and what is known about it.

    Attributes:
        model: None where skill is not shown; `skill.sentence` says why.
        metrics: on cases held back, with 90 % intervals; threshold and calibration of each fold
            come from the others.
        by_class: how each class fares on the same cases.
        judged: those cases one by one.
        digest: of the cases.
    """

    model: TabularModel | None
    skill: Skill
    metrics: dict[str, float]
    by_class: list[ClassReport]
    judged: Judged
    parameters: dict[str, str | float | int]
    digest: str


def train(
    table: Table, outcome: Outcome, *, groups: Sequence[str] | IntArray | None = None,
    times: FloatArray | None = None, costs: Costs | None = None, n_threads: int = 0,
    progress: Progress = lambda _share, _message: None,
) -> Training:  # fmt: skip
    """Train and evaluate on cases never seen; return a model only where skill is shown.

    Args:
        groups: per case, what it belongs to (experiment, machine, lot); cases of one group
            are one piece of evidence and never split. Each case is its own where not given.
        times: per case; where given, every judged case is judged by a model of earlier ones.
        costs: of wrong announcements; the threshold balances them. Without, it is the one with
            the highest F1 to be expected. Only used for two classes.
        n_threads: threads of the training, 0 for all.

    Raises:
        NotEnoughCases: an outcome was seen too rarely to judge anything.
        UnusableTable: rows and labels do not fit each other.
    """
    places = _places(table, outcome, groups, times)
    folds_module.check_enough(outcome, places)
    progress(0.0, "Judging on cases held back")
    held_out = _cross_fit(
        table, outcome, places, times, n_threads, lambda x: progress(0.6 * x, "Training on folds")
    )
    progress(0.6, "Testing against chance")
    found = _skill(table, outcome, places, times, held_out, n_threads)
    threshold, announced = _thresholds(held_out, outcome, costs)
    codes, judged = outcome.codes[held_out.rows], places[held_out.rows]
    metrics = scores.with_intervals(held_out.probability, announced, codes, judged)
    metrics |= {
        "n_cases": float(len(table)), "n_groups": float(len(np.unique(places))),
        "n_judged": float(len(codes)), "skill_nats": found.gain, "p_value": found.p_value,
        "has_skill": float(found.is_shown),
    }  # fmt: skip
    progress(0.8, "Training on all cases")
    model = _final(table, outcome, held_out, threshold, n_threads) if found.is_shown else None
    return Training(
        model, found, metrics, scores.by_class(announced, codes, outcome.classes),
        Judged(held_out.rows, held_out.probability, announced, held_out.fold),
        {
            **{k: v for k, v in boosting.BOOSTING.items() if isinstance(v, str | float | int)},
            "n_rounds": boosting.N_ROUNDS, "n_combinations": held_out.size,
            "n_columns": len(table.columns), "threshold": threshold,
        },
        digest(table, outcome),
    )  # fmt: skip


def cross_validated(
    table: Table, outcome: Outcome, *, groups: Sequence[str] | IntArray | None = None,
    costs: Costs | None = None, seed: int = 0, n_threads: int = 0,
) -> Judged:  # fmt: skip
    """Judge every case by a model that did not see it, whenever it came about.

    What `train` does without times, short of the test against chance and the model.

    Args:
        seed: of the division into folds.

    Raises:
        NotEnoughCases, UnusableTable: as `train`.
    """
    places = _places(table, outcome, groups, None)
    folds_module.check_enough(outcome, places)
    held_out = _cross_fit(table, outcome, places, None, n_threads, seed=seed)
    _threshold, announced = _thresholds(held_out, outcome, costs)
    return Judged(held_out.rows, held_out.probability, announced, held_out.fold)


def _places(
    table: Table, outcome: Outcome, groups: Sequence[str] | IntArray | None,
    times: FloatArray | None,
) -> IntArray:  # fmt: skip
    if len(table) != len(outcome):
        raise UnusableTable(f"{len(table)} cases, but {len(outcome)} outcomes.")
    if times is not None and (len(times) != len(table) or np.isnan(times).any()):
        raise UnusableTable("Every case needs a time.")
    if groups is None:
        return np.arange(len(table), dtype=np.int64)
    if len(groups) != len(table):
        raise UnusableTable("Every case needs a group.")
    _names, place = np.unique(np.asarray(groups), return_inverse=True)
    return place.astype(np.int64)


def _folds(outcome: Outcome, places: IntArray, times: FloatArray | None, seed: int) -> list[Fold]:
    if times is None:
        return folds_module.by_group(outcome, places, seed=seed)
    folds = folds_module.by_time(outcome, times)
    if not folds:
        rarest = int(np.argmin(np.bincount(outcome.codes, minlength=len(outcome.classes))))
        n_cases = int(np.sum(outcome.codes == rarest))
        raise NotEnoughCases(outcome.classes[rarest], n_cases, n_cases + 1)
    return folds


def _cross_fit(
    table: Table, outcome: Outcome, places: IntArray, times: FloatArray | None, n_threads: int,
    progress: Callable[[float], None] = lambda _share: None, seed: int = 0,
) -> OutOfFold:  # fmt: skip
    return out_of_fold(
        table, outcome, Heads.of(outcome), _folds(outcome, places, times, seed), places,
        in_order=times is not None,
        n_threads=n_threads, progress=progress,
    )  # fmt: skip


def _gains(held_out: OutOfFold, outcome: Outcome, places: IntArray) -> FloatArray:
    return skill.group_gains(
        held_out.probability, held_out.base, outcome.codes[held_out.rows], places[held_out.rows]
    )


def _skill(
    table: Table, outcome: Outcome, places: IntArray, times: FloatArray | None,
    held_out: OutOfFold, n_threads: int,
) -> Skill:  # fmt: skip
    """Test the gains; with few groups of one outcome each, also by dealing outcomes anew."""
    gains = _gains(held_out, outcome, places)
    n_groups = int(places.max()) + 1
    codes = np.zeros(n_groups, dtype=np.int64)
    codes[places] = outcome.codes
    is_constant = bool(np.all(codes[places] == outcome.codes))
    if times is not None or not is_constant or n_groups > skill.MAX_GROUPS_TO_REFIT:
        return skill.judge(gains)

    def repeated(order: IntArray) -> float:
        dealt = Outcome(outcome.classes, codes[order][places])
        again = _cross_fit(table, dealt, places, None, n_threads)
        return float(_gains(again, dealt, places).mean())

    by_signs = skill.judge(gains)
    if not by_signs.is_shown:
        return by_signs  # the stricter of both counts, so the dear one cannot change this
    p_value = skill.by_refits(float(gains.mean()), repeated, n_groups)
    return skill.judge(gains, p_value=p_value)


def _thresholds(
    held_out: OutOfFold, outcome: Outcome, costs: Costs | None
) -> tuple[float, IntArray]:
    """Return the threshold, and what each fold announces by the threshold of the others."""
    said, codes = held_out.probability, outcome.codes[held_out.rows]
    if not outcome.is_binary:
        return 0.0, called(said, 0.0)
    if costs is not None:
        return costs.threshold, called(said, costs.threshold)
    announced = np.zeros(len(codes), dtype=np.int64)
    for i in range(int(held_out.fold.max()) + 1):
        own = held_out.fold == i
        announced[own] = called(said[own], best_threshold(said[~own if (~own).any() else own, 1]))
    return best_threshold(said[:, 1]), announced


def best_threshold(probability: FloatArray) -> float:
    """Return the threshold with the highest F1 to be expected of calibrated probabilities.

    It is half of that F1. Looking for the best threshold among labels instead follows the few
    cases beside it: on rare events it came out worse on cases not looked at.

    Source: Lipton, Elkan and Naryanaswamy, Optimal thresholding of classifiers to maximize F1
    measure (ECML PKDD, 2014).
    """
    falling = np.sort(probability)[::-1]
    n_said = np.arange(1, len(falling) + 1)
    expected = 2.0 * np.cumsum(falling) / (n_said + falling.sum())
    return float(expected.max()) / 2.0


def _final(
    table: Table, outcome: Outcome, held_out: OutOfFold, threshold: float, n_threads: int
) -> TabularModel:
    """Train on all cases with what was chosen on held-back ones."""
    heads = Heads.of(outcome)
    proposal = propose(table, outcome, heads, n_threads=n_threads)
    design, boosters = proposal.with_best(held_out.size), proposal.boosters
    if held_out.size:
        boosters = boosting.fit(
            design.matrix(table.values), heads.targets(outcome), n_threads=n_threads
        )
    usual, between = _usual(table, outcome)
    return TabularModel(
        columns=table.columns, classes=outcome.classes, heads=heads, design=design,
        sigmoids=calibration.fit(held_out.log_odds, outcome.codes[held_out.rows]),
        threshold=threshold, usual=usual, range=between,
        serialised=trees.to_onnx(
            boosters, [np.arange(design.n_features)] * len(boosters),
            n_features=design.n_features, targets=range(len(boosters)),
        ),
    )  # fmt: skip


def _usual(table: Table, outcome: Outcome) -> tuple[FloatArray, FloatArray]:
    """Describe cases without the event; of several classes, those of the most frequent."""
    normal = int(np.argmax(np.bincount(outcome.codes))) if not outcome.is_binary else 0
    rows = table.values[outcome.codes == normal]
    usual = np.full(len(table.columns), np.nan)
    between = np.full((len(table.columns), 2), np.nan)
    for place, column in enumerate(table.columns):
        known = rows[~np.isnan(rows[:, place]), place]
        if not len(known):
            continue
        if column.levels:
            usual[place] = float(np.argmax(np.bincount(known.astype(np.int64))))
            continue
        usual[place] = float(np.median(known))
        between[place] = np.quantile(known, [0.05, 0.95])
    return usual, between
