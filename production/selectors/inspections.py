"""What can be asked about inspections, the plans behind them and what became of bad material."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F, Max, Prefetch, Q, QuerySet

from production import sampling
from production.models import (
    Characteristic,
    DefectType,
    FoundDefect,
    Inspection,
    InspectionPlan,
    InspectionVerdict,
    Lot,
    Measurement,
    Nonconformance,
    NonconformanceEvent,
)

State = Inspection.State


def defect_types() -> QuerySet[DefectType]:
    """Return the kinds of defects by code."""
    return DefectType.objects.order_by("code")


def inspection_plans() -> QuerySet[InspectionPlan]:
    """Return the plans by product, name and version, with their characteristics at hand."""
    rows = InspectionPlan.objects.select_related("product", "created_by")
    characteristics = Characteristic.objects.select_related("defect_type").order_by(
        "position", "pk"
    )
    return rows.prefetch_related(Prefetch("characteristics", characteristics)).order_by(
        "product__item_no", "name", "-version", "pk"
    )


def inspection_plan(plan_id: UUID) -> InspectionPlan:
    """Return one plan.

    Raises:
        InspectionPlan.DoesNotExist: not in this factory.
    """
    return inspection_plans().get(pk=plan_id)


def inspections() -> QuerySet[Inspection]:
    """Return inspections, newest first, with what lists show at hand."""
    return Inspection.objects.select_related(
        "plan__product", "lot", "order", "machine", "created_by"
    ).order_by("-number")


def inspections_in_full() -> QuerySet[Inspection]:
    """Return inspections with measurements, verdicts and defects at hand."""
    found = FoundDefect.objects.select_related("defect_type").order_by("defect_type__code")
    verdicts = (
        InspectionVerdict.objects.select_related("by")
        .prefetch_related(Prefetch("defects", found))
        .order_by("at", "pk")
    )
    measurements = Measurement.objects.select_related("characteristic").order_by(
        "piece_no", "characteristic__position", "pk"
    )
    return (
        inspections()
        .select_related("run", "nonconformance")
        .prefetch_related(Prefetch("verdicts", verdicts), Prefetch("measurements", measurements))
    )


def inspection(inspection_id: UUID) -> Inspection:
    """Return one inspection with all that was written down on it.

    Raises:
        Inspection.DoesNotExist: not in this factory.
    """
    return inspections_in_full().get(pk=inspection_id)


def inspections_of_lot(lot: Lot) -> QuerySet[Inspection]:
    """Return what was or is to be looked at of a lot and of the parts below it, newest first."""
    return inspections_in_full().filter(Q(lot=lot) | Q(lot__parent=lot))


def lots_judged(lot_ids: Sequence[UUID], *, plan_id: UUID | None = None) -> set[UUID]:
    """Return those of some lots that an inspection has judged."""
    rows = Inspection.objects.filter(lot_id__in=lot_ids, state=State.DONE)
    if plan_id is not None:
        rows = rows.filter(plan_id=plan_id)
    return {pk for pk in rows.values_list("lot_id", flat=True) if pk is not None}


def due_inspections() -> QuerySet[Inspection]:
    """Return what is due, the oldest first."""
    rows = inspections().filter(state=State.DUE)
    return rows.order_by(F("due_at").asc(nulls_last=True), "number")


@dataclass(frozen=True, slots=True)
class SampleProgress:
    """How much of a lot's sample has been looked at, by one plan."""

    plan: InspectionPlan
    n_wanted: int | None  # None where the clock or the stream of lots decides
    n_done: int
    n_defective: int


def sample_progress(lot: Lot) -> list[SampleProgress]:
    """Return for each plan in force how far a lot's sample is; pieces and parts count once."""
    rows = []
    for plan in inspection_plans().filter(product=lot.product_id, state="released"):
        done = (
            Inspection.objects.filter(Q(lot=lot) | Q(lot__parent=lot), state=State.DONE)
            .filter(plan__name=plan.name, plan__product=plan.product_id)
            .order_by("lot", "piece", "-inspected_at", "-number")
            .distinct("lot", "piece")
        )
        verdicts = list(done.values_list("verdict", flat=True))
        rows.append(
            SampleProgress(plan, _n_wanted(plan, lot), len(verdicts), verdicts.count("fail"))
        )
    return rows


def _n_wanted(plan: InspectionPlan, lot: Lot) -> int | None:
    if plan.sampling not in (sampling.EVERY_PART, sampling.PER_LOT):
        return None
    size = max(1, -int(-lot.quantity // 1))
    return sampling.n_due(sampling.Rule(plan.sampling, plan.sample_n), lot_size=size)


def nonconformances() -> QuerySet[Nonconformance]:
    """Return nonconformances, newest first."""
    return Nonconformance.objects.select_related(
        "product", "lot", "machine", "defect_type", "inspection", "created_by"
    ).order_by("-number")


def open_nonconformances() -> QuerySet[Nonconformance]:
    """Return what is not closed, the oldest first."""
    rows = nonconformances().exclude(state=Nonconformance.State.CLOSED)
    return rows.order_by("found_at", "number")


def nonconformances_of_lot(lot: Lot) -> QuerySet[Nonconformance]:
    """Return the nonconformances of a lot and of the parts below it, newest first."""
    return nonconformances().filter(Q(lot=lot) | Q(lot__parent=lot))


def nonconformance(nonconformance_id: UUID) -> Nonconformance:
    """Return one nonconformance with its events at hand.

    Raises:
        Nonconformance.DoesNotExist: not in this factory.
    """
    events = NonconformanceEvent.objects.select_related("by").order_by("at", "pk")
    return nonconformances().prefetch_related(Prefetch("events", events)).get(pk=nonconformance_id)


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value of a characteristic, and the inspection that it belongs to."""

    measured_at: datetime
    value: float
    is_within: bool
    inspection_id: UUID


def values_in_time(characteristic: Characteristic, *, at_most: int = 1_000) -> list[Value]:
    """Return the newest values of a characteristic, oldest first, by all versions of its plan."""
    plan = characteristic.plan
    rows = (
        Measurement.objects.filter(
            characteristic__name=characteristic.name, characteristic__plan__name=plan.name,
            characteristic__plan__product=plan.product_id, value__isnull=False, void_cause="",
        )
        .order_by("-measured_at", "-pk")
        .values_list("measured_at", "value", "is_within", "inspection_id")
    )  # fmt: skip
    return [
        Value(at, value, is_within, pk)
        for at, value, is_within, pk in rows[:at_most][::-1]
        if value is not None
    ]


def plan_counts() -> dict[UUID, tuple[int, int, datetime | None]]:
    """Return for each plan how many inspections are done and failed, and when the last one was."""
    rows = (
        Inspection.objects.filter(state=State.DONE)
        .order_by()
        .values_list("plan")
        .annotate(
            n=Count("pk"), n_failed=Count("pk", filter=Q(verdict="fail")),
            last_at=Max("inspected_at"),
        )
    )  # fmt: skip
    return {plan: (n, n_failed, last_at) for plan, n, n_failed, last_at in rows}
