"""Billing periods and where they end.

Contract: docs.stripe.com/billing/subscriptions/billing-cycle.
"""

import calendar
from datetime import UTC, datetime, timedelta


def _add_months(at: datetime, months: int, *, day: int) -> datetime:
    month = at.month - 1 + months
    year, month = at.year + month // 12, month % 12 + 1
    return at.replace(year=year, month=month, day=min(day, calendar.monthrange(year, month)[1]))


def anchored(anchor: int, *, interval: str, count: int, steps: int) -> int:
    """Return the anchor moved by whole intervals; the anchor's day is kept where a month has it."""
    at = datetime.fromtimestamp(anchor, UTC)
    if interval in ("day", "week"):
        days = {"day": 1, "week": 7}[interval] * count * steps
        return int((at + timedelta(days=days)).timestamp())
    months = {"month": 1, "year": 12}[interval] * count * steps
    return int(_add_months(at, months, day=at.day).timestamp())


def next_boundary(anchor: int, after: int, *, interval: str, count: int) -> int:
    """Return the first period boundary later than `after`."""
    steps = 0
    if anchor > after:
        while anchored(anchor, interval=interval, count=count, steps=steps - 1) > after:
            steps -= 1
        return anchored(anchor, interval=interval, count=count, steps=steps)
    while anchored(anchor, interval=interval, count=count, steps=steps) <= after:
        steps += 1
    return anchored(anchor, interval=interval, count=count, steps=steps)


def previous_boundary(anchor: int, before: int, *, interval: str, count: int) -> int:
    """Return the last period boundary earlier than `before`."""
    steps = 0
    while anchored(anchor, interval=interval, count=count, steps=steps) < before:
        steps += 1
    while anchored(anchor, interval=interval, count=count, steps=steps) >= before:
        steps -= 1
    return anchored(anchor, interval=interval, count=count, steps=steps)


def first_anchor(
    now: int, *, day: int, hour: int | None, minute: int | None, second: int | None
) -> int:
    """Return the next moment with this day of the month, later than now."""
    at = datetime.fromtimestamp(now, UTC)
    clock = at.replace(
        hour=at.hour if hour is None else hour,
        minute=at.minute if minute is None else minute,
        second=at.second if second is None else second,
    )
    candidate = _add_months(clock, 0, day=day)
    if candidate.timestamp() <= now:
        candidate = _add_months(clock, 1, day=day)
    return int(candidate.timestamp())
