"""Folders of run-to-failure benchmarks: train_<set>, test_<set> and RUL_<set>.

Each row of train and test is one step of one unit: unit number, step, then signals. Training
units end in their failure, test units are cut off before it; RUL holds one number a test unit,
what was left after its last row. Files may be CSV with a header, or columns parted by blanks
without one, and may be gzipped (Saxena and others, PHM 2008).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlops.lives import FloatArray, Life, UnusableLives

SUFFIXES = (".csv", ".csv.gz", ".txt", ".txt.gz")


class BadFolder(ValueError):
    """The folder does not hold sets of this form; says what is missing."""


@dataclass(frozen=True, slots=True)
class RunToFailure:
    """One set."""

    name: str
    signals: tuple[str, ...]
    train: list[Life]
    test: list[Life]
    left: FloatArray


def read_all(folder: Path) -> Iterator[RunToFailure]:
    """Yield every set of a folder by name.

    Raises:
        BadFolder: no set is there, or one lacks a file or has rows that do not fit.
    """
    found = sorted(path for path in folder.glob("train_*") if path.name.endswith(SUFFIXES))
    if not found:
        raise BadFolder(f"{folder} holds no train_* file.")
    for path in found:
        yield read(folder, path.name.removeprefix("train_").split(".")[0])


def read(folder: Path, name: str) -> RunToFailure:
    """Read one set.

    Raises:
        BadFolder: a file is missing or its rows do not fit.
    """
    signals, train = _lives(_path(folder, f"train_{name}"), failed=True)
    test_signals, test = _lives(_path(folder, f"test_{name}"), failed=False)
    _header, left = _table(_path(folder, f"RUL_{name}"))
    if signals != test_signals:
        raise BadFolder(f"{name}: train and test have different columns.")
    if len(left) != len(test):
        raise BadFolder(f"{name}: {len(test)} test units, but {len(left)} remaining lives.")
    return RunToFailure(name, signals, train, test, left[:, -1])


def _path(folder: Path, stem: str) -> Path:
    for suffix in SUFFIXES:
        if (path := folder / f"{stem}{suffix}").is_file():
            return path
    raise BadFolder(f"{folder} holds no {stem}{SUFFIXES[0]}.")


def _lives(path: Path, *, failed: bool) -> tuple[tuple[str, ...], list[Life]]:
    header, table = _table(path)
    if table.shape[1] < 3:
        raise BadFolder(f"{path.name}: unit, step and at least one signal are needed.")
    units = table[:, 0]
    try:
        lives = [
            Life(f"{unit:g}", f"{unit:g}", rows[:, 1], rows[:, 2:], failed)
            for unit in np.unique(units)
            for rows in (table[units == unit],)
        ]
    except UnusableLives as error:
        raise BadFolder(f"{path.name}: {error}") from error
    return header[2:], lives


def _table(path: Path) -> tuple[tuple[str, ...], FloatArray]:
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt") as file:
        lines = [line.strip() for line in file if line.strip()]
    if not lines:
        raise BadFolder(f"{path.name} is empty.")
    separator = "," if "," in lines[0] else None
    first = lines[0].split(separator)
    has_header = not _is_number(first[0])
    header = first if has_header else [f"column_{i}" for i in range(1, len(first) + 1)]
    try:
        table = np.array(
            [line.split(separator) for line in lines[int(has_header) :]], dtype=np.float64
        )
    except ValueError as error:
        raise BadFolder(f"{path.name}: not every row holds {len(first)} numbers.") from error
    return tuple(name.strip() for name in header), table


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
