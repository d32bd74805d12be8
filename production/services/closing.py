"""How a work order ends: done with a verdict and a coded failure, or rejected.

The verdict is what models learn from; a failure that was real is recorded once, with the four
words of ISO 14224, in the transaction that ends the work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models.functions import Coalesce

from production.models import Failure, MachineMeter, PlanAnchor, WorkOrder, WorkOrderEvent
from production.services.orders import NotPossible, change, workable
from production.services.plant import record_failure
from tenants.models import User

Verdict = WorkOrder.Verdict
# What may be said of a finding without opening the machine.
WITHOUT_WORK = frozenset({"", Verdict.FALSE_ALARM, Verdict.NOT_FOUND})


class VerdictMissing(NotPossible):
    """Somebody or something found this; without a verdict nobody learns from it."""

    def __init__(self) -> None:
        super().__init__("Say what you found: it is how the next warning gets better.")


class FailureNotCoded(NotPossible):
    """A real failure needs the mode in which it showed."""

    def __init__(self) -> None:
        super().__init__("A real failure needs how it showed: breakdown, vibration, leak ...")


@dataclass(frozen=True, slots=True)
class FailureCode:
    """A failure in the words of ISO 14224, and when it began (the start of the work if unknown)."""

    mode: str = ""
    mechanism: str = Failure.Mechanism.UNKNOWN
    cause: str = Failure.Cause.UNKNOWN
    detection: str = Failure.Detection.INSPECTION
    failed_at: datetime | None = None


UNCODED = FailureCode()


def needs_verdict(order: WorkOrder) -> bool:
    """Say whether the order answers a finding, which was right or wrong."""
    return order.kind in (WorkOrder.Kind.PREDICTIVE, WorkOrder.Kind.CORRECTIVE)


def complete(
    *,
    order: WorkOrder,
    at: datetime,
    by: User | None,
    verdict: str = "",
    note: str = "",
    code: FailureCode = UNCODED,
    downtime_minutes: int | None = None,
    request_id: UUID | None = None,
) -> WorkOrder:
    """End the work with what was found.

    Work that was not begun in the system is taken as begun now. A real failure is recorded from
    when it began (by default so long before now as the machine stood, else from the start of the
    work) until now. A plan counts on from here.

    Raises:
        VerdictMissing: the order answers a finding, and nothing is said about it.
        FailureNotCoded: the failure was real, and its mode is missing.
        NotPossible: the order cannot be done as it is, or the failure lies ahead.
    """
    is_real = verdict == Verdict.REAL
    if needs_verdict(order) and not verdict:
        raise VerdictMissing
    if is_real and not code.mode:
        raise FailureNotCoded
    if code.failed_at is not None and code.failed_at > at:
        raise NotPossible("The failure cannot begin after now.")

    def close(row: WorkOrder) -> str:
        if is_real:
            row.failure = _record(row, code, at=at, by=by)
            row.save(update_fields=["failure"])
        _move_anchor(row, at=at)
        return note or (row.get_verdict_display() if verdict else "")

    coded = {
        "mode": code.mode, "mechanism": code.mechanism, "cause": code.cause,
        "detection": code.detection,
    } if code.mode else {}  # fmt: skip
    return change(
        order=order, states=[*workable(order), WorkOrder.State.IN_WORK],
        kind=WorkOrderEvent.Kind.DONE, at=at, by=by, request_id=request_id, then=close,
        state=WorkOrder.State.DONE, done_at=at, started_at=Coalesce("started_at", at),
        downtime_minutes=downtime_minutes, **_judged(verdict, note, at, by), **coded,
    )  # fmt: skip


def reject(
    *,
    order: WorkOrder,
    at: datetime,
    by: User | None,
    text: str,
    verdict: str = "",
    request_id: UUID | None = None,
) -> WorkOrder:
    """Decide that it will not be done, and why; a plan skips this time.

    Raises:
        NotPossible: work has begun, the order is closed, no reason is given, or the verdict is
            one that only somebody who has looked can give.
    """
    if not text.strip():
        raise NotPossible("Say why it will not be done.")
    if verdict not in WITHOUT_WORK:
        raise NotPossible("This can only be said after the work.")

    def skip(row: WorkOrder) -> str:
        _move_anchor(row, at=at)
        return text

    states = [WorkOrder.State.PROPOSED, WorkOrder.State.APPROVED, WorkOrder.State.SCHEDULED]
    return change(
        order=order, states=states, kind=WorkOrderEvent.Kind.REJECTED, at=at, by=by, then=skip,
        request_id=request_id, state=WorkOrder.State.REJECTED, closed_at=at,
        **_judged(verdict, text, at, by),
    )  # fmt: skip


def _judged(verdict: str, note: str, at: datetime, by: User | None) -> dict[str, Any]:
    if not verdict:
        return {"verdict_note": note[:500]}
    return {
        "verdict": verdict,
        "verdict_note": note[:500],
        "verdict_at": at,
        "verdict_by_id": by.pk if by else None,
    }


def _record(order: WorkOrder, code: FailureCode, *, at: datetime, by: User | None) -> Failure:
    failed_at = code.failed_at
    if failed_at is None and order.downtime_minutes:
        failed_at = at - timedelta(minutes=order.downtime_minutes)
    return record_failure(
        machine_id=order.machine_id,
        failed_at=failed_at or order.started_at or at,
        restored_at=at,
        mode=code.mode,
        mechanism=code.mechanism,
        cause=code.cause,
        detection=code.detection,
        component=order.component,
        note=order.verdict_note,
        source=order.label,
        by=by,
    )


def _move_anchor(order: WorkOrder, *, at: datetime) -> None:
    """Let the plan count on: from the day it was done, or from the day that is skipped."""
    plan = order.plan
    if plan is None:
        return
    zone = ZoneInfo(order.machine.line.area.site.time_zone)
    done_on = at.astimezone(zone).date()
    if order.state == WorkOrder.State.REJECTED:
        done_on = order.planned_on or done_on
    meter = MachineMeter.objects.filter(machine=order.machine, key=plan.value_key).first()
    PlanAnchor.objects.update_or_create(
        plan=plan,
        machine=order.machine,
        defaults={
            "anchored_on": done_on,
            "meter": meter.value if meter and plan.value_key else None,
        },
    )
