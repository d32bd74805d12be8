"""This month: what is used, what it costs, what it will come to, and by machine."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db.models import Sum

from billing import bills, charges, facts, plans, terms
from billing.bills import MonthBill, SpanBill
from billing.charges import Charge, Usage
from billing.counting import MonthFacts
from billing.forecast import HISTORY_DAYS, DayForecast, Forecast, forecast_days
from billing.models import BillingAccount, BookedAddOn, LedgerCursor, LedgerEntry
from billing.periods import month_start, next_full_hour
from billing.plans import EXTRA_ITEMS, USED, Item, Meter, Plan
from billing.selectors.accounts import account_of, subscription_of
from production import selectors as production_selectors
from tenants.context import factory_context
from tenants.models import Factory

_RECENT = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class MeterUsage:
    """One meter of the month, in the part of it that is under the present plan.

    `included` is None where nothing limits; for machines it is how many are paid in advance.
    """

    meter: str
    label: str
    used: int
    held: int  # beyond the owner's cap: kept for some days, not charged
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
    n_images: int
    cost_minor: int


@dataclass(frozen=True, slots=True)
class OtherLine:
    """What is on the month's bill beside its meters."""

    label: str
    amount_minor: int


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
    others: tuple[OtherLine, ...] = ()  # upgrades, add-ons, a discount; part of the sums above
    trial_end: datetime | None = None
    after_trial_minor: int | None = None  # what the month would cost without the trial
    ends_at: datetime | None = None
    cap_minor: int | None = None


def usage_summary(factory: Factory, at: datetime) -> UsageSummary:
    """Return the month that `at` lies in: used, charged, expected, and by machine.

    Counted are full hours (see `counted_to`). A subscription that started within the month is
    shown from its start; what was used on Start before it is free and left out.
    """
    account, subscription = account_of(factory), subscription_of(factory)
    currency = account.currency if account else plans.currency_for(factory.currency)
    bill = _bill(account, month_start(at))
    shown = _shown(bill, at)
    here = shown[-1]
    counted_to = _counted_to(account)
    start, end = shown[0].span.start, here.span.end
    as_of = min(max(counted_to or at, here.span.start), end)
    with factory_context(factory):
        counted = facts.month(start=start, end=as_of)
        recent = facts.usage(start=at - _RECENT, end=at)
        names = _machine_names()
    n_expected = max(len({f.source for f in recent if f.n_readings}), _n_machines(shown))
    expected: dict[Item, Forecast] = {
        item: forecast_days(_by_day(account, item, end=at), at=as_of, end=end)
        for item in EXTRA_ITEMS
    }
    off = subscription.percent_off if subscription else None
    projection = _Projection(
        here, currency, n_expected - _n_machines(shown[:-1]), expected, before=_before(bill, here),
        add_ons=_add_ons(account, currency), percent_off=off,
    )  # fmt: skip
    middle, low, high = projection.at_end()
    previous = _previous(account, at)
    next_plan = subscription.next_plan if subscription else ""
    is_trial = here.span.term.is_trial
    return UsageSummary(
        plan=here.plan,
        next_plan=plans.plan(next_plan) if next_plan else None,
        currency=currency,
        status=subscription.status if subscription else "",
        period_start=start,
        period_end=end,
        counted_to=counted_to,
        so_far_minor=projection.total_now(),
        forecast_minor=0 if is_trial else projection.total(middle),
        forecast_low_minor=0 if is_trial else projection.total(low),
        forecast_high_minor=0 if is_trial else projection.total(high),
        forecast_basis=_basis(expected[Item.READINGS], n_machines=n_expected),
        meters=_meters(here, middle, currency),
        daily=_daily(account, bill, shown, end=min(at, end), currency=currency, off=off),
        forecast_daily=() if is_trial else projection.days(),
        previous=previous,
        previous_total_minor=previous[-1].total_minor if previous else None,
        machines=_machine_costs(counted, names, shown, currency=currency),
        others=projection.others(),
        trial_end=subscription.trial_end if subscription and is_trial else None,
        after_trial_minor=projection.total(middle) if is_trial else None,
        ends_at=subscription.ends_at if subscription else None,
    )


def _bill(account: BillingAccount | None, month: datetime) -> MonthBill:
    if account is not None:
        return bills.month_bill(account, month)
    (span,) = terms.spans(None, month)
    plan = terms.plan_of(span)
    nothing = charges.charge(Usage(), plan=plan, currency=plans.DEFAULT_CURRENCY)
    return MonthBill(month, (SpanBill(span, plan, Usage(), nothing),), ())


def _shown(bill: MonthBill, at: datetime) -> tuple[SpanBill, ...]:
    """Return the parts of the month that are billed together now.

    One that begins within the hour counts as begun; a part under a smaller plan that a larger one
    took over from belongs to it, one on Start or in a trial does not.
    """
    begun = [s for s in bill.spans if s.span.start <= next_full_hour(at) or s is bill.spans[0]]
    shown: list[SpanBill] = []
    for part in begun:
        shown = [*shown, part] if part.span.carried is not None else [part]
    return tuple(shown)


def _n_machines(parts: Sequence[SpanBill]) -> int:
    return sum(part.usage.used(Item.MACHINES) for part in parts)


def _before(bill: MonthBill, here: SpanBill) -> int:
    """Return what the month costs beside its present part."""
    return bill.total - here.charge.total


def _add_ons(account: BillingAccount | None, currency: str) -> tuple[OtherLine, ...]:
    """Return the add-ons of the month to come, which stand on this month's invoice."""
    if account is None:
        return ()
    booked = BookedAddOn.objects.filter(account=account, ended_at=None)
    return tuple(
        OtherLine(found.name, found.prices[currency])
        for row in booked
        for found in plans.BOOKS[row.version].add_ons
        if found.key == row.key
    )


def _previous(account: BillingAccount | None, at: datetime) -> tuple[DayTotal, ...]:
    """Return the bill of the month before, day by day; nothing where it cost nothing."""
    if account is None:
        return ()
    end = month_start(at)
    bill = bills.month_bill(account, month_start(end - timedelta(days=1)))
    if not bill.total:
        return ()
    parts = _shown(bill, end - timedelta(hours=1))
    return _daily(account, bill, parts, end=end, currency=account.currency, off=None)


def _counted_to(account: BillingAccount | None) -> datetime | None:
    if account is None:
        return None
    row = LedgerCursor.objects.filter(account=account).first()
    return row.counted_to if row else None


def _machine_names() -> dict[str, tuple[UUID, str]]:
    machines = production_selectors.machines(include_retired=True)
    return {f"machine:{m.pk}": (m.pk, m.name) for m in machines}


def _by_day(account: BillingAccount | None, item: Item, *, end: datetime) -> dict[date, int]:
    """Return what was used of an item on past days, by the day on which it was measured."""
    if account is None:
        return {}
    start = end - timedelta(days=HISTORY_DAYS + 1)
    rows = LedgerEntry.objects.filter(
        account=account, meter=USED[item], hour__gte=start, hour__lt=end
    ).values_list("hour", "quantity")
    sums: dict[date, int] = defaultdict(int)
    for hour, quantity in rows:
        sums[hour.astimezone(UTC).date()] += quantity
    return dict(sums)


@dataclass(frozen=True, slots=True)
class _Projection:
    """Turns what is expected of each meter into an expected bill."""

    here: SpanBill
    currency: str
    n_expected: int  # machines, under the present plan
    expected: Mapping[Item, Forecast]
    before: int
    add_ons: tuple[OtherLine, ...]
    percent_off: int | None

    def _charge(self, more: Mapping[Item, float], *, n_machines: int) -> Charge:
        counted = dict(self.here.usage.counted)
        new = max(0, n_machines - self.here.usage.used(Item.MACHINES))
        counted[Meter.ACTIVE_MACHINES] = counted.get(Meter.ACTIVE_MACHINES, 0) + new
        counted[Meter.INCLUDED_READINGS] = counted.get(Meter.INCLUDED_READINGS, 0) + new * (
            self.here.plan.included_readings or 0
        )
        for item, n in more.items():
            if round(n) > 0 and not counted.get(USED[item]):
                off = plans.TAKEN_OFF[item][0]
                counted[off] = counted.get(off, 0) + self.here.plan.allowance(item)
            counted[USED[item]] = counted.get(USED[item], 0) + round(n)
        return charges.charge(Usage(counted), plan=self.here.plan, currency=self.currency)

    def _at(self, index: int) -> tuple[Charge, Charge, Charge]:
        """Return the bill at the end of a day: expected, low, high."""
        days: dict[Item, DayForecast] = {i: f.days[index] for i, f in self.expected.items()}
        now, later = self.here.usage.used(Item.MACHINES), self.n_expected
        middle = self._charge({i: d.expected for i, d in days.items()}, n_machines=later)
        low = {i: d.low for i, d in days.items()}
        high = {i: d.high for i, d in days.items()}
        ends = [self._charge(m, n_machines=n) for m in (low, high) for n in (now, later)]
        ends.append(middle)
        return middle, min(ends, key=lambda c: c.total), max(ends, key=lambda c: c.total)

    def at_end(self) -> tuple[Charge, Charge, Charge]:
        return self._at(-1)

    def total(self, charge: Charge) -> int:
        """Return what stands on the invoice for a charge: all of it, the discount taken off."""
        add_ons = sum(line.amount_minor for line in self.add_ons)
        whole = charge.total + self.before + add_ons
        return charges.discounted(whole, percent_off=self.percent_off)

    def total_now(self) -> int:
        whole = self.here.charge.total + self.before
        return charges.discounted(whole, percent_off=self.percent_off)

    def days(self) -> tuple[DayRange, ...]:
        found = []
        for index, day in enumerate(self.expected[Item.READINGS].days):
            middle, low, high = (self.total(c) for c in self._at(index))
            found.append(DayRange(day.on, middle, low, high))
        return tuple(found)

    def others(self) -> tuple[OtherLine, ...]:
        lines = list(self.add_ons)
        if self.before:
            lines.insert(0, OtherLine("Before the present plan, and the change to it", self.before))
        whole = self.here.charge.total + self.before
        off = whole - charges.discounted(whole, percent_off=self.percent_off)
        if off:
            lines.append(OtherLine(f"Discount of {self.percent_off} %, so far", -off))
        return tuple(lines)


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


def _meters(here: SpanBill, middle: Charge, currency: str) -> tuple[MeterUsage, ...]:
    usage, plan = here.usage, here.plan
    machines = MeterUsage(
        meter=Meter.ACTIVE_MACHINES,
        label="Active machines",
        used=usage.used(Item.MACHINES),
        held=0,
        included=usage.counted.get(Meter.PREPAID_MACHINES) or plan.max_machines,
        price_minor=plan.machine_prices[currency],
        price_per="each",
        so_far_minor=here.charge.items[Item.MACHINES],
        forecast_minor=middle.items[Item.MACHINES],
    )
    extras = [
        MeterUsage(
            meter=USED[extra.item],
            label=extra.label,
            used=usage.used(extra.item),
            held=usage.counted.get(Meter.HELD_READINGS, 0) if extra.item is Item.READINGS else 0,
            included=_included(here, extra.item),
            price_minor=extra.prices[currency] if plan.is_paid else 0,
            price_per=f"per {extra.per_label}",
            so_far_minor=here.charge.items[extra.item],
            forecast_minor=middle.items[extra.item],
        )
        for extra in plans.BOOKS[plan.version].extras
    ]
    return (machines, *extras)


def _included(here: SpanBill, item: Item) -> int | None:
    """Return what is included of an item in the part of the month that is shown."""
    if item is Item.READINGS:
        if here.plan.included_readings is None:
            return None
        return here.usage.counted.get(Meter.INCLUDED_READINGS, 0)
    if not here.plan.is_paid:
        limits = {
            Item.IMAGES: here.plan.images_per_month,
            Item.PLANNING_MINUTES: here.plan.planning_minutes_per_month,
        }
        return limits.get(item)
    return here.usage.taken_off(item) or here.plan.allowance(item)


def _daily(
    account: BillingAccount | None,
    bill: MonthBill,
    parts: Sequence[SpanBill],
    *,
    end: datetime,
    currency: str,
    off: int | None,
) -> tuple[DayTotal, ...]:
    """Return the bill at the end of each day from the first part's start to that of `end`."""
    sums = _sums_by_day(account, parts)
    days, day = [], parts[0].span.start.date()
    totals = [Usage() for _ in parts]
    while datetime(day.year, day.month, day.day, tzinfo=UTC) < end:
        whole = sum(
            a.amount_minor for a in bill.adjustments if a.period_start.astimezone(UTC).date() <= day
        )
        for index, part in enumerate(parts):
            totals[index] += sums.get((index, day), Usage())
            if not terms.is_free(part.span):
                cost = charges.charge(totals[index], plan=part.plan, currency=currency)
                whole += cost.total
        days.append(DayTotal(day, charges.discounted(whole, percent_off=off)))
        day += timedelta(days=1)
    return tuple(days)


def _sums_by_day(
    account: BillingAccount | None, parts: Sequence[SpanBill]
) -> dict[tuple[int, date], Usage]:
    """Return what the ledger holds for each part and UTC day."""
    if account is None:
        return {}
    found: dict[tuple[int, date], dict[Meter, int]] = defaultdict(lambda: defaultdict(int))
    for index, part in enumerate(parts):
        rows = (
            bills.entries(account, part.span.start, part.span.end)
            .exclude(delivery__state="late")
            .values_list("hour", "meter")
            .annotate(total=Sum("quantity"))
        )
        for hour, meter, total in rows:
            found[index, hour.astimezone(UTC).date()][Meter(meter)] += total
    return {key: Usage(dict(sums)) for key, sums in found.items()}


def _machine_costs(
    counted: MonthFacts,
    names: Mapping[str, tuple[UUID, str]],
    parts: Sequence[SpanBill],
    *,
    currency: str,
) -> tuple[MachineCost, ...]:
    readings = _by_source((f.source, f.n_readings) for f in counted.readings)
    images = _by_source((f.source, f.n) for f in counted.images if f.source)
    order = sorted({*readings, *images}, key=lambda s: (-readings.get(s, 0), s))
    used = {Item.MACHINES: readings, Item.READINGS: readings, Item.IMAGES: images}
    bill = Charge({i: sum(p.charge.items[i] for p in parts) for i in Item})
    costs = charges.cost_by_source(used, bill, order=order)
    rows = []
    for source in order:
        machine_id, name = names.get(source, (None, f"Device {source.partition(':')[2]}"))
        rows.append(
            MachineCost(
                machine_id, name, readings.get(source, 0), images.get(source, 0), costs[source]
            )
        )
    return tuple(rows)


def _by_source(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for source, n in rows:
        sums[source] += n
    return dict(sums)
