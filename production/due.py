"""When a maintenance plan is due. Pure: dates, readings and limits in, a decision out."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Due:
    """Work is due: the day it is for, its window [from, by), and why in words."""

    on: date
    due_from: datetime
    due_by: datetime
    reason: str


def next_day(*, every_days: int, first_on: date, last_on: date | None) -> date:
    """Return the day a calendar plan is due next; days are counted from when it was last done."""
    return first_on if last_on is None else last_on + timedelta(days=every_days)


def by_calendar(
    *, every_days: int, first_on: date, last_on: date | None, lead_days: int, at: datetime,
    zone: ZoneInfo,
) -> Due | None:  # fmt: skip
    """Decide whether the order of a calendar plan is to be made: from its lead time on."""
    on = next_day(every_days=every_days, first_on=first_on, last_on=last_on)
    due_from = _midnight(on - timedelta(days=lead_days), zone)
    if at < due_from:
        return None
    words = f"Every {every_days} days."
    words += f" Last done on {last_on:%d %b %Y}." if last_on else " Not done before."
    return Due(on, due_from, _midnight(on + timedelta(days=1), zone), words)


def by_meter(
    *, every: float, anchor: float, value: float, unit: str, lead_days: int, at: datetime,
    zone: ZoneInfo,
) -> Due | None:  # fmt: skip
    """Decide by a meter; one that stands below its anchor was replaced, and counts from zero."""
    since = value - anchor if value >= anchor else value
    if since < every:
        return None
    words = f"{since:,.4g} {unit} since it was last done; the plan says every {every:,.4g} {unit}."
    return _now(at, lead_days, zone, words)


def by_condition(
    *, beyond: str, limit: float, value: float, key: str, unit: str, lead_days: int, at: datetime,
    zone: ZoneInfo,
) -> Due | None:  # fmt: skip
    """Decide by a value: due while it lies beyond the limit."""
    is_beyond = value > limit if beyond == "above" else value < limit
    if not is_beyond:
        return None
    words = f"{key} is {value:.4g} {unit}".rstrip() + f", {beyond} its limit of {limit:.4g}."
    return _now(at, lead_days, zone, words)


def _now(at: datetime, lead_days: int, zone: ZoneInfo, words: str) -> Due:
    on = at.astimezone(zone).date() + timedelta(days=lead_days)
    return Due(on, at, _midnight(on + timedelta(days=1), zone), words)


def _midnight(on: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(on, time(), zone)
