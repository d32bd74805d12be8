"""The owner's limits: a budget that is watched, and caps at which a meter stops.

A cap is a rule of the count (`billing.counting`): readings beyond it are held and not charged.
Raising it turns held into charged at the usual price, by recounting.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from billing import live, plans, selectors, terms, words
from billing.caps import ACTIONS, KEEP, KEEP_DAYS, REFUSE
from billing.models import (
    BillingAccount,
    Budget,
    BudgetAlert,
    GivenUpHour,
    LedgerCursor,
    MeterCap,
)
from billing.periods import HOUR, month_start, next_month, open_since
from billing.plans import CLOSING_TIME, Item
from billing.selectors import budgets
from billing.services.accounts import account_for
from billing.services.entitlements import write_cap, write_room
from billing.services.ledger import roll_up
from telemetry import services as telemetry_services
from tenants import audit, jobs
from tenants.context import factory_context
from tenants.models import Factory, User
from tenants.notifications import notify

log = structlog.get_logger()

TOPIC = "billing"
USAGE_PATH = "/usage/"
_SOON = 2  # severity


class CapBelowUse(Exception):
    """More than the cap is charged already this month; `least` is the least that is possible."""

    def __init__(self, item: Item, least: int) -> None:
        super().__init__(f"{least:,} extra {item} are charged already this month.")
        self.item = item
        self.least = least


class CapNotOffered(Exception):
    """This meter cannot be capped in this way (see `billing.caps.ACTIONS`)."""


@transaction.atomic
def set_budget(
    *, factory: Factory, amount_minor: int | None, by: User | None, at: datetime
) -> None:
    """Say what a month should cost at most, in minor units; None: no budget.

    Shares that are reached and were said this month are not said again; those that the new
    budget makes not reached any more are said when they are reached.

    Raises:
        ValueError: the amount is not above zero.
    """
    if amount_minor is not None and amount_minor <= 0:
        raise ValueError("a budget is above zero")
    account = _locked(account_for(factory).pk)
    if amount_minor is None:
        Budget.objects.filter(account=account).delete()
    else:
        Budget.objects.update_or_create(
            account=account, defaults={"amount_minor": amount_minor, "changed_at": at}
        )
        _unsay(account, amount_minor, month=month_start(at))
    audit.record(
        action="billing.budget_set",
        actor=by,
        detail={"amount_minor": amount_minor, "currency": account.currency},
        factory=factory,
    )
    watch_budget(account_id=str(account.pk), at=at)


def _unsay(account: BillingAccount, budget_minor: int, *, month: datetime) -> None:
    total = budgets.month_so_far(account, month)
    higher = [p for p in budgets.ALERT_PERCENTS if total < budgets.share(budget_minor, p)]
    BudgetAlert.objects.filter(account=account, month=month, percent__in=higher).delete()


@transaction.atomic
def watch_budget(*, account_id: str, at: datetime) -> int:
    """Tell owners and admins of the shares of the budget that were reached; return how many.

    Each share once a month. Where one count passes several, one message names the highest. The
    month before is watched until its invoice is fixed.
    """
    account = _locked(account_id)
    budget = Budget.objects.filter(account=account).first()
    if budget is None or account.factory is None:
        return 0
    months = {month_start(at), open_since(at, closing_time=CLOSING_TIME)}
    return sum(
        _watch_month(account, account.factory, budget, month, at=at) for month in sorted(months)
    )


def _watch_month(
    account: BillingAccount, factory: Factory, budget: Budget, month: datetime, *, at: datetime
) -> int:
    total = budgets.month_so_far(account, month)
    said = BudgetAlert.objects.filter(account=account, month=month).values_list(
        "percent", flat=True
    )
    reached = [
        percent
        for percent in budgets.ALERT_PERCENTS
        if total >= budgets.share(budget.amount_minor, percent) and percent not in set(said)
    ]
    if not reached:
        return 0
    BudgetAlert.objects.bulk_create(
        BudgetAlert(
            account=account, month=month, percent=percent, amount_minor=total,
            budget_minor=budget.amount_minor, said_at=at,
        )
        for percent in reached
    )  # fmt: skip
    summary = selectors.usage_summary(factory, min(at, next_month(month) - timedelta(seconds=1)))
    message = words.budget_reached(
        factory.name,
        percent=max(reached),
        total=words.amount(total, account.currency),
        budget=words.amount(budget.amount_minor, account.currency),
        expected=words.amount(max(total, summary.forecast_minor), account.currency),
    )
    key = f"budget:{month:%Y%m}:{max(reached)}:{budget.changed_at:%Y%m%d%H%M%S%f}"
    _tell(account, factory, message, key, at)
    return len(reached)


@transaction.atomic
def set_cap(
    *,
    factory: Factory,
    item: Item,
    max_extra: int | None,
    action: str,
    by: User | None,
    at: datetime,
) -> None:
    """Say how much of a meter may be charged beyond the included, from this month on.

    Args:
        max_extra: single units a month; None lifts the cap. What a raised cap makes room for is
            charged at once, except for what was given up.
        action: `keep` what comes beyond, or `refuse` it (see `billing.caps`).

    Raises:
        CapBelowUse: more is charged already this month; nothing was changed.
        CapNotOffered: the meter knows no such cap.
        ValueError: the cap is below zero.
    """
    if action not in ACTIONS.get(item, ()):
        raise CapNotOffered(f"{item}: {action}")
    if max_extra is not None and max_extra < 0:
        raise ValueError("a cap is not below zero")
    account, month = _locked(account_for(factory).pk), month_start(at)
    if max_extra is not None:
        with factory_context(factory):
            least = live.month(account, at).charged(item)
        if max_extra < least:
            raise CapBelowUse(item, least)
    MeterCap.objects.filter(account=account, item=item, month__gt=month).delete()
    _put_cap(account, item, month, max_extra=max_extra, action=action, at=at)
    audit.record(
        action="billing.cap_set",
        actor=by,
        target=item,
        detail={"max_extra": max_extra, "action": action},
        factory=factory,
    )
    roll_up(factory=factory, until=at, at=at, again=[month])
    watch_caps(account_id=str(account.pk), at=at)


def _put_cap(
    account: BillingAccount,
    item: Item,
    month: datetime,
    *,
    max_extra: int | None,
    action: str,
    at: datetime,
) -> None:
    """Write the cap of a month; whether it was reached and said in the month stays."""
    MeterCap.objects.update_or_create(
        account=account,
        item=item,
        month=month,
        defaults={"max_extra": max_extra, "action": action, "changed_at": at},
    )


@transaction.atomic
def buy_back(*, factory: Factory, by: User | None, at: datetime) -> int:
    """Have the readings that are held charged after all, those of the month before too.

    The caps of their months are raised by exactly as much; from the next month on the cap is
    what it was. What was given up stays held.

    Returns:
        what it costs, in minor units, without discount and tax; 0 where nothing is held.
    """
    account = _locked(account_for(factory).pk)
    roll_up(factory=factory, until=at, at=at)
    hours = budgets.held_hours(account, at=at)
    if not hours:
        return 0
    cost, by_month = budgets.buy_back_cost(account, hours), budgets.held_by_month(hours)
    for month, n_held in by_month.items():
        _raise_cap(account, month, n_held, at=at)
    audit.record(
        action="billing.bought_back",
        actor=by,
        target=Item.READINGS,
        detail={"n_readings": sum(by_month.values()), "amount_minor": cost},
        factory=factory,
    )
    roll_up(factory=factory, until=at, at=at, again=by_month)
    watch_caps(account_id=str(account.pk), at=at)
    return cost


def _raise_cap(account: BillingAccount, month: datetime, n: int, *, at: datetime) -> None:
    item, later = Item.READINGS, next_month(month)
    cap = terms.cap_of(account, item=item, month=month)
    if cap is None or cap.max_extra is None:
        return
    if not MeterCap.objects.filter(account=account, item=item, month=later).exists():
        _put_cap(account, item, later, max_extra=cap.max_extra, action=cap.action, at=at)
    most = max(cap.max_extra, budgets.charged_of_month(account, month, item) + n)
    _put_cap(account, item, month, max_extra=most, action=cap.action, at=at)


@transaction.atomic
def watch_caps(*, account_id: str, at: datetime) -> None:
    """Shut the doors of meters that reached their cap, open those that have room again.

    Readings are looked at with the open hour. How many images and planning minutes there is room
    for is written to where they are counted at the door, so they stop exactly.
    """
    account = _locked(account_id)
    factory = account.factory
    if factory is None or not MeterCap.objects.filter(account=account).exists():
        return
    with factory_context(factory):
        month = live.month(account, at)
    caps = {item: terms.cap_of(account, item=item, month=month_start(at)) for item in ACTIONS}
    plan = month.here.plan
    write_room(
        factory=factory,
        images=month.room(Item.IMAGES, caps[Item.IMAGES], most=plan.images_per_month),
        planning_minutes=month.room(
            Item.PLANNING_MINUTES,
            caps[Item.PLANNING_MINUTES],
            most=plan.planning_minutes_per_month,
        ),
    )
    for item, cap in caps.items():
        is_reached = month.is_reached(item, cap)
        refuses = cap is not None and cap.action == REFUSE
        write_cap(factory=factory, item=item, is_shut=is_reached and refuses)
        if cap is not None:
            _note(account, factory, cap, is_reached=is_reached, at=at)


def _note(
    account: BillingAccount, factory: Factory, cap: MeterCap, *, is_reached: bool, at: datetime
) -> None:
    """Write down that a cap was reached in a month, and say so once."""
    month = month_start(at)
    if not is_reached:
        MeterCap.objects.filter(pk=cap.pk, month=month).update(reached_at=None)
        return
    row, _ = MeterCap.objects.get_or_create(
        account=account,
        item=cap.item,
        month=month,
        defaults={
            "max_extra": cap.max_extra, "action": cap.action, "changed_at": cap.changed_at,
        },
    )  # fmt: skip
    if row.reached_at is not None:
        return
    MeterCap.objects.filter(pk=row.pk).update(reached_at=at)
    label = next(extra.label for extra in plans.EXTRAS if extra.item == cap.item)
    message = words.cap_reached(
        factory.name, label=label, keeps=cap.action == KEEP, n_days=KEEP_DAYS
    )
    _tell(account, factory, message, f"cap:{cap.item}:{at:%Y%m%d%H%M%S}", at)
    if cap.action == REFUSE:
        # The door opens with the month, not with the first count of it.
        jobs.enqueue(
            task="billing.watch_caps",
            kwargs={"account_id": str(account.pk)},
            factory=factory,
            key=f"open-doors-{next_month(at):%Y%m}",
            delay=next_month(at) - at + timedelta(seconds=1),
        )


def give_up_held(*, account_id: str, at: datetime) -> int:
    """Give up the readings that were held for KEEP_DAYS and not bought back; return the hours.

    Only hours that lie beyond the cap as a whole. They are written down first, so that they stay
    held whatever is bought back, then telemetry forgets their readings. What comes late for them
    is held for as long and goes the same way.
    """
    n_hours = _give_up(account_id, at=at)
    account = BillingAccount.objects.get(pk=account_id)
    rows = list(
        GivenUpHour.objects.filter(account=account, forgotten_at=None).values_list(
            "hour", flat=True
        )
    )
    if rows and account.factory is not None:
        with factory_context(account.factory):
            n_left = telemetry_services.forget_hours(hours=rows, reason="cap")
        # A device that is just sending is left for the next call: done when nothing was left.
        if n_left == 0:
            GivenUpHour.objects.filter(account=account, hour__in=rows).update(forgotten_at=at)
    return n_hours


@transaction.atomic
def _give_up(account_id: str, *, at: datetime) -> int:
    account = _locked(account_id)
    # Nobody counts meanwhile: what is held now is held when it is written down.
    LedgerCursor.objects.select_for_update().filter(account=account).first()
    before = at - timedelta(days=KEEP_DAYS)
    found = [h for h in budgets.held_hours(account, at=at) if h.is_whole and h.held_since <= before]
    GivenUpHour.objects.bulk_create(
        GivenUpHour(account=account, hour=h.hour, given_up_at=at) for h in found
    )
    for month in budgets.held_by_month(found):
        last = max(h.hour for h in found if month_start(h.hour) == month)
        MeterCap.objects.filter(account=account, item=Item.READINGS, month=month).update(
            forgotten_to=last + HOUR
        )
    if found:
        log.info("billing.held.given_up", account=account_id, n_hours=len(found))
    return len(found)


def _locked(account_id: str | UUID) -> BillingAccount:
    return BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)


def _tell(
    account: BillingAccount, factory: Factory, message: words.Message, key: str, at: datetime
) -> None:
    notify(
        factory=factory,
        topic=TOPIC,
        severity=_SOON,
        subject=message.subject,
        text=message.text,
        path=USAGE_PATH,
        key=f"billing:{account.pk}:{key}",
        recipients=selectors.payers(factory),
        at=at,
    )
