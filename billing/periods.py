"""Hours, months and the spans within which a machine is counted once. Pure; everything UTC."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Term:
    """A plan in force from an hour on, until the next term.

    `carried` is what was left of the month's allowances where a larger plan took over in its
    midst; None where the counting begins anew.
    """

    start: datetime
    plan: str
    version: int
    is_trial: bool = False
    carried: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch [start, end) of one month under one term."""

    start: datetime
    end: datetime
    term: Term

    @property
    def carried(self) -> Mapping[str, int] | None:
        """What came along from the stretch before, in the month in which the term began."""
        return self.term.carried if self.term.start == self.start else None


def hour_of(at: datetime) -> datetime:
    """Return the UTC hour that a moment lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def next_full_hour(at: datetime) -> datetime:
    """Return the first full hour that is not before a moment."""
    hour = hour_of(at)
    return hour if hour == at else hour + HOUR


def month_start(at: datetime) -> datetime:
    return hour_of(at).replace(day=1, hour=0)


def next_month(at: datetime) -> datetime:
    """Return the start of the month after the one that a moment lies in."""
    return month_start(month_start(at) + timedelta(days=32))


def months_later(at: datetime, n: int) -> datetime:
    """Return the same day and time n months on, or the last day of a month that is too short."""
    month = month_start(at)
    for _ in range(n):
        month = next_month(month)
    last = next_month(month) - timedelta(days=1)
    return at.astimezone(UTC).replace(
        year=month.year, month=month.month, day=min(at.astimezone(UTC).day, last.day)
    )


def open_since(at: datetime, *, closing_time: timedelta) -> datetime:
    """Return the start of the oldest month that takes usage: the last one, while it closes."""
    start = month_start(at)
    return start if at - start >= closing_time else month_start(start - HOUR)


def months_between(start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the start of each month that [start, end) touches."""
    month = month_start(start)
    while month < end:
        yield month
        month = next_month(month)


def spans_of_month(month: datetime, terms: Iterable[Term], *, default: Term) -> list[Span]:
    """Cut a month where the plan changes; `default` is in force before the first term."""
    end, current = next_month(month), default
    spans: list[Span] = []
    start = month
    for term in sorted(terms, key=lambda t: t.start):
        if term.start <= month:
            current = term
        elif term.start < end:
            if term.start > start:
                spans.append(Span(start, term.start, current))
            start, current = term.start, term
    spans.append(Span(start, end, current))
    return spans


def trial_end(at: datetime, *, days: int) -> datetime:
    """Return when a trial that begins at a moment ends: the days, and what is left of the month."""
    over = at + timedelta(days=days)
    month = month_start(over)
    return month if month == over else next_month(over)
