"""Outcomes of parts from tables: cross-validated, on a test file, or in the order of time.

Every figure is of cases that the model had not seen. Where a column of times is there, both
orders are told and the one in time decides whether a model would be served.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from mlops import trees
from mlops.benchmarks import Say, classify, tables
from mlops.benchmarks.classify import Said
from mlops.benchmarks.quality_forms import Labelled, Texts
from mlops.lives import FloatArray
from mlops.quality import training as quality_training
from mlops.quality.evidence import NO_MODEL
from mlops.quality.screening import Screened, screen
from mlops.quality.training import Learned
from mlops.regimes import IntArray
from mlops.tabular import scores, training
from mlops.tabular.folds import NotEnoughCases
from mlops.tabular.model import TabularModel
from mlops.tabular.reasons import Reason, reasons_for
from mlops.tabular.table import Outcome, Table
from mlops.tabular.training import Judged

# Rounds of 5-fold cross-validation, each with other folds.
N_ROUNDS: Final = 3
N_SAID: Final = 6

PUBLISHED: Final = {
    "ai4i2020": classify.PUBLISHED["ai4i2020"],
    "steel_plates_faults": (
        "accuracy 0.75 to 0.80 for seven classes (literature, from memory); measured elsewhere by "
        "the same stratified 5-fold: gradient boosting 0.794 / 0.817, random forest 0.772 / 0.790"
    ),
}
_NAMES: Final = (
    ("f1", "F1"), ("average_precision", "average precision"), ("accuracy", "accuracy"),
    ("macro_f1", "macro F1"), ("auc", "AUC"), ("mcc", "MCC"),
)  # fmt: skip


def run(
    name: str, labelled: Labelled, test: Texts | None, say: Say, ignored: Sequence[str]
) -> dict[str, float]:
    """Measure one table.

    Args:
        test: columns of a file to test on, outcome included; without, folds are held back.
        ignored: columns that must not be inputs.

    Raises:
        BadFolder, UnusableTable: the table does not fit.
    """
    left_out = [*ignored, *([labelled.time] if labelled.time else [])]
    roles = tables.roles_of(labelled.texts, target=labelled.outcome, ignored=left_out)
    table, outcome = tables.cases_of(labelled.texts, roles)
    screened = screen(table)
    kept = screened.of(table)
    _say_table(name, labelled, roles, kept, outcome, screened, say)
    started = time.monotonic()
    try:
        if test is not None:
            like = tables.cases_of(test, roles, like=table, classes=outcome.classes)
            figures = _on_test(kept, outcome, screened.of(like[0]), like[1], say)
        elif labelled.times_s is not None:
            figures = _in_time(kept, outcome, labelled.times_s, say)
        else:
            figures = _in_rounds(kept, outcome, say)
    except NotEnoughCases as error:
        say(f"  {error} No model is served.")
        return {"is_served": 0.0, "n": float(len(table))}
    figures["seconds"] = round(time.monotonic() - started, 1)
    _say_figures(name, figures, say)
    return {key: round(value, 4) for key, value in figures.items()}


def _in_rounds(table: Table, outcome: Outcome, say: Say) -> dict[str, float]:
    """Cross-validate in rounds; the first one also yields the model that would be served."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        further = [
            pool.submit(training.cross_validated, table, outcome, seed=seed, n_threads=1)
            for seed in range(1, N_ROUNDS)
        ]
        seen = training.train(table, outcome, n_threads=1)
        judged = [seen.judged, *(future.result() for future in further)]
    said = [_by_case(one) for one in judged]
    figures = _renamed(classify.mean_figures(said, outcome.codes))
    figures |= _spread(said, outcome.codes)
    figures |= {"n": float(len(table)), "is_served": float(seen.model is not None)}
    say(f"  {N_ROUNDS} rounds of 5-fold cross-validation. {seen.skill.sentence}")
    _say_classes(said[0], outcome, say)
    if seen.model is not None:
        _say_reasons(seen.model, table, outcome, say)
    return figures


def _on_test(
    table: Table, outcome: Outcome, test: Table, answers: Outcome, say: Say
) -> dict[str, float]:
    seen = training.train(table, outcome, n_threads=1)
    said = classify.said_of(seen, outcome, test)
    say(f"  judged on the file to test on. {seen.skill.sentence}")
    _say_classes(said, answers, say)
    if seen.model is not None:
        _say_reasons(seen.model, test, answers, say)
    figures = _renamed(classify.mean_figures([said], answers.codes))
    return figures | {"n": float(len(test)), "is_served": float(seen.model is not None)}


def _in_time(table: Table, outcome: Outcome, times_s: FloatArray, say: Say) -> dict[str, float]:
    learned = quality_training.learn(table, outcome, times=times_s, n_threads=1)
    seen = learned.training
    assert learned.random is not None  # asked for by default
    random = _by_case(learned.random)
    figures = _renamed(classify.mean_figures([random], outcome.codes))
    in_time = scores.report(
        seen.judged.probability, seen.judged.called, outcome.codes[seen.judged.rows]
    )
    figures |= {f"{key}_time_ordered": value for key, value in _renamed(in_time).items()}
    figures |= _areas(learned) | {
        "n": float(len(table)), "n_judged_in_time": float(len(seen.judged.rows)),
        "is_served": float(learned.model is not None), "p_value": seen.skill.p_value,
    }  # fmt: skip
    say(f"  {learned.evidence.sentence}")
    if learned.model is not None:
        _say_reasons(learned.model, table, outcome, say)
    return figures


def _areas(learned: Learned) -> dict[str, float]:
    """Return areas within folds: models of different folds are not compared with each other."""
    found: dict[str, float] = {}
    for name, area in (
        ("auc", learned.evidence.random),
        ("auc_time_ordered", learned.evidence.in_time),
    ):
        assert area is not None  # times are known and both orders were asked for
        found |= {name: area.value, f"{name}_low": area.low, f"{name}_high": area.high}
    return found


def _by_case(judged: Judged) -> Said:
    """Return forecasts in the order of the cases; all of them were judged."""
    place = np.argsort(judged.rows, kind="stable")
    return Said(judged.probability[place], judged.called[place])


def _renamed(figures: dict[str, float]) -> dict[str, float]:
    return {name.replace("roc_auc", "auc"): value for name, value in figures.items()}


def _spread(said: Sequence[Said], codes: IntArray) -> dict[str, float]:
    """Return the standard deviation of the figures between rounds."""
    each = [_renamed(scores.report(one.probability, one.called, codes)) for one in said]
    return {
        f"{key}_sd": float(np.std([one[key] for one in each], ddof=1))
        for key, _label in _NAMES
        if key in each[0]
    }


def _say_table(
    name: str, labelled: Labelled, roles: tables.Roles, kept: Table, outcome: Outcome,
    screened: Screened, say: Say,
) -> None:  # fmt: skip
    counts = np.bincount(outcome.codes, minlength=len(outcome.classes))
    shares = ", ".join(f"{c} {n}" for c, n in zip(outcome.classes, counts, strict=True))
    made = f", from {len(labelled.one_hot)} 0/1 columns" if labelled.one_hot else ""
    say(f"{name}: outcome {roles.target!r}{made} ({shares})")
    say(f"  {len(kept.columns)} inputs: {_some([column.name for column in kept.columns])}")
    if labelled.time:
        say(f"  times: {labelled.time}")
    for what, names in (
        ("labels of modes, not inputs", roles.modes),
        ("records of events, not inputs", roles.records),
        ("names of cases, not inputs", roles.names),
        ("left out", [f"{column} ({why})" for column, why in screened.dropped.items()]),
    ):
        if names:
            say(f"  {what}: {_some(names)}")


def _some(names: Sequence[str]) -> str:
    further = f" and {len(names) - N_SAID} more" if len(names) > 2 * N_SAID else ""
    return ", ".join(names[:N_SAID] if further else names) + further


def _say_classes(said: Said, outcome: Outcome, say: Say) -> None:
    for one in scores.by_class(said.called, outcome.codes, outcome.classes):
        say(
            f"  {one.name}: {one.n} cases, precision {one.precision:.2f}, recall "
            f"{one.recall:.2f}, F1 {one.f1:.2f}"
        )


def _say_reasons(model: TabularModel, table: Table, outcome: Outcome, say: Say) -> None:
    """Explain the likeliest case of each class, as an example of what is said of any."""
    onnx = trees.OnnxModel(model.serialised)
    said = model.predict(table, onnx)
    for code in range(int(outcome.is_binary), len(outcome.classes)):
        row = int(np.argmax(said[:, code]))
        reasons = reasons_for(model=model, table=table, row=row, onnx=onnx, about=code)
        told = "; ".join(_told(reason) for reason in reasons) or "no parameter stands out"
        say(f"  why row {row + 1} is {outcome.classes[code]} ({said[row, code]:.2f}): {told}")


def _told(reason: Reason) -> str:
    usual = f"usually {reason.usual}" if not isinstance(reason.usual, float) else (
        f"usually {reason.usual:g}"
    )  # fmt: skip
    value = f"{reason.value:g}" if isinstance(reason.value, float) else str(reason.value)
    return f"{reason.column} {value} ({usual}; else {reason.probability_without:.2f})"


def _say_figures(name: str, figures: dict[str, float], say: Say) -> None:
    def shown(ending: str) -> str:
        told = []
        for key, label in _NAMES:
            if f"{key}{ending}" in figures:
                spread = f" +- {figures[f'{key}_sd']:.3f}" if f"{key}_sd" in figures else ""
                told.append(f"{label} {figures[f'{key}{ending}']:.3f}{spread}")
        return ", ".join(told)

    say(f"  {figures['n']:.0f} cases not seen in training: {shown('')}; {figures['seconds']:.0f} s")
    if "auc_time_ordered" in figures:
        say(f"  in time order, {figures['n_judged_in_time']:.0f} cases: {shown('_time_ordered')}")
    refused = NO_MODEL if "auc_time_ordered" in figures else classify.NO_MODEL
    say("  a model is served" if figures["is_served"] else f"  {refused}")
    if name in PUBLISHED:
        say(f"  published: {PUBLISHED[name]}")
