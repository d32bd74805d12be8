"""Forecasts for cases by models that never saw them, and what is chosen with their help.

Each fold proposes its own combinations of columns from its own training rows. Whatever is
chosen by looking at held-back cases (how many combinations to keep, the calibration, the
threshold) is chosen for a fold from the other folds alone, so that its figures stay honest; in
time order from earlier folds alone, and the first one is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular import boosting, calibration
from mlops.tabular.boosting import Heads
from mlops.tabular.derived import MAX_PAIRED, Derived, Design, proposals
from mlops.tabular.folds import Fold
from mlops.tabular.table import Outcome, Table

# How many combinations may be kept. A few tries: every further one is another chance to be
# fooled by luck.
SIZES = (0, 8, 24)
# Of more plain columns and levels than this only the most useful are kept: among hundreds, most
# of what trees pick up later is luck, and it costs as much as the rest.
MAX_FEATURES = 60


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Forecasts of held-back cases.

    Attributes:
        rows: (n_judged,) cases that were held back, in the order of the other fields.
        fold: (n_judged,) which fold held them back.
        probability: (n_judged, n_classes), calibrated on the other folds.
        base: (n_judged, n_classes) share of each class among the cases learnt from.
        log_odds: (n_judged, n_outputs) before calibration.
        size: how many combinations helped over all folds.
    """

    rows: IntArray
    fold: IntArray
    probability: FloatArray
    base: FloatArray
    log_odds: FloatArray
    size: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a set of cases suggests.

    Attributes:
        design: the plain columns.
        boosters: trees on those, one a head.
        ranked: combinations worth a try, the most useful first.
    """

    design: Design
    boosters: list[Any]
    ranked: list[Derived]

    def with_best(self, size: int) -> Design:
        """Return the design with the first combinations of the ranking."""
        return Design(self.design.numbers, self.design.levels, tuple(self.ranked[:size]))


def propose(table: Table, outcome: Outcome, heads: Heads, *, n_threads: int = 0) -> Proposal:
    """Learn from the plain columns and say which combinations are worth a try.

    Only the cases given are looked at. Trees on the plain columns say which columns matter, of
    very many also which are left out; trees on all pairs say which would be split on.
    """
    design = Design.fit(table)
    targets = heads.targets(outcome)
    if design.n_features > MAX_FEATURES:
        quick = boosting.fit(
            design.matrix(table.values), targets, n_threads=n_threads,
            n_rounds=boosting.N_ROUNDS_TO_RANK,
        )  # fmt: skip
        design = design.narrowed(boosting.gains(quick), MAX_FEATURES)
    plain = boosting.fit(design.matrix(table.values), targets, n_threads=n_threads)
    tried = proposals([int(i) for i in design.most_used(boosting.gains(plain))[:MAX_PAIRED]])
    if not tried:
        return Proposal(design, plain, [])
    wide = Design(design.numbers, design.levels, tuple(tried))
    order = boosting.order_by_gain(
        boosting.fit(
            wide.matrix(table.values), targets, n_threads=n_threads,
            n_rounds=boosting.N_ROUNDS_TO_RANK,
        )
    )  # fmt: skip
    ranked = [tried[i - design.n_features] for i in order if i >= design.n_features]
    return Proposal(design, plain, ranked)


def out_of_fold(
    table: Table, outcome: Outcome, heads: Heads, folds: Sequence[Fold], places: IntArray,
    *, in_order: bool = False, n_threads: int = 0,
    progress: Callable[[float], None] = lambda _share: None,
) -> OutOfFold:  # fmt: skip
    """Judge every fold by models of its own.

    Args:
        places: (n_cases,) number of each case's group; groups weigh the same.
        in_order: each fold is later than the one before, and nothing is chosen by what came
            after. A single fold is judged all the same, without combinations or calibration.
    """
    in_order = in_order and len(folds) > 1
    by_size: list[list[FloatArray]] = [[] for _ in SIZES]
    for number, fold in enumerate(folds):
        progress(number / len(folds))
        for size, scores in zip(
            range(len(SIZES)), _judged(table, outcome, heads, fold, n_threads), strict=True
        ):
            by_size[size].append(scores)
    rows = np.concatenate([fold.test for fold in folds])
    own = np.concatenate([np.full(len(fold.test), i) for i, fold in enumerate(folds)])
    scores_of = [np.vstack(parts) for parts in by_size]
    losses = np.array(
        [_loss_by_fold(scores, outcome.codes[rows], own, places[rows]) for scores in scores_of]
    )
    log_odds = scores_of[0].copy()
    for i in range(int(in_order), len(folds)):
        others = np.delete(losses, i, axis=1) if len(folds) > 2 else losses
        log_odds[own == i] = scores_of[_chosen(losses[:, :i] if in_order else others)][own == i]
    judged = own >= int(in_order)
    base = np.vstack([_base(outcome, fold) for fold in folds])
    probability = _calibrated(log_odds, outcome.codes[rows], own, in_order=in_order)
    return OutOfFold(
        rows=rows[judged], fold=own[judged] - int(in_order), probability=probability[judged],
        base=base[judged], log_odds=log_odds[judged], size=SIZES[_chosen(losses)],
    )  # fmt: skip


def _judged(
    table: Table, outcome: Outcome, heads: Heads, fold: Fold, n_threads: int
) -> list[FloatArray]:
    """Return log-odds of a fold's held-back cases for each number of combinations."""
    learnt, answers = table.take(fold.train), outcome.take(fold.train)
    proposal = propose(learnt, answers, heads, n_threads=n_threads)
    judged: list[FloatArray] = []
    for size in SIZES:
        if judged and len(proposal.ranked) <= SIZES[len(judged) - 1]:
            judged.append(judged[-1])  # there are no more combinations than before
            continue
        own, boosters = proposal.with_best(size), proposal.boosters
        if size:
            boosters = boosting.fit(
                own.matrix(learnt.values), heads.targets(answers), n_threads=n_threads
            )
        raw = boosting.margins(boosters, own.matrix(table.values[fold.test]))
        judged.append(heads.log_odds(raw))
    return judged


def _base(outcome: Outcome, fold: Fold) -> FloatArray:
    counts = np.bincount(outcome.codes[fold.train], minlength=len(outcome.classes)) + 1.0
    return np.tile(counts / counts.sum(), (len(fold.test), 1))


def _loss_by_fold(
    log_odds: FloatArray, codes: IntArray, fold: IntArray, places: IntArray
) -> FloatArray:
    """Return the mean log loss of each fold before calibration, groups weighing the same."""
    uncalibrated = np.tile([1.0, 0.0], (log_odds.shape[1], 1))
    said = calibration.probabilities(log_odds, uncalibrated)
    loss = -np.log(said[np.arange(len(codes)), codes])
    _groups, place, counts = np.unique(places, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[place]
    return np.array(
        [np.average(loss[fold == i], weights=weight[fold == i]) for i in range(int(fold.max()) + 1)]
    )


def _chosen(losses: FloatArray) -> int:
    """Return which number of combinations to keep, given (n_sizes, n_folds) losses.

    The fewest that lie within one standard error of the best, so that a combination is kept
    because it helps, not because it happens not to hurt (Breiman and others, Classification
    and Regression Trees, 1984).
    """
    best = int(np.argmin(losses.mean(axis=1)))
    for size in range(best):
        excess = losses[size] - losses[best]
        error = float(excess.std(ddof=1)) / np.sqrt(len(excess)) if len(excess) > 1 else 0.0
        if float(excess.mean()) <= error:
            return size
    return best


def _calibrated(
    log_odds: FloatArray, codes: IntArray, fold: IntArray, *, in_order: bool
) -> FloatArray:
    """Return probabilities, each fold calibrated on the others, or on earlier ones."""
    result: FloatArray | None = None
    for i in range(int(fold.max()) + 1):
        others, own = fold < i if in_order else fold != i, fold == i
        fitted = calibration.fit(log_odds[others], codes[others]) if others.any() else None
        if fitted is None:
            fitted = np.tile([1.0, 0.0], (log_odds.shape[1], 1))
        said = calibration.probabilities(log_odds[own], fitted)
        if result is None:
            result = np.empty((len(codes), said.shape[1]))
        result[own] = said
    assert result is not None  # there is at least one fold
    return result
