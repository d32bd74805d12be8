"""What got lost on the way from Stripe to us or back: events that never came, sums that differ."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.core.cache import cache
from django.db.models import Sum

from billing.catalogue import STRIPE_METERS, ensure_meters
from billing.gateways import StripeEvent, StripeGateway, gateway
from billing.models import BillingAccount, InboxEvent, LedgerDelivery, Subscription
from billing.services.inbox import receive

log = structlog.get_logger()

# What is listed at Stripe, at most 20 a call. Errors of meters are events of API v2, which are not
# listed: what they would say is found by the nightly proof.
_KINDS = (
    (
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.updated",
        "customer.discount.created",
        "customer.discount.updated",
        "customer.discount.deleted",
        "payment_method.attached",
        "payment_method.detached",
        "checkout.session.completed",
    ),
    (
        "invoice.created",
        "invoice.updated",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.marked_uncollectible",
        "invoice.voided",
        "credit_note.created",
        "credit_note.updated",
        "credit_note.voided",
        "charge.refunded",
    ),
)
# Stripe keeps events for 30 days, and goes on delivering one for three.
_KEPT = timedelta(days=30)
# Events become visible a little later than they are stamped.
_OVERLAP = timedelta(hours=1)
_LISTED_TO = "billing:events_listed_to"


@dataclass(frozen=True, slots=True)
class UsageDifference:
    """A meter of an account for which ledger and Stripe differ in the present period."""

    event_name: str
    ledger: int
    stripe: int


def usage_differences(*, account_id: str) -> list[UsageDifference]:
    """Return where Stripe's sums differ from what was sent, for the present period.

    Stripe adds up what it was sent a little later; a difference that stays is to be looked into.

    Raises:
        StripeAway: from the gateway.
    """
    account = BillingAccount.objects.get(pk=account_id)
    subscription = Subscription.objects.filter(account=account, ended_at=None).first()
    if (
        subscription is None
        or subscription.period_start is None
        or subscription.period_end is None
        or not account.stripe_customer_id
    ):
        return []
    sent = (
        LedgerDelivery.objects.filter(
            account=account,
            state=LedgerDelivery.State.SENT,
            counted_at__gte=subscription.period_start,
            counted_at__lt=subscription.period_end,
        )
        .values_list("entry__meter")
        .annotate(total=Sum("entry__quantity"))
    )
    ours: dict[str, int] = {m.event_name: 0 for m in STRIPE_METERS.values()}
    for meter, total in sent:
        stripe_meter = next(v for k, v in STRIPE_METERS.items() if k == meter)
        ours[stripe_meter.event_name] += stripe_meter.sign * total
    stripe = gateway()
    meters = ensure_meters(stripe)
    # Stripe sums whole minutes.
    start = subscription.period_start.replace(second=0)
    theirs = {
        name: stripe.usage_total(
            meter_id=meters[name],
            customer_id=account.stripe_customer_id,
            start=start,
            end=subscription.period_end,
        )
        for name in ours
    }
    return [
        UsageDifference(name, ours[name], theirs[name])
        for name in sorted(ours)
        if ours[name] != theirs[name]
    ]


def fetch_missing_events(*, at: datetime) -> int:
    """Put the events that Stripe has and never delivered into the inbox; return how many.

    Lists what came since the last listing that went through; where that is not known (the cache
    was emptied), all that Stripe still has.

    Raises:
        StripeAway: from the gateway; what was put in stays, the next call lists from where this
            one began.
    """
    oldest = at - _KEPT
    listed_to: str | None = cache.get(_LISTED_TO)
    since = oldest
    if listed_to is not None:
        since = max(oldest, datetime.fromisoformat(listed_to) - _OVERLAP)
    stripe = gateway()
    missing = [event for kinds in _KINDS for event in _missing(stripe, kinds, since=since)]
    # Oldest first, as they would have come.
    n_new = sum(receive(event=event, at=at) for event in reversed(missing))
    cache.set(_LISTED_TO, at.isoformat(), timeout=None)
    if n_new:
        log.warning("billing.events.missed", n_events=n_new, since=since.isoformat())
    return n_new


def _missing(
    stripe: StripeGateway, kinds: tuple[str, ...], *, since: datetime
) -> list[StripeEvent]:
    listed = list(stripe.events(since=since, kinds=kinds))
    known = set(
        InboxEvent.objects.filter(pk__in=[event.id for event in listed]).values_list(
            "pk", flat=True
        )
    )
    return [event for event in listed if event.id not in known]
