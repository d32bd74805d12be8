"""Lots of a factory as parts: the runs that made them, with the readings of those times, and what
their inspections said."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from django.db.models import Count, Q

from mlops import datasets
from mlops.history import Recording
from mlops.quality.parts import Part, Readings, Stage, Value
from production.models import (
    FoundDefect,
    Inspection,
    InspectionPlan,
    Lot,
    Machine,
    OperationRun,
    Verdict,
)

# Older lots tell of another plant.
LOOK_BACK: Final = timedelta(days=365)
MOST_LOTS: Final = 3000
GOOD: Final = "good"
# A rejected lot whose inspections name no defect.
REJECTED: Final = "rejected"


@dataclass(frozen=True, slots=True)
class Judged:
    """A lot, and what its inspections under a plan came to.

    Attributes:
        outcome: `GOOD`, or the code of the defect that was found most.
        judged_at: when its newest inspection was done.
    """

    lot: Lot
    outcome: str
    judged_at: datetime


def judged_lots(plan: InspectionPlan, *, at: datetime) -> list[Judged]:
    """Return the lots that a plan, in any version, has judged as known at a moment, in time order.

    A lot is rejected with more defective pieces than the plan accepts. Verdicts that are not
    clear say nothing.
    """
    rows = (
        Inspection.objects.filter(
            plan__product_id=plan.product_id, plan__name=plan.name, lot__isnull=False,
            state=Inspection.State.DONE, inspected_at__lte=at, inspected_at__gt=at - LOOK_BACK,
            verdict__in=[Verdict.PASS, Verdict.FAIL],
        )
        .select_related("plan")
        .order_by("-inspected_at")[: 10 * MOST_LOTS]
    )  # fmt: skip
    by_lot: dict[UUID, list[Inspection]] = {}
    for row in rows:
        assert row.lot_id is not None  # filtered
        by_lot.setdefault(row.lot_id, []).append(row)
    lots = Lot.objects.select_related("parent").in_bulk(list(by_lot)[:MOST_LOTS])
    defects = _defects(row.pk for found in by_lot.values() for row in found)
    judged = [
        Judged(lots[pk], _outcome(found, defects), _last(found))
        for pk, found in by_lot.items()
        if pk in lots
    ]
    return sorted(judged, key=lambda one: (one.judged_at, str(one.lot.pk)))


def counts(plan: InspectionPlan) -> tuple[int, int]:
    """Return how many lots with runs a plan has judged, and how many of them it rejected."""
    rows = Inspection.objects.filter(
        plan__product_id=plan.product_id, plan__name=plan.name, lot__runs__isnull=False,
        verdict__in=[Verdict.PASS, Verdict.FAIL],
    )  # fmt: skip
    found = rows.aggregate(
        n=Count("lot", distinct=True),
        n_bad=Count("lot", distinct=True, filter=Q(verdict=Verdict.FAIL)),
    )
    return found["n"], found["n_bad"]


def _last(found: Sequence[Inspection]) -> datetime:
    return max(row.inspected_at for row in found if row.inspected_at is not None)


def _outcome(found: Sequence[Inspection], defects: Mapping[UUID, Counter[str]]) -> str:
    failed = [row for row in found if row.verdict == Verdict.FAIL]
    if len(failed) <= found[0].plan.acceptance_number:
        return GOOD
    counts: Counter[str] = Counter()
    for row in failed:
        counts.update(defects.get(row.pk, Counter()))
    return max(counts, key=lambda code: (counts[code], code)) if counts else REJECTED


def _defects(inspection_ids: Iterable[UUID]) -> dict[UUID, Counter[str]]:
    """Return what the newest verdict of each inspection names."""
    rows = FoundDefect.objects.filter(verdict__inspection__in=list(inspection_ids)).order_by(
        "verdict__at", "verdict_id"
    )
    newest: dict[UUID, tuple[int, Counter[str]]] = {}
    for inspection_id, verdict_id, code, count in rows.values_list(
        "verdict__inspection_id", "verdict_id", "defect_type__code", "count"
    ):
        if inspection_id not in newest or newest[inspection_id][0] != verdict_id:
            newest[inspection_id] = (verdict_id, Counter())
        newest[inspection_id][1][code] += count
    return {inspection_id: counts for inspection_id, (_, counts) in newest.items()}


def parts_of(lots: Sequence[Lot], plan: InspectionPlan, *, at: datetime) -> dict[UUID, Part]:
    """Return lot -> what the runs up to the plan's operation did to it, as known at a moment.

    A serial's parent made it too. Each machine is read once over all of its runs.
    """
    runs = _runs(lots, plan, at)
    needed: dict[UUID, list[OperationRun]] = {}
    for own in runs.values():
        for run in own:
            needed.setdefault(run.machine_id, []).append(run)
    machines = list(Machine.objects.filter(pk__in=needed).select_related("machine_type"))
    datasets.look_up(machines)
    recordings = {
        machine.pk: datasets.recording_of(
            machine, meter_key="", start=min(run.started_at for run in needed[machine.pk]),
            end=max(run.ended_at or at for run in needed[machine.pk]) + timedelta(milliseconds=1),
        )
        for machine in machines
    }  # fmt: skip
    return {lot.pk: _part(runs[lot.pk], recordings) for lot in lots if runs[lot.pk]}


def _runs(
    lots: Sequence[Lot], plan: InspectionPlan, at: datetime
) -> dict[UUID, list[OperationRun]]:
    ids = {lot.pk for lot in lots} | {lot.parent_id for lot in lots if lot.parent_id}
    rows = OperationRun.objects.filter(lot__in=ids, started_at__lte=at)
    rows = rows.exclude(state=OperationRun.State.ABORTED)
    by_lot: dict[UUID | None, list[OperationRun]] = {}
    for run in rows.order_by("sequence", "run_no", "started_at"):
        if run.ended_at is not None and run.ended_at > at:
            run.ended_at = None
        by_lot.setdefault(run.lot_id, []).append(run)
    return {
        lot.pk: _until(
            [*by_lot.get(lot.parent_id, []), *by_lot.get(lot.pk, [])] if lot.parent_id
            else by_lot.get(lot.pk, []), plan.operation,
        )
        for lot in lots
    }  # fmt: skip


def _until(runs: list[OperationRun], operation: str) -> list[OperationRun]:
    """Return the runs up to the inspected operation: what came later did not cause it."""
    own = [run.sequence for run in runs if run.operation == operation]
    return [run for run in runs if run.sequence <= max(own)] if own else runs


def _part(runs: Sequence[OperationRun], recordings: Mapping[UUID, Recording]) -> Part:
    stages: dict[str, Stage] = {}
    parameters: dict[str, Value] = {}
    for run in runs:  # the newest run of an operation counts: it is the one that was kept
        stages[run.operation] = _stage(run, recordings.get(run.machine_id))
        parameters[f"{run.operation}: machine"] = str(run.machine_id)
        for name, value in run.parameters.items():
            parameters[f"{run.operation}: {name}"] = _value(value)
    return Part(stages, parameters)


def _value(value: object) -> Value:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return float(value)
    return None if value is None else str(value)


def _stage(run: OperationRun, recording: Recording | None) -> Stage:
    started = run.started_at.timestamp()
    ended = None if run.ended_at is None else run.ended_at.timestamp()
    if recording is None:
        return Stage(started, ended)
    last = np.inf if ended is None else 1000.0 * ended
    first, end = np.searchsorted(recording.times, [1000.0 * started, last], side="left")
    times = recording.times[first:end] / 1000.0
    signals = {key: Readings(times, values[first:end]) for key, values in recording.columns.items()}
    return Stage(started, ended, signals)


def digest_of(judged: Sequence[Judged], parts: Mapping[UUID, Part]) -> str:
    """Name a data set by its content."""
    found = hashlib.sha256()
    for one in judged:
        part = parts.get(one.lot.pk)
        if part is None:
            continue
        found.update(f"{one.lot.pk} {one.outcome} {sorted(part.parameters.items())}".encode())
        for name, stage in part.stages.items():
            found.update(f"{name} {stage.started_s} {stage.ended_s}".encode())
            for signal, readings in sorted(stage.signals.items()):
                found.update(signal.encode())
                found.update(np.ascontiguousarray(readings.values).tobytes())
    return found.hexdigest()


def made_lately(plan: InspectionPlan, *, since: datetime, at: datetime) -> list[Lot]:
    """Return the lots of the plan's product that are or were in work since a moment."""
    rows = Lot.objects.filter(product_id=plan.product_id, runs__started_at__lte=at)
    rows = rows.filter(runs__started_at__gt=since) | rows.filter(runs__ended_at__gt=since)
    return list(rows.select_related("parent").distinct().order_by("made_at", "pk"))
