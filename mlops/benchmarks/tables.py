"""Tables of cases as files: what each column is, told by its structure.

A table is a CSV with a header, possibly gzipped. Unless the caller says otherwise:

- the target is the column whose name holds one of the words of `TARGET_WORDS`;
- a text with a different entry in most rows, and a whole number that is different in every row,
  name a case and say nothing about it;
- a 0/1 column whose ones fall almost wholly on cases with the event tells how the event came
  about: known only afterwards, so a label of a mode and never an input;
- beside such modes, every other 0/1 column that is as rare as the event is taken for a record
  of events too. It may be an honest input; leaving it out costs less than a leak.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlops.benchmarks import BadFolder
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.table import BoolArray, Outcome, Table, column_of

SUFFIXES = (".csv", ".csv.gz")
TARGET_WORDS = frozenset(
    {"target", "label", "class", "outcome", "failure", "failed", "fault", "defect", "condition"}
)
# A mode label may miss the event in one case of ten: records have errors.
CONTAINED = 0.9
DIFFERENT = 0.5

Texts = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns of a table are.

    Attributes:
        modes: labels of how the event came about.
        records: further columns that record events.
        names: columns that name a case.
        inputs: the rest.
    """

    target: str
    modes: tuple[str, ...]
    records: tuple[str, ...]
    names: tuple[str, ...]
    inputs: tuple[str, ...]


def read_texts(path: Path) -> dict[str, list[str]]:
    """Return the columns of a file by name.

    Raises:
        BadFolder: the file is empty, or a row is longer or shorter than the header.
    """
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise BadFolder(f"{path.name} holds no rows.")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) < len(header):
        raise BadFolder(f"{path.name}: two columns have the same name.")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise BadFolder(f"{path.name}, row {number}: {len(row)} entries, not {len(header)}.")
    return {name: [row[i].strip() for row in rows[1:]] for i, name in enumerate(header)}


def target_of(names: Sequence[str], told: str | None, where: str) -> str:
    """Return the column to be predicted.

    Raises:
        BadFolder: it is not there, or more than one could be meant.
    """
    if told is not None:
        if told not in names:
            raise BadFolder(f"{where} has no column {told!r}.")
        return told
    found = [n for n in names if TARGET_WORDS & set(re.split(r"[^a-z]+", n.lower()))]
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadFolder(f"{where}: which column is the outcome? Name it with --target.")
    raise BadFolder(f"{where}: {', '.join(found)}: which is the outcome? Name it with --target.")


def roles_of(texts: Texts, *, target: str, ignored: Sequence[str] = ()) -> Roles:
    """Tell the columns' roles by the rules of this module.

    Args:
        ignored: columns that are not to be inputs whatever they hold.
    """
    event = _event(texts[target])
    others = [name for name in texts if name != target and name not in ignored]
    flags = {name: flag for name in others if (flag := _flag(texts[name])) is not None}
    modes, records = [], []
    if event is not None:
        for name, flag in flags.items():
            if flag.any() and np.mean(event[flag]) >= CONTAINED:
                modes.append(name)
        if modes:
            records = [
                name for name, flag in flags.items()
                if name not in modes and np.mean(flag) <= np.mean(event)
            ]  # fmt: skip
    names = [name for name in others if _names_a_case(texts[name])]
    taken = {*modes, *records, *names}
    inputs = tuple(name for name in others if name not in taken)
    return Roles(target, tuple(modes), tuple(records), tuple(names), inputs)


def classes_of(entries: Sequence[str]) -> tuple[str, ...]:
    """Return the classes; of two, the rarer one is the event and comes last.

    0 and 1 (no and yes, false and true) keep their order, whichever is rarer.
    """
    names, counts = np.unique(np.asarray(entries), return_counts=True)
    if len(names) == 2 and _flag(entries) is None and counts[0] < counts[1]:
        names = names[::-1]
    return tuple(str(name) for name in names)


def cases_of(
    texts: Texts, roles: Roles, *, like: Table | None = None,
    classes: tuple[str, ...] | None = None,
) -> tuple[Table, Outcome]:  # fmt: skip
    """Return a table and its outcomes.

    Args:
        like: take columns and levels from this table (of training) instead of finding them.
        classes: likewise.

    Raises:
        BadFolder: a column is missing or an outcome is unknown.
    """
    missing = [name for name in (roles.target, *roles.inputs) if name not in texts]
    if missing:
        raise BadFolder(f"A file lacks the column {missing[0]!r}.")
    columns, values = [], []
    for place, name in enumerate(roles.inputs):
        levels = like.columns[place].levels if like is not None else ()
        column, entries = column_of(name, texts[name], levels)
        if like is not None and column != like.columns[place]:
            raise BadFolder(f"{name!r} holds numbers in one file and words in another.")
        columns.append(column)
        values.append(entries)
    classes = classes_of(texts[roles.target]) if classes is None else classes
    stacked = np.column_stack(values) if values else np.empty((len(texts[roles.target]), 0))
    modes = {name: texts[name] for name in roles.modes if name in texts}
    return Table(tuple(columns), stacked), Outcome(
        classes, _codes(texts[roles.target], classes),
        {name: np.array(flag) for name in modes if (flag := _flag(modes[name])) is not None},
    )  # fmt: skip


def _codes(entries: Sequence[str], classes: tuple[str, ...]) -> IntArray:
    code_of = {name: code for code, name in enumerate(classes)}
    unknown = sorted(set(entries) - set(classes))
    if unknown:
        raise BadFolder(f"The outcome {unknown[0]!r} is not one of {', '.join(classes)}.")
    return np.array([code_of[entry] for entry in entries], dtype=np.int64)


def _event(entries: Sequence[str]) -> BoolArray | None:
    classes = classes_of(entries)
    return np.asarray(entries) == classes[1] if len(classes) == 2 else None


def _flag(entries: Sequence[str]) -> BoolArray | None:
    """Return what a 0/1 column says, None for any other column."""
    yes, no = {"1", "1.0", "true", "yes"}, {"0", "0.0", "false", "no"}
    lowered = [entry.lower() for entry in entries]
    if not set(lowered) <= yes | no:
        return None
    return np.array([entry in yes for entry in lowered])


def _names_a_case(entries: Sequence[str]) -> bool:
    n_different = len(set(entries))
    numbers = _numbers(entries)
    if numbers is None:
        return n_different > DIFFERENT * len(entries)
    return n_different == len(entries) and bool(np.all(numbers == np.floor(numbers)))


def _numbers(entries: Sequence[str]) -> FloatArray | None:
    column, values = column_of("", entries)
    return None if column.levels else values
