"""What can be asked about work orders: lists, one order, the verdicts that models learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, QuerySet

from production.models import CheckItem, OrderPhoto, WorkOrder, WorkOrderEvent


def work_orders() -> QuerySet[WorkOrder]:
    """Return all orders, newest first, with machine and people at hand."""
    rows = WorkOrder.objects.select_related("machine", "assigned_to", "created_by", "plan")
    return rows.order_by("-number")


def open_orders() -> QuerySet[WorkOrder]:
    """Return what is not done yet: by due time, what has none last, then by priority."""
    rows = work_orders().filter(state__in=WorkOrder.OPEN)
    return rows.order_by(F("due_by").asc(nulls_last=True), "priority", "number")


def orders_for(machine_id: UUID) -> QuerySet[WorkOrder]:
    return work_orders().filter(machine_id=machine_id)


def work_order(order_id: UUID) -> WorkOrder:
    """Return one order with everything that its page shows at hand.

    Raises:
        WorkOrder.DoesNotExist: not in this factory.
    """
    rows = work_orders().select_related(
        "machine__machine_type", "machine__line__area__site", "failure", "signature", "verdict_by"
    )
    return rows.prefetch_related(
        "checks", "labour__worker", "parts__part", "photos", "events__by"
    ).get(pk=order_id)


def check_item(*, order_id: UUID, item_id: int) -> CheckItem:
    """Return a line of an order's checklist.

    Raises:
        CheckItem.DoesNotExist: not of this order, or not in this factory.
    """
    return CheckItem.objects.get(pk=item_id, order_id=order_id)


def order_photo(*, order_id: UUID, photo_id: UUID) -> OrderPhoto:
    """Return a photo of an order.

    Raises:
        OrderPhoto.DoesNotExist: not of this order, or not in this factory.
    """
    return OrderPhoto.objects.get(pk=photo_id, order_id=order_id)


def order_events(order: WorkOrder) -> QuerySet[WorkOrderEvent]:
    return order.events.select_related("by").order_by("at", "pk")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a technician said of a finding: a label. `found_at` is when the order was made."""

    order_id: UUID
    machine_id: UUID
    machine_type_id: UUID
    kind: str
    source: str
    source_ref: str
    component: str
    verdict: str
    mode: str
    found_at: datetime
    judged_at: datetime
    failure_id: UUID | None


def verdicts(
    *,
    machine_type_id: UUID | None = None,
    since: datetime | None = None,
    sources: Sequence[str] = (),
) -> list[Verdict]:
    """Return the verdicts that were given (at `since` or later), in the order of their giving."""
    rows = WorkOrder.objects.exclude(verdict="")
    if machine_type_id is not None:
        rows = rows.filter(machine__machine_type_id=machine_type_id)
    if since is not None:
        rows = rows.filter(verdict_at__gte=since)
    if sources:
        rows = rows.filter(source__in=sources)
    names = (
        "pk", "machine_id", "machine__machine_type_id", "kind", "source", "source_ref",
        "component", "verdict", "mode", "created_at", "verdict_at", "failure_id",
    )  # fmt: skip
    return [Verdict(*row) for row in rows.order_by("verdict_at", "pk").values_list(*names)]
