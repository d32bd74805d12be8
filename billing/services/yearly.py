"""Machines paid twelve months in advance: asked for here, paid at Stripe, taken off the meter.

More machines are charged at once for the rest of the year, by Stripe's proration; fewer hold from
the renewal on. A declined card changes nothing. While Stripe is away a wish waits and is charged
as soon as it answers.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from billing import catalogue, plans
from billing.gateways import StripeAway, StripeGateway, gateway
from billing.models import BillingAccount, Subscription, YearlyMachines
from billing.plans import Plan
from billing.services import prepaying
from billing.services.accounts import account_for, ensure_customer
from billing.services.prepaying import live_yearly
from billing.services.subscriptions import live_subscription
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()

# The request itself asks Stripe first; the job does it where Stripe was away.
_REQUEST = timedelta(minutes=1)


class YearlyNotOffered(Exception):
    """Machines cannot be paid by the year now; the text says why."""


class NotPaid(Exception):
    """The payment was declined and nothing was changed; the text is the bank's."""


@dataclass(frozen=True, slots=True)
class PreviewLine:
    description: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class YearlyPreview:
    """What paying a number of machines by the year would cost. Minor units."""

    n_machines: int
    lines: tuple[PreviewLine, ...]  # of the invoice made at once; none where nothing is charged
    due_now_minor: int
    saving_minor: int  # in a year, against paying these machines by the month
    renews_on: date


def preview_yearly(*, factory: Factory, n_machines: int, at: datetime) -> YearlyPreview:
    """Say what `set_yearly` would charge at the same moment `at`, as Stripe computes it.

    Raises:
        YearlyNotOffered: it cannot be had now.
        StripeAway, StripeRefused: from the gateway.
        ValueError: not a number of machines.
    """
    account = account_for(factory)
    plan = _offered_plan(account, n_machines, at=at)
    row = live_yearly(account)
    saving = n_machines * _saving(plan, account.currency)
    if row is not None and n_machines <= row.n_machines and row.period_end is not None:
        return YearlyPreview(n_machines, (), 0, saving, row.period_end.date())
    stripe = gateway()
    price = catalogue.yearly_price(plan, currency=account.currency)
    (price_id,) = catalogue.ensure_prices(stripe, (price,))
    if row is None:
        invoice = stripe.preview_new(
            customer_id=ensure_customer(account, stripe=stripe),
            items=[{"price": price_id, "quantity": n_machines}],
        )
    else:
        prepaying.settle(account_id=str(account.pk), at=at)
        items = _more(account, row, n_machines, stripe, at=at)
        invoice = stripe.preview_change(
            subscription_id=row.stripe_id or "", items=items, at=at, behavior="always_invoice"
        )
    return YearlyPreview(
        n_machines,
        tuple(PreviewLine(line.description, line.amount) for line in invoice.lines),
        max(0, invoice.amount_due),
        saving,
        max(line.period_end for line in invoice.lines).date(),
    )


def _more(
    account: BillingAccount,
    row: YearlyMachines,
    n_machines: int,
    stripe: StripeGateway,
    *,
    at: datetime,
) -> list[dict[str, Any]]:
    current = stripe.subscription(row.stripe_id or "")
    item = prepaying.as_paid(account, row, current, stripe, at=at).items[0]
    return [{"id": item.id, "quantity": n_machines}]


def _saving(plan: Plan, currency: str) -> int:
    return 12 * plan.machine_prices[currency] - plan.yearly_prices[currency]


def _offered_plan(account: BillingAccount, n_machines: int, *, at: datetime) -> Plan:
    """Return the plan whose machines are paid by the year."""
    if n_machines < 1:
        raise ValueError(f"{n_machines} machines cannot be paid in advance")
    subscription = live_subscription(account)
    plan = plans.plan(subscription.plan, subscription.version) if subscription else plans.START
    reason = _why_not(subscription, plan, live_yearly(account), at=at)
    if reason:
        raise YearlyNotOffered(reason)
    return plan


def _why_not(
    subscription: Subscription | None, plan: Plan, row: YearlyMachines | None, *, at: datetime
) -> str:
    if subscription is None or not plan.yearly_prices:
        return f"Machines are not paid by the year on {plan.name}."
    if subscription.trial_end is not None and at < subscription.trial_end:
        return "The trial is free; machines can be paid by the year once it is over."
    if subscription.ends_at is not None:
        return "The subscription is about to end; keep it before you pay for a year."
    if row is not None and not row.stripe_id:
        return "The payment for a year is on its way; wait until it has arrived."
    return ""


def set_yearly(
    *, factory: Factory, n_machines: int, by: User | None, at: datetime
) -> YearlyMachines:
    """Pay so many machines by the year: more at once, fewer from the renewal on.

    The present number keeps what is there and takes back a smaller wish, or an end. `at` is the
    moment that a preview was made for; a moment can be declined once. Where Stripe is away the
    row says what is wanted, and a job goes on.

    Raises:
        NotPaid: the card was declined; nothing was changed.
        YearlyNotOffered: it cannot be had now.
        ValueError: not a number of machines.
    """
    account_id = account_for(factory).pk
    with transaction.atomic():
        account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
        plan = _offered_plan(account, n_machines, at=at)
        row = _wish(account, plan, n_machines, at=at)
        audit.record(
            action="billing.yearly_set",
            actor=by,
            target=plan.key,
            detail={"n_machines": n_machines},
            factory=factory,
        )
        _tell_later(account)
    words = _settle_now(account, at=at)
    if words:
        raise NotPaid(words)
    row.refresh_from_db()
    return row


def _wish(account: BillingAccount, plan: Plan, n_machines: int, *, at: datetime) -> YearlyMachines:
    row = live_yearly(account)
    if row is None:
        return YearlyMachines.objects.create(
            account=account, plan=plan.key, version=plan.version, n_machines=n_machines,
            started_at=at,
        )  # fmt: skip
    row.renews, row.renewal_machines = True, None
    row.wanted_machines, row.wanted_at = None, None
    if n_machines > row.n_machines:
        row.wanted_machines, row.wanted_at = n_machines, at
    elif n_machines < row.n_machines:
        row.renewal_machines = n_machines
    row.save()
    prepaying.write_renewal(account, row)
    return row


def _tell_later(account: BillingAccount) -> None:
    jobs.enqueue(
        task="billing.tell_change",
        kwargs={"account_id": str(account.pk)},
        key=f"yearly-{account.pk}",
        delay=_REQUEST,
    )


def _settle_now(account: BillingAccount, *, at: datetime) -> str:
    try:
        return prepaying.settle(account_id=str(account.pk), at=at)
    except StripeAway as away:
        log.warning("billing.stripe.away", account=str(account.pk), error=str(away))
        return ""


def end_yearly(*, factory: Factory, by: User | None) -> None:
    """Let the paid year run out; from then on these machines are paid by the month.

    Raises:
        YearlyNotOffered: nothing is paid by the year.
    """
    account_id = account_for(factory).pk
    with transaction.atomic():
        account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
        row = live_yearly(account)
        if row is None or not row.stripe_id:
            raise YearlyNotOffered("No machines are paid by the year.")
        row.renews, row.renewal_machines = False, None
        row.wanted_machines, row.wanted_at = None, None
        row.save()
        prepaying.write_renewal(account, row)
        audit.record(action="billing.yearly_ended", actor=by, target=row.plan, factory=factory)
        _tell_later(account)
    _settle_now(account, at=timezone.now())
