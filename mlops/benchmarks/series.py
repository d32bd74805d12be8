"""CSV files as they come: gzipped or not, parted by commas or semicolons."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from mlops.benchmarks import BadFolder
from mlops.lives import FloatArray

SUFFIXES = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True)
class Table:
    """One file.

    Attributes:
        header: names of the columns of numbers.
        times: one a row; empty where the file has no column of time.
        values: (n, n_columns), NaN where a field is empty.
    """

    header: tuple[str, ...]
    times: tuple[datetime, ...]
    values: FloatArray

    def column(self, name: str) -> FloatArray:
        """Return one column of numbers."""
        return self.values[:, self.header.index(name)]


def files_of(folder: Path) -> list[Path]:
    """Return the CSV files of a folder by name."""
    return sorted(path for path in folder.glob("*") if path.name.endswith(SUFFIXES))


def stem(path: Path) -> str:
    """Return the name of a file without its endings."""
    return path.name.removesuffix(".gz").removesuffix(".csv")


def read(path: Path, *, time_column: bool) -> Table:
    """Read a file with a header.

    Raises:
        BadFolder: it is empty or a field is not what its column holds.
    """
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", newline="") as file:
        text = file.read()
    lines = text.splitlines()
    if len(lines) < 2:
        raise BadFolder(f"{path.name} holds no rows.")
    rows = list(csv.reader(lines, delimiter=";" if ";" in lines[0] else ","))
    header, body = [name.strip() for name in rows[0]], [row for row in rows[1:] if row]
    first = int(time_column)
    try:
        times = tuple(datetime.fromisoformat(row[0].strip()) for row in body) if first else ()
        values = np.array(
            [[float(field) if field.strip() else np.nan for field in row[first:]] for row in body]
        )
    except ValueError as error:
        raise BadFolder(f"{path.name}: {error}.") from error
    if values.ndim != 2 or values.shape[1] != len(header) - first:
        raise BadFolder(f"{path.name}: rows do not fit the header.")
    return Table(tuple(header[first:]), times, values)
