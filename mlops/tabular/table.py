"""Cases: rows of parameters, what became of them, and which of them belong together.

Pure arrays, no Django.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mlops.lives import FloatArray
from mlops.regimes import IntArray

BoolArray = npt.NDArray[np.bool_]

# A level of a category seen in fewer cases than this is one of "the others".
MIN_CASES_OF_A_LEVEL = 5
# What fits a float32 and survives a comparison; products of large numbers may not.
LARGEST = 1e30


class UnusableTable(ValueError):
    """Columns, rows or labels do not fit each other."""


@dataclass(frozen=True, slots=True)
class Column:
    """One parameter.

    Attributes:
        levels: names of the levels of a category, in the order of their codes; empty for a
            number.
    """

    name: str
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Parameters of cases.

    Attributes:
        values: (n_cases, n_columns); a category holds the code of its level, NaN is unknown.
    """

    columns: tuple[Column, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.columns):
            raise UnusableTable(
                f"{len(self.columns)} columns are named, the values are {self.values.shape}."
            )
        if np.isinf(self.values).any():
            raise UnusableTable("A parameter is infinite.")

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: IntArray) -> Table:
        return Table(self.columns, self.values[rows])

    @property
    def numbers(self) -> IntArray:
        """Places of the numeric columns."""
        return np.array([i for i, c in enumerate(self.columns) if not c.levels], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each case.

    Attributes:
        classes: names; of two, the second is the event.
        codes: (n_cases,) places in `classes`.
        modes: ways in which an event came about, (n_cases,) each; a case may have several or
            none. Learnt one by one, because one way is simpler to see than all at once.
    """

    classes: tuple[str, ...]
    codes: IntArray
    modes: Mapping[str, BoolArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise UnusableTable("Every case has the same outcome: there is nothing to tell apart.")
        if self.modes and len(self.classes) > 2:
            raise UnusableTable("Modes belong to an event, not to one of several classes.")

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def is_binary(self) -> bool:
        return len(self.classes) == 2

    def take(self, rows: IntArray) -> Outcome:
        modes = {name: cases[rows] for name, cases in self.modes.items()}
        return Outcome(self.classes, self.codes[rows], modes)


def digest(table: Table, outcome: Outcome) -> str:
    """Name a set of cases by its content."""
    whole = hashlib.sha256()
    whole.update(repr([(c.name, c.levels) for c in table.columns]).encode())
    whole.update(repr(outcome.classes).encode())
    whole.update(np.ascontiguousarray(table.values, "<f8").tobytes())
    whole.update(np.ascontiguousarray(outcome.codes, "<i8").tobytes())
    for name, cases in sorted(outcome.modes.items()):
        whole.update(name.encode() + np.ascontiguousarray(cases).tobytes())
    return whole.hexdigest()


def column_of(
    name: str, texts: Sequence[str], levels: Sequence[str] = ()
) -> tuple[Column, FloatArray]:
    """Read one column: numbers where every known entry is one, else a category.

    Args:
        texts: one entry a case; empty, `nan` and the like are unknown.
        levels: of a column known to be a category; others than these are unknown.
    """
    known = [text.strip() for text in texts]
    if not levels:
        try:
            return Column(name), np.array([_number(text) for text in known])
        except ValueError:
            levels = sorted({text for text in known if not _is_unknown(text)})
    code_of = {level: float(code) for code, level in enumerate(levels)}
    return Column(name, tuple(levels)), np.array([code_of.get(text, np.nan) for text in known])


def _is_unknown(text: str) -> bool:
    return text.lower() in {"", "nan", "na", "n/a", "null", "none", "?"}


def _number(text: str) -> float:
    value = float("nan") if _is_unknown(text) else float(text)
    return value if np.isfinite(value) else float("nan")
