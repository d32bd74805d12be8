"""Process monitoring: one normal run to learn from, one to set the limit on, runs with a fault.

The form (as of the Tennessee Eastman process): CSV files `d00` (normal, to learn from),
`d00_te` (normal, to set the limit on) and `dNN_te` for each fault NN, all with the same
columns; files may be gzipped, other files are left alone. In a fault's run the fault sets in
after row 160: the form has no column that says so.

The limit is what 1 % of the rows of `d00_te` exceed. False alarms are counted where neither
model nor limit has looked: on the first 160 rows of the runs with a fault.

Source: Chiang, Russell and Braatz, Fault Detection and Diagnosis in Industrial Systems
(Springer, 2001).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from mlops.anomaly import detector
from mlops.anomaly.detector import Detector, Scores
from mlops.anomaly.health import NotEnoughHistory
from mlops.benchmarks import BadFolder, Figures, Say
from mlops.benchmarks.series import SUFFIXES, Table, files_of, read, stem

NORMAL: Final = "d00"
TEST: Final = "_te"
ONSET: Final = 160
RATE: Final = 0.01
N_NAMED: Final = 3
# A fault counts as detected from the first of this many anomalous rows in a row.
IN_A_ROW: Final = 6

PUBLISHED: Final = (
    "reference, PCA with 31 components, T2 or SPE, faults 1 to 10: 0.998, 0.986, 0.022, 0.996, "
    "0.265, 1.000, 1.000, 0.976, 0.036, 0.536; mean 0.682. No method finds 3, 9 and 15"
)


def run(folder: Path, *, say: Say) -> Figures:
    """Measure the detector on every fault of a folder.

    Raises:
        BadFolder: a file is missing or does not fit the others.
    """
    train, normal = _read(folder, NORMAL), _read(folder, NORMAL + TEST)
    faults = {
        stem(path): read(path, time_column=False)
        for path in files_of(folder)
        if re.fullmatch(r"d\d+_te", stem(path)) and stem(path) != NORMAL + TEST
    }
    if not faults:
        raise BadFolder(f"{folder} holds no run with a fault (d01_te{SUFFIXES[0]}, ...).")
    for name, table in [(NORMAL + TEST, normal), *faults.items()]:
        if table.header != train.header:
            raise BadFolder(f"{name} has other columns than {NORMAL}.")
    try:
        fitted = detector.fit(train.values, signals=train.header)
    except NotEnoughHistory as error:
        raise BadFolder(f"{NORMAL}: {error}") from error
    fitted = fitted.calibrated(fitted.score(normal.values).score, RATE)
    figures: Figures = {}
    for name, table in faults.items():
        if len(table.values) <= ONSET:
            raise BadFolder(f"{name} has no row after row {ONSET}, where its fault begins.")
        figures[name.removesuffix(TEST)] = _fault(name.removesuffix(TEST), fitted, table, say)
    figures["all"] = {
        key: round(float(np.mean([one[key] for one in figures.values()])), 4)
        for key in ("detection_rate", "false_alarm_rate")
    } | {"n_faults": float(len(figures))}
    say(
        f"all: detected {figures['all']['detection_rate']:.3f} on average, false alarms "
        f"{figures['all']['false_alarm_rate']:.2%} before the faults"
    )
    say(f"  {PUBLISHED}")
    return figures


def _read(folder: Path, name: str) -> Table:
    for suffix in SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return read(path, time_column=False)
    raise BadFolder(f"{folder} holds no {name}{SUFFIXES[0]}.")


def _fault(name: str, fitted: Detector, table: Table, say: Say) -> dict[str, float]:
    scores = fitted.score(table.values)
    after = scores.is_anomalous[ONSET:]
    figures = {
        "detection_rate": round(float(after.mean()), 4),
        "false_alarm_rate": round(float(scores.is_anomalous[:ONSET].mean()), 4),
    }
    delay = _delay(after)
    if delay is not None:
        figures["delay_rows"] = float(delay)
    say(
        f"{name}: detected {figures['detection_rate']:.3f}, false alarms "
        f"{figures['false_alarm_rate']:.2%}, "
        + (f"after {delay} rows" if delay is not None else "never for long")
        + f"; most deviating: {', '.join(_deviating(scores, fitted))}"
    )
    return figures


def _delay(anomalous: detector.BoolArray) -> int | None:
    """Return the rows until the first of several anomalous rows in a row."""
    if len(anomalous) < IN_A_ROW:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(anomalous, IN_A_ROW).all(axis=1)
    return int(np.argmax(runs)) if runs.any() else None


def _deviating(scores: Scores, fitted: Detector) -> list[str]:
    """Name the signals that contribute most over the anomalous rows of the fault."""
    rows = np.flatnonzero(scores.is_anomalous[ONSET:]) + ONSET
    if not len(rows):
        return ["none"]
    mean = scores.contributions[rows].mean(axis=0)
    return [fitted.signals[i] for i in np.argsort(-mean, kind="stable")[:N_NAMED]]
