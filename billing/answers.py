"""What Stripe answers, as Takt keeps it: only the fields that are used, times aware, in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class StripeItem:
    """What a subscription consists of; metered items have no quantity."""

    id: str
    price_id: str
    quantity: int | None
    created_at: datetime
    period_start: datetime
    period_end: datetime


@dataclass(frozen=True, slots=True)
class StripeDiscount:
    """What is taken off now; `percent_off` or `amount_off` (minor units of `currency`) is set."""

    code: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class StripeSubscription:
    id: str
    status: str
    items: tuple[StripeItem, ...]
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool
    ended_at: datetime | None
    canceled_at: datetime | None
    trial_end: datetime | None
    has_card: bool
    discount: StripeDiscount | None


@dataclass(frozen=True, slots=True)
class StripeLine:
    id: str
    description: str
    quantity: int | None
    amount: int
    period_start: datetime
    period_end: datetime
    price_id: str
    is_proration: bool


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
    pdf_url: str
    subtotal: int
    discount: int
    tax: int
    attempt_count: int
    next_attempt_at: datetime | None
    subscription_id: str
    billing_reason: str
    lines: tuple[StripeLine, ...]


@dataclass(frozen=True, slots=True)
class StripePendingItem:
    """What the next invoice will have on it besides the subscription's own lines."""

    id: str
    description: str
    amount: int
    currency: str
    period_start: datetime
    period_end: datetime
    subscription_id: str
    invoice_id: str  # "" while it waits
    is_proration: bool
    metadata: dict[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripeTaxId:
    id: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class StripeCard:
    id: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    is_default: bool


@dataclass(frozen=True, slots=True)
class StripeProduct:
    id: str
    name: str
    description: str
    unit_label: str
    active: bool
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class StripePrice:
    """A recurring price; `meter_id` is empty where it is paid in advance."""

    id: str
    lookup_key: str
    product_id: str
    currency: str
    unit_amount: Decimal
    interval: str
    meter_id: str


@dataclass(frozen=True, slots=True)
class StripeCoupon:
    """`months` says how long a coupon of duration `repeating` takes something off."""

    id: str
    name: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str
    duration: str
    months: int | None
    valid: bool
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class StripePromotionCode:
    """A code that a customer types, and what its coupon takes off.

    One that is not active was switched off, is over, or is used up. Where `product_ids` is not
    empty it takes off these products' lines only; `customer_id` is empty where all may use it.
    """

    id: str
    code: str
    coupon_id: str
    percent_off: Decimal | None
    amount_off: int | None
    currency: str
    duration: str
    months: int | None
    active: bool
    is_used_up: bool
    product_ids: frozenset[str]
    customer_id: str
    for_first_payment: bool
    least_amount: int | None


@dataclass(frozen=True, slots=True)
class StripeCreditNote:
    id: str
    number: str
    invoice_id: str
    amount: int
    refunded: int
    credited: int
    currency: str
    reason: str
    memo: str
    status: str
    pdf_url: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StripePayment:
    """What was collected of an invoice at once, in minor units, and what of it went back.

    `brand` and `last4` are those of the card; without them it was paid in another way.
    """

    amount: int
    refunded: int
    brand: str
    last4: str


@dataclass(frozen=True, slots=True)
class StripePaid:
    """Who paid an invoice and whom, as the invoice names them, and how."""

    seller: str
    payer: str
    payer_address: tuple[str, ...]
    payer_email: str
    payer_tax_ids: tuple[str, ...]
    payments: tuple[StripePayment, ...]


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """Usage to be told: `identifier` makes that it is counted once."""

    identifier: str
    event_name: str
    customer_id: str
    quantity: int
    at: datetime


@dataclass(frozen=True, slots=True)
class UsageOutcome:
    """What became of a usage event.

    `sent`: taken; a batch is checked by Stripe only later, errors come as an event.
    `known`: the identifier was taken before. `refused`: never; `reason` says why.
    """

    identifier: str
    status: Literal["sent", "known", "refused"]
    reason: str = ""


def time_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe_at(seconds: int | None) -> datetime | None:
    return None if seconds is None else time_of(seconds)


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def subscription(body: Any) -> StripeSubscription:
    """Read a subscription whose customer and discounts are expanded."""
    items = [_item(item) for item in body["items"]["data"]]  # `body.items` is dict's own method
    default = body.customer.invoice_settings.default_payment_method
    return StripeSubscription(
        id=body.id,
        status=body.status,
        items=tuple(items),
        period_start=min(item.period_start for item in items),
        period_end=min(item.period_end for item in items),
        cancel_at_period_end=body.cancel_at_period_end,
        ended_at=_maybe_at(body.ended_at),
        canceled_at=_maybe_at(body.canceled_at),
        trial_end=_maybe_at(body.trial_end),
        has_card=bool(body.default_payment_method or default),
        discount=_discount(body.discounts[0]) if body.discounts else None,
    )


def _item(body: Any) -> StripeItem:
    return StripeItem(
        id=body.id,
        price_id=body.price.id,
        quantity=getattr(body, "quantity", None),
        created_at=time_of(body.created),
        period_start=time_of(body.current_period_start),
        period_end=time_of(body.current_period_end),
    )


def _discount(body: Any) -> StripeDiscount:
    taken = body.source.coupon
    return StripeDiscount(
        code=body.promotion_code.code if body.promotion_code else "",
        percent_off=_decimal(taken.percent_off),
        amount_off=taken.amount_off,
        currency=(taken.currency or "").upper(),
        ends_at=_maybe_at(body.end),
    )


def invoice(body: Any, lines: Sequence[Any]) -> StripeInvoice:
    details = body.parent and body.parent.subscription_details
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
        pdf_url=body.invoice_pdf or "",
        subtotal=body.subtotal,
        discount=sum(part.amount for part in body.total_discount_amounts or ()),
        tax=sum(part.amount for part in body.total_taxes or ()),
        attempt_count=body.attempt_count,
        next_attempt_at=_maybe_at(body.next_payment_attempt),
        subscription_id=details.subscription if details else "",
        billing_reason=body.billing_reason or "",
        lines=tuple(_line(line) for line in lines),
    )


def paid(body: Any, charges: Sequence[Any]) -> StripePaid:
    """Read who paid an invoice, with the charges that did."""
    return StripePaid(
        seller=body.account_name or "",
        payer=body.customer_name or "",
        payer_address=_address(body.customer_address),
        payer_email=body.customer_email or "",
        payer_tax_ids=tuple(each.value for each in body.customer_tax_ids or () if each.value),
        payments=tuple(_payment(charge) for charge in charges),
    )


def _address(body: Any) -> tuple[str, ...]:
    if body is None:
        return ()
    city = " ".join(filter(None, (body.postal_code, body.city)))
    return tuple(filter(None, (body.line1, body.line2, city, body.state, body.country)))


def _payment(body: Any) -> StripePayment:
    details = body.payment_method_details
    card = details and getattr(details, "card", None)
    return StripePayment(
        amount=body.amount_captured,
        refunded=body.amount_refunded,
        brand=(card.brand or "") if card else "",
        last4=(card.last4 or "") if card else "",
    )


def _line(body: Any) -> StripeLine:
    parent = body.parent
    details = parent and (parent.subscription_item_details or parent.invoice_item_details)
    price = body.pricing and getattr(body.pricing, "price_details", None)
    return StripeLine(
        id=body.id,
        description=body.description or "",
        quantity=body.quantity,
        amount=body.amount,
        period_start=time_of(body.period.start),
        period_end=time_of(body.period.end),
        price_id=price.price if price else "",
        is_proration=bool(details and details.proration),
    )


def pending_item(body: Any) -> StripePendingItem:
    details = body.parent and body.parent.subscription_details
    return StripePendingItem(
        id=body.id,
        description=body.description or "",
        amount=body.amount,
        currency=body.currency.upper(),
        period_start=time_of(body.period.start),
        period_end=time_of(body.period.end),
        subscription_id=details.subscription if details else "",
        invoice_id=body.invoice or "",
        is_proration=body.proration,
        metadata=_plain(body.metadata),
        created_at=time_of(body.date),
    )


def tax_id(body: Any) -> StripeTaxId:
    return StripeTaxId(body.id, body.type, body.value)


def card(body: Any, *, default_id: str | None) -> StripeCard:
    return StripeCard(
        id=body.id,
        brand=body.card.brand,
        last4=body.card.last4,
        exp_month=body.card.exp_month,
        exp_year=body.card.exp_year,
        is_default=body.id == default_id,
    )


def product(body: Any) -> StripeProduct:
    return StripeProduct(
        id=body.id,
        name=body.name,
        description=body.description or "",
        unit_label=getattr(body, "unit_label", None) or "",
        active=body.active,
        metadata=_plain(body.metadata),
    )


def coupon(body: Any) -> StripeCoupon:
    return StripeCoupon(
        id=body.id,
        name=body.name or "",
        percent_off=_decimal(body.percent_off),
        amount_off=body.amount_off,
        currency=(body.currency or "").upper(),
        duration=body.duration,
        months=body.duration_in_months,
        valid=body.valid,
        metadata=_plain(body.metadata),
    )


def price(body: Any) -> StripePrice:
    """Read a price; one that is paid once has the interval ""."""
    recurring = body.recurring
    return StripePrice(
        id=body.id,
        lookup_key=body.lookup_key or "",
        product_id=body.product,
        currency=body.currency.upper(),
        unit_amount=Decimal(str(body.unit_amount_decimal)),
        interval=recurring.interval if recurring else "",
        meter_id=(recurring.meter or "") if recurring else "",
    )


def promotion_code(body: Any) -> StripePromotionCode:
    """Read a promotion code whose coupon is expanded."""
    taken = coupon(body.promotion.coupon)
    applies_to = getattr(body.promotion.coupon, "applies_to", None)
    return StripePromotionCode(
        id=body.id,
        code=body.code,
        coupon_id=taken.id,
        percent_off=taken.percent_off,
        amount_off=taken.amount_off,
        currency=taken.currency,
        duration=taken.duration,
        months=taken.months,
        active=body.active,
        is_used_up=_is_used_up(body) or _is_used_up(body.promotion.coupon),
        product_ids=frozenset(applies_to.products if applies_to else ()),
        customer_id=body.customer or "",
        for_first_payment=body.restrictions.first_time_transaction,
        least_amount=body.restrictions.minimum_amount,
    )


def _is_used_up(body: Any) -> bool:
    return body.max_redemptions is not None and body.times_redeemed >= body.max_redemptions


def credit_note(body: Any) -> StripeCreditNote:
    """Read a credit note; what was not refunded of a paid invoice went to the balance."""
    refunded = sum(part.amount_refunded for part in body.refunds)
    elsewhere = refunded + (body.out_of_band_amount or 0)
    return StripeCreditNote(
        id=body.id,
        number=body.number,
        invoice_id=body.invoice,
        amount=body.amount,
        refunded=refunded,
        credited=body.post_payment_amount - elsewhere,
        currency=body.currency.upper(),
        reason=body.reason or "",
        memo=body.memo or "",
        status=body.status,
        pdf_url=body.pdf,
        created_at=time_of(body.created),
    )


def _plain(metadata: Any) -> dict[str, str]:
    return {} if metadata is None else {str(k): str(v) for k, v in metadata.to_dict().items()}
