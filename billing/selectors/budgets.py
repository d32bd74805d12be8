"""What the owner set: the budget and its alerts, the caps and what they hold."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from django.db.models import Max, Sum

from billing import bills, charges, live, money, plans, terms, words
from billing.caps import ACTIONS, KEEP, KEEP_DAYS
from billing.models import (
    BillingAccount,
    Budget,
    BudgetAlert,
    GivenUpHour,
    LedgerEntry,
    MeterCap,
)
from billing.periods import month_start
from billing.plans import Item, Meter
from billing.selectors.accounts import account_of, payers, subscription_of
from billing.selectors.usage import UsageSummary, usage_summary
from tenants.context import factory_context
from tenants.models import Factory, User

ALERT_PERCENTS = (50, 80, 100)


@dataclass(frozen=True, slots=True)
class AlertView:
    """One share of the budget: whether it was said, or when it is likely to be reached."""

    percent: int
    amount_minor: int
    state: Literal["sent", "reached", "likely", "not_this_month"]
    on: date | None


@dataclass(frozen=True, slots=True)
class BudgetView:
    """The budget of a month; `amount_minor` and `left_minor` None where none is set."""

    amount_minor: int | None
    alerts: tuple[AlertView, ...]
    recipients: str
    left_minor: int | None


@dataclass(frozen=True, slots=True)
class CapView:
    """Where a meter stops, and what lies beyond. Quantities in single units of the meter.

    `held` readings can be bought back for `buy_back_minor` (without discount and tax), the first
    of them until `keep_until`; both also count those of the month before.
    """

    item: Item
    label: str
    max_extra: int | None
    extra_so_far: int
    action: str
    reached_at: datetime | None
    held: int
    keep_until: datetime | None
    buy_back_minor: int
    words: str
    actions: tuple[str, ...] = ()  # what may be chosen for it


@dataclass(frozen=True, slots=True)
class HeldHour:
    """Readings of an hour beyond the cap, and when the last of them was counted."""

    hour: datetime
    n_held: int
    n_used: int
    held_since: datetime

    @property
    def is_whole(self) -> bool:
        return self.n_held >= self.n_used


def budget_view(
    factory: Factory, at: datetime, *, summary: UsageSummary | None = None
) -> BudgetView:
    """Return the budget of the month that `at` lies in; `summary` spares working it out again."""
    budget = Budget.objects.filter(account__factory=factory).first()
    recipients = _recipients(factory)
    if budget is None:
        return BudgetView(None, (), recipients, None)
    summary = summary or usage_summary(factory, at)
    said = {
        row.percent: row.said_at
        for row in BudgetAlert.objects.filter(account=budget.account_id, month=month_start(at))
    }
    alerts = tuple(_alert(p, budget.amount_minor, said, summary) for p in ALERT_PERCENTS)
    left = budget.amount_minor - summary.so_far_minor
    return BudgetView(budget.amount_minor, alerts, recipients, left)


def share(budget_minor: int, percent: int) -> int:
    """Return the least amount that is a share of a budget."""
    return -(-budget_minor * percent // 100)


def _alert(
    percent: int, budget_minor: int, said: Mapping[int, datetime], summary: UsageSummary
) -> AlertView:
    amount = share(budget_minor, percent)
    if percent in said:
        return AlertView(percent, amount, "sent", said[percent].astimezone(UTC).date())
    if summary.so_far_minor >= amount:
        return AlertView(percent, amount, "reached", None)
    for day in summary.forecast_daily:
        if day.expected_minor >= amount:
            return AlertView(percent, amount, "likely", day.on)
    return AlertView(percent, amount, "not_this_month", None)


def _recipients(factory: Factory) -> str:
    people = User.objects.filter(pk__in=payers(factory)).order_by("name", "email")
    names = [person.name or person.email for person in people]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def month_so_far(account: BillingAccount, month: datetime) -> int:
    """Return what a month has come to, as Usage and bill shows it: with discount, without tax."""
    bill = bills.month_bill(account, month)
    subscription = subscription_of(account.factory) if account.factory else None
    off = subscription.percent_off if subscription else None
    return charges.discounted(bill.lines, percent_off=off)


def cap_views(factory: Factory, at: datetime) -> tuple[CapView, ...]:
    """Return every meter that can be capped, as it stands this minute."""
    account = account_of(factory)
    if account is None:
        return tuple(_cap_view(item, None, None, 0, None, 0) for item in ACTIONS)
    with factory_context(factory):
        month = live.month(account, at)
    hours = held_hours(account, at=at)
    until = min((h.held_since for h in hours), default=None)
    views = []
    for item in ACTIONS:
        cap = terms.cap_of(account, item=item, month=month_start(at))
        if item is Item.READINGS:
            held, cost = sum(h.n_held for h in hours), buy_back_cost(account, hours)
            keep_until = until + timedelta(days=KEEP_DAYS) if until else None
        else:
            held, cost, keep_until = 0, 0, None
        views.append(_cap_view(item, cap, month, held, keep_until, cost))
    return tuple(views)


def _cap_view(
    item: Item,
    cap: MeterCap | None,
    month: live.Month | None,
    held: int,
    keep_until: datetime | None,
    cost: int,
) -> CapView:
    label = next(extra.label for extra in plans.EXTRAS if extra.item is item)
    action = cap.action if cap else ACTIONS[item][0]
    is_reached = month is not None and month.is_reached(item, cap)
    return CapView(
        item=item,
        label=label,
        max_extra=cap.max_extra if cap else None,
        extra_so_far=month.charged(item) if month else 0,
        action=action,
        reached_at=cap.reached_at if cap and is_reached else None,
        held=held,
        keep_until=keep_until,
        buy_back_minor=cost,
        words=words.cap_does(item, keeps=action == KEEP, n_days=KEEP_DAYS),
        actions=ACTIONS[item],
    )


def held_hours(account: BillingAccount, *, at: datetime) -> list[HeldHour]:
    """Return the hours of this month and the last with readings that can be bought back."""
    start = month_start(month_start(at) - timedelta(days=1))
    rows = LedgerEntry.objects.filter(account=account, hour__gte=start).order_by()
    held = (
        rows.filter(meter=Meter.HELD_READINGS)
        .values_list("hour")
        .annotate(n=Sum("quantity"), latest=Max("written_at"))
    )
    used = dict(
        rows.filter(meter=Meter.READINGS, hour__in=[h for h, _, _ in held])
        .values_list("hour")
        .annotate(n=Sum("quantity"))
    )
    gone = set(
        GivenUpHour.objects.filter(account=account, hour__gte=start).values_list("hour", flat=True)
    )
    return [
        HeldHour(hour.astimezone(UTC), n, used.get(hour, 0), latest)
        for hour, n, latest in sorted(held)
        if n > 0 and hour not in gone
    ]


def buy_back_cost(account: BillingAccount, hours: list[HeldHour]) -> int:
    """Return what held hours would cost if they were charged, in minor units."""
    total = 0
    for month in sorted({month_start(h.hour) for h in hours}):
        for span in terms.spans(account, month):
            n = sum(h.n_held for h in hours if span.start <= h.hour < span.end)
            if not n:
                continue
            usage = bills.whole_usage(account, span.start, span.end)
            price = terms.plan_of(span).unit_price(Item.READINGS, account.currency)
            # Held hours that came late, and hours given up, may lie within what is included.
            signed = usage.used(Item.READINGS) - usage.taken_off(Item.READINGS)
            before, after = max(0, signed), max(0, signed + n)
            total += money.line_amount(after, price) - money.line_amount(before, price)
    return total


def held_by_month(hours: list[HeldHour]) -> dict[datetime, int]:
    found: dict[datetime, int] = defaultdict(int)
    for hour in hours:
        found[month_start(hour.hour)] += hour.n_held
    return dict(found)


def charged_of_month(account: BillingAccount, month: datetime, item: Item) -> int:
    """Return how many extra units the ledger charges for a month, late ones too."""
    total = 0
    for span in terms.spans(account, month):
        if not terms.is_free(span):
            total += bills.whole_usage(account, span.start, span.end).beyond(item)
    return total
