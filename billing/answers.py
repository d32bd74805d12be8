"""What Stripe answers, as Takt keeps it: only the fields that are used, times aware, in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class StripeItem:
    id: str
    price_id: str


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    id: str
    status: str
    items: tuple[StripeItem, ...]
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeLine:
    id: str
    description: str
    quantity: int | None
    amount: int
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    id: str
    customer_id: str
    number: str
    status: str
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    period_start: datetime
    period_end: datetime
    created_at: datetime
    finalized_at: datetime | None
    paid_at: datetime | None
    hosted_url: str
    lines: tuple[StripeLine, ...]


def time_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe_at(seconds: int | None) -> datetime | None:
    return None if seconds is None else time_of(seconds)


def subscription(body: Any) -> StripeSubscription:
    items = body["items"]["data"]  # `body.items` is dict's own method
    return StripeSubscription(
        id=body.id,
        status=body.status,
        items=tuple(StripeItem(item.id, item.price.id) for item in items),
        period_start=time_of(items[0].current_period_start),
        period_end=time_of(items[0].current_period_end),
        cancel_at_period_end=body.cancel_at_period_end,
        ended_at=_maybe_at(body.ended_at),
    )


def invoice(body: Any, lines: Sequence[Any]) -> StripeInvoice:
    return StripeInvoice(
        id=body.id,
        customer_id=body.customer,
        number=body.number or "",
        status=body.status,
        currency=body.currency.upper(),
        total=body.total,
        amount_due=body.amount_due,
        amount_paid=body.amount_paid,
        period_start=time_of(body.period_start),
        period_end=time_of(body.period_end),
        created_at=time_of(body.created),
        finalized_at=_maybe_at(body.status_transitions.finalized_at),
        paid_at=_maybe_at(body.status_transitions.paid_at),
        hosted_url=body.hosted_invoice_url or "",
        lines=tuple(
            StripeLine(
                id=line.id,
                description=line.description or "",
                quantity=line.quantity,
                amount=line.amount,
                period_start=time_of(line.period.start),
                period_end=time_of(line.period.end),
            )
            for line in lines
        ),
    )
