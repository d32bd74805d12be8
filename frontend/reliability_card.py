"""How reliable a machine was, as figures with what they are made of."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache

from analytics import selectors as analytics_selectors
from frontend.formats import DASH, figure
from frontend.tiles import Figure
from production import selectors
from production.models import Machine
from production.reliability import Reliability
from tenants import names

LOOK_BACK = timedelta(days=30)
OPERATING = frozenset({"run", "slow", "setup"})
LEAST_H = 1.0
# States of a month are derived from all its readings: so often, and not for every visitor.
KEPT_S = 900


@dataclass(frozen=True)
class ReliabilityCard:
    figures: tuple[Figure, ...]
    note: str


def build(machine: Machine, *, now: datetime) -> ReliabilityCard:
    """Count the failures of the last 30 days over the hours that the machine worked."""
    start = now - LOOK_BACK
    if machine.commissioned_at and machine.commissioned_at > start:
        start = machine.commissioned_at
    key = names.cache_key("operating-h", str(machine.pk))
    operating_h = cache.get(key)
    if operating_h is None:
        operating_h = _operating_h(machine, start=start, end=now)
        cache.set(key, operating_h, KEPT_S)
    found = selectors.reliability(
        machine_ids=[machine.pk], start=start, end=now, operating_h=operating_h
    )
    return card(found, days=max(1, round((now - start) / timedelta(days=1))))


def _operating_h(machine: Machine, *, start: datetime, end: datetime) -> float:
    timeline = analytics_selectors.machine_timeline(
        machine_id=machine.pk, start=start, end=end, at=end
    )
    seconds = (
        (part.end - part.start).total_seconds()
        for part in timeline.segments
        if str(part.state) in OPERATING
    )
    return sum(seconds) / 3600


def card(found: Reliability, *, days: int) -> ReliabilityCard:
    """Write figures; where nothing failed there is no mean, only what it exceeds."""
    over = f"over {figure(round(found.operating_h))} h of work"
    if found.operating_h < LEAST_H:
        return ReliabilityCard((), f"No hours of work in the last {days} days.")
    low = found.mtbf_low_h
    above = f", above {_hours(low)} h in 19 of 20 cases" if low is not None else ""
    if found.mtbf_h is None:
        between = Figure("Between failures", "No failure", "", f"{over}{above}")
    else:
        n = f"{found.n_failures} failure{'s' if found.n_failures != 1 else ''}"
        between = Figure("Between failures", _hours(found.mtbf_h), "h", f"{n} {over}{above}")
    is_open = f"{found.n_open} not restored yet" if found.n_open else "From failure to restored"
    repair = Figure(
        "To restore", _hours(found.mttr_h), "h" if found.mttr_h is not None else "", is_open,
        is_none=found.mttr_h is None,
    )  # fmt: skip
    share = DASH if found.availability is None else f"{found.availability:.1%}"
    ready = Figure(
        "Availability by failures", share.removesuffix("%"), "%" if share != DASH else "",
        "Breaks and waiting do not count", is_none=share == DASH,
    )  # fmt: skip
    return ReliabilityCard((between, repair, ready), f"The last {days} days.")


def _hours(hours: float | None) -> str:
    if hours is None:
        return DASH
    return figure(round(hours, 1) if hours < 100 else round(hours))
