"""The page of usage and bill: what billing counted, in words, bars and one line with its cone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from billing import plans
from billing.models import Invoice
from billing.selectors import MachineCost, MeterUsage, UsageSummary
from frontend.cost_chart import CostChart, cost_chart
from frontend.formats import amount, local, moment, money
from telemetry.selectors import HourOfUse

HEAT_DAYS = 14
MOST_MACHINES = 12


@dataclass(frozen=True)
class MeterLine:
    label: str
    used: str
    included: str
    share: float | None
    share_words: str
    price: str
    so_far: str
    forecast: str


@dataclass(frozen=True)
class MachineLine:
    name: str
    words: str
    cost: str


@dataclass(frozen=True)
class PlanChoice:
    code: str
    words: str
    is_current: bool


@dataclass(frozen=True)
class Limit:
    label: str
    value: str


@dataclass(frozen=True)
class UsagePage:
    """A month of usage and its bill."""

    words: str
    so_far: str
    forecast: str
    forecast_range: str
    ends_on: str
    chart: CostChart | None
    no_chart_words: str
    plan_name: str
    plan_words: str
    plan_choices: tuple[PlanChoice, ...]
    limits: tuple[Limit, ...]
    counted: str
    lines: tuple[MeterLine, ...]
    machines: tuple[MachineLine, ...]
    heat: dict[str, object]
    heat_words: str


@dataclass(frozen=True)
class InvoiceRow:
    number: str
    period: str
    state: str
    amount: str
    url: str


def usage_page(
    summary: UsageSummary, *, hours: Sequence[HourOfUse], now: datetime, may_manage: bool
) -> UsagePage:
    currency = summary.currency
    first, last = _first_day(summary), _last_day(summary)
    low, high = summary.forecast_low_minor, summary.forecast_high_minor
    spread = (
        f"4 chances in 5: {money(low, currency)} to {money(high, currency)}"
        if low != high
        else summary.forecast_basis
    )
    return UsagePage(
        words=f"{summary.plan.name} plan, {first.day} to {_date(last)}. All amounts without VAT.",
        so_far=money(summary.so_far_minor, currency),
        forecast=money(summary.forecast_minor, currency),
        forecast_range=spread,
        ends_on=_date(last),
        chart=cost_chart(summary, now=now),
        no_chart_words=(
            "The line of the month begins with its first counted hour."
            if summary.plan.is_paid
            else f"The plan {summary.plan.name} costs nothing, so there is no line to draw."
        ),
        plan_name=summary.plan.name,
        plan_words=_plan_words(summary),
        plan_choices=_choices(summary) if may_manage else (),
        limits=_limits(summary.plan),
        counted=f"Counted every hour, last to {moment(summary.counted_to, now)}"
        if summary.counted_to
        else "",
        lines=tuple(_line(meter, currency) for meter in summary.meters),
        machines=_machines(summary.machines, currency),
        heat=_heat(hours, now=now),
        heat_words=_heat_words(hours),
    )


def _first_day(summary: UsageSummary) -> date:
    return summary.period_start.astimezone(UTC).date()


def _last_day(summary: UsageSummary) -> date:
    return (summary.period_end.astimezone(UTC) - timedelta(seconds=1)).date()


def _date(on: date) -> str:
    return f"{on.day} {on:%B}"


def _plan_words(summary: UsageSummary) -> str:
    words = summary.plan.summary
    if summary.next_plan is not None:
        words += f" From next month: {summary.next_plan.name}."
    if summary.status and summary.status not in ("active", "trialing"):
        words += f" Its state at the payment provider: {summary.status.replace('_', ' ')}."
    return words


def _choices(summary: UsageSummary) -> tuple[PlanChoice, ...]:
    current = (summary.next_plan or summary.plan).key
    found = []
    for plan in plans.ALL:
        price = f", {money(plan.machine_price, whole=True)} a machine" if plan.is_paid else ", free"
        found.append(PlanChoice(plan.key, f"{plan.name}{price}", plan.key == current))
    return tuple(found)


def _limits(plan: plans.Plan) -> tuple[Limit, ...]:
    history = f"{plan.history_days} days" if plan.history_days else "Without an end"
    return (
        Limit("Machines", str(plan.max_machines) if plan.max_machines else "No limit"),
        Limit("People", str(plan.max_people) if plan.max_people else "No limit"),
        Limit("History", history),
    )


def _line(meter: MeterUsage, currency: str) -> MeterLine:
    included = "No limit" if meter.included is None else amount(meter.included)
    share = meter.used / meter.included if meter.included else None
    return MeterLine(
        label=meter.label,
        used=amount(meter.used),
        included=included,
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
        MachineLine(cost.name, _readings(cost.n_readings), money(cost.cost_minor, currency))
        for cost in ranked[:MOST_MACHINES]
    ]
    rest = ranked[MOST_MACHINES:]
    if rest:
        total = sum(cost.cost_minor for cost in rest)
        lines.append(MachineLine(f"{len(rest)} more machines", "", money(total, currency)))
    return tuple(lines)


def _readings(n: int) -> str:
    return f"{amount(n)} reading{'' if n == 1 else 's'}"


def _heat(hours: Sequence[HourOfUse], *, now: datetime) -> dict[str, object]:
    """Sum readings by local day and hour; hours without readings are absent, not nought."""
    sums: dict[tuple[date, int], int] = {}
    for row in hours:
        there = local(row.hour)
        sums[there.date(), there.hour] = sums.get((there.date(), there.hour), 0) + row.n_readings
    today = local(now).date()
    days = [today - timedelta(days=back) for back in range(HEAT_DAYS - 1, -1, -1)]
    index = {on: at for at, on in enumerate(days)}
    cells = [[hour, index[on], n] for (on, hour), n in sorted(sums.items()) if on in index and n]
    return {"days": [f"{on:%a} {on.day} {on:%b}" for on in days], "cells": cells}


def _heat_words(hours: Sequence[HourOfUse]) -> str:
    n_hours = len({row.hour for row in hours if row.n_readings})
    total = sum(row.n_readings for row in hours)
    return (
        f"{amount(total)} readings in {n_hours} hours of the last {HEAT_DAYS} days."
        " An empty square had none."
    )


def invoice_rows(found: Iterable[Invoice]) -> list[InvoiceRow]:
    words = {
        "draft": "Draft, still changing",
        "open": "To be paid",
        "paid": "Paid",
        "void": "Void",
        "uncollectible": "Not collected",
    }
    return [
        InvoiceRow(
            number=invoice.number,
            period=_period(invoice),
            state=words.get(invoice.status, invoice.status.capitalize()),
            amount=money(invoice.total_minor, invoice.currency),
            url=invoice.hosted_url,
        )
        for invoice in found
    ]


def _period(invoice: Invoice) -> str:
    start = invoice.period_start.astimezone(UTC)
    last = invoice.period_end.astimezone(UTC) - timedelta(seconds=1)
    if last <= start:
        return _date(start.date())
    return f"{_date(start.date())} to {_date(last.date())}"
