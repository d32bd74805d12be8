"""Telling Stripe what the ledger says: each row once, in order, whenever Stripe is there."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from billing.catalogue import STRIPE_METERS
from billing.gateways import StripeAway, StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount, LedgerDelivery, Subscription
from billing.periods import open_since
from billing.plans import CLOSING_TIME, Meter
from billing.services.accounts import account_for
from billing.services.subscriptions import apply_next_plan
from tenants.models import Factory

log = structlog.get_logger()

BATCH = 200


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of the rows that were to be sent."""

    n_sent: int
    n_refused: int
    n_waiting: int


def report_usage(*, factory: Factory, at: datetime | None = None) -> Reported:
    """Send Stripe the rows of the ledger that it has not been told yet.

    A row's identifier is derived from what it says, so a repeat after a crash or a time-out is
    recognised by Stripe and not charged again. Stripe being away leaves rows waiting and is no
    error: the next run sends them. One run per account at a time.
    """
    at = at or timezone.now()
    account = account_for(factory)
    n_sent = n_refused = 0
    try:
        apply_next_plan(account_id=str(account.pk), at=at)
        while True:
            sent, refused = _send_batch(account, at=at)
            n_sent, n_refused = n_sent + sent, n_refused + refused
            if sent + refused == 0:
                break
    except StripeAway as away:
        log.warning("billing.stripe.away", account=str(account.pk), error=str(away))
    n_waiting = LedgerDelivery.objects.filter(
        account=account, state=LedgerDelivery.State.PENDING
    ).count()
    if n_refused:
        log.error("billing.usage.refused", account=str(account.pk), n_rows=n_refused)
    return Reported(n_sent, n_refused, n_waiting)


def _send_batch(account: BillingAccount, *, at: datetime) -> tuple[int, int]:
    """Send some rows; what was sent before Stripe went away is kept as sent."""
    away: StripeAway | None = None
    n_sent = n_refused = 0
    with transaction.atomic():
        # One call in flight per customer: the row lock of the account.
        locked = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
        # Also one that has just ended: its last usage belongs on its last invoice.
        subscription = (
            Subscription.objects.filter(account=locked)
            .exclude(stripe_id=None)
            .order_by("-started_at")
            .first()
        )
        if not locked.stripe_customer_id or subscription is None:
            return 0, 0
        stripe = gateway()
        rows = (
            LedgerDelivery.objects.filter(account=locked, state=LedgerDelivery.State.PENDING)
            .select_related("entry")
            .order_by("entry_id")[:BATCH]
        )
        tried = []
        for row in rows:
            tried.append(row)
            row.n_attempts += 1
            try:
                _send(stripe, locked, subscription, row, at=at)
                n_sent += 1
            except StripeRefused as refusal:
                row.state, row.error = LedgerDelivery.State.REFUSED, str(refusal)[:300]
                n_refused += 1
            except StripeAway as error:
                row.error, away = str(error)[:300], error
                break
        LedgerDelivery.objects.bulk_update(
            tried, ["state", "counted_at", "sent_at", "n_attempts", "error"]
        )
    if away is not None:
        raise away
    return n_sent, n_refused


def _send(
    stripe: StripeGateway,
    account: BillingAccount,
    subscription: Subscription,
    row: LedgerDelivery,
    *,
    at: datetime,
) -> None:
    entry = row.entry
    meter = STRIPE_METERS[Meter(entry.meter)]
    # Stripe counts no usage from before the present prices were put in, and charges none of a
    # month whose invoice is fixed: what could not be told in time is charged in this one.
    counted_at = max(
        entry.billed_hour,
        subscription.metered_from,
        open_since(at, closing_time=CLOSING_TIME),
    )
    earlier_attempt, row.counted_at = row.counted_at, counted_at
    is_new = stripe.report_usage(
        identifier=entry.identifier,
        event_name=meter.event_name,
        customer_id=account.stripe_customer_id or "",
        quantity=meter.sign * entry.quantity,
        at=counted_at,
    )
    if not is_new:
        # An attempt whose answer was lost had been counted, under the time that it bore.
        row.counted_at = earlier_attempt or counted_at
        log.info("billing.usage.known", identifier=entry.identifier)
    row.state, row.error, row.sent_at = LedgerDelivery.State.SENT, "", at
