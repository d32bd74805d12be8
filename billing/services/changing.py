"""Another plan, or none: larger at once, smaller with the next month, always announced before."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from billing import charges, plans, selectors
from billing.models import BillingAccount, PlanTerm, Subscription
from billing.periods import hour_of, next_month, trial_end
from billing.plans import Plan
from billing.selectors import Excess
from billing.services import discounts, upgrading
from billing.services.accounts import account_for
from billing.services.budgets import watch_caps
from billing.services.discounts import Offer
from billing.services.entitlements import write_limits
from billing.services.ledger import roll_up
from billing.services.subscriptions import live_subscription, start_subscription, write_term
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()


class NotSubscribed(Exception):
    """The factory has no paid plan to be changed."""


class TooMuchInUse(Exception):
    """A plan has no room for what the factory uses; `excess` names each thing."""

    def __init__(self, plan: Plan, excess: tuple[Excess, ...]) -> None:
        super().__init__(f"{plan.name} has no room for {', '.join(e.words for e in excess)}.")
        self.plan = plan
        self.excess = excess


@dataclass(frozen=True, slots=True)
class ChangePreview:
    """What choosing a plan would do, before it is done. Amounts in minor units, without tax."""

    plan: Plan
    current: Plan
    starts_at: datetime
    is_at_once: bool
    in_trial: bool
    n_machines: int  # that pay the difference for the rest of the month
    amount_minor: int  # once, on the next invoice
    month_before_minor: int  # a whole month of the machines in use, extras aside
    month_after_minor: int
    carried: dict[str, int]
    excess: tuple[Excess, ...]  # not empty: it would be refused
    offer: Offer | None = None  # what a code takes off
    month_off_minor: int = 0  # of a whole month, by the code, on the first invoice


def preview_change(
    *,
    factory: Factory,
    plan: str,
    at: datetime | None = None,
    code: str = "",
    trial: bool = False,
) -> ChangePreview:
    """Say what choosing a plan would do and cost, from the same arithmetic as the change itself.

    A code, which only the first plan takes, is checked as it will be when the plan is started.

    Raises:
        plans.UnknownPlan: there is no such plan.
        discounts.UnknownCode: the code is not good for it; the text says why.
        StripeAway: the code is not of the price list and cannot be checked now.
    """
    chosen, at = plans.plan(plan), at or timezone.now()
    account = account_for(factory)
    subscription = live_subscription(account)
    current = _plan_of(subscription)
    n_in_use = selectors.machines_in_use(factory, at=at)
    month_after = n_in_use * chosen.machine_prices[account.currency]
    offer = None
    if code.strip():
        offer = discounts.offer(factory=factory, plan=chosen, code=code, at=at)
    in_trial = subscription is not None and _in_trial(subscription, at)
    at_once = subscription is None or (
        chosen.is_paid and _holds_at_once(subscription, chosen, account, at=at)
    )
    upgrade = None
    if subscription is not None and at_once and not in_trial and not _is_begun_later(
        subscription, at
    ):  # fmt: skip
        roll_up(factory=factory, until=at, at=at)
        upgrade = upgrading.planned(account, new=chosen, at=at)
    return ChangePreview(
        plan=chosen,
        current=current,
        starts_at=hour_of(at) if at_once else end_of(subscription, at),
        is_at_once=at_once,
        in_trial=in_trial,
        n_machines=upgrade.n_machines if upgrade else 0,
        amount_minor=upgrade.amount_minor if upgrade else 0,
        month_before_minor=n_in_use * current.machine_prices[account.currency],
        month_after_minor=month_after,
        carried=(upgrade.carried or {}) if upgrade else {},
        excess=() if at_once else selectors.excess(factory, plan=chosen),
        offer=offer,
        month_off_minor=_off(offer, month_after, chosen, trial=trial, at=at),
    )


def _off(offer: Offer | None, month_minor: int, plan: Plan, *, trial: bool, at: datetime) -> int:
    """Return what a code takes off the first whole month, if it still holds at its invoice."""
    begins = trial_end(at, days=plan.trial_days) if trial else at
    if offer is None or not offer.holds_at(next_month(begins)):
        return 0
    return month_minor - charges.discounted([month_minor], percent_off=offer.percent_off)


@transaction.atomic
def change_plan(
    *, factory: Factory, plan: str, by: User | None, at: datetime | None = None
) -> Subscription:
    """Change what a factory pays for: to a larger plan at once, to a smaller with the next month.

    Choosing Start ends the subscription with the month; choosing the present plan keeps it.
    Stripe hears of it after the commit.

    Raises:
        NotSubscribed: the factory is on Start already.
        TooMuchInUse: the plan has no room for what is used; nothing was changed.
        plans.UnknownPlan: there is no such plan.
    """
    chosen, at = plans.plan(plan), at or timezone.now()
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    subscription = live_subscription(account)
    if subscription is None:
        if not chosen.is_paid:
            raise NotSubscribed(plan)
        return start_subscription(factory=factory, plan=plan, by=by, at=at)
    current = _plan_of(subscription)
    withdraw(subscription, at=at)
    if not chosen.is_paid:
        _refuse_excess(factory, chosen)
        subscription.next_plan = chosen.key
        subscription.ends_at = end_of(subscription, at)
    elif chosen.key != current.key:
        if _holds_at_once(subscription, chosen, account, at=at):
            _change_now(factory, account, subscription, chosen, at=at)
        else:
            _refuse_excess(factory, chosen)
            subscription.next_plan = chosen.key
            starts_at = next_month(at)
            write_term(account, plan=chosen, starts_at=starts_at, at=at, exchange=True)
    subscription.save()
    _tell(subscription)
    audit.record(
        action="billing.plan_chosen",
        actor=by,
        target=chosen.key,
        detail={"next_plan": subscription.next_plan},
        factory=factory,
    )
    return subscription


def _holds_at_once(
    subscription: Subscription, chosen: Plan, account: BillingAccount, *, at: datetime
) -> bool:
    """Say whether a plan takes over now: a larger one, or while nothing is charged yet."""
    return (
        _in_trial(subscription, at)
        or _is_begun_later(subscription, at)
        or is_larger(chosen, _plan_of(subscription), account.currency)
    )


def is_larger(chosen: Plan, current: Plan, currency: str) -> bool:
    return chosen.machine_prices[currency] > current.machine_prices[currency]


def _plan_of(subscription: Subscription | None) -> Plan:
    if subscription is None:
        return plans.START
    return plans.plan(subscription.plan, subscription.version)


def _in_trial(subscription: Subscription, at: datetime) -> bool:
    return subscription.trial_end is not None and at < subscription.trial_end


def _is_begun_later(subscription: Subscription, at: datetime) -> bool:
    """Say whether the subscription begins with an hour that is still to come."""
    return not subscription.trial_end and at < subscription.metered_from


def end_of(subscription: Subscription | None, at: datetime) -> datetime:
    if subscription is not None and _in_trial(subscription, at) and subscription.trial_end:
        return subscription.trial_end
    return next_month(at)


def _refuse_excess(factory: Factory, plan: Plan) -> None:
    found = selectors.excess(factory, plan=plan)
    if found:
        raise TooMuchInUse(plan, found)


def withdraw(subscription: Subscription, *, at: datetime) -> None:
    """Forget what was chosen for later: another plan, or the end."""
    subscription.next_plan = ""
    subscription.closes_factory = False
    subscription.ends_at = None
    later = PlanTerm.objects.filter(
        account=subscription.account, starts_at__gt=at, exchange_wanted=True, exchanged_at=None
    )
    if not _in_trial(subscription, at):
        later.exclude(starts_at=subscription.metered_from).delete()


def _change_now(
    factory: Factory,
    account: BillingAccount,
    subscription: Subscription,
    chosen: Plan,
    *,
    at: datetime,
) -> None:
    later = PlanTerm.objects.filter(account=account, starts_at__gt=at)
    in_trial = _in_trial(subscription, at)
    if in_trial or _is_begun_later(subscription, at):
        later.update(
            plan=chosen.key, version=chosen.version, written_at=at, exchange_wanted=True,
            exchanged_at=None,
        )  # fmt: skip
    if in_trial:
        write_term(account, plan=chosen, starts_at=hour_of(at), at=at, is_trial=True, exchange=True)
        later.update(exchange_wanted=False)
    elif not _is_begun_later(subscription, at):
        roll_up(factory=factory, until=at, at=at)
        upgrade = upgrading.planned(account, new=chosen, at=at)
        upgrading.write(account, upgrade, is_trial=False, at=at)
    subscription.plan, subscription.version = chosen.key, chosen.version
    write_limits(factory=factory, plan=chosen)
    watch_caps(account_id=str(account.pk), at=at)


@transaction.atomic
def cancel_subscription(
    *, factory: Factory, by: User | None, at: datetime | None = None, reason: str = ""
) -> Subscription:
    """End the subscription with the month (or the trial); then the factory is closed.

    Until then everything works and `reactivate` takes it back; afterwards the data can be taken
    along for 30 days, and any paid plan opens the factory again.

    Raises:
        NotSubscribed: there is nothing to cancel.
    """
    at = at or timezone.now()
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    subscription = live_subscription(account)
    if subscription is None:
        raise NotSubscribed(factory.name)
    withdraw(subscription, at=at)
    subscription.closes_factory = True
    subscription.ends_at = end_of(subscription, at)
    subscription.save()
    _tell(subscription)
    audit.record(
        action="billing.cancelled",
        actor=by,
        target=subscription.plan,
        detail={"ends_at": subscription.ends_at.isoformat(), "reason": reason},
        factory=factory,
    )
    return subscription


@transaction.atomic
def reactivate(*, factory: Factory, by: User | None, at: datetime | None = None) -> Subscription:
    """Take back a cancellation, or a smaller plan, that was chosen for later.

    Raises:
        NotSubscribed: the subscription has ended; a plan is chosen anew.
    """
    at = at or timezone.now()
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    subscription = live_subscription(account)
    if subscription is None:
        raise NotSubscribed(factory.name)
    withdraw(subscription, at=at)
    subscription.save()
    _tell(subscription)
    audit.record(action="billing.reactivated", actor=by, target=subscription.plan, factory=factory)
    return subscription


def _tell(subscription: Subscription) -> None:
    """Have Stripe told of what was decided, after the commit."""
    Subscription.objects.filter(pk=subscription.pk).update(end_told=False)
    jobs.enqueue(
        task="billing.tell_change",
        kwargs={"account_id": str(subscription.account_id)},
        key=f"tell-{subscription.account_id}",
    )
