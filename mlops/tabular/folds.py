"""Which cases are learnt from and which are held back.

Cases of one group (an experiment, a machine, a lot) are never on both sides, and where cases
have a time the held-back ones are later than those learnt from. A random split across either
measures how well a model recognises the group, not the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.table import Outcome

MAX_FOLDS = 5
# Few groups are held back in smaller parts: each is a large share of what can be learnt from.
FEW_GROUPS = 30
MAX_FOLDS_WHEN_FEW = 10
# Below this nothing can be told from chance, whatever the model.
MIN_GROUPS_OF_A_CLASS = 5


class NotEnoughCases(ValueError):
    """An outcome was seen too rarely to learn from and to test on."""

    def __init__(self, outcome: str, n_cases: int, n_needed: int = MIN_GROUPS_OF_A_CLASS) -> None:
        self.outcome, self.n_cases, self.n_needed = outcome, n_cases, n_needed
        missing = n_needed - n_cases
        super().__init__(
            f"Not enough data: needs about {missing} more independent case"
            f"{'s' if missing != 1 else ''} of {outcome!r} ({n_cases} of {n_needed} known)."
        )


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows to learn from and rows to be judged on."""

    train: IntArray
    test: IntArray


def check_enough(outcome: Outcome, groups: IntArray) -> None:
    """Refuse what cannot be judged.

    Raises:
        NotEnoughCases: with how many more independent cases are needed.
    """
    for code, name in enumerate(outcome.classes):
        n_groups = len(np.unique(groups[outcome.codes == code]))
        if n_groups < MIN_GROUPS_OF_A_CLASS:
            raise NotEnoughCases(name, n_groups)


def by_group(outcome: Outcome, groups: IntArray, *, seed: int = 0) -> list[Fold]:
    """Deal whole groups out, each outcome as evenly as groups allow.

    Even outcomes matter with few groups: holding back one of two equally frequent outcomes
    would make the other one the more frequent in training, and every guess wrong.
    """
    names, place = np.unique(groups, return_inverse=True)
    kind = kinds_of_groups(outcome, place, len(names))
    rarest = int(np.min(np.bincount(kind, minlength=len(outcome.classes))))
    most = MAX_FOLDS_WHEN_FEW if len(names) <= FEW_GROUPS else MAX_FOLDS
    n_folds = max(2, min(most, rarest))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    dealt = order[np.argsort(kind[order], kind="stable")]
    fold_of = np.empty(len(names), dtype=np.int64)
    fold_of[dealt] = np.arange(len(names)) % n_folds
    own = fold_of[place]
    return [Fold(np.flatnonzero(own != i), np.flatnonzero(own == i)) for i in range(n_folds)]


def kinds_of_groups(outcome: Outcome, place: IntArray, n_groups: int) -> IntArray:
    """Return (n_groups,) the rarest outcome that each group holds."""
    counts = np.zeros((n_groups, len(outcome.classes)), dtype=np.int64)
    np.add.at(counts, (place, outcome.codes), 1)
    frequency = np.sum(counts > 0, axis=0)
    rarity = np.where(counts > 0, frequency, n_groups + 1)
    return np.asarray(np.argmin(rarity, axis=1), dtype=np.int64)


def by_time(outcome: Outcome, times: FloatArray) -> list[Fold]:
    """Learn from the past of each block; blocks hold about as many of the rarest outcome each.

    The first block is only learnt from. Cases of one moment stay together.
    """
    rarest = int(np.argmin(np.bincount(outcome.codes, minlength=len(outcome.classes))))
    moments = np.sort(times[outcome.codes == rarest])
    n_blocks = min(MAX_FOLDS, len(moments) // 2) + 1
    cuts = [moments[ceil(len(moments) * i / n_blocks)] for i in range(1, n_blocks)]
    block = np.searchsorted(np.unique(cuts), times, side="right")
    folds = []
    for i in range(1, int(block.max()) + 1):
        train, test = np.flatnonzero(block < i), np.flatnonzero(block == i)
        if len(np.unique(outcome.codes[train])) == len(outcome.classes) and len(test):
            folds.append(Fold(train, test))
    return folds
