"""The page of usage and bill: what billing counted, in words, bars and one line with its cone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from billing import plans
from billing.plans import Meter
from billing.selectors import MachineCost, MeterUsage, UsageSummary
from frontend.cost_chart import CostChart, cost_chart
from frontend.formats import amount, moment, money
from frontend.heat_map import HeatMap, heat_map
from telemetry.selectors import HourOfUse

MOST_MACHINES = 12
MOST_COMING = 3
_MB_IN_A_GB = 1_000


@dataclass(frozen=True)
class MeterLine:
    label: str
    used: str
    held: str
    included: str
    share: float | None
    share_words: str
    price: str
    so_far: str
    forecast: str


@dataclass(frozen=True)
class OtherLine:
    label: str
    amount: str


@dataclass(frozen=True)
class MachineLine:
    name: str
    words: str
    cost: str


@dataclass(frozen=True)
class Limit:
    label: str
    value: str


@dataclass(frozen=True)
class Coming:
    """What was stored since the last full hour that is counted, as it comes."""

    n: str
    since: str
    by_machine: str

    @property
    def is_some(self) -> bool:
        return self.n != "0"


@dataclass(frozen=True)
class UsagePage:
    """A month of usage and its bill."""

    words: str
    so_far: str
    forecast: str
    forecast_range: str
    forecast_basis: str
    ends_on: str
    left: str  # under the budget; empty without one
    is_over: bool
    chart: CostChart | None
    no_chart_words: str
    plan_name: str
    plan_words: tuple[str, ...]
    limits: tuple[Limit, ...]
    counted: str
    coming: Coming
    lines: tuple[MeterLine, ...]
    others: tuple[OtherLine, ...]
    machines: tuple[MachineLine, ...]
    heat: HeatMap


def usage_page(
    summary: UsageSummary,
    *,
    hours: Sequence[HourOfUse],
    coming: Coming,
    now: datetime,
    budget_minor: int | None = None,
) -> UsagePage:
    currency = summary.currency
    first, last = _first_day(summary), _last_day(summary)
    low, high = summary.forecast_low_minor, summary.forecast_high_minor
    left = None if budget_minor is None else budget_minor - summary.so_far_minor
    return UsagePage(
        words=f"{summary.plan.name} plan, {_days(first, last)}. All amounts without VAT.",
        so_far=money(summary.so_far_minor, currency),
        forecast=money(summary.forecast_minor, currency),
        forecast_range=f"4 chances in 5: {money(low, currency)} to {money(high, currency)}"
        if low != high
        else "",
        forecast_basis=summary.forecast_basis,
        ends_on=_date(last),
        left="" if left is None else money(left, currency),
        is_over=left is not None and left < 0,
        chart=cost_chart(summary, now=now, budget_minor=budget_minor),
        no_chart_words=_no_chart(summary),
        plan_name=summary.plan.name,
        plan_words=_plan_words(summary),
        limits=plan_limits(summary.plan),
        counted=f"Counted every hour, last to {moment(summary.counted_to, now)}"
        if summary.counted_to
        else "",
        coming=coming,
        lines=tuple(_line(meter, currency) for meter in summary.meters),
        others=tuple(OtherLine(o.label, money(o.amount_minor, currency)) for o in summary.others),
        machines=_machines(summary.machines, currency),
        heat=heat_map(hours, now=now),
    )


def coming_in(
    hours: Iterable[HourOfUse], *, names: dict[UUID, str], since: datetime, now: datetime
) -> Coming:
    """Sum up what came since an hour, the busiest machines named.

    Args:
        names: of machines by id; what belongs to none is named by its device.
    """
    sums: dict[str, int] = {}
    for row in hours:
        name = names.get(row.machine_id) if row.machine_id else None
        source = name or f"Device {row.device_id}"
        sums[source] = sums.get(source, 0) + row.n_readings
    ranked = sorted(((n, name) for name, n in sums.items() if n), key=lambda s: (-s[0], s[1]))
    words = [f"{name} +{amount(n)}" for n, name in ranked[:MOST_COMING]]
    rest = ranked[MOST_COMING:]
    if rest:
        words.append(f"{len(rest)} more +{amount(sum(n for n, _ in rest))}")
    return Coming(f"{sum(n for n, _ in ranked):,}", moment(since, now), ", ".join(words))


def _no_chart(summary: UsageSummary) -> str:
    if not summary.plan.is_paid:
        return f"The plan {summary.plan.name} costs nothing, so there is no line to draw."
    if summary.trial_end is not None:
        return "The trial costs nothing, so there is no line to draw."
    return "The line of the month begins with its first counted hour."


def _first_day(summary: UsageSummary) -> date:
    return summary.period_start.astimezone(UTC).date()


def _last_day(summary: UsageSummary) -> date:
    return (summary.period_end.astimezone(UTC) - timedelta(seconds=1)).date()


def _date(on: date) -> str:
    return f"{on.day} {on:%B}"


def _days(first: date, last: date) -> str:
    start = str(first.day) if (first.year, first.month) == (last.year, last.month) else _date(first)
    return f"{start} to {_date(last)}"


def date_words(at: datetime) -> str:
    """Write the day on which something of the bill happens; months of the bill are UTC."""
    there = at.astimezone(UTC)
    return f"{_date(there.date())} {there.year}"


def _plan_words(summary: UsageSummary) -> tuple[str, ...]:
    words = [summary.plan.summary]
    if summary.trial_end is not None:
        words.append(f"Free trial until {date_words(summary.trial_end)}.")
    if summary.after_trial_minor is not None:
        cost = money(summary.after_trial_minor, summary.currency)
        words.append(f"Without the trial this month would come to about {cost}.")
    if summary.next_plan is not None:
        words.append(f"From next month: {summary.next_plan.name}.")
    elif summary.ends_at is not None:
        words.append(f"It ends on {date_words(summary.ends_at)}.")
    return tuple(words)


def plan_limits(plan: plans.Plan) -> tuple[Limit, ...]:
    """Say what a plan has room for."""
    history = f"{plan.history_days} days" if plan.history_days else "Without an end"
    return (
        Limit("Machines", str(plan.max_machines) if plan.max_machines else "No limit"),
        Limit("People", str(plan.max_people) if plan.max_people else "No limit"),
        Limit("History", history),
    )


def quantity(meter: str, n: int) -> str:
    """Write how much of a meter was used; the archive, counted in MB, in what reads best."""
    if meter == Meter.ARCHIVE_MB:
        return f"{n / _MB_IN_A_GB:,.1f} GB".replace(".0 ", " ") if n >= _MB_IN_A_GB else f"{n} MB"
    return amount(n)


def _line(meter: MeterUsage, currency: str) -> MeterLine:
    share = meter.used / meter.included if meter.included else None
    return MeterLine(
        label=meter.label,
        used=quantity(meter.meter, meter.used),
        held=f"{quantity(meter.meter, meter.held)} held back" if meter.held else "",
        included="No limit" if meter.included is None else quantity(meter.meter, meter.included),
        share=share,
        share_words=f"{round(share * 100)} % of the included" if share is not None else "",
        price=f"{money(meter.price_minor, currency)} {meter.price_per}"
        if meter.price_minor
        else "Free",
        so_far=money(meter.so_far_minor, currency),
        forecast=money(meter.forecast_minor, currency),
    )


def _machines(costs: Iterable[MachineCost], currency: str) -> tuple[MachineLine, ...]:
    ranked = sorted(costs, key=lambda cost: (-cost.cost_minor, cost.name))
    lines = [
        MachineLine(cost.name, _machine_words(cost), money(cost.cost_minor, currency))
        for cost in ranked[:MOST_MACHINES]
    ]
    rest = ranked[MOST_MACHINES:]
    if rest:
        total = sum(cost.cost_minor for cost in rest)
        lines.append(MachineLine(f"{len(rest)} more machines", "", money(total, currency)))
    return tuple(lines)


def _machine_words(cost: MachineCost) -> str:
    words = f"{amount(cost.n_readings)} reading{'' if cost.n_readings == 1 else 's'}"
    if cost.n_images:
        words += f", {amount(cost.n_images)} image{'' if cost.n_images == 1 else 's'}"
    return words
