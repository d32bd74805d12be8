"""Outcomes of cases: tables of one row a case, and folders of one file an experiment.

A table is <set>_train.csv, judged on <set>_test.csv where that is beside it and by
cross-validation where not; any other CSV is a set of its own and cross-validated. What its
columns are is said in `tables`.

In a folder of experiment_*.csv each file holds one experiment, row after row, and a column that
has one value throughout each: the outcome. The experiment is the case. Its rows are summed up
in windows; columns that never vary within an experiment are settings that name it rather than
measure it, and are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlops import artifacts, trees
from mlops.artifacts import Identity
from mlops.benchmarks import BadFolder, tables
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular import folds, scores, training
from mlops.tabular.folds import NotEnoughCases
from mlops.tabular.model import TabularModel
from mlops.tabular.packing import pack, unpack
from mlops.tabular.table import Column, Outcome, Table, UnusableTable, column_of
from mlops.tabular.training import Training

Say = Callable[[str], None]

# Rounds of cross-validation, each with other folds: with a few hundred events the luck of one
# division moves F1 by 0.02.
N_REPEATS = 3
N_WINDOWS = 20  # about so many windows an experiment
MIN_ROWS_OF_A_WINDOW = 16
NO_MODEL = "no evidence of skill: no model is served"

PUBLISHED = {
    "ai4i2020": (
        "F1 0.895 (XGBoost, leakage-free cross-validation; Rismawan and Nirmala, J. Fuzzy Systems "
        "and Control 4(1), 2026, abstract); about 0.69 without combined parameters"
    ),
    "cnc_mill_tool_wear": "no accepted figure by experiment; over 99 % by random rows, a leak",
}


def run(
    folder: Path, *, say: Say, target: str | None = None, ignored: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Measure every set of a folder.

    Args:
        target: name of the outcome's column, where the rules do not find it.
        ignored: names of columns that must not be inputs.

    Raises:
        BadFolder: no set is there, or one does not fit; says what is missing.
    """
    files = sorted(p for p in folder.glob("*") if p.name.endswith(tables.SUFFIXES))
    experiments = [path for path in files if path.name.startswith("experiment_")]
    try:
        if experiments:
            name = folder.resolve().name
            return {name: _experiments(name, experiments, say, target, ignored)}
        found = sets_of(files)
        if not found:
            raise BadFolder(f"{folder} holds neither a *_train.csv nor experiment_*.csv files.")
        return {
            name: _table(name, train, test, say, target, ignored)
            for name, (train, test) in found.items()
        }
    except UnusableTable as error:
        raise BadFolder(str(error)) from error


def sets_of(files: Sequence[Path]) -> dict[str, tuple[Path, Path | None]]:
    """Return by name the file to learn from and the one to test on, where there is one."""
    stems = {path.name.split(".")[0]: path for path in files}
    found: dict[str, tuple[Path, Path | None]] = {}
    for stem, path in stems.items():
        name = stem.removesuffix("_train")
        if stem.endswith("_test") and f"{stem.removesuffix('_test')}_train" in stems:
            continue
        found[name] = (path, stems.get(f"{name}_test") if stem.endswith("_train") else None)
    return found


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of cases not seen in training."""

    probability: FloatArray
    called: IntArray


def _table(
    name: str, train: Path, test: Path | None, say: Say, target: str | None,
    ignored: Sequence[str],
) -> dict[str, float]:  # fmt: skip
    texts = tables.read_texts(train)
    outcome_column = tables.target_of(list(texts), target, train.name)
    roles = tables.roles_of(texts, target=outcome_column, ignored=ignored)
    table, outcome = tables.cases_of(texts, roles)
    _say_roles(name, roles, outcome, say)
    started = time.monotonic()
    try:
        if test is None:
            said = [_cross_validated(table, outcome, seed, say) for seed in range(N_REPEATS)]
            codes = outcome.codes
        else:
            seen = training.train(table, outcome)
            say(f"  {seen.skill.sentence}")
            held_back, answers = tables.cases_of(
                tables.read_texts(test), roles, like=table, classes=outcome.classes
            )
            said, codes = [said_of(seen, outcome, held_back)], answers.codes
    except NotEnoughCases as error:
        say(f"  {error}")
        return {"has_skill": 0.0, "n": float(len(table))}
    figures = mean_figures(said, codes)
    figures |= {"n": float(len(codes)), "train_s": round(time.monotonic() - started, 1)}
    _say_figures(name, figures, test, say)
    for one in scores.by_class(said[0].called, codes, outcome.classes):
        say(
            f"  {one.name}: {one.n} cases, precision {one.precision:.2f}, "
            f"recall {one.recall:.2f}, F1 {one.f1:.2f}"
        )
    return {key: round(value, 4) for key, value in figures.items()}


def mean_figures(said: Sequence[Said], codes: IntArray) -> dict[str, float]:
    """Return the figures with their intervals, averaged over repeats."""
    each = [
        scores.with_intervals(one.probability, one.called, codes, np.arange(len(codes)))
        for one in said
    ]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def _cross_validated(table: Table, outcome: Outcome, seed: int, say: Say) -> Said:
    """Train in each fold from the start: combinations, calibration, threshold and all."""
    folds.check_enough(outcome, np.arange(len(table)))
    probability = np.empty((len(table), len(outcome.classes)))
    called = np.empty(len(table), dtype=np.int64)
    parts = folds.by_group(outcome, np.arange(len(table)), seed=seed)
    for number, part in enumerate(parts, 1):
        seen = training.train(table.take(part.train), outcome.take(part.train))
        said = said_of(seen, outcome, table.take(part.test))
        probability[part.test], called[part.test] = said.probability, said.called
        n_kept = seen.parameters["n_combinations"]
        say(
            f"  round {seed + 1}, fold {number} of {len(parts)}: {n_kept} combinations kept"
            f"{'' if seen.model else f'; {NO_MODEL}'}"
        )
    return Said(probability, called)


def said_of(seen: Training, outcome: Outcome, table: Table) -> Said:
    """Ask the model as it would be served; without one, say how frequent each outcome is."""
    if seen.model is None:
        counts = np.bincount(outcome.codes, minlength=len(outcome.classes)).astype(float)
        probability = np.tile(counts / counts.sum(), (len(table), 1))
        return Said(probability, np.full(len(table), int(np.argmax(counts)), dtype=np.int64))
    model = _through_storage(seen.model)
    probability = model.predict(table, trees.OnnxModel(model.serialised))
    return Said(probability, model.called(probability))


def _through_storage(model: TabularModel) -> TabularModel:
    """Seal and open the model as serving does: what is measured is what would be served."""
    identity = Identity("benchmark", "outcome", "benchmark", 1)
    sealed = artifacts.seal(pack(model), identity=identity, key="benchmark")
    return unpack(artifacts.open_sealed(sealed, identity=identity, key="benchmark"))


def _say_roles(name: str, roles: tables.Roles, outcome: Outcome, say: Say) -> None:
    counts = np.bincount(outcome.codes, minlength=len(outcome.classes))
    shares = ", ".join(f"{c} {n}" for c, n in zip(outcome.classes, counts, strict=True))
    say(f"{name}: outcome {roles.target!r} ({shares})")
    say(f"  inputs: {', '.join(roles.inputs)}")
    for what, columns in (
        ("labels of modes, not inputs", roles.modes),
        ("records of events, not inputs", roles.records),
        ("names of cases, not inputs", roles.names),
    ):
        if columns:
            say(f"  {what}: {', '.join(columns)}")


def _say_figures(name: str, figures: dict[str, float], test: Path | None, say: Say) -> None:
    how = "cross-validated" if test is None else test.name
    shown = [
        f"{label} {figures[key]:.3f} ({figures.get(f'{key}_low', float('nan')):.3f} to "
        f"{figures.get(f'{key}_high', float('nan')):.3f})"
        for key, label in (
            ("f1", "F1"), ("average_precision", "average precision"), ("mcc", "MCC"),
            ("roc_auc", "ROC AUC"), ("accuracy", "accuracy"), ("macro_f1", "macro F1"),
        )
        if key in figures
    ]  # fmt: skip
    say(f"  {how}, {figures['n']:.0f} cases not seen in training, 90 % intervals:")
    say(f"  {', '.join(shown)}; {figures['train_s']:.0f} s")
    if name in PUBLISHED:
        say(f"  published: {PUBLISHED[name]}")


def _experiments(
    name: str, paths: Sequence[Path], say: Say, target: str | None, ignored: Sequence[str]
) -> dict[str, float]:
    runs = [tables.read_texts(path) for path in paths]
    for path, texts in zip(paths, runs, strict=True):
        if list(texts) != list(runs[0]):
            raise BadFolder(f"{path.name} has other columns than {paths[0].name}.")
    label = _label(runs, target, name)
    table, groups = windows_of(runs, [c for c in runs[0] if c != label and c not in ignored])
    entries = [texts[label][0] for texts in runs]
    classes = tables.classes_of(entries)
    codes = np.array([classes.index(entry) for entry in entries], dtype=np.int64)
    shares = ", ".join(f"{c} {entries.count(c)}" for c in classes)
    say(f"{name}: outcome {label!r} of {len(runs)} experiments ({shares})")
    used = list(dict.fromkeys(column.name.split(", ")[0] for column in table.columns))
    say(f"  {len(table)} windows; columns used: {', '.join(used)}")
    chance = float(np.max(np.bincount(codes))) / len(codes)
    figures = {"chance_accuracy": chance, "p_value": 1.0, "has_skill": 0.0, "n": float(len(runs))}
    try:
        seen = training.train(table, Outcome(classes, codes[groups]), groups=groups)
    except NotEnoughCases as error:
        say(f"  {error} {NO_MODEL.capitalize()}.")
        return figures
    figures |= {
        "accuracy": _accuracy_by_group(seen, codes, groups), "p_value": seen.skill.p_value,
        "skill_nats": seen.skill.gain, "has_skill": float(seen.skill.is_shown),
    }  # fmt: skip
    say(
        f"  accuracy on experiments not seen in training {figures['accuracy']:.2f}, by chance "
        f"{chance:.2f}, p = {figures['p_value']:.2g}"
    )
    say(f"  {seen.skill.sentence}")
    say(f"  {'a model is served' if seen.model else NO_MODEL}")
    if name in PUBLISHED:
        say(f"  published: {PUBLISHED[name]}")
    return {key: round(value, 4) for key, value in figures.items()}


def _label(runs: Sequence[dict[str, list[str]]], target: str | None, where: str) -> str:
    """Return the column that is one value throughout each experiment and differs between them."""
    constant = [c for c in runs[0] if all(len(set(texts[c])) == 1 for texts in runs)]
    if target is not None and target in runs[0] and target not in constant:
        raise BadFolder(f"{where}: {target!r} changes within an experiment.")
    several = [c for c in constant if 1 < len({texts[c][0] for texts in runs}) <= len(runs) // 2]
    if target is None and len(several) == 1:
        return several[0]
    return tables.target_of(several if target is None else list(runs[0]), target, where)


def windows_of(
    runs: Sequence[dict[str, list[str]]], names: Sequence[str]
) -> tuple[Table, IntArray]:
    """Sum experiments up in windows of equal length.

    A number becomes its mean, its standard deviation and its mean step from row to row; a
    category its most frequent level.

    Returns:
        The windows, and for each the place of its experiment.

    Raises:
        BadFolder: an experiment is shorter than a window, or nothing varies within any.
    """
    lengths = [len(texts[names[0]]) for texts in runs]
    length = max(MIN_ROWS_OF_A_WINDOW, int(np.median(lengths)) // N_WINDOWS)
    if min(lengths) < length:
        raise BadFolder(f"An experiment has {min(lengths)} rows, a window {length}.")
    cuts = [n // length for n in lengths]
    columns: list[Column] = []
    values: list[FloatArray] = []
    for name in names:
        if all(len(set(texts[name])) == 1 for texts in runs):
            continue
        column, entries = column_of(name, [entry for texts in runs for entry in texts[name]])
        ends = np.cumsum(lengths)[:-1]
        parts = [
            part[: n * length].reshape(n, length)
            for part, n in zip(np.split(entries, ends), cuts, strict=True)
        ]
        for summed, window_values in _summed(column, np.vstack(parts)):
            columns.append(summed)
            values.append(window_values)
    if not columns:
        raise BadFolder("No column varies within an experiment.")
    return Table(tuple(columns), np.column_stack(values)), np.repeat(np.arange(len(runs)), cuts)


def _summed(column: Column, windows: FloatArray) -> list[tuple[Column, FloatArray]]:
    """Return (n_windows,) features of one column's (n_windows, n_rows)."""
    if column.levels:
        counts = np.array([np.sum(windows == code, axis=1) for code in range(len(column.levels))])
        return [(column, np.argmax(counts, axis=0).astype(np.float64))]
    return [
        (Column(f"{column.name}, mean"), windows.mean(axis=1)),
        (Column(f"{column.name}, deviation"), windows.std(axis=1)),
        (Column(f"{column.name}, step"), np.abs(np.diff(windows, axis=1)).mean(axis=1)),
    ]


def _accuracy_by_group(seen: Training, codes: IntArray, groups: IntArray) -> float:
    """Return the share of experiments that the majority of their windows call right."""
    windows = np.argmax(seen.judged.probability, axis=1)
    own = groups[seen.judged.rows]
    right = [
        np.argmax(np.bincount(windows[own == group], minlength=int(codes.max()) + 1)) == code
        for group, code in enumerate(codes)
        if (own == group).any()
    ]
    return float(np.mean(right))
