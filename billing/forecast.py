"""What the use of a month will come to, with a range that holds in four months of five.

What the days that are left use is expected to be like that of the past weeks, weekday by
weekday where two of each are known. The range comes from how much single days differed from that
expectation, for the days left and for the uncertainty of the expectation itself. Pure.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from statistics import fmean

# Two-sided 80 % of a normal distribution lies within this many standard deviations.
Z_80 = 1.2816
HISTORY_DAYS = 56
_LEAST_DAYS = 3


@dataclass(frozen=True, slots=True)
class DayForecast:
    """What is used from now to the end of a day: expected, and the 80 % range."""

    on: date
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Readings to come, cumulated day by day; `n_days` complete days were known."""

    days: tuple[DayForecast, ...]
    n_days: int
    by_weekday: bool

    @property
    def end(self) -> DayForecast:
        return self.days[-1]


def forecast_days(by_day: Mapping[date, int], *, at: datetime, end: datetime) -> Forecast:
    """Forecast a quantity from `at` to `end` from that of the complete days before.

    Args:
        by_day: the quantity of each UTC day; a day that is missing between two others had none.
        at: how far is counted; the rest of its day is still to come.
        end: the end of the month, a midnight after `at`.
    """
    at = at.astimezone(UTC)
    complete = _complete_days(by_day, today=at.date())
    weekly = len(complete) >= 14
    means = _means(complete, weekly=weekly)
    spread = _spread(complete, means)
    n_known = max(len(complete), 1)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    left_today = 1 - (at - midnight) / timedelta(days=1)
    days, expected, variance_days = [], 0.0, 0.0
    day = at.date()
    while day < end.date():
        share = left_today if day == at.date() else 1.0
        expected += share * means[day.weekday()]
        variance_days += share
        reach = Z_80 * spread * sqrt(variance_days * (1 + variance_days / n_known))
        days.append(DayForecast(day, expected, max(0.0, expected - reach), expected + reach))
        day += timedelta(days=1)
    if not days:
        days.append(DayForecast(at.date(), 0.0, 0.0, 0.0))
    return Forecast(tuple(days), len(complete), weekly)


def _complete_days(by_day: Mapping[date, int], *, today: date) -> dict[date, int]:
    known = [day for day in by_day if today - timedelta(days=HISTORY_DAYS) <= day < today]
    if not known:
        return {}
    first = min(known)
    n_days = (today - first).days
    return {day: by_day.get(day, 0) for day in (first + timedelta(days=i) for i in range(n_days))}


def _means(complete: Mapping[date, int], *, weekly: bool) -> dict[int, float]:
    overall = fmean(complete.values()) if complete else 0.0
    if not weekly:
        return dict.fromkeys(range(7), overall)
    groups: dict[int, list[int]] = defaultdict(list)
    for day, n_readings in complete.items():
        groups[day.weekday()].append(n_readings)
    return {weekday: fmean(groups[weekday]) for weekday in range(7)}


def _spread(complete: Mapping[date, int], means: Mapping[int, float]) -> float:
    """Return the standard deviation of a day around its expectation."""
    if len(complete) < _LEAST_DAYS:
        # Too few days to know: as uncertain as the expectation is large.
        return max(means.values(), default=0.0)
    n_means = len(set(means.values())) if len(complete) >= 14 else 1
    squares = sum((n - means[day.weekday()]) ** 2 for day, n in complete.items())
    return sqrt(squares / max(len(complete) - n_means, 1))
