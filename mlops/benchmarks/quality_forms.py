"""Tables of quality data as they come: which form a file has, told by what it holds.

- Columns named `..._Setpoint` beside `..._Actual` make a process in time (`quality_process`).
- Three or more neighbouring 0/1 columns of which each row has exactly one 1 are one outcome.
- A column of times (in one of `FORMATS`, or seconds or milliseconds since 1970) puts cases in
  order.
- Values in a file without a header, parted by blanks or commas, and outcomes row by row in
  another file of the same name with `_labels` (outcome, then time, in any of the forms above).
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from mlops.benchmarks import BadFolder, tables
from mlops.lives import FloatArray
from mlops.tabular.table import column_of

PLAIN_SUFFIXES: Final = (".data", ".data.gz", ".txt", ".txt.gz", *tables.SUFFIXES)
LABELS: Final = "label"
TIME_WORDS: Final = frozenset({"time", "date", "timestamp", "stamp", "datetime", "at", "when"})
# Words of an outcome's name beside those of `tables`.
MORE_WORDS: Final = frozenset(
    {"pass", "fail", "result", "reject", "rejected", "verdict", "quality", "grade", "scrap", "ng"}
)
MAX_CLASSES: Final = 20
MIN_ONE_HOT: Final = 3
ONES: Final = frozenset({"1", "1.0"})
ZEROS: Final = frozenset({"0", "0.0"})
MERGED: Final = "class"
# Day first where both are possible, unless only the other keeps the file in order.
FORMATS: Final = tuple(
    f"{date} {clock}".strip()
    for date in ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%m/%d/%Y",
                 "%m-%d-%Y", "%d/%m/%y", "%m/%d/%y")
    for clock in ("%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "")
)  # fmt: skip
EPOCH_S: Final = (3e8, 5e9)  # 1979 to 2128

Texts = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A table with its outcome.

    Attributes:
        outcome: name of the column that holds the class of each case.
        one_hot: names of the columns that it was made of; empty where it was there.
        time: name of the column of times; empty where there is none.
        times_s: (n_cases,) seconds; None likewise.
    """

    texts: Texts
    outcome: str
    one_hot: tuple[str, ...]
    time: str
    times_s: FloatArray | None


def read_texts(path: Path, folder_files: Sequence[Path]) -> dict[str, list[str]]:
    """Return the columns of a file, with those of the file of its labels where there is one.

    Raises:
        BadFolder: the files are empty, ragged, or differ in length.
    """
    labels = [other for other in folder_files if is_labels(other) and owner(other) == stem(path)]
    if not labels and path.name.endswith(tables.SUFFIXES):
        return tables.read_texts(path)
    values = _plain(path)
    if not labels:
        return values
    told = _plain(labels[0])
    if len(next(iter(told.values()))) != len(next(iter(values.values()))):
        raise BadFolder(f"{labels[0].name} does not have as many rows as {path.name}.")
    times = [name for name, entries in told.items() if times_of(entries) is not None]
    named = {("time" if name in times[:1] else f"outcome {name}"): e for name, e in told.items()}
    outcomes = [name for name in named if name != "time"]
    if len(outcomes) == 1:
        named["outcome"] = named.pop(outcomes[0])
    return values | named


def is_labels(path: Path) -> bool:
    """Whether a file holds outcomes of another one."""
    return LABELS in stem(path).lower() and bool(owner(path))


def owner(path: Path) -> str:
    """Return the name of the file that these are the labels of."""
    return re.split(r"[_\- ]*labels?", stem(path), flags=re.IGNORECASE)[0]


def stem(path: Path) -> str:
    """Return the name of a file without its endings."""
    return path.name.split(".")[0]


def _plain(path: Path) -> dict[str, list[str]]:
    """Read a file that may lack a header, its fields parted by commas, semicolons or blanks."""
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = [line.strip() for line in file.read().splitlines() if line.strip()]
    if not lines:
        raise BadFolder(f"{path.name} holds no rows.")
    parting = next((mark for mark in ",;\t" if mark in lines[0]), " ")
    rows = list(csv.reader(lines, delimiter=parting, skipinitialspace=True))
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise BadFolder(f"{path.name}, row {number}: {len(row)} entries, not {len(rows[0])}.")
    has_header = _is_header(rows)
    names = rows[0] if has_header else [str(place) for place in range(len(rows[0]))]
    body = rows[int(has_header) :]
    return {name.strip(): [row[i].strip() for row in body] for i, name in enumerate(names)}


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds words where the second one holds numbers or times."""
    if len(rows) < 2 or len(set(rows[0])) < len(rows[0]):
        return False
    return any(
        not _is_data(first) and _is_data(second)
        for first, second in zip(rows[0], rows[1], strict=True)
    )


def _is_data(entry: str) -> bool:
    return not column_of("", [entry])[0].levels or times_of([entry]) is not None


def labelled(texts: Texts, *, told: str | None, where: str) -> Labelled:
    """Find outcome and time of a table.

    Args:
        told: name of the outcome's column, where it is known.

    Raises:
        BadFolder: the outcome cannot be told.
    """
    time, times_s = time_column(texts)
    one_hot = () if told else one_hot_of([(n, e) for n, e in texts.items() if n != time])
    if one_hot:
        return Labelled(_merged(texts, one_hot), MERGED, one_hot, time, times_s)
    named = told or _outcome([name for name in texts if name != time], texts, where)
    if named not in texts:
        raise BadFolder(f"{where} has no column {named!r}.")
    return Labelled(texts, named, (), time, times_s)


def with_outcome(texts: Texts, like: Labelled) -> Texts:
    """Return the columns of another file of the same kind, its one-hot columns made one.

    Raises:
        BadFolder: it lacks one of them.
    """
    missing = [name for name in like.one_hot if name not in texts]
    if missing:
        raise BadFolder(f"A file lacks the column {missing[0]!r}.")
    return _merged(texts, like.one_hot) if like.one_hot else texts


def _merged(texts: Texts, one_hot: Sequence[str]) -> Texts:
    flags = np.array([[entry in ONES for entry in texts[name]] for name in one_hot])
    classes = [one_hot[place] for place in np.argmax(flags, axis=0)]
    return {name: e for name, e in texts.items() if name not in one_hot} | {MERGED: classes}


def _outcome(names: Sequence[str], texts: Texts, where: str) -> str:
    """Return the column with a name of an outcome and few different entries; the last such."""
    for words in (tables.TARGET_WORDS, MORE_WORDS):
        found = [
            name for name in names
            if words & set(re.split(r"[^a-z]+", name.lower()))
            and 2 <= len(set(texts[name])) <= MAX_CLASSES
        ]  # fmt: skip
        if len(found) == 1:
            return found[0]
        if found:
            raise BadFolder(
                f"{where}: {', '.join(found)}: which is the outcome? Name it with --target."
            )
    if 2 <= len(set(texts[names[-1]])) <= MAX_CLASSES:
        return names[-1]
    raise BadFolder(f"{where}: which column is the outcome? Name it with --target.")


def one_hot_of(columns: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    """Return the longest, and of equals the last, run of 0/1 columns with one 1 in every row."""
    flags = [
        np.array([entry in ONES for entry in entries])
        if set(entries) <= ONES | ZEROS and len(set(entries)) == 2
        else None
        for _name, entries in columns
    ]
    best: tuple[str, ...] = ()
    for first in range(len(columns)):
        total = np.zeros(len(columns[0][1]), dtype=np.int64)
        for last in range(first, len(columns)):
            flag = flags[last]
            if flag is None:
                break
            total += flag
            length = last - first + 1
            if total.max() > 1:
                break
            if length >= max(MIN_ONE_HOT, len(best)) and np.all(total == 1):
                best = tuple(name for name, _entries in columns[first : last + 1])
    return best


def time_column(texts: Texts) -> tuple[str, FloatArray | None]:
    """Return the name of the column of times and its seconds; nothing where there is none."""
    for name, entries in texts.items():
        is_named = bool(TIME_WORDS & set(re.split(r"[^a-z]+", name.lower())))
        times_s = times_of(entries, numbers=is_named)
        if times_s is not None:
            return name, times_s
    return "", None


def times_of(entries: Sequence[str], *, numbers: bool = False) -> FloatArray | None:
    """Return seconds since 1970 of entries that are all times of one format; else None.

    Args:
        numbers: also take plain numbers for seconds or milliseconds since 1970.
    """
    if numbers and (seconds := _epoch(entries)) is not None:
        return seconds
    different = list(dict.fromkeys(entries))
    readings: list[FloatArray] = []
    for form in (None, *FORMATS):
        try:
            seconds_of = {entry: _seconds(entry, form) for entry in different}
        except ValueError:
            continue
        read = np.array([seconds_of[entry] for entry in entries])
        if np.all(np.diff(read) >= 0):
            return read
        readings.append(read)
    return readings[0] if readings else None


def _seconds(entry: str, form: str | None) -> float:
    if form is None and not re.match(r"\d{4}-\d\d-\d\d", entry):
        raise ValueError(entry)
    if form is not None:
        return datetime.strptime(entry, form).replace(tzinfo=UTC).timestamp()
    moment = datetime.fromisoformat(entry)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _epoch(entries: Sequence[str]) -> FloatArray | None:
    column, values = column_of("", entries)
    if column.levels or np.isnan(values).any() or not len(values):
        return None
    for unit in (1.0, 1e3):
        if EPOCH_S[0] <= values.min() / unit and values.max() / unit <= EPOCH_S[1]:
            return values / unit
    return None
