"""The life of a work order: proposed or reported, approved, scheduled, done, judged, closed.

Every step is a conditional update of the order's row, which then holds the row until the commit.
A step carries the id of the request that asked for it: a repeat (a double tap, a retry after a
time-out) waits for the row, finds the first one's event and changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Least

from production.models import Machine, WorkOrder, WorkOrderEvent
from production.services.numbers import take_numbers
from tenants.context import current_factory
from tenants.models import Membership, User

State, EventKind = WorkOrder.State, WorkOrderEvent.Kind
# The numbers in a reason change with every scoring; a log of them says nothing.
SAY_AGAIN_AFTER = timedelta(days=1)
NOT_CLOSED = (*WorkOrder.OPEN, State.DONE)


class NotPossible(Exception):
    """The order does not allow it as it is now; the text is for people."""


class NoSuchMachine(Exception):
    """The order names a machine that this factory does not have."""


class NotAMember(Exception):
    """The person whom an order is given to does not belong to this factory."""

    def __init__(self) -> None:
        super().__init__("This person is no member of the factory.")


class _Repeated(Exception):
    """The same request was served before."""


def propose_work_order(
    *,
    machine_id: UUID,
    title: str,
    dedup_key: str,
    at: datetime,
    kind: str = WorkOrder.Kind.PREDICTIVE,
    source: str = WorkOrder.Source.PREDICTION,
    source_ref: str = "",
    component: str = "",
    reason: str = "",
    first_checks: Sequence[str] = (),
    priority: int = 3,
    due_from: datetime | None = None,
    due_by: datetime | None = None,
    waiting_cost_minor_per_day: int | None = None,
    waiting_cost: str = "",
) -> WorkOrder:
    """Propose an order for a finding, or tell its open order what is new.

    A finding is identified by `dedup_key` (one per machine, component and kind of finding): while
    an order for it is open, it is returned. A higher priority is added to it as an event at once,
    another reason or an earlier date once a day, so that it may be called after every scoring. A
    proposal follows its finding; what a person has approved keeps its words and dates.

    Args:
        priority: 1 (now) to 4 (when there is time).
        due_from, due_by: [from, by) in which the work is best done.
        waiting_cost_minor_per_day: in minor units of the factory's currency; the words beside it
            say what it is made of.
        source_ref: opaque to this floor; the one who proposes finds its own row by it.

    Raises:
        NoSuchMachine: not in this factory.
    """
    fields: dict[str, Any] = {
        "kind": kind,
        "component": component[:80],
        "title": title[:120],
        "reason": reason[:2000],
        "first_checks": [text[:200] for text in first_checks],
        "priority": priority,
        "due_from": due_from,
        "due_by": due_by,
        "waiting_cost_minor_per_day": waiting_cost_minor_per_day,
        "waiting_cost": waiting_cost[:200],
        "source_ref": source_ref[:120],
    }
    found = _open_order(dedup_key)
    if found is None:
        found, is_made = _insert_or_find(
            dedup_key=dedup_key, machine_id=machine_id, source=source, at=at, **fields
        )
        if is_made:
            return found
    return _add_finding(found, fields, at=at)


def _insert_or_find(*, dedup_key: str, **fields: Any) -> tuple[WorkOrder, bool]:
    try:
        with transaction.atomic():
            return insert(state=State.PROPOSED, dedup_key=dedup_key, **fields), True
    except IntegrityError:
        # Another worker proposed it between the look and the insert.
        found = _open_order(dedup_key)
        if found is None:
            raise
        return found, False


def _open_order(dedup_key: str) -> WorkOrder | None:
    if not dedup_key:
        return None
    return WorkOrder.objects.filter(dedup_key=dedup_key, state__in=WorkOrder.OPEN).first()


def _add_finding(order: WorkOrder, fields: dict[str, Any], *, at: datetime) -> WorkOrder:
    """Write down how a finding differs from what its open order says."""
    findings = WorkOrderEvent.objects.filter(order=order, kind=EventKind.FINDING)
    last = findings.order_by("-pk").first()
    due_by = fields["due_by"]
    is_sooner = due_by is not None and (order.due_by is None or due_by < order.due_by)
    is_reworded = fields["reason"] != (last.text if last else order.reason)
    is_rested = at - (last.at if last else order.created_at) >= SAY_AGAIN_AFTER
    if fields["priority"] >= order.priority and not (is_rested and (is_sooner or is_reworded)):
        return order
    with transaction.atomic():
        open_rows = WorkOrder.objects.filter(pk=order.pk, state__in=WorkOrder.OPEN)
        priority = Least("priority", fields["priority"])
        if not open_rows.update(n_findings=F("n_findings") + 1, changed_at=at, priority=priority):
            return order
        open_rows.filter(state=State.PROPOSED).update(**(fields | {"priority": priority}))
        order.refresh_from_db()
        record(order, kind=EventKind.FINDING, at=at, text=fields["reason"])
    return order


def create_work_order(
    *,
    machine_id: UUID,
    title: str,
    at: datetime,
    by: User | None,
    kind: str = WorkOrder.Kind.CORRECTIVE,
    is_approved: bool = False,
    request_id: UUID | None = None,
    **details: Any,
) -> WorkOrder:
    """Write down work that a person asks for; the same request returns the same order.

    Args:
        details: further fields of the order, as `propose_work_order` names them.

    Raises:
        NoSuchMachine: not in this factory.
        NotPossible: it is due before it may begin.
    """
    try:
        with transaction.atomic():
            return insert(
                machine_id=machine_id, title=title, at=at, by=by, kind=kind, request_id=request_id,
                state=State.APPROVED if is_approved else State.PROPOSED,
                source=WorkOrder.Source.PERSON, **details,
            )  # fmt: skip
    except IntegrityError:
        found = WorkOrder.objects.filter(request_id=request_id).first() if request_id else None
        if found is None:
            raise
        return found


def insert(*, machine_id: UUID, at: datetime, by: User | None = None, **fields: Any) -> WorkOrder:
    """Insert an order under the next number, with its first event; call it in a transaction."""
    if not Machine.objects.filter(pk=machine_id).exists():
        raise NoSuchMachine(machine_id)
    due_from, due_by = fields.get("due_from"), fields.get("due_by")
    if due_from is not None and due_by is not None and due_by <= due_from:
        raise NotPossible("It is due before it may begin.")
    order = WorkOrder.objects.create(
        machine_id=machine_id,
        number=take_numbers("work_order"),
        currency=current_factory().currency,
        created_at=at,
        changed_at=at,
        created_by_id=by.pk if by else None,
        **fields,
    )
    record(order, kind=EventKind.CREATED, at=at, by=by)
    return order


def record(
    order: WorkOrder,
    *,
    kind: str,
    at: datetime,
    by: User | None = None,
    text: str = "",
    request_id: UUID | None = None,
) -> None:
    """Append an event; its state is the order's."""
    WorkOrderEvent.objects.create(
        order=order, kind=kind, state=order.state, at=at, by_id=by.pk if by else None,
        text=text[:2000], request_id=request_id,
    )  # fmt: skip


def change(
    *,
    order: WorkOrder,
    states: Sequence[str],
    kind: str,
    at: datetime,
    by: User | None,
    request_id: UUID | None,
    text: str = "",
    then: Callable[[WorkOrder], str] | None = None,
    **fields: Any,
) -> WorkOrder:
    """Change an order that is in one of `states`, once a request, and append the event.

    Args:
        then: what else happens in the same transaction; it is given the changed row and returns
            the event's text.

    Raises:
        NotPossible: the order is in another state by now, or the request's id was used for
            another step.
    """
    try:
        with transaction.atomic():
            n_claimed = WorkOrder.objects.filter(pk=order.pk, state__in=states).update(
                changed_at=at, **fields
            )
            # The update holds the row: a repeat has waited there, and sees the first one here.
            if request_id and (first := order.events.filter(request_id=request_id).first()):
                if first.kind != kind:
                    raise NotPossible("This request was used for something else before.")
                raise _Repeated
            order.refresh_from_db()
            if not n_claimed:
                raise NotPossible(f"{order.label} is {order.get_state_display().lower()}.")
            if then is not None:
                text = then(order)
            record(order, kind=kind, at=at, by=by, text=text, request_id=request_id)
    except _Repeated:
        pass
    order.refresh_from_db()
    return order


def approve(
    *, order: WorkOrder, at: datetime, by: User | None, request_id: UUID | None = None
) -> WorkOrder:
    """Accept a proposal.

    Raises:
        NotPossible: it is no proposal any more.
    """
    return change(
        order=order, states=[State.PROPOSED], kind=EventKind.APPROVED, at=at, by=by,
        request_id=request_id, state=State.APPROVED,
    )  # fmt: skip


def schedule(
    *,
    order: WorkOrder,
    scheduled_for: datetime | None,
    assigned_to: User | None,
    at: datetime,
    by: User | None,
    request_id: UUID | None = None,
) -> WorkOrder:
    """Say when it is done and by whom; a proposal is thereby approved.

    Raises:
        NotPossible: work has begun, or the order is closed.
        NotAMember: the person is not of this factory.
    """
    if assigned_to is not None and not _is_member(assigned_to):
        raise NotAMember
    return change(
        order=order, states=[State.PROPOSED, State.APPROVED, State.SCHEDULED],
        kind=EventKind.SCHEDULED, at=at, by=by, request_id=request_id,
        text=str(assigned_to) if assigned_to else "", state=State.SCHEDULED,
        scheduled_for=scheduled_for, assigned_to_id=assigned_to.pk if assigned_to else None,
    )  # fmt: skip


def _is_member(user: User) -> bool:
    return Membership.objects.filter(factory=current_factory(), user=user).exists()


def may_begin(order: WorkOrder) -> bool:
    """Say whether work may begin: approved, or a repair that a person asks for (it cannot wait)."""
    if order.state == State.PROPOSED:
        is_repair = order.kind == WorkOrder.Kind.CORRECTIVE
        return is_repair and order.source == WorkOrder.Source.PERSON
    return order.state in (State.APPROVED, State.SCHEDULED)


def workable(order: WorkOrder) -> list[str]:
    """Return the states from which this order may be begun or done."""
    states = [State.APPROVED, State.SCHEDULED]
    is_repair = order.kind == WorkOrder.Kind.CORRECTIVE
    if is_repair and order.source == WorkOrder.Source.PERSON:
        states.append(State.PROPOSED)
    return [str(state) for state in states]


def start(
    *, order: WorkOrder, at: datetime, by: User | None, request_id: UUID | None = None
) -> WorkOrder:
    """Begin the work.

    Raises:
        NotPossible: nobody has approved it, it was begun, or it is closed.
    """
    return change(
        order=order, states=workable(order), kind=EventKind.STARTED, at=at, by=by,
        request_id=request_id, state=State.IN_WORK, started_at=at,
    )  # fmt: skip


def verify(
    *,
    order: WorkOrder,
    at: datetime,
    by: User | None,
    text: str = "",
    request_id: UUID | None = None,
) -> WorkOrder:
    """Say that the work was done well; the order is closed.

    Raises:
        NotPossible: it is not done, or is closed.
    """
    return change(
        order=order, states=[State.DONE], kind=EventKind.VERIFIED, at=at, by=by, text=text,
        request_id=request_id, state=State.VERIFIED, closed_at=at,
    )  # fmt: skip


def comment(
    *, order: WorkOrder, text: str, at: datetime, by: User | None, request_id: UUID | None = None
) -> WorkOrder:
    """Add a few words to an order, closed or not."""
    return change(
        order=order, states=State.values, kind=EventKind.COMMENT, at=at, by=by, text=text,
        request_id=request_id,
    )  # fmt: skip
