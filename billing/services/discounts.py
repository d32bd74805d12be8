"""Codes that take a percentage off the plan: typed on the plan page, good once each.

A code of the price list is taken at once; whether another one is good only Stripe knows. Codes
that take off an amount, or a part of a percent, are not taken: a bill with one could not be
foretold to the cent.
"""

from datetime import datetime

import structlog
from django.db import transaction

from billing import catalogue
from billing.answers import StripePromotionCode
from billing.gateways import StripeAway, StripeRefused, gateway
from billing.models import BillingAccount, Subscription
from billing.services.accounts import account_for
from billing.services.subscriptions import live_subscription, write_mirror
from billing.words import day
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()


class UnknownCode(Exception):
    """A code is not good for this account; the text says why."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


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
        _refuse_used(account, subscription, typed, at=at)
        subscription.percent_off = _percent_of(typed)
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


def _refuse_used(
    account: BillingAccount, subscription: Subscription, typed: str, *, at: datetime
) -> None:
    earlier = Subscription.objects.filter(account=account).exclude(promotion_code="")
    if typed in {*account.codes_used, *earlier.values_list("promotion_code", flat=True)}:
        raise UnknownCode(typed, f"{typed} was used before; a code is good once.")
    ends_at = subscription.discount_ends_at
    if subscription.percent_off is not None and (ends_at is None or ends_at > at):
        until = f" until {day(ends_at)}" if ends_at else ""
        raise UnknownCode(
            typed, f"{subscription.percent_off} % are taken off{until}; one code holds at a time."
        )


def _percent_of(typed: str) -> int:
    """Return what a code takes off.

    Raises:
        UnknownCode: nothing that is known here or at Stripe.
        StripeAway: Stripe cannot be asked, and the price list does not know it.
    """
    coupon = catalogue.coupon_of(typed)
    try:
        found = gateway().promotion_code(typed) if typed else None
    except StripeAway:
        if coupon is None:
            raise
        return coupon.percent_off
    if found is None and coupon is not None:
        return coupon.percent_off
    reason = _why_not(found)
    if reason or found is None or found.percent_off is None:
        raise UnknownCode(typed, reason)
    return int(found.percent_off)


def _why_not(found: StripePromotionCode | None) -> str:
    if found is None:
        return "There is no such code."
    if found.is_used_up:
        return "This code was used as often as it may be."
    if not found.active:
        return "This code is over."
    if found.percent_off is None or found.percent_off != int(found.percent_off):
        return "This code cannot be used here."
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
                return _forget(account, subscription, "This code is over.")
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
