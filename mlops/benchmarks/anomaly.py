"""Anomaly benchmarks: streams with labelled windows, and runs of several signals.

Two forms of folder are told apart by what lies in them:

- streams (as in NAB): `<group>/<name>.csv` of a time and a value, and
  `labels/combined_windows.json` with the windows of each `<group>/<name>.csv`;
- runs (as in SKAB): `<group>/<name>.csv` of a time, signals, `anomaly` (0 or 1) and perhaps
  `changepoint`. Runs without an `anomaly` column count as free of anomalies.

Files may be gzipped. No label is seen by a detector.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np

from mlops.anomaly import detector
from mlops.anomaly.health import NotEnoughHistory
from mlops.anomaly.online import OnlineDetector
from mlops.benchmarks import BadFolder, Figures, Say
from mlops.benchmarks.nab_score import Judged, best_result, judge, result_at
from mlops.benchmarks.series import Table, files_of, read
from mlops.lives import FloatArray

WINDOWS: Final = Path("labels") / "combined_windows.json"
FIRST_ROWS: Final = 400  # of each run, to learn from
LABELS: Final = ("anomaly", "changepoint")
OWN_THRESHOLD: Final = 1.0
ALL: Final = "all"

PUBLISHED_STREAMS: Final = (
    "published, all 58 series of NAB, standard profile: ARTime 74.9, Numenta HTM 70.5-69.7, "
    "CAD OSE 69.9, KNN CAD 58.0, Random Cut Forest 51.7, Windowed Gaussian 39.6"
)
PUBLISHED_RUNS: Final = (
    "published, all 34 runs of SKAB, F1 / false / missed alarms in %: Conv-AE 0.78 / 13.6 / 28.0, "
    "MSET 0.78 / 39.7 / 14.1, T2+Q 0.76 / 26.6 / 24.9, LSTM-AE 0.74 / 30.0 / 25.9, "
    "T2 0.66 / 19.2 / 42.6, Isolation forest 0.29 / 2.6 / 82.9"
)


def run(folder: Path, *, say: Say) -> Figures:
    """Measure the detectors on a folder of either form.

    Raises:
        BadFolder: it has neither form, or a file does not fit.
    """
    if (folder / WINDOWS).is_file():
        return _streams(folder, say)
    groups = {path.name: files_of(path) for path in _subfolders(folder)}
    groups = {name: files for name, files in groups.items() if files}
    if not groups:
        raise BadFolder(
            f"{folder} holds neither {WINDOWS} (streams) nor sub-folders of CSV files (runs)."
        )
    return _runs(groups, say)


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise BadFolder(f"{folder} is not a folder.")
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _streams(folder: Path, say: Say) -> Figures:
    judged: dict[str, list[Judged]] = {}
    for name, windows in sorted(_windows(folder / WINDOWS).items()):
        table = read(_existing(folder, name), time_column=True)
        announced = OnlineDetector(table.values.shape[1]).score(table.values)[:, 1]
        group = name.split("/")[0]
        judged.setdefault(group, []).append(judge(announced, _rows_of(windows, table, name)))
    together = [one for series in judged.values() for one in series]
    best = best_result(together)
    say(
        f"one threshold for all series, chosen on them as in NAB: {best.threshold:.3g}; the "
        f"detector's own is {OWN_THRESHOLD:g}"
    )
    figures: Figures = {}
    for group, series in [*judged.items(), (ALL, together)]:
        at_best, own = result_at(series, best.threshold), result_at(series, OWN_THRESHOLD)
        figures[group] = {
            "nab_score": round(at_best.score, 2),
            "nab_score_own_threshold": round(own.score, 2),
            "precision": round(at_best.precision, 4),
            "recall": round(at_best.recall, 4),
            "n_series": float(len(series)),
            "n_windows": float(sum(one.n_windows for one in series)),
            "n_points": float(sum(len(one.scores) for one in series)),
        }
        say(
            f"{group}: NAB score {at_best.score:.1f} (own threshold {own.score:.1f}); detections "
            f"inside windows {at_best.precision:.0%}, windows found {at_best.recall:.0%}"
        )
    say(f"  {PUBLISHED_STREAMS}")
    return figures


def _windows(path: Path) -> dict[str, list[list[str]]]:
    try:
        windows = json.loads(path.read_text())
    except ValueError as error:
        raise BadFolder(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(windows, dict) or not windows:
        raise BadFolder(f"{path.name} names no series.")
    return windows


def _existing(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise BadFolder(f"{folder} lacks {name}, which {WINDOWS} names.")


def _rows_of(windows: list[list[str]], table: Table, name: str) -> list[tuple[int, int]]:
    """Return windows of times as first and last rows, in order."""
    rows = []
    for start, end in windows:
        first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
        inside = [i for i, time in enumerate(table.times) if first <= time <= last]
        if not inside:
            raise BadFolder(f"{name}: no row lies in the window {start} to {end}.")
        rows.append((inside[0], inside[-1]))
    return sorted(rows)


def _runs(groups: dict[str, list[Path]], say: Say) -> Figures:
    flags: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for group, files in groups.items():
        for path in files:
            table = read(path, time_column=True)
            flags.setdefault(group, []).append((_flagged(table, path), _truth(table)))
    with_anomalies = [pair for pairs in flags.values() for pair in pairs if pair[1].any()]
    everything = [pair for pairs in flags.values() for pair in pairs]
    if not with_anomalies:
        raise BadFolder("No run has a row after the first 400 that is marked in `anomaly`.")
    say(f"fitted on the first {FIRST_ROWS} rows of each run, measured on the rest")
    figures: Figures = {group: _figures(pairs) for group, pairs in flags.items()}
    figures["all_with_anomaly_free"] = _figures(everything)
    figures[ALL] = _figures(with_anomalies)
    for name, one in figures.items():
        say(
            f"{name}: F1 {one['f1']:.3f}, false alarms {one['false_alarm_rate']:.1%}, "
            f"missed {one['missed_alarm_rate']:.1%} ({one['n_runs']:.0f} runs)"
        )
    say(f"  {ALL} leaves runs without anomalies out, as the leaderboard of SKAB does")
    say(f"  {PUBLISHED_RUNS}")
    return figures


def _signals(table: Table) -> list[str]:
    return [name for name in table.header if name not in LABELS]


def _flagged(table: Table, path: Path) -> FloatArray:
    """Return 1 where the rows after the first are anomalous to a detector fitted on those."""
    values = np.column_stack([table.column(name) for name in _signals(table)])
    if len(values) <= FIRST_ROWS:
        raise BadFolder(f"{path.name} has {len(values)} rows; more than {FIRST_ROWS} are needed.")
    try:
        fitted = detector.fit(values[:FIRST_ROWS], signals=_signals(table))
    except NotEnoughHistory as error:
        raise BadFolder(f"{path.name}: {error}") from error
    return fitted.score(values).is_anomalous[FIRST_ROWS:].astype(np.float64)


def _truth(table: Table) -> FloatArray:
    if LABELS[0] not in table.header:
        return np.zeros(len(table.values) - FIRST_ROWS)
    return table.column(LABELS[0])[FIRST_ROWS:]


def _figures(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> dict[str, float]:
    """Count points of all runs together."""
    flagged = np.concatenate([flag for flag, _ in pairs]) > 0
    true = np.concatenate([truth for _, truth in pairs]) > 0
    hits, n_flagged, n_true = (flagged & true).sum(), flagged.sum(), true.sum()
    figures = {
        "f1": 2.0 * hits / max(n_flagged + n_true, 1),
        "false_alarm_rate": (flagged & ~true).sum() / max((~true).sum(), 1),
        "missed_alarm_rate": (~flagged & true).sum() / max(n_true, 1),
        "n_runs": len(pairs),
        "n_points": len(true),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}
