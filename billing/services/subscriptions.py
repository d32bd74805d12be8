"""The life of a subscription: decided here at once, told to Stripe by a job that does not give up.

A subscription exists as soon as the owner asked for it: limits and counting begin then, whether
Stripe answers or not. When Stripe is back, it is opened there with its true start.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from billing import catalogue, plans
from billing.answers import StripeSubscription
from billing.gateways import StripeGateway, gateway
from billing.models import BillingAccount, PlanTerm, Subscription
from billing.periods import next_full_hour, next_month
from billing.services.accounts import account_for, ensure_customer
from billing.services.entitlements import write_limits
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()

# Opened later than this, a subscription is backdated to its true start.
_PROMPT = timedelta(seconds=60)


class AlreadySubscribed(Exception):
    """The factory has a paid plan; it can be changed, not started again."""


class NotSubscribed(Exception):
    """The factory has no paid plan to be changed."""


def live_subscription(account: BillingAccount) -> Subscription | None:
    return Subscription.objects.filter(account=account, ended_at=None).first()


@transaction.atomic
def start_subscription(
    *,
    factory: Factory,
    plan: str,
    by: User | None,
    at: datetime | None = None,
    simulated: bool = False,
) -> Subscription:
    """Put a factory on a paid plan from `at` (now) on; Stripe hears of it after the commit.

    With `simulated` the customer lives on a Stripe test clock that stands at `at`, which may lie
    in the past; billing.services.run_clock moves it. Only Stripe's test mode knows clocks.

    Raises:
        AlreadySubscribed: there is a paid plan; change it instead.
        plans.UnknownPlan: there is no such plan.
        ValueError: the plan is free.
    """
    chosen, started_at = plans.plan(plan), at or timezone.now()
    if not chosen.is_paid:
        raise ValueError(f"the plan {plan} costs nothing and needs no subscription")
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    if live_subscription(account) is not None:
        raise AlreadySubscribed(plan)
    metered_from = next_full_hour(started_at)
    subscription = Subscription.objects.create(
        account=account, plan=chosen.key, started_at=started_at, metered_from=metered_from
    )
    _write_term(account, plan=chosen.key, starts_at=metered_from)
    write_limits(factory=factory, plan=chosen)
    audit.record(
        action="billing.plan_chosen",
        actor=by,
        target=chosen.key,
        detail={"started_at": started_at.isoformat()},
        factory=factory,
    )
    jobs.enqueue(
        task="billing.open_subscription",
        kwargs={"subscription_id": str(subscription.pk), "simulated": simulated},
        key=f"open-{subscription.pk}",
    )
    return subscription


def _write_term(account: BillingAccount, *, plan: str, starts_at: datetime) -> None:
    PlanTerm.objects.update_or_create(account=account, starts_at=starts_at, defaults={"plan": plan})


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
    price_ids = catalogue.ensure(
        stripe, plan=plans.plan(subscription.plan), currency=account.currency
    )
    answer = stripe.create_subscription(
        key=f"subscription-{subscription.pk.hex}-{'late' if _is_late(subscription) else 'now'}",
        customer_id=customer_id,
        price_ids=price_ids,
        started_at=subscription.started_at if _is_late(subscription) else None,
        metadata={"subscription": str(subscription.pk), "plan": subscription.plan},
    )
    write_mirror(subscription, answer, at=timezone.now())
    log.info("billing.subscription.opened", account=str(account.pk), plan=subscription.plan)
    return subscription


def _is_late(subscription: Subscription) -> bool:
    if subscription.account.test_clock_id:
        return False  # the clock stands at the start
    return timezone.now() - subscription.started_at > _PROMPT


def write_mirror(subscription: Subscription, answer: StripeSubscription, *, at: datetime) -> None:
    """Keep what Stripe says of a subscription; one that ended puts the factory on Start."""
    subscription.stripe_id = answer.id
    subscription.status = answer.status
    subscription.period_start = answer.period_start
    subscription.period_end = answer.period_end
    subscription.cancel_at_period_end = answer.cancel_at_period_end
    subscription.synced_at = at
    ended_now = answer.ended_at is not None and subscription.ended_at is None
    subscription.ended_at = answer.ended_at
    subscription.save()
    account = subscription.account
    if ended_now and answer.ended_at is not None:
        _write_term(account, plan=plans.START.key, starts_at=next_full_hour(answer.ended_at))
        if account.factory is not None:
            write_limits(factory=account.factory, plan=plans.START)


@transaction.atomic
def change_plan(
    *, factory: Factory, plan: str, by: User | None, at: datetime | None = None
) -> Subscription:
    """Change what a factory pays for: from Start at once, between paid plans with the next month.

    Choosing Start ends the subscription with the month; choosing the present plan keeps it.

    Raises:
        NotSubscribed: the factory is on Start already.
        plans.UnknownPlan: there is no such plan.
        StripeAway, StripeRefused: from the gateway; nothing was changed.
    """
    chosen, at = plans.plan(plan), at or timezone.now()
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    subscription = live_subscription(account)
    if subscription is None:
        if not chosen.is_paid:
            raise NotSubscribed(plan)
        return start_subscription(factory=factory, plan=plan, by=by, at=at)
    subscription.next_plan = "" if chosen.key == subscription.plan else chosen.key
    ends = not chosen.is_paid
    if subscription.stripe_id and ends != subscription.cancel_at_period_end:
        answer = gateway().end_with_period(
            key=f"end-{subscription.pk.hex}-{ends}-{at.timestamp():.0f}",
            subscription_id=subscription.stripe_id,
            wanted=ends,
        )
        write_mirror(subscription, answer, at=at)
    subscription.save()
    audit.record(
        action="billing.plan_chosen",
        actor=by,
        target=chosen.key,
        detail={"effective_at": next_month(at).isoformat()},
        factory=factory,
    )
    return subscription


@transaction.atomic
def apply_next_plan(*, account_id: str, at: datetime) -> bool:
    """Put the plan in force that was chosen for the month that has begun; say if one was.

    Runs before usage of the new month is sent, so that Stripe counts all of it at the new prices.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    subscription = live_subscription(account)
    if subscription is None or not subscription.next_plan or not subscription.stripe_id:
        return False
    chosen = plans.plan(subscription.next_plan)
    stripe: StripeGateway = gateway()
    current = stripe.subscription(subscription.stripe_id)
    is_new_month = (
        subscription.period_end is not None and current.period_start >= subscription.period_end
    )
    if not chosen.is_paid or not is_new_month:
        return False
    price_ids = catalogue.ensure(stripe, plan=chosen, currency=account.currency)
    answer = stripe.exchange_prices(
        key=f"plan-{subscription.pk.hex}-{chosen.key}-{current.period_start:%Y%m}",
        subscription_id=subscription.stripe_id,
        old=[item for item in current.items if item.price_id not in price_ids],
        new=[p for p in price_ids if p not in {item.price_id for item in current.items}],
    )
    subscription.plan, subscription.next_plan = chosen.key, ""
    subscription.metered_from = at
    write_mirror(subscription, answer, at=at)
    _write_term(account, plan=chosen.key, starts_at=current.period_start)
    if account.factory is not None:
        write_limits(factory=account.factory, plan=chosen)
    return True
