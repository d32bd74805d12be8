"""When a person is not to be disturbed: the arithmetic, without Django.

A local time that a change of the clock skips or repeats is read as RFC 5545 does (3.3.5): a
skipped one by the offset before the gap, a repeated one as the first of the two. So a quiet span
is as long as its wall clock says it is, and never ends twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MIDNIGHT = time(0)
# A span that starts later than this cannot touch one that holds now: at most six days are quiet.
HORIZON_DAYS = 9
DAILY_MAIL_AT = time(7)


@dataclass(frozen=True, slots=True)
class Quiet:
    """A span of each day (`ends` not after `starts`: over midnight) and days quiet as a whole."""

    starts: time | None = None
    ends: time | None = None
    days: frozenset[int] = frozenset()  # 0 is Monday


def quiet_until(at: datetime, quiet: Quiet, zone: ZoneInfo) -> datetime:
    """Return the first moment from `at` on that is not quiet: `at` itself where it is not."""
    spans = sorted(_spans(at.astimezone(zone).date(), quiet, zone))
    end = at
    for start, stop in spans:  # sorted by start: spans that touch are walked through in turn
        if start <= end < stop:
            end = stop
    return end


def next_daily_mail(at: datetime, quiet: Quiet, zone: ZoneInfo) -> datetime:
    """Return when the mail goes out that gathers what can wait: in the morning, not in quiet."""
    today = at.astimezone(zone).date()
    mornings = (_instant(today + timedelta(days=n), DAILY_MAIL_AT, zone) for n in (0, 1))
    return quiet_until(next(moment for moment in mornings if moment > at), quiet, zone)


def _spans(today: date, quiet: Quiet, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    for n in range(-1, HORIZON_DAYS):
        day = today + timedelta(days=n)
        tomorrow = day + timedelta(days=1)
        if day.weekday() in quiet.days:
            yield _instant(day, MIDNIGHT, zone), _instant(tomorrow, MIDNIGHT, zone)
        if quiet.starts is not None and quiet.ends is not None:
            last = day if quiet.ends > quiet.starts else tomorrow
            yield _instant(day, quiet.starts, zone), _instant(last, quiet.ends, zone)


def _instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)
