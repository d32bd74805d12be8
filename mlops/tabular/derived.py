"""Parameters made of two others: products, differences, ratios.

Much of what happens in a machine follows from two quantities together (power is torque times
speed, heat flows by a difference). A tree reaches such a boundary only in many small steps, so
it is given the combination. Which ones is not known beforehand: all pairs are proposed and the
trees themselves say which they would use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.table import LARGEST, MIN_CASES_OF_A_LEVEL, Table

# Pairs are proposed among this many columns, those that matter most by themselves: 12 columns
# make 66 pairs and 198 proposals, and every further column adds more than the last.
MAX_PAIRED = 12


def _ratio(first: FloatArray, second: FloatArray) -> FloatArray:
    # Unknown, not infinite, where nothing is to be divided by.
    ratio = np.full(len(first), np.nan)
    np.divide(first, second, out=ratio, where=second != 0)
    return ratio


KINDS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "x": lambda first, second: first * second,
    "-": lambda first, second: first - second,
    "/": _ratio,
}
_CODES = tuple(KINDS)


@dataclass(frozen=True, slots=True)
class Derived:
    """A combination of two columns of a table, by their places."""

    kind: str
    first: int
    second: int

    def values(self, table: FloatArray) -> FloatArray:
        """Return (n_cases,); unknown where either column is."""
        with np.errstate(over="ignore", invalid="ignore"):
            made = KINDS[self.kind](table[:, self.first], table[:, self.second])
        return np.clip(made, -LARGEST, LARGEST)

    @property
    def code(self) -> tuple[int, int, int]:
        return _CODES.index(self.kind), self.first, self.second


def from_code(kind: int, first: int, second: int) -> Derived:
    """Return the combination of a code.

    Raises:
        IndexError: there is no such kind.
    """
    return Derived(_CODES[kind], first, second)


def proposals(columns: Sequence[int]) -> list[Derived]:
    """Return every combination of two of these columns."""
    return [
        Derived(kind, first, second)
        for first, second in combinations(sorted(columns), 2)
        for kind in KINDS
    ]


@dataclass(frozen=True, slots=True)
class Design:
    """How the numbers that trees split on are made from a table.

    Attributes:
        numbers: places of the numeric columns.
        levels: (column, code) of each level of a category that has a yes/no column of its own.
        derived: combinations of numeric columns.
    """

    numbers: tuple[int, ...]
    levels: tuple[tuple[int, int], ...]
    derived: tuple[Derived, ...] = ()

    @classmethod
    def fit(cls, table: Table) -> Design:
        """Give a column to every level that enough cases have; labels are not looked at."""
        levels = [
            (place, code)
            for place, column in enumerate(table.columns)
            for code in range(len(column.levels))
            if np.sum(table.values[:, place] == code) >= MIN_CASES_OF_A_LEVEL
        ]
        return cls(tuple(int(i) for i in table.numbers), tuple(levels))

    def matrix(self, values: FloatArray) -> FloatArray:
        """Return (n_cases, n_features): numbers, levels, combinations."""
        parts = [np.clip(values[:, self.numbers], -LARGEST, LARGEST)]
        if self.levels:
            own = np.array(self.levels, dtype=np.int64)
            entries = values[:, own[:, 0]]
            parts.append(np.where(np.isnan(entries), np.nan, entries == own[:, 1]))
        parts += [derived.values(values)[:, None] for derived in self.derived]
        # What the model is given in production is float32: train on nothing finer.
        return np.hstack(parts).astype(np.float32).astype(np.float64)

    def narrowed(self, gain: FloatArray, n_kept: int) -> Design:
        """Return the numbers and levels with the highest gain, in their order.

        Args:
            gain: (n_features,) of this design, which holds no combinations.
        """
        best = np.sort(np.argsort(-gain, kind="stable")[:n_kept])
        n_numbers = len(self.numbers)
        return Design(
            tuple(self.numbers[i] for i in best if i < n_numbers),
            tuple(self.levels[i - n_numbers] for i in best if i >= n_numbers),
        )

    @property
    def n_features(self) -> int:
        return len(self.numbers) + len(self.levels) + len(self.derived)

    def most_used(self, gain: FloatArray) -> IntArray:
        """Return the places of numeric columns by the gain of their splits, highest first."""
        own = gain[: len(self.numbers)]
        order = np.argsort(-own, kind="stable")
        return np.array(self.numbers, dtype=np.int64)[order[own[order] > 0]]
