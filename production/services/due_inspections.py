"""Inspections that are due: made as lots and runs are written down, missed when nobody came.

What lies further back than `MISSED_AFTER` makes nothing due: history that is loaded later cannot
be inspected any more. A sample of more than `MAX_DUE` pieces of one lot is counted on the lot's
page, not listed piece by piece.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Max, Q

from production import sampling
from production.models import Inspection, InspectionPlan, Lot, OperationRun
from production.services.numbers import take_numbers

State, Sampling = Inspection.State, InspectionPlan.Sampling
MISSED_AFTER = timedelta(hours=24)
MAX_DUE = 50
MAX_MOMENTS = 20


@dataclass(frozen=True, slots=True)
class _Made:
    """A lot that came out of an operation, or was finished."""

    lot: Lot
    at: datetime
    run: OperationRun | None = None


def rule_of(plan: InspectionPlan) -> sampling.Rule:
    return sampling.Rule(plan.sampling, plan.sample_n)


def pieces_in(lot: Lot) -> int:
    """Return how many pieces a lot counts in samples; a part of one counts as one."""
    return max(1, ceil(lot.quantity))


def make_due_for_lots(*, lots: Sequence[Lot], at: datetime) -> int:
    """Make what is due of lots that were just made, by plans without an operation."""
    return _make_due([_Made(lot, lot.made_at) for lot in lots], at=at)


def make_due_for_runs(*, runs: Sequence[OperationRun], at: datetime) -> int:
    """Make what is due after runs that have just ended; the rows of their lots are held."""
    return _make_due([_Made(run.lot, run.ended_at or at, run) for run in runs], at=at)


def _make_due(made: Sequence[_Made], *, at: datetime) -> int:
    recent = [each for each in made if each.at >= at - MISSED_AFTER]
    plans = _plans_for(recent)
    due = [row for plan in plans for row in _due_of(plan, recent)]
    return _insert(_not_looked_at(due))


def _plans_for(made: Sequence[_Made]) -> list[InspectionPlan]:
    if not made:
        return []
    operations = {each.run.operation if each.run else "" for each in made}
    rows = InspectionPlan.objects.filter(
        state=InspectionPlan.State.RELEASED, operation__in=operations,
        product__in={each.lot.product_id for each in made},
    )  # fmt: skip
    return list(rows.exclude(sampling=Sampling.EVERY_MINUTES).order_by("pk"))


def _due_of(plan: InspectionPlan, made: Sequence[_Made]) -> list[Inspection]:
    """Return what of these a plan wants to be looked at."""
    mine = [
        each
        for each in made
        if each.lot.product_id == plan.product_id
        and (each.run.operation if each.run else "") == plan.operation
    ]
    if not mine:
        return []
    if plan.sampling == Sampling.PER_LOT:
        return _by_lot(plan, mine)
    before = 0
    if plan.sampling == Sampling.EVERY_NTH:
        # How many parts the plan has seen: its own series, because lots come at once.
        n_parts = sum(pieces_in(each.lot) for each in mine)
        before = take_numbers(f"p{plan.pk.hex[:19]}", n_parts) - 1
    rows = []
    for each in mine:
        size = pieces_in(each.lot)
        rows += _pieces(plan, each, before=before)
        before += size
    return rows


def _pieces(plan: InspectionPlan, each: _Made, *, before: int = 0) -> list[Inspection]:
    size, rule = pieces_in(each.lot), rule_of(plan)
    if sampling.n_due(rule, lot_size=size, before=before) > MAX_DUE:
        return []
    pieces = sampling.due_pieces(rule, lot_size=size, before=before)
    return [_row(plan, each, piece="" if size == 1 else str(piece)) for piece in pieces]


def _by_lot(plan: InspectionPlan, made: Sequence[_Made]) -> list[Inspection]:
    """Choose so many parts of a lot; the serials of a lot count by their order below it."""
    rows: list[Inspection] = []
    parents = {each.lot.parent_id for each in made if each.lot.parent_id}
    sizes = {lot.pk: pieces_in(lot) for lot in Lot.objects.filter(pk__in=parents)}
    n_seen = _parts_seen(plan, parents, made)
    for each in made:
        parent_id = each.lot.parent_id
        if parent_id is None:
            rows += _pieces(plan, each)
            continue
        n_seen[parent_id] += 1
        size = sizes[parent_id]
        if sampling.is_due(rule_of(plan), position=n_seen[parent_id], lot_size=size):
            rows.append(_row(plan, each, piece=""))
    return rows


def _parts_seen(
    plan: InspectionPlan, parents: Iterable[UUID], made: Sequence[_Made]
) -> dict[UUID, int]:
    """Count the parts of each lot that came by before these."""
    rows = Lot.objects.filter(parent__in=parents).exclude(pk__in={each.lot.pk for each in made})
    if plan.operation:
        rows = rows.filter(runs__operation=plan.operation, runs__state=OperationRun.State.FINISHED)
    counts = rows.order_by().values_list("parent").annotate(n=Count("pk", distinct=True))
    return defaultdict(int, {parent: n for parent, n in counts if parent is not None})


def _row(plan: InspectionPlan, each: _Made, *, piece: str) -> Inspection:
    return Inspection(
        plan=plan, lot=each.lot, order_id=each.lot.order_id, piece=piece, run=each.run,
        machine_id=each.run.machine_id if each.run else None, state=State.DUE,
        source=Inspection.Source.PERSON, due_at=each.at, made_at=each.at,
    )  # fmt: skip


def _not_looked_at(due: Sequence[Inspection]) -> list[Inspection]:
    """Leave out what was inspected before the plant told that it is due."""
    rows = Inspection.objects.filter(
        plan__in={row.plan_id for row in due}, lot__in={row.lot_id for row in due}
    )
    known = set(rows.values_list("plan_id", "lot_id", "piece"))
    return [row for row in due if (row.plan_id, row.lot_id, row.piece) not in known]


def _insert(due: Sequence[Inspection]) -> int:
    if due:
        first = take_numbers("inspection", len(due))
        for number, row in enumerate(due, first):
            row.number = number
        Inspection.objects.bulk_create(due)
    return len(due)


@transaction.atomic
def make_due_by_time(*, at: datetime) -> int:
    """Make what is due by the clock while operations run; call it every minute.

    Runs that are still on count, and those that ended since the last call may have one moment more.
    """
    plans = InspectionPlan.objects.filter(
        state=InspectionPlan.State.RELEASED, sampling=Sampling.EVERY_MINUTES
    )
    # The rows are held, so that two callers do not make the same moment twice.
    held = list(plans.select_for_update(no_key=True).order_by("pk"))
    return sum(_insert(_moments(plan, at=at)) for plan in held)


def _moments(plan: InspectionPlan, *, at: datetime) -> list[Inspection]:
    of_plan = Q(inspections__plan=plan)
    runs = (
        OperationRun.objects.filter(lot__product=plan.product_id)
        .filter(Q(state=OperationRun.State.RUNNING) | Q(ended_at__gte=at - MISSED_AFTER))
        .annotate(last_due_at=Max("inspections__due_at", filter=of_plan))
        .select_related("lot")
        .order_by("pk")
    )
    if plan.operation:
        runs = runs.filter(operation=plan.operation)
    rows = []
    for run in runs:
        moments = sampling.due_moments(
            rule_of(plan), started_at=run.started_at, last_at=run.last_due_at,
            until=min(at, run.ended_at or at), at_most=MAX_MOMENTS,
        )  # fmt: skip
        rows += [_row(plan, _Made(run.lot, moment, run), piece="") for moment in moments]
    return rows


def mark_missed(*, at: datetime) -> int:
    """Mark what nobody has looked at in time: a missed inspection is itself worth knowing.

    By the clock: when the next one is due. All others: `MISSED_AFTER` after they were due.
    """
    rows = Inspection.objects.filter(state=State.DUE)
    by_clock = Q(plan__sampling=Sampling.EVERY_MINUTES)
    late = list(rows.filter(~by_clock, due_at__lte=at - MISSED_AFTER).values_list("pk", flat=True))
    clocked = rows.filter(by_clock).annotate(n_minutes=F("plan__sample_n"))
    late += [
        row.pk
        for row in clocked.only("pk", "due_at")
        if row.due_at is not None and row.due_at + timedelta(minutes=row.n_minutes) <= at
    ]
    return Inspection.objects.filter(pk__in=late, state=State.DUE).update(state=State.MISSED)
