"""Plain words for what is seen: short, present tense, since when, what it costs."""

from datetime import datetime
from zoneinfo import ZoneInfo

_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}


def clock(at: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    """Say when: the time today, the weekday before it within a week, else the date."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    days = (today - local.date()).days
    if days == 0:
        return f"{local:%H:%M}"
    if 0 < days < 7:
        return f"{local:%a %H:%M}"
    return f"{local:%a} {local.day} {local:%b}"


def length(seconds: float) -> str:
    """Say how long: "40 s", "14 min", "3 h 12 min", "4 days"."""
    if seconds < 60:
        return f"{max(int(seconds), 0)} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{hours // 24} days"


def money(minor: int, *, currency: str) -> str:
    """Say an amount without cents: losses are about, not exact."""
    whole = f"{round(minor / 100):,}"
    sign = _SIGNS.get(currency)
    return f"{sign}{whole}" if sign else f"{currency} {whole}"


def number(value: float) -> str:
    """Write a figure with as many digits as anyone reads."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}".removesuffix(".0") if abs(value) >= 10 else f"{value:.2g}"


def percent(share: float) -> str:
    return f"{round(share * 100)} %"


def remaining(*, low: float, high: float, unit: str) -> str:
    """Say an interval of remaining life in whole units; equal ends become "about"."""
    first, last = max(round(low), 0), max(round(high), 0)
    name = {"h": "operating hours", "hours": "operating hours"}.get(unit, unit)
    if last <= 1:
        return f"less than {2} {name}"
    return f"about {last} {name}" if first == last else f"{first} to {last} {name}"
