"""Shifts across nights, daylight saving and each other. Hours from domain.md, section 2."""

from datetime import UTC, date, datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from production.calendar import Pattern, instant, shifts_between

BERLIN = ZoneInfo("Europe/Berlin")


def pattern(name, start, end, weekdays="1234567"):
    return Pattern(
        name, frozenset(map(int, weekdays)), time(start), time(end), None, 0, date(2020, 1, 1), None
    )


NIGHT = pattern("Night", 22, 6)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 28), 7), (date(2026, 10, 24), 9), (date(2026, 7, 1), 8)]
)
def test_a_night_shift_is_as_long_as_its_clock_says(day, hours):
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    later = noon.replace(hour=23)

    (night,) = [s for s in shifts_between([NIGHT], BERLIN, noon, later) if s.day == day]

    assert (night.end - night.start).total_seconds() == hours * 3600


def test_three_shifts_leave_no_hole_and_no_overlap_over_a_clock_change():
    patterns = [pattern("Early", 6, 14), pattern("Late", 14, 22), NIGHT]
    start, end = datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 10, 30, tzinfo=UTC)

    shifts = shifts_between(patterns, BERLIN, start, end)

    assert all(a.end == b.start for a, b in pairwise(shifts))


def test_the_night_shift_belongs_to_the_day_it_starts():
    at = datetime(2026, 11, 18, 1, tzinfo=UTC)

    (night,) = shifts_between([NIGHT], BERLIN, at, at.replace(hour=2))

    assert night.day == date(2026, 11, 17)


def test_the_later_shift_owns_an_overlap():
    patterns = [pattern("Early", 6, 15), pattern("Late", 14, 22)]
    at = datetime(2026, 11, 18, 8, tzinfo=UTC)

    early, late = shifts_between(patterns, BERLIN, at, at.replace(hour=20))

    assert early.end == late.start == datetime(2026, 11, 18, 13, tzinfo=UTC)


def test_a_day_off_has_no_shifts():
    at = datetime(2026, 12, 25, 8, tzinfo=UTC)

    found = shifts_between(
        [pattern("Early", 6, 14)], BERLIN, at, at.replace(hour=9), [date(2026, 12, 25)]
    )

    assert found == []


def test_a_time_inside_the_spring_gap_is_the_instant_after_it():
    assert instant(date(2026, 3, 29), time(2, 30), BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)
