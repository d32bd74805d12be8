"""Small folders of each form, as anybody could bring them."""

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

START = datetime(2026, 3, 1)  # noqa: DTZ001 - such files have no zone


def times(n: int, step_s: int = 60) -> list[str]:
    return [str(START + timedelta(seconds=step_s * i)) for i in range(n)]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        file.write("\n".join(lines) + "\n")


def streams(folder: Path) -> Path:
    """Write two streams, one with a jump in its window."""
    at = times(600)
    for name, jump in (("plant/calm.csv.gz", 0.0), ("plant/pump.csv", 12.0)):
        values = np.random.default_rng(1).normal(10, 1, 600)
        values[400:420] += jump
        write(
            folder / name,
            ["timestamp,value", *map(",".join, zip(at, map(str, values), strict=True))],
        )
    windows = {"plant/calm.csv": [], "plant/pump.csv": [[f"{at[390]}.000000", at[430]]]}
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(windows))
    return folder


def runs(folder: Path, separator: str = ";") -> Path:
    """Write a run with an anomaly from row 600 on and one without."""
    for name, shift in (("rig/1.csv", 6.0), ("calm/1.csv.gz", None)):
        values = np.random.default_rng(2).normal(5, 1, (800, 3))
        header, marks = ["datetime", "a", "b", "c"], np.zeros(800)
        if shift is not None:
            values[600:, 1] += shift
            marks[600:] = 1
            header += ["anomaly", "changepoint"]
        lines = [
            separator.join([at, *map(str, row), *([str(mark), "0.0"] if shift else [])])
            for at, row, mark in zip(times(800, 1), values, marks, strict=True)
        ]
        write(folder / name, [separator.join(header), *lines])
    return folder


def process(folder: Path) -> Path:
    """Write a normal process and a fault in its second column."""
    for name, n, seed in (("d00", 300, 1), ("d00_te", 400, 2), ("d01_te", 400, 3)):
        values = np.random.default_rng(seed).normal(50, 2, (n, 3))
        if name == "d01_te":
            values[160:, 1] += 12
        lines = [",".join(map(str, row)) for row in values]
        write(folder / f"{name}.csv.gz", ["X1,X2,X3", *lines])
    return folder
