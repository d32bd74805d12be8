"""A subscription begins: decided here at once, told to Stripe by a job that does not give up.

A subscription exists as soon as the owner asked for it: limits and counting begin then, whether
Stripe answers or not. When Stripe is back, it is opened there with its true start.
"""

from datetime import datetime, timedelta
from functools import partial

import structlog
from django.db import transaction
from django.utils import timezone

from billing import catalogue, plans
from billing.answers import StripeSubscription
from billing.gateways import StripeRefused, gateway
from billing.models import BillingAccount, PlanTerm, Subscription
from billing.periods import next_full_hour, trial_end
from billing.plans import Plan
from billing.services.accounts import account_for, ensure_customer
from billing.services.budgets import watch_caps
from billing.services.entitlements import write_limits
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()

# Opened later than this, a subscription is backdated to its true start.
_PROMPT = timedelta(seconds=60)


class AlreadySubscribed(Exception):
    """The factory has a paid plan; it can be changed, not started again."""


class TrialUsed(Exception):
    """The factory had its trial; a paid plan begins with its first full hour."""


def live_subscription(account: BillingAccount) -> Subscription | None:
    return Subscription.objects.filter(account=account, ended_at=None).first()


@transaction.atomic
def start_subscription(
    *,
    factory: Factory,
    plan: str,
    by: User | None,
    at: datetime | None = None,
    trial: bool = False,
    promotion_code: str = "",
    simulated: bool = False,
) -> Subscription:
    """Put a factory on a paid plan from `at` (now) on; Stripe hears of it after the commit.

    With `trial` nothing is charged before the end of the month in which 30 days are over; a
    trial is had once. With `simulated` the customer lives on a Stripe test clock that stands at
    `at`, which may lie in the past; billing.services.run_clock moves it. Only Stripe's test mode
    knows clocks.

    Raises:
        AlreadySubscribed: there is a paid plan; change it instead.
        TrialUsed: there was a trial before.
        plans.UnknownPlan: there is no such plan.
        ValueError: the plan is free.
    """
    chosen, started_at = plans.plan(plan), at or timezone.now()
    if not chosen.is_paid:
        raise ValueError(f"the plan {plan} costs nothing and needs no subscription")
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    if live_subscription(account) is not None:
        raise AlreadySubscribed(plan)
    if trial and account.trial_used_at is not None:
        raise TrialUsed(plan)
    ends = trial_end(started_at, days=chosen.trial_days) if trial else None
    first_hour = next_full_hour(started_at)
    subscription = Subscription.objects.create(
        account=account,
        plan=chosen.key,
        version=chosen.version,
        started_at=started_at,
        trial_end=ends,
        metered_from=ends or first_hour,
        promotion_code=promotion_code,
    )
    write_term(account, plan=chosen, starts_at=first_hour, is_trial=trial, at=started_at)
    if ends is not None:
        write_term(account, plan=chosen, starts_at=ends, at=started_at)
        BillingAccount.objects.filter(pk=account.pk).update(trial_used_at=started_at)
    write_limits(factory=factory, plan=chosen)
    watch_caps(account_id=str(account.pk), at=started_at)
    audit.record(
        action="billing.plan_chosen",
        actor=by,
        target=chosen.key,
        detail={"started_at": started_at.isoformat(), "trial": trial},
        factory=factory,
    )
    jobs.enqueue(
        task="billing.open_subscription",
        kwargs={"subscription_id": str(subscription.pk), "simulated": simulated},
        key=f"open-{subscription.pk}",
    )
    return subscription


def write_term(
    account: BillingAccount,
    *,
    plan: Plan,
    starts_at: datetime,
    at: datetime,
    is_trial: bool = False,
    exchange: bool = False,
) -> None:
    """Put a plan in force from an hour on; a term that begins in the same hour gives way."""
    PlanTerm.objects.update_or_create(
        account=account,
        starts_at=starts_at,
        defaults={
            "plan": plan.key,
            "version": plan.version,
            "is_trial": is_trial,
            "carried": None,
            "exchange_wanted": exchange,
            "exchanged_at": None,
            "written_at": at,
        },
    )


def open_subscription(*, subscription_id: str, simulated: bool = False) -> Subscription:
    """Tell Stripe of a subscription that was started here. Repeating it changes nothing.

    Raises:
        StripeAway: nothing is lost; call again.
    """
    subscription = Subscription.objects.select_related("account").get(pk=subscription_id)
    if subscription.stripe_id:
        return subscription
    account, stripe = subscription.account, gateway()
    if simulated and not account.test_clock_id and not account.stripe_customer_id:
        clock_id = stripe.create_clock(key=f"clock-{account.pk.hex}", at=subscription.started_at)
        BillingAccount.objects.filter(pk=account.pk).update(test_clock_id=clock_id)
        account.test_clock_id = clock_id
    customer_id = ensure_customer(account, stripe=stripe)
    chosen = _first_plan(subscription)
    price_ids = catalogue.ensure(stripe, plan=chosen, currency=account.currency)
    is_late = _is_late(subscription)
    create = partial(
        stripe.create_subscription,
        customer_id=customer_id,
        price_ids=price_ids,
        started_at=subscription.started_at if is_late else None,
        metadata={"subscription": str(subscription.pk), "plan": subscription.plan},
        trial_end=subscription.trial_end,
    )
    key = f"subscription-{subscription.pk.hex}-{'late' if is_late else 'now'}"
    code_id = catalogue.promotion_code_id(stripe, subscription.promotion_code)
    try:
        answer = create(key=key, promotion_code=code_id)
    except StripeRefused:
        if not code_id:
            raise
        # Used up since it was typed: the plan holds, `discounts.tell` says what became of the code.
        answer = create(key=f"{key}-plain")
    write_mirror(subscription, answer, at=timezone.now())
    log.info("billing.subscription.opened", account=str(account.pk), plan=subscription.plan)
    return subscription


def _first_plan(subscription: Subscription) -> Plan:
    """Return the plan that a subscription began with: a larger one may have taken over since."""
    term = (
        PlanTerm.objects.filter(
            account=subscription.account, starts_at__gte=next_full_hour(subscription.started_at)
        )
        .order_by("starts_at")
        .first()
    )
    if term is None:
        return plans.plan(subscription.plan, subscription.version)
    return plans.plan(term.plan, term.version)


def _is_late(subscription: Subscription) -> bool:
    if subscription.account.test_clock_id or subscription.trial_end is not None:
        return False  # the clock stands at the start; a trial counts nothing before its end
    return timezone.now() - subscription.started_at > _PROMPT


def write_mirror(subscription: Subscription, answer: StripeSubscription, *, at: datetime) -> None:
    """Keep what Stripe says of a subscription; one that ended there is ended here."""
    subscription.stripe_id = answer.id
    subscription.status = answer.status
    subscription.period_start = answer.period_start
    subscription.period_end = answer.period_end
    subscription.cancel_at_period_end = answer.cancel_at_period_end
    discount = answer.discount
    subscription.percent_off = (
        int(discount.percent_off) if discount and discount.percent_off is not None else None
    )
    subscription.discount_ends_at = discount.ends_at if discount else None
    subscription.has_card = answer.has_card
    subscription.synced_at = at
    if answer.ended_at is not None and subscription.ended_at is None:
        end(subscription, ended_at=answer.ended_at, at=at)
    subscription.save()


def end(subscription: Subscription, *, ended_at: datetime, at: datetime) -> None:
    """End a subscription here: the factory is on Start from then on. The caller saves it."""
    account = subscription.account
    starts_at = next_full_hour(ended_at)
    subscription.ended_at = ended_at
    PlanTerm.objects.filter(account=account, starts_at__gt=starts_at).delete()
    write_term(account, plan=plans.START, starts_at=starts_at, at=at)
    if account.factory is not None:
        write_limits(factory=account.factory, plan=plans.START)
        watch_caps(account_id=str(account.pk), at=at)
    jobs.enqueue(
        task="billing.review_standing",
        kwargs={"account_id": str(account.pk)},
        key=f"standing-{account.pk}",
    )
