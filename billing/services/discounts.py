"""Codes that take a percentage off the plan: typed with a plan or for it, good once each.

A code of the price list is taken at once; whether another one is good only Stripe knows. Codes
that take off an amount, or a part of a percent, are not taken: a bill with one could not be
foretold to the cent.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction

from billing import catalogue, plans
from billing.answers import StripePromotionCode
from billing.gateways import StripeAway, StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount, Invoice, Subscription
from billing.periods import months_later
from billing.plans import Plan
from billing.services.accounts import account_for
from billing.services.subscriptions import live_subscription, start_subscription, write_mirror
from billing.words import day
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()


class UnknownCode(Exception):
    """A code is not good for this account; the text says why."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Offer:
    """What a code takes off a plan that begins now."""

    code: str
    percent_off: int
    is_once: bool  # off the first invoice alone
    ends_at: datetime | None  # invoices made before this; None: all of them

    def holds_at(self, invoiced_at: datetime) -> bool:
        """Say whether the first invoice of a plan, made at a moment, is discounted."""
        return self.ends_at is None or invoiced_at < self.ends_at


def offer(*, factory: Factory, plan: Plan, code: str, at: datetime) -> Offer:
    """Say what a code would take off a paid plan that is started at a moment. Changes nothing.

    Raises:
        UnknownCode: it is unknown, over, used up, was used before, or is for something else.
        StripeAway: it is not of the price list and cannot be checked now.
    """
    typed, account = code.strip().upper(), account_for(factory)
    if live_subscription(account) is not None:
        raise UnknownCode(typed, f"{typed} is not for another plan; use it for the one you have.")
    if not plan.is_paid:
        raise UnknownCode(typed, f"{typed} can be used with a paid plan; {plan.name} is free.")
    _refuse_used(account, typed)
    return _offer(account, plan, typed, at=at)


@transaction.atomic
def start_with_code(
    *, factory: Factory, plan: str, code: str, by: User | None, trial: bool, at: datetime
) -> Subscription:
    """Start a plan with what a code takes off; no code is no discount. Stripe is told later.

    Raises:
        UnknownCode, StripeAway: as `offer`; nothing was started.
        AlreadySubscribed, TrialUsed, plans.UnknownPlan: as `start_subscription`.
    """
    typed = code.strip().upper()
    if not typed:
        return start_subscription(factory=factory, plan=plan, by=by, trial=trial, at=at)
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    found = offer(factory=factory, plan=plans.plan(plan), code=typed, at=at)
    subscription = start_subscription(
        factory=factory, plan=plan, by=by, trial=trial, at=at, promotion_code=typed
    )
    subscription.percent_off, subscription.discount_ends_at = found.percent_off, found.ends_at
    subscription.code_told = False
    subscription.save()
    account.codes_used = [*account.codes_used, typed]
    account.save(update_fields=["codes_used"])
    audit.record(action="billing.code_used", actor=by, target=typed, factory=factory)
    return subscription


def redeem(*, factory: Factory, code: str, by: User | None, at: datetime) -> Subscription:
    """Use a code for the plan that a factory has; what it takes off holds from the next invoice.

    Raises:
        UnknownCode: it is unknown, over, used up, was used before, or another one still holds.
        StripeAway: it is not of the price list and cannot be checked now.
    """
    typed = code.strip().upper()
    with transaction.atomic():
        account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
        subscription = live_subscription(account)
        if subscription is None:
            raise UnknownCode(typed, "A code can be used with a paid plan.")
        _refuse_used(account, typed)
        _refuse_second(subscription, typed, at=at)
        plan = plans.plan(subscription.plan, subscription.version)
        subscription.percent_off = _offer(account, plan, typed, at=at).percent_off
        subscription.promotion_code, subscription.code_told = typed, False
        subscription.discount_ends_at = None
        subscription.save()
        account.codes_used = [*account.codes_used, typed]
        account.save(update_fields=["codes_used"])
        audit.record(action="billing.code_used", actor=by, target=typed, factory=factory)
        jobs.enqueue(
            task="billing.tell_change",
            kwargs={"account_id": str(account.pk)},
            key=f"tell-{account.pk}",
        )
    try:
        words = tell(account_id=str(account.pk), at=at)
    except StripeAway as away:
        log.warning("billing.stripe.away", account=str(account.pk), error=str(away))
        return subscription
    if words:
        raise UnknownCode(typed, words)
    subscription.refresh_from_db()
    return subscription


def _refuse_used(account: BillingAccount, typed: str) -> None:
    earlier = Subscription.objects.filter(account=account).exclude(promotion_code="")
    if typed in {*account.codes_used, *earlier.values_list("promotion_code", flat=True)}:
        raise UnknownCode(typed, f"{typed} was used before; a code is good once.")


def _refuse_second(subscription: Subscription, typed: str, *, at: datetime) -> None:
    ends_at = subscription.discount_ends_at
    if subscription.percent_off is not None and (ends_at is None or ends_at > at):
        until = f" until {day(ends_at)}" if ends_at else ""
        raise UnknownCode(
            typed, f"{subscription.percent_off} % are taken off{until}; one code holds at a time."
        )


def _offer(account: BillingAccount, plan: Plan, typed: str, *, at: datetime) -> Offer:
    """Return what a code takes off a plan from a moment on.

    Raises:
        UnknownCode: nothing that is known here or at Stripe, or not good for this.
        StripeAway: Stripe cannot be asked, and the price list does not know it.
    """
    coupon = catalogue.coupon_of(typed)
    ours = None
    if coupon is not None:
        ours = Offer(typed, coupon.percent_off, False, months_later(at, coupon.months))
    try:
        stripe = gateway()
        found = stripe.promotion_code(typed) if typed else None
        if found is None and ours is not None:
            return ours
        reason = _why_not(found, typed) or _why_not_for(found, account, plan, stripe)
    except StripeAway:
        if ours is None:
            raise
        return ours
    if reason or found is None or found.percent_off is None:
        raise UnknownCode(typed, reason)
    ends_at = months_later(at, found.months) if found.months is not None else None
    return Offer(typed, int(found.percent_off), found.duration == "once", ends_at)


def _why_not(found: StripePromotionCode | None, typed: str) -> str:
    if found is None:
        return f"There is no such code: {typed}." if typed else "There is no such code."
    if found.is_used_up:
        return f"{typed} was used as often as it may be."
    if not found.active:
        return f"{typed} is over."
    if found.percent_off is None or found.percent_off != int(found.percent_off):
        return f"{typed} cannot be used here: it takes off no whole percentage."
    if found.least_amount is not None:
        return f"{typed} cannot be used here: it asks for a least amount."
    return ""


def _why_not_for(
    found: StripePromotionCode | None, account: BillingAccount, plan: Plan, stripe: StripeGateway
) -> str:
    """Say why a code is not good for this account, or for this plan with all that it charges."""
    if found is None:
        return ""
    if found.customer_id not in ("", account.stripe_customer_id):
        return f"{found.code} is for another customer."
    paid = Invoice.objects.filter(account=account, status="paid", paid_minor__gt=0)
    if found.for_first_payment and paid.exists():
        return f"{found.code} is for those who have not paid for anything yet."
    if found.product_ids and not catalogue.product_ids(stripe, plan) <= found.product_ids:
        return f"{found.code} is not for {plan.name}."
    return ""


@transaction.atomic
def tell(*, account_id: str, at: datetime) -> str:
    """Have Stripe take off what a code promises.

    Returns:
        why Stripe refused, where it did; the code is forgotten then, and may be typed again.

    Raises:
        StripeAway: from the gateway; call again.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    subscription = live_subscription(account)
    if subscription is None or subscription.code_told or not subscription.stripe_id:
        return ""
    stripe, code = gateway(), subscription.promotion_code
    answer = stripe.subscription(subscription.stripe_id)
    try:
        if answer.discount is None or answer.discount.code.upper() != code:
            code_id = catalogue.promotion_code_id(stripe, code)
            if not code_id:
                return _forget(account, subscription, f"{code} is over.")
            answer = stripe.apply_promotion_code(
                key=f"code-{subscription.pk.hex}-{code}-{at.timestamp():.0f}",
                subscription_id=subscription.stripe_id,
                promotion_code_id=code_id,
            )
    except StripeRefused as refusal:
        return _forget(account, subscription, str(refusal))
    subscription.code_told = True
    write_mirror(subscription, answer, at=at)
    return ""


def _forget(account: BillingAccount, subscription: Subscription, words: str) -> str:
    code = subscription.promotion_code
    account.codes_used = [known for known in account.codes_used if known != code]
    account.save(update_fields=["codes_used"])
    subscription.promotion_code, subscription.percent_off = "", None
    subscription.code_told = True
    subscription.save()
    return words
