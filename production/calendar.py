"""Shifts in UTC from local patterns: daylight saving, nights and exceptions included.

A local boundary is one instant (`fold=0`; inside a spring gap the instant after it), shared by
neighbours, so that shifts leave no hole and never overlap where patterns touch.
"""

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Pattern:
    """A shift pattern: local times; `weekdays` are ISO (1 = Monday), of the day it starts."""

    name: str
    weekdays: frozenset[int]
    starts_at: time
    ends_at: time
    break_starts_at: time | None
    break_minutes: int
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift: [start, end) in UTC. Its day is the local date on which it starts."""

    name: str
    day: date
    start: datetime
    end: datetime
    break_start: datetime | None
    break_end: datetime | None


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the instant of a local wall-clock time; inside a spring gap, the instant after it."""
    local = datetime.combine(day, at, tzinfo=zone)
    utc = local.astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return utc
    # The wall clock jumps over this time: walk to the first minute that exists.
    probe = local.replace(tzinfo=None)
    for _ in range(24 * 60):
        probe += timedelta(minutes=1)
        utc = probe.replace(tzinfo=zone).astimezone(UTC)
        if utc.astimezone(zone).replace(tzinfo=None) == probe:
            return utc
    raise ValueError(f"no instant for {local}")


def _shift(pattern: Pattern, day: date, zone: ZoneInfo) -> Shift:
    overnight = pattern.ends_at <= pattern.starts_at
    start = instant(day, pattern.starts_at, zone)
    end = instant(day + timedelta(days=int(overnight)), pattern.ends_at, zone)
    break_start = break_end = None
    if pattern.break_starts_at is not None and pattern.break_minutes:
        after_midnight = overnight and pattern.break_starts_at < pattern.starts_at
        break_start = instant(
            day + timedelta(days=int(after_midnight)), pattern.break_starts_at, zone
        )
        break_end = min(break_start + timedelta(minutes=pattern.break_minutes), end)
    return Shift(pattern.name, day, start, end, break_start, break_end)


def shifts_between(
    patterns: Iterable[Pattern],
    zone: ZoneInfo,
    start: datetime,
    end: datetime,
    days_off: Collection[date] = (),
) -> list[Shift]:
    """Return the shifts that touch [start, end), in order.

    Where two overlap, the later-starting one owns the overlap: the earlier one ends there.
    """
    first = start.astimezone(zone).date() - timedelta(days=1)
    last = end.astimezone(zone).date()
    found: list[Shift] = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        if day in days_off:
            continue
        for pattern in patterns:
            if day.isoweekday() not in pattern.weekdays or day < pattern.valid_from:
                continue
            if pattern.valid_to is not None and day >= pattern.valid_to:
                continue
            found.append(_shift(pattern, day, zone))
    found.sort(key=lambda shift: (shift.start, shift.end))
    trimmed = [
        Shift(s.name, s.day, s.start, min(s.end, following.start), s.break_start, s.break_end)
        for s, following in itertools.pairwise(found)
    ] + found[-1:]
    return [s for s in trimmed if s.start < end and s.end > start and s.start < s.end]
