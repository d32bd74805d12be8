"""Quiet hours as wall clocks show them, across the nights on which clocks are changed."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.notifications.quiet import Quiet, next_daily_mail, quiet_until

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Quiet(time(22), time(6))
WEEKEND_TOO = Quiet(time(22), time(6), frozenset({5, 6}))


def berlin(text: str, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-17 21:59", "2026-11-17 21:59"),  # not yet
        ("2026-11-17 22:00", "2026-11-18 06:00"),
        ("2026-11-18 05:59", "2026-11-18 06:00"),
        ("2026-11-18 06:00", "2026-11-18 06:00"),  # over
        ("2026-03-28 23:00", "2026-03-29 06:00"),  # the night without 02:00 to 03:00
        ("2026-10-24 23:00", "2026-10-25 06:00"),  # the night with two of them
    ],
)
def test_a_night_ends_when_the_wall_clock_says_so(at, until):
    assert quiet_until(berlin(at), NIGHT, BERLIN) == berlin(until)


def test_the_length_of_the_night_follows_the_change_of_the_clock():
    lengths = [
        quiet_until(berlin(f"{day} 22:00"), NIGHT, BERLIN) - berlin(f"{day} 22:00")
        for day in ("2026-03-27", "2026-03-28", "2026-10-24")
    ]

    assert lengths == [timedelta(hours=8), timedelta(hours=7), timedelta(hours=9)]


def test_a_night_and_a_quiet_weekend_are_one_stretch():
    friday = berlin("2026-11-20 23:00")

    assert quiet_until(friday, WEEKEND_TOO, BERLIN) == berlin("2026-11-23 06:00")


def test_an_end_that_the_clock_skips_is_read_by_the_offset_before_the_gap():
    quiet = Quiet(time(22), time(2, 30))

    assert quiet_until(berlin("2026-03-28 23:00"), quiet, BERLIN) == datetime(
        2026, 3, 29, 1, 30, tzinfo=UTC
    )


def test_an_end_that_comes_twice_is_the_first():
    quiet = Quiet(time(22), time(2, 30))
    first = berlin("2026-10-25 02:30", fold=0)
    second_two_o_clock = berlin("2026-10-25 02:15", fold=1)

    assert quiet_until(berlin("2026-10-24 23:00"), quiet, BERLIN) == first
    assert quiet_until(second_two_o_clock, quiet, BERLIN) == second_two_o_clock


def test_without_quiet_hours_nothing_is_held():
    at = berlin("2026-11-17 03:00")

    assert quiet_until(at, Quiet(), BERLIN) == at


def test_the_daily_mail_goes_out_at_seven_or_when_quiet_ends():
    at = berlin("2026-11-20 12:00")

    assert next_daily_mail(at, Quiet(), BERLIN) == berlin("2026-11-21 07:00")
    assert next_daily_mail(at, WEEKEND_TOO, BERLIN) == berlin("2026-11-23 06:00")


@settings(max_examples=200, deadline=None)
@given(
    minutes=st.integers(0, 366 * 24 * 60),
    starts=st.times().map(lambda t: t.replace(microsecond=0)),
    ends=st.times().map(lambda t: t.replace(microsecond=0)),
    days=st.frozensets(st.integers(0, 6), max_size=6),
    zone=st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_quiet_ends_once_and_never_before_now(minutes, starts, ends, days, zone):
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    quiet = Quiet(starts, ends, days) if starts != ends else Quiet(days=days)

    end = quiet_until(at, quiet, ZoneInfo(zone))

    assert at <= end <= at + timedelta(days=8)
    assert quiet_until(end, quiet, ZoneInfo(zone)) == end
