"""What can be asked: usage and its forecast, invoices, plans, and what waits to be done."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.db.models.functions import Coalesce

from billing import charges, facts, plans
from billing.charges import Charge, Usage
from billing.counting import MachineHour
from billing.forecast import HISTORY_DAYS, DayForecast, Forecast, forecast_readings
from billing.models import (
    BillingAccount,
    Invoice,
    LedgerCursor,
    LedgerEntry,
    PlanTerm,
    Subscription,
)
from billing.periods import Span, Term, month_start, next_full_hour, spans_of_month
from billing.plans import Meter, Plan
from production import selectors as production_selectors
from tenants.context import factory_context
from tenants.models import Factory

# Usage told to Stripe later than its month: it takes nothing older than 35 days.
_LONGEST_AWAY = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """One meter of the month. `included` is None where there is no limit."""

    meter: str
    label: str
    used: int
    included: int | None
    price_minor: int
    price_per: str
    so_far_minor: int
    forecast_minor: int

    @property
    def share_of_included(self) -> float | None:
        """Return 0 to 1 (more is cut off), or None where nothing limits."""
        if not self.included:
            return None
        return min(self.used / self.included, 1.0)


@dataclass(frozen=True, slots=True)
class DayTotal:
    """The bill as it stood at the end of a day."""

    on: date
    total_minor: int


@dataclass(frozen=True, slots=True)
class DayRange:
    """The bill as it is expected to stand at the end of a day, with its 80 % range."""

    on: date
    expected_minor: int
    low_minor: int
    high_minor: int


@dataclass(frozen=True, slots=True)
class MachineCost:
    """What a machine (or a device without one) has cost so far; `machine_id` None for a device."""

    machine_id: UUID | None
    name: str
    n_readings: int
    cost_minor: int


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """A month's usage and bill, without tax, in minor units of `currency`."""

    plan: Plan
    next_plan: Plan | None
    currency: str
    status: str  # of the subscription; "" on Start
    period_start: datetime
    period_end: datetime
    counted_to: datetime | None
    so_far_minor: int
    forecast_minor: int
    forecast_low_minor: int
    forecast_high_minor: int
    forecast_basis: str
    meters: tuple[MeterUsage, ...]
    daily: tuple[DayTotal, ...]
    forecast_daily: tuple[DayRange, ...]
    previous: tuple[DayTotal, ...]
    previous_total_minor: int | None
    machines: tuple[MachineCost, ...]
    cap_minor: int | None = None


def account_of(factory: Factory) -> BillingAccount | None:
    return BillingAccount.objects.filter(factory=factory).first()


def account(account_id: str, *, factory: Factory) -> BillingAccount:
    """Return an account by its id.

    Raises:
        BillingAccount.DoesNotExist: there is none, or it is another factory's.
    """
    return BillingAccount.objects.get(pk=account_id, factory=factory)


def subscription_of(factory: Factory) -> Subscription | None:
    """Return the live subscription of a factory, or None on Start."""
    return Subscription.objects.filter(account__factory=factory, ended_at=None).first()


def invoices(factory: Factory) -> QuerySet[Invoice]:
    """Return a factory's invoices with their lines, newest first."""
    return (
        Invoice.objects.filter(account__factory=factory)
        .prefetch_related("lines")
        .order_by("-created_at", "-pk")
    )


def unopened_subscriptions(*, before: datetime) -> list[Subscription]:
    """Return the subscriptions that Stripe should know by now and does not."""
    return list(
        Subscription.objects.filter(stripe_id=None, ended_at=None, started_at__lt=before).filter(
            account__test_clock_id=""
        )
    )


def accounts_at_stripe() -> list[UUID]:
    """Return the accounts that have a customer at Stripe."""
    return list(
        BillingAccount.objects.exclude(stripe_customer_id=None)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def usage_summary(factory: Factory, at: datetime) -> UsageSummary:
    """Return the month that `at` lies in: used, charged, expected, and by machine.

    Counted are full hours (see `counted_to`). A subscription that started within the month is
    shown from its start; what was used on Start before it is free and left out.
    """
    account, subscription = account_of(factory), subscription_of(factory)
    span = _span_at(account, at)
    plan = plans.plan(span.plan)
    by_day = _by_day(account, span)
    now = _sum(by_day.values())
    counted_to = _counted_to(account)
    as_of = min(max(counted_to or at, span.start), span.end)
    expected = forecast_readings(_readings_by_day(account, end=at), at=as_of, end=span.end)
    with factory_context(factory):
        counted = facts.usage(start=span.start, end=as_of)
        recent = facts.usage(start=at - timedelta(days=28), end=at)
        names = _machine_names()
    n_expected = max(len({f.source for f in recent if f.n_readings}), now.n_machines)
    projection = _Projection(plan, now, n_expected, expected)
    so_far = charges.charge(now, plan=plan)
    middle, low, high = projection.at(expected.end)
    previous = _previous(account, at)
    next_plan = subscription.next_plan if subscription else ""
    return UsageSummary(
        plan=plan,
        next_plan=plans.plan(next_plan) if next_plan else None,
        currency=account.currency if account else factory.currency,
        status=subscription.status if subscription else "",
        period_start=span.start,
        period_end=span.end,
        counted_to=counted_to,
        so_far_minor=so_far.total,
        forecast_minor=middle.total,
        forecast_low_minor=low.total,
        forecast_high_minor=high.total,
        forecast_basis=_basis(expected, n_machines=n_expected),
        meters=_meters(plan, now, so_far, middle),
        daily=_daily(by_day, start=span.start, end=min(at, span.end), plan=plan),
        forecast_daily=tuple(projection.day(d) for d in expected.days),
        previous=previous,
        previous_total_minor=previous[-1].total_minor if previous else None,
        machines=_machine_costs(counted, names, plan=plan, usage=now),
    )


def _span_at(account: BillingAccount | None, at: datetime) -> Span:
    """Return the part of the month that is billed now: one that begins within the hour counts."""
    terms = [] if account is None else _terms(account)
    spans = spans_of_month(month_start(at), terms, default=plans.START.key)
    return [s for s in spans if s.start <= next_full_hour(at) or s is spans[0]][-1]


def _previous(account: BillingAccount | None, at: datetime) -> tuple[DayTotal, ...]:
    """Return the bill of the month before, day by day; nothing where it cost nothing."""
    end = month_start(at)
    if account is None:
        return ()
    span = spans_of_month(
        month_start(end - timedelta(days=1)), _terms(account), default=plans.START.key
    )[-1]
    plan = plans.plan(span.plan)
    if not plan.is_paid:
        return ()
    days = _daily(_by_day(account, span), start=span.start, end=span.end, plan=plan)
    return days if days[-1].total_minor else ()


def _counted_to(account: BillingAccount | None) -> datetime | None:
    if account is None:
        return None
    row = LedgerCursor.objects.filter(account=account).first()
    return row.counted_to if row else None


def _machine_names() -> dict[str, tuple[UUID, str]]:
    machines = production_selectors.machines(include_retired=True)
    return {f"machine:{m.pk}": (m.pk, m.name) for m in machines}


def _terms(account: BillingAccount) -> list[Term]:
    rows = PlanTerm.objects.filter(account=account).order_by("starts_at")
    return [Term(row.starts_at.astimezone(UTC), row.plan) for row in rows]


def _by_day(account: BillingAccount | None, span: Span) -> dict[date, Usage]:
    """Return what the ledger charges for each UTC day of a span."""
    if account is None:
        return {}
    rows = (
        LedgerEntry.objects.filter(
            account=account, billed_hour__gte=span.start - _LONGEST_AWAY, billed_hour__lt=span.end
        )
        # The time under which Stripe counts a row, where it is later than that of the ledger.
        .annotate(charged_at=Coalesce("delivery__counted_at", "billed_hour"))
        .filter(charged_at__gte=span.start, charged_at__lt=span.end)
        .values_list("charged_at", "meter")
        .annotate(total=Sum("quantity"))
    )
    sums: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for at, meter, total in rows:
        sums[at.astimezone(UTC).date()][meter] += total
    return {
        day: Usage(
            n_machines=found[Meter.ACTIVE_MACHINES],
            n_readings=found[Meter.READINGS],
            n_included=found[Meter.INCLUDED_READINGS],
        )
        for day, found in sorted(sums.items())
    }


def _readings_by_day(account: BillingAccount | None, *, end: datetime) -> dict[date, int]:
    """Return the readings of past days by the day on which they were measured."""
    if account is None:
        return {}
    start = end - timedelta(days=HISTORY_DAYS + 1)
    rows = LedgerEntry.objects.filter(
        account=account, meter=Meter.READINGS, hour__gte=start, hour__lt=end
    ).values_list("hour", "quantity")
    sums: dict[date, int] = defaultdict(int)
    for hour, quantity in rows:
        sums[hour.astimezone(UTC).date()] += quantity
    return dict(sums)


def _sum(usages: Iterable[Usage]) -> Usage:
    found = list(usages)
    return Usage(
        n_machines=sum(u.n_machines for u in found),
        n_readings=sum(u.n_readings for u in found),
        n_included=sum(u.n_included for u in found),
    )


@dataclass(frozen=True, slots=True)
class _Projection:
    """Turns expected readings into an expected bill."""

    plan: Plan
    now: Usage
    n_expected: int
    expected: Forecast

    def _charge(self, n_more: float, *, n_machines: int) -> Charge:
        new_machines = n_machines - self.now.n_machines
        included = self.now.n_included + new_machines * (self.plan.included_readings or 0)
        usage = Usage(n_machines, self.now.n_readings + round(n_more), included)
        return charges.charge(usage, plan=self.plan)

    def at(self, day: DayForecast) -> tuple[Charge, Charge, Charge]:
        """Return the bill at the end of a day: expected, low, high."""
        n_now, n_later = self.now.n_machines, self.n_expected
        middle = self._charge(day.expected, n_machines=n_later)
        ends = [
            self._charge(n, n_machines=machines)
            for n in (day.low, day.high)
            for machines in (n_now, n_later)
        ]
        ends.append(middle)
        return middle, min(ends, key=lambda c: c.total), max(ends, key=lambda c: c.total)

    def day(self, day: DayForecast) -> DayRange:
        middle, low, high = self.at(day)
        return DayRange(day.on, middle.total, low.total, high.total)


def _basis(expected: Forecast, *, n_machines: int) -> str:
    """Say in words how the forecast was made."""
    machines = f"{n_machines} machine{'' if n_machines == 1 else 's'} seen in the last 28 days"
    if expected.n_days == 0:
        return f"No complete day is counted yet, so this is what is charged by now; {machines}."
    kind = "the same weekdays" if expected.by_weekday else "all days alike"
    few = " Few days are known, so the range is wide." if expected.n_days < 14 else ""
    return (
        f"The days left are taken to be like the last {expected.n_days} days ({kind}), with "
        f"{machines}. The range holds in 4 of 5 months.{few}"
    )


def _meters(plan: Plan, now: Usage, so_far: Charge, middle: Charge) -> tuple[MeterUsage, ...]:
    return (
        MeterUsage(
            meter=Meter.ACTIVE_MACHINES,
            label="Active machines",
            used=now.n_machines,
            included=plan.max_machines,
            price_minor=plan.machine_price,
            price_per="each",
            so_far_minor=so_far.machines,
            forecast_minor=middle.machines,
        ),
        MeterUsage(
            meter=Meter.READINGS,
            label="Readings",
            used=now.n_readings,
            included=now.n_included if plan.included_readings is not None else None,
            price_minor=plans.EXTRA_MILLION_READINGS if plan.is_paid else 0,
            price_per="per extra million",
            so_far_minor=so_far.readings,
            forecast_minor=middle.readings,
        ),
    )


def _daily(
    by_day: Mapping[date, Usage], *, start: datetime, end: datetime, plan: Plan
) -> tuple[DayTotal, ...]:
    """Return the bill at the end of each day from `start` to the day that `end` lies in."""
    days, total, day = [], Usage(), start.date()
    while datetime(day.year, day.month, day.day, tzinfo=UTC) < end:
        total = _sum([total, by_day.get(day, Usage())])
        days.append(DayTotal(day, charges.charge(total, plan=plan).total))
        day += timedelta(days=1)
    return tuple(days)


def _machine_costs(
    counted: list[MachineHour],
    names: Mapping[str, tuple[UUID, str]],
    *,
    plan: Plan,
    usage: Usage,
) -> tuple[MachineCost, ...]:
    readings: dict[str, int] = defaultdict(int)
    for fact in counted:
        readings[fact.source] += fact.n_readings
    order = sorted(readings, key=lambda s: (-readings[s], s))
    costs = charges.cost_by_source(readings, plan=plan, usage=usage, order=order)
    rows = []
    for source in order:
        machine_id, name = names.get(source, (None, f"Device {source.partition(':')[2]}"))
        rows.append(MachineCost(machine_id, name, readings[source], costs.get(source, 0)))
    return tuple(rows)
