"""Stripe is brought to what was decided here: other prices, an end, amounts on their own lines."""

from datetime import datetime
from uuid import uuid4

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing import catalogue, plans
from billing.gateways import StripeGateway, StripeRefused, gateway
from billing.models import (
    Adjustment,
    BillingAccount,
    LedgerDelivery,
    PlanTerm,
    Subscription,
)
from billing.periods import month_start, next_month
from billing.services.entitlements import write_limits
from billing.services.subscriptions import end, live_subscription, write_mirror

log = structlog.get_logger()


@transaction.atomic
def apply_terms(*, account_id: str, at: datetime) -> None:
    """Put in force here what was chosen for a time that has come. Stripe is not asked."""
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    subscription = live_subscription(account)
    if subscription is None:
        return
    if subscription.ends_at is not None and at >= subscription.ends_at:
        end(subscription, ended_at=subscription.ends_at, at=at)
        subscription.status = Subscription.Status.CANCELED
        subscription.save()
        return
    term = (
        PlanTerm.objects.filter(account=account, starts_at__lte=at).order_by("-starts_at").first()
    )
    if term is not None and subscription.next_plan and term.plan == subscription.next_plan:
        subscription.plan, subscription.version = term.plan, term.version
        subscription.next_plan = ""
        subscription.save()
        if account.factory is not None:
            write_limits(
                factory=account.factory, plan=plans.plan(subscription.plan, subscription.version)
            )


def next_exchange(account: BillingAccount, *, at: datetime) -> PlanTerm | None:
    """Return the oldest term whose prices Stripe does not have yet."""
    return (
        PlanTerm.objects.filter(
            account=account, exchange_wanted=True, exchanged_at=None, starts_at__lte=at
        )
        .order_by("starts_at")
        .first()
    )


@transaction.atomic
def exchange_prices(*, account_id: str, at: datetime) -> bool:
    """Put the prices of the next term in at Stripe; say if that was done.

    Only once all usage from before the term was told, so that Stripe counts it at the old prices;
    and for a term that begins with a month, once Stripe has begun that month.

    Raises:
        StripeAway, StripeRefused: from the gateway; calling again goes on where it stopped.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    subscription, term = live_subscription(account), next_exchange(account, at=at)
    if subscription is None or term is None or not subscription.stripe_id:
        return False
    untold = LedgerDelivery.objects.filter(
        account=account, state=LedgerDelivery.State.PENDING, entry__hour__lt=term.starts_at
    )
    if untold.exists():
        return False
    stripe = gateway()
    current = stripe.subscription(subscription.stripe_id)
    begins_month = term.starts_at == month_start(term.starts_at) and term.carried is None
    if begins_month and not term.is_trial and current.period_start < term.starts_at:
        return False
    price_ids = catalogue.ensure(
        stripe, plan=plans.plan(term.plan, term.version), currency=account.currency
    )
    metered = catalogue.metered_items(current)
    new = [p for p in price_ids if p not in {item.price_id for item in metered}]
    old = [item for item in metered if item.price_id not in price_ids]
    answer = current
    if new:
        answer = stripe.exchange_prices(
            # An item is exchanged once, however often plans go back and forth within an hour.
            key=f"plan-{'-'.join(item.id for item in old)}-{term.plan}",
            subscription_id=subscription.stripe_id,
            old=old,
            new=new,
        )
    # Also where an exchange whose answer was lost had been made.
    created = [item.created_at for item in answer.items if item.price_id in price_ids]
    subscription.metered_from = max([subscription.metered_from, *created])
    PlanTerm.objects.filter(pk=term.pk).update(exchanged_at=at)
    write_mirror(subscription, answer, at=at)
    log.info("billing.prices.exchanged", account=str(account.pk), plan=term.plan)
    return True


def tell_end(*, account_id: str, at: datetime | None = None) -> bool:
    """Bring Stripe to whether and when a subscription ends; say if it had to be told.

    One whose end has passed while Stripe was away is ended there at once.

    Raises:
        StripeAway: from the gateway; call again.
    """
    at = at or timezone.now()
    n_told = 0
    subscriptions = Subscription.objects.filter(account__pk=account_id).exclude(stripe_id=None)
    for subscription in subscriptions.exclude(end_told=True):
        with transaction.atomic():
            BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
            row = Subscription.objects.get(pk=subscription.pk)
            n_told += _tell_end(row, gateway(), at=at)
    return bool(n_told)


def _tell_end(subscription: Subscription, stripe: StripeGateway, *, at: datetime) -> int:
    if subscription.end_told or not subscription.stripe_id:
        return 0
    current = stripe.subscription(subscription.stripe_id)
    wanted = subscription.ends_at is not None
    n_told = 0
    if current.ended_at is None:
        missed = subscription.ends_at is not None and current.period_start >= subscription.ends_at
        try:
            if missed:
                stripe.cancel_now(
                    key=f"cancel-{subscription.pk.hex}",
                    subscription_id=subscription.stripe_id,
                    invoice_now=False,
                )
                n_told = 1
            elif current.cancel_at_period_end != wanted:
                answer = stripe.end_with_period(
                    key=f"end-{uuid4().hex}",  # a repeat sets the same again
                    subscription_id=subscription.stripe_id,
                    wanted=wanted,
                )
                n_told = 1
                if subscription.ended_at is None:
                    write_mirror(subscription, answer, at=at)
        except StripeRefused:
            log.exception("billing.end.refused", subscription=str(subscription.pk))
    Subscription.objects.filter(pk=subscription.pk).update(end_told=True)
    return n_told


def send_adjustments(*, account_id: str, at: datetime) -> int:
    """Put amounts that stand on their own on the account's next invoice; return how many.

    Raises:
        StripeAway: from the gateway; call again.
    """
    account = BillingAccount.objects.get(pk=account_id)
    if not account.stripe_customer_id:
        return 0
    n_sent = 0
    for pk in (
        Adjustment.objects.filter(account=account, sent_at=None)
        .order_by("pk")
        .values_list("pk", flat=True)
    ):
        # Written down first: the try whose answer is lost was one.
        Adjustment.objects.filter(pk=pk).update(n_attempts=F("n_attempts") + 1)
        with transaction.atomic():
            row = Adjustment.objects.select_for_update().get(pk=pk)
            n_sent += _send_adjustment(account, row, at=at)
    return n_sent


def _send_adjustment(account: BillingAccount, row: Adjustment, *, at: datetime) -> int:
    if row.sent_at is not None:
        return 0
    subscription = live_subscription(account)
    is_open = subscription is not None and bool(subscription.stripe_id)
    if subscription is not None and not is_open:
        return 0  # soon there will be an invoice for it
    try:
        _put_on_an_invoice(account, row, subscription, gateway())
        row.sent_at, row.error = at, ""
    except StripeRefused as refusal:
        row.error = str(refusal)[:300]
        log.error("billing.adjustment.refused", adjustment=row.identifier, error=row.error)
    row.save()
    return int(row.sent_at is not None)


def _put_on_an_invoice(
    account: BillingAccount,
    row: Adjustment,
    subscription: Subscription | None,
    stripe: StripeGateway,
) -> None:
    customer_id = account.stripe_customer_id or ""
    # The answer to an earlier try may have been lost. The key alone does not keep an amount from
    # being charged twice: Stripe forgets keys, and refuses one that comes with other values, as
    # when the subscription has ended meanwhile.
    if row.n_attempts > 1 and (
        found := stripe.find_invoice_item(customer_id=customer_id, adjustment=row.identifier)
    ):
        row.stripe_item_id = found.id
        if found.invoice_id or found.subscription_id:
            return  # invoiced, or so with its subscription (`last_bill`, where that has ended)
    else:
        row.stripe_item_id = stripe.add_invoice_item(
            key=row.identifier,
            customer_id=customer_id,
            subscription_id=(subscription.stripe_id or "") if subscription else "",
            amount=row.amount_minor,
            currency=row.currency.lower(),
            description=row.description,
            period=(row.period_start, row.period_end),
            metadata={"adjustment": row.identifier},
        )
    if subscription is None:
        stripe.invoice_pending(key=f"invoice:{row.identifier}", customer_id=customer_id)


def cut_of_month(account: BillingAccount, hour: datetime) -> datetime:
    """Return the last hour of a month at which Stripe exchanged prices; before it all is settled.

    Where there was none, the month's start.
    """
    month = month_start(hour)
    cut = (
        PlanTerm.objects.filter(
            account=account,
            starts_at__gt=month,
            starts_at__lt=next_month(hour),
            exchanged_at__isnull=False,
        )
        .exclude(carried=None)
        .order_by("-starts_at")
        .first()
    )
    return cut.starts_at if cut else month
