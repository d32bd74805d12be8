"""How Takt writes numbers, money, times and lengths of time: plain, no false digits."""

from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from django.utils import timezone

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF ", "JPY": "¥"}
# Currencies whose smallest unit is the whole one (ISO 4217).
WHOLE = frozenset({"JPY", "KRW", "CLP", "VND", "ISK"})


def figure(value: float | int | bool | str | None) -> str:
    """Write a measured value with about four digits; more nobody reads, and few sensors know."""
    if value is None or value == "":
        return DASH
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "Yes" if value else "No"
    size = abs(value)
    if float(value).is_integer() or size >= 1000:
        digits = 0
    elif size >= 100:
        digits = 1
    else:
        digits = 2 if size >= 1 else 3
    text = f"{value:,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", MINUS, 1)


def exact(value: float | None) -> str:
    """Write a limit with all of its digits and a point, also for scripts: 11.98."""
    return "" if value is None else f"{value:.10g}"


def amount(count: int | float | None) -> str:
    """Write a large count short: 231.4 M, 12,860."""
    if count is None:
        return DASH
    if abs(count) >= 10_000_000:
        return f"{count / 1_000_000:,.1f}".removesuffix(".0") + " M"
    return f"{count:,.0f}"


def money(minor: int | None, currency: str = "EUR", *, whole: bool = False) -> str:
    """Write an amount of minor units in its currency; `whole` leaves the cents out."""
    if minor is None:
        return DASH
    code = currency.upper()
    value = Decimal(abs(minor)) / minor_units(code)
    digits = 0 if whole or code in WHOLE else 2
    sign = MINUS if minor < 0 else ""
    return f"{sign}{SYMBOLS.get(code, code + ' ')}{value:,.{digits}f}"


def minor_units(currency: str) -> int:
    """Return how many minor units make one of a currency."""
    return 1 if currency.upper() in WHOLE else 100


def length(seconds: float | None) -> str:
    """Write a length of time in at most two units: 40 s, 14 min, 3 h 12 min, 9 days."""
    if seconds is None:
        return DASH
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 10 and rest:
        return f"{hours} h {rest} min"
    if hours < 48:
        return f"{hours} h"
    return f"{round(hours / 24)} days"


def size(n_bytes: int | None) -> str:
    """Write the size of a file in the unit that keeps it short: 840 B, 12.4 kB, 1.9 MB."""
    if n_bytes is None:
        return DASH
    value, units = float(n_bytes), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def local(at: datetime, zone: tzinfo | None = None) -> datetime:
    return at.astimezone(zone or timezone.get_current_timezone())


def clock(at: datetime | None) -> str:
    return DASH if at is None else f"{local(at):%H:%M}"


def day(at: datetime | None) -> str:
    """Write a date as people on the floor say it: Tue 17 Nov."""
    if at is None:
        return DASH
    there = local(at)
    return f"{there:%a} {there.day} {there:%b}"


def long_day(at: datetime) -> str:
    there = local(at)
    return f"{there:%A} {there.day} {there:%B}"


def moment(at: datetime | None, now: datetime | None = None) -> str:
    """Write a time as briefly as it stays clear: 10:28 today, otherwise Tue 17 Nov, 10:28."""
    if at is None:
        return DASH
    today = local(now or datetime.now(UTC)).date()
    if local(at).date() == today:
        return clock(at)
    year = f" {local(at).year}" if local(at).year != today.year else ""
    return f"{day(at)}{year}, {clock(at)}"
