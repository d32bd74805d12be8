"""Work orders as the pages show them: rows of a list, chips that filter, one order in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.urls import reverse

from frontend.formats import DASH, clock, day, length, local, moment, money
from production import services, strokes
from production.models import Machine, WorkOrder, WorkOrderEvent

PRIORITIES = {1: "Now", 2: "Today", 3: "This week", 4: "When there is time"}
State = WorkOrder.State


@dataclass(frozen=True)
class OrderRow:
    url: str
    work_url: str
    label: str
    title: str
    machine: str
    kind: str
    state: str
    state_word: str
    due: str
    is_late: bool
    priority: str
    is_urgent: bool
    who: str
    verdict: str


@dataclass(frozen=True)
class OrderGroup:
    heading: str
    kind: str
    rows: tuple[OrderRow, ...]


@dataclass(frozen=True)
class FilterChip:
    value: str
    word: str
    n: int
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class Cost:
    """What an order has cost so far; None where a price is missing."""

    labour_minutes: int
    labour: str
    parts: str
    total: str


@dataclass(frozen=True)
class LogLine:
    at: datetime
    words: str
    who: str
    text: str


@dataclass(frozen=True)
class OrderView:
    """One order: the row, what may be done with it now, and its parts in words."""

    order: WorkOrder
    row: OrderRow
    machine: Machine
    lead: str
    waiting: str
    cost: Cost
    log: tuple[LogLine, ...]
    strokes: tuple[str, ...]
    n_checks: int
    n_checked: int
    n_photos: int
    can_approve: bool
    can_begin: bool
    can_work: bool
    can_complete: bool
    can_verify: bool
    can_reject: bool
    needs_verdict: bool


def row(order: WorkOrder, *, at: datetime) -> OrderRow:
    is_open = order.is_open
    return OrderRow(
        url=reverse("frontend:order", args=[order.pk]),
        work_url=reverse("frontend:order-work", args=[order.pk]),
        label=order.label,
        title=order.title,
        machine=order.machine.name,
        kind=order.get_kind_display(),
        state=order.state,
        state_word=order.get_state_display(),
        due=due_words(order, at=at) if is_open else moment(order.done_at or order.closed_at, at),
        is_late=is_open and order.due_by is not None and order.due_by <= at,
        priority=PRIORITIES[order.priority],
        is_urgent=is_open and order.priority <= 2,
        who=str(order.assigned_to) if order.assigned_to else "",
        verdict=order.get_verdict_display() if order.verdict else "",
    )


def due_words(order: WorkOrder, *, at: datetime) -> str:
    """Say when it is due: a window ends before `due_by`, so midnight means the day before."""
    if order.due_by is None:
        return "No date"
    if order.due_by <= at:
        return f"Late by {length((at - order.due_by).total_seconds())}"
    if clock(order.due_by) == "00:00":
        last = order.due_by.timestamp() - 1
        return f"By {day(datetime.fromtimestamp(last, local(at).tzinfo))}"
    return f"By {moment(order.due_by, at)}"


def groups(found: Sequence[WorkOrder], *, at: datetime) -> list[OrderGroup]:
    """Sort orders into what waits for a decision, what is to be done, what is over."""
    headings = {
        "waiting": "Wait for approval",
        "todo": "To be done",
        "check": "Done, wait to be looked at",
        "closed": "Closed",
    }
    sorted_rows: dict[str, list[OrderRow]] = {kind: [] for kind in headings}
    for order in found:
        sorted_rows[_group_of(order)].append(row(order, at=at))
    return [
        OrderGroup(headings[kind], kind, tuple(rows)) for kind, rows in sorted_rows.items() if rows
    ]


def _group_of(order: WorkOrder) -> str:
    if order.state == State.PROPOSED:
        return "waiting"
    if order.state in WorkOrder.OPEN:
        return "todo"
    return "check" if order.state == State.DONE else "closed"


def chips(counts: dict[str, int], *, chosen: str) -> list[FilterChip]:
    words = {"open": "Open", "mine": "Mine", "done": "Done", "closed": "Closed"}
    url = reverse("frontend:maintenance")
    return [
        FilterChip(
            value, word, counts[value], url if value == "open" else f"{url}?show={value}",
            chosen == value,
        )
        for value, word in words.items()
    ]  # fmt: skip


def view(order: WorkOrder, *, at: datetime, may_work: bool, may_plan: bool) -> OrderView:
    is_closed = order.state in (State.VERIFIED, State.REJECTED)
    is_begun = order.state == State.IN_WORK
    may_begin = services.may_begin(order)
    signature = getattr(order, "signature", None)
    return OrderView(
        order=order,
        row=row(order, at=at),
        machine=order.machine,
        lead=_lead(order),
        waiting=_waiting(order),
        cost=_cost(order),
        log=tuple(_log(order.events.all())),
        strokes=tuple(map(strokes.points, signature.strokes)) if signature else (),
        n_checks=len(order.checks.all()),
        n_photos=len(order.photos.all()),
        n_checked=sum(item.done_at is not None for item in order.checks.all()),
        can_approve=may_plan and order.state == State.PROPOSED,
        can_begin=may_work and may_begin,
        can_work=may_work and not is_closed,
        can_complete=may_work and (is_begun or may_begin),
        can_verify=may_plan and order.state == State.DONE,
        can_reject=may_plan and order.state in WorkOrder.OPEN and not is_begun,
        needs_verdict=services.needs_verdict(order),
    )


def _lead(order: WorkOrder) -> str:
    sources = {
        WorkOrder.Source.PERSON: f"Reported by {order.created_by}"
        if order.created_by
        else "Reported by a person",
        WorkOrder.Source.PLAN: f"From the plan {order.plan.name}" if order.plan else "From a plan",
        WorkOrder.Source.PREDICTION: "Proposed from a prediction",
        WorkOrder.Source.ALARM: "Proposed after an alarm",
    }
    words = f"{sources[WorkOrder.Source(order.source)]}, {moment(order.created_at)}"
    if order.n_findings > 1:
        words += f", found {order.n_findings} times"
    return f"{words}."


def _waiting(order: WorkOrder) -> str:
    if order.waiting_cost_minor_per_day is None:
        return order.waiting_cost
    amount = money(order.waiting_cost_minor_per_day, order.currency, whole=True)
    words = f"Each day of waiting costs about {amount}"
    return f"{words}: {order.waiting_cost}" if order.waiting_cost else f"{words}."


def _cost(order: WorkOrder) -> Cost:
    labour = [entry.cost_minor for entry in order.labour.all()]
    parts = [part.cost_minor for part in order.parts.all() if part.n_used]
    known = [amount for amount in (*labour, *parts) if amount is not None]
    is_whole = len(known) == len(labour) + len(parts)
    total = money(sum(known), order.currency) if known else DASH
    return Cost(
        labour_minutes=sum(entry.minutes for entry in order.labour.all()),
        labour=money(sum(a for a in labour if a is not None), order.currency),
        parts=money(sum(a for a in parts if a is not None), order.currency),
        total=total if is_whole or not known else f"{total} and what has no price",
    )


def _log(events: Iterable[WorkOrderEvent]) -> Iterable[LogLine]:
    for event in sorted(events, key=lambda e: (e.at, e.pk)):
        yield LogLine(
            event.at, event.get_kind_display(), str(event.by) if event.by else "", event.text
        )


def quantity(number: Decimal) -> str:
    """Write a quantity without zeros that say nothing: 2, 0.5."""
    return f"{number.normalize():f}"
