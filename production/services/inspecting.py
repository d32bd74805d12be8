"""How an inspection is written down: by a person, a gauge, a machine or a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from production.models import (
    Inspection,
    InspectionPlan,
    Lot,
    Machine,
    Measurement,
    OperationRun,
    ProductionOrder,
)
from production.services.judging import write_verdict
from production.services.lots import hold_family
from production.services.measuring import Measured, agree, defect_counts, rows_of
from production.services.numbers import take_numbers
from production.services.refusals import Invalid, Refused, RequestUsed, Unknown
from tenants.models import User

State = Inspection.State
CLOCKS_DIFFER = timedelta(minutes=5)


class PlanNotInForce(Refused):
    """The plan is a draft, or a newer version has taken its place."""

    code = "plan_not_in_force"


class WrongProduct(Refused):
    """The lot or order is of another product than the plan."""

    code = "wrong_product"


@dataclass(frozen=True, slots=True)
class Found:
    """What an inspection found; without a verdict it follows from what was measured."""

    verdict: str = ""
    measured: Sequence[Measured] = ()
    defects: Mapping[str, int] = field(default_factory=dict)
    note: str = ""


@dataclass(slots=True)
class _Subject:
    """What was looked at, as far as it is known."""

    lot: Lot | None
    order: ProductionOrder | None
    run: OperationRun | None
    machine_id: UUID | None
    made_at: datetime | None


def record_inspection(
    *,
    plan_id: UUID,
    at: datetime,
    by: User | None = None,
    source: str = Inspection.Source.PERSON,
    lot_id: UUID | None = None,
    order_id: UUID | None = None,
    piece: str = "",
    machine_id: UUID | None = None,
    run_id: UUID | None = None,
    measurements: Sequence[Measured] = (),
    verdict: str = "",
    defects: Mapping[str, int] | None = None,
    note: str = "",
    inspected_at: datetime | None = None,
    made_at: datetime | None = None,
    request_id: UUID | None = None,
) -> Inspection:
    """Write down an inspection with what was measured, and its verdict.

    Without a verdict one follows from the values: fail with one out of its limits, pass when all
    of the plan's characteristics are good, otherwise not clear. What is due of the same piece is
    done by this one. Machine and run are found from the lot and the plan's operation. A fail opens
    a nonconformance; more defective pieces than the plan accepts hold the lot. The same request
    returns the same inspection.

    Args:
        piece: as it is marked or counted within the lot; empty for a serial or the whole lot.
        defects: code of a kind of defect -> how often it was found.
        inspected_at: when it was looked at; now, where nobody says.

    Raises:
        Unknown: a plan, lot, order, run, machine, characteristic or kind of defect.
        PlanNotInForce, WrongProduct, Contradiction, NothingSaid, Invalid, RequestUsed: as named.
    """
    found = Found(verdict, measurements, defects or {}, note)
    try:
        with transaction.atomic():
            return _record(
                plan_id, found, at=at, by=by, source=source, lot_id=lot_id, order_id=order_id,
                piece=piece, machine_id=machine_id, run_id=run_id,
                inspected_at=inspected_at or at, made_at=made_at, request_id=request_id,
            )  # fmt: skip
    except IntegrityError:
        # Without a lot nothing made the two wait for each other.
        known = _of_request(request_id, plan_id, lot_id, piece)
        if known is None:
            raise
        return known


def _record(
    plan_id: UUID,
    found: Found,
    *,
    at: datetime,
    by: User | None,
    source: str,
    lot_id: UUID | None,
    order_id: UUID | None,
    piece: str,
    machine_id: UUID | None,
    run_id: UUID | None,
    inspected_at: datetime,
    made_at: datetime | None,
    request_id: UUID | None,
) -> Inspection:
    if inspected_at > at + CLOCKS_DIFFER:
        raise Invalid("The inspection lies in the future.")
    lot = hold_family(lot_id) if lot_id else None
    plan = _plan_held(plan_id)
    if known := _of_request(request_id, plan_id, lot_id, piece):
        return known
    subject = _subject(plan, lot, order_id=order_id, run_id=run_id, machine_id=machine_id)
    _check_plan(plan, subject)
    characteristics = list(plan.characteristics.select_related("defect_type"))
    rows = rows_of(found.measured, characteristics, at=inspected_at)
    verdict = agree(
        found.verdict, rows, characteristics, defects=found.defects, source=source,
        note=found.note,
    )  # fmt: skip
    counts = defect_counts(rows, found.defects, verdict=verdict)
    inspection = _claim(plan, subject, piece) or Inspection(plan=plan, lot=lot, piece=piece)
    _fill(inspection, subject, source=source, inspected_at=inspected_at, made_at=made_at)
    inspection.lot = lot
    inspection.created_by_id = by.pk if by else None
    inspection.request_id = request_id
    if inspection._state.adding:
        inspection.number = take_numbers("inspection")
    inspection.save()
    for row in rows:
        row.inspection = inspection
    Measurement.objects.bulk_create(rows)
    write_verdict(
        inspection, verdict=verdict, counts=counts, source=source, note=found.note,
        verdict_at=inspected_at, at=at, by=by, request_id=request_id,
    )  # fmt: skip
    return inspection


def _plan_held(plan_id: UUID) -> InspectionPlan:
    """Hold the plan's row: nobody puts another version in force meanwhile."""
    plan = InspectionPlan.objects.select_for_update(no_key=True).filter(pk=plan_id).first()
    if plan is None:
        raise Unknown("plan", plan_id)
    return plan


def _check_plan(plan: InspectionPlan, subject: _Subject) -> None:
    if plan.state != InspectionPlan.State.RELEASED:
        word = plan.get_state_display().lower()
        raise PlanNotInForce(f"Version {plan.version} of {plan.name} is {word}.")
    for of_it in (subject.lot, subject.order):
        if of_it is not None and of_it.product_id != plan.product_id:
            raise WrongProduct(f"{of_it} is of another product than {plan.name}.")
    if subject.lot is None and subject.order is None:
        raise Invalid("Say which lot or order was looked at.")


def _of_request(
    request_id: UUID | None, plan_id: UUID, lot_id: UUID | None, piece: str
) -> Inspection | None:
    if request_id is None:
        return None
    known = Inspection.objects.filter(request_id=request_id).select_related("plan", "lot").first()
    if known is not None and (known.plan_id, known.lot_id, known.piece) != (plan_id, lot_id, piece):
        raise RequestUsed
    return known


def _subject(
    plan: InspectionPlan,
    lot: Lot | None,
    *,
    order_id: UUID | None,
    run_id: UUID | None,
    machine_id: UUID | None,
) -> _Subject:
    """Find what made the piece, as far as nobody says it."""
    order_id = order_id or (lot.order_id if lot else None)
    order = ProductionOrder.objects.filter(pk=order_id).first() if order_id else None
    if order_id and order is None:
        raise Unknown("order", order_id)
    run = _run(plan, lot, run_id)
    if machine_id and not Machine.objects.filter(pk=machine_id).exists():
        raise Unknown("machine", machine_id)
    machine_id = machine_id or (run.machine_id if run else None)
    made_at = run.ended_at or run.started_at if run else lot.made_at if lot else None
    return _Subject(lot, order, run, machine_id, made_at)


def _run(plan: InspectionPlan, lot: Lot | None, run_id: UUID | None) -> OperationRun | None:
    if run_id is not None:
        run = OperationRun.objects.filter(pk=run_id).first()
        if run is None:
            raise Unknown("run", run_id)
        if lot is not None and run.lot_id not in (lot.pk, lot.parent_id):
            raise Invalid("The run is of another lot.")
        return run
    if lot is None:
        return None
    for lot_id in filter(None, (lot.pk, lot.parent_id)):
        rows = OperationRun.objects.filter(lot=lot_id)
        if plan.operation:
            rows = rows.filter(operation=plan.operation)
        found = rows.order_by("-sequence", "-run_no", "-started_at", "-pk").first()
        if found is not None:
            return found
    return None


def _claim(plan: InspectionPlan, subject: _Subject, piece: str) -> Inspection | None:
    """Return what is due, or was missed, of the same piece; what is still due first."""
    if subject.lot is None:
        return None
    # Where the clock decides, any piece of the lot will do.
    is_clocked = plan.sampling == InspectionPlan.Sampling.EVERY_MINUTES
    same = Q() if is_clocked else Q(piece=piece)
    rows = Inspection.objects.select_for_update(no_key=True, of=("self",)).filter(
        same, plan=plan, lot=subject.lot, state__in=(State.DUE, State.MISSED)
    )
    found = list(rows.order_by("-due_at" if is_clocked else "due_at", "number"))
    due = [row for row in found if row.state == State.DUE]
    claimed = next(iter(due or ([] if is_clocked else found)), None)
    if claimed is not None:
        claimed.plan = plan
        claimed.piece = piece
    return claimed


def _fill(
    inspection: Inspection,
    subject: _Subject,
    *,
    source: str,
    inspected_at: datetime,
    made_at: datetime | None,
) -> None:
    inspection.order = subject.order
    inspection.run = subject.run
    inspection.machine_id = subject.machine_id
    inspection.state = State.DONE
    inspection.source = source
    inspection.inspected_at = inspected_at
    inspection.made_at = made_at or inspection.made_at or subject.made_at
