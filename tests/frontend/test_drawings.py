"""Timelines, gaps and distributions: positions that the templates only print."""

import re
from datetime import timedelta

import pytest

from frontend import life, series
from frontend.timelines import Span, timeline
from tests.frontend.conftest import NOON

HOUR = timedelta(hours=1)


def line(*spans, hours=8, now=NOON):
    start = NOON - 4 * HOUR
    return timeline(spans, start=start, end=start + hours * HOUR, now=now, name="Mill 1")


def test_a_state_takes_its_share_of_the_bar():
    parts = line(
        Span("run", NOON - 4 * HOUR, NOON - 2 * HOUR), Span("down", NOON - 2 * HOUR, NOON)
    ).parts

    assert [(p.state, p.x, p.width) for p in parts] == [
        ("run", "0.00", "25.00"),
        ("down", "25.00", "25.00"),
        ("future", "50.00", "50.00"),
    ]


def test_nothing_is_drawn_after_now():
    parts = line(Span("run", NOON - HOUR, NOON + 3 * HOUR)).parts

    assert [p.state for p in parts] == ["run", "future"]
    assert parts[0].width == "12.50"


def test_a_stop_of_seconds_stays_visible():
    stop = line(Span("down", NOON - HOUR, NOON - HOUR + timedelta(seconds=5))).parts[0]

    assert float(stop.width) >= 0.5


def test_no_data_is_hatched_and_idle_is_a_low_solid_bar():
    idle, nodata = line(
        Span("idle", NOON - 2 * HOUR, NOON - HOUR), Span("nodata", NOON - HOUR, NOON)
    ).parts[:2]

    assert (idle.height, idle.fill) == (24, "")
    assert (nodata.height, nodata.fill) == (100, "url(#tl-hatch)")


def test_the_bar_is_told_in_words():
    summary = line(
        Span("run", NOON - 4 * HOUR, NOON - HOUR), Span("nodata", NOON - HOUR, NOON)
    ).summary

    assert summary == "Mill 1: running 3 h, no data 1 h"


def window(minutes=60):
    return series.Window("1h", NOON - timedelta(minutes=minutes), NOON)


def times(*minutes_ago):
    return [round((NOON - timedelta(minutes=m)).timestamp() * 1000) for m in minutes_ago]


def test_a_silence_longer_than_the_limit_is_a_gap():
    every_minute = times(*range(60, 40, -1), *range(15, 0, -1))

    ((start, end),) = series.gaps([every_minute], window(), bucket_s=60)

    assert (end - start) / 60 == pytest.approx(25)


def test_signals_that_take_turns_leave_no_gap():
    odd, even = times(*range(59, 0, -2)), times(*range(60, 0, -2))

    assert series.gaps([odd, even], window(), bucket_s=60) == []


def test_without_any_reading_all_is_a_gap():
    assert len(series.gaps([], window(), bucket_s=60)) == 1


def test_an_unknown_range_falls_back_to_the_usual_one():
    found = series.window("3w", now=NOON, first_at=None, last_at=None)

    assert found.end - found.start == 8 * HOUR


def test_all_ends_with_the_last_reading_where_that_lies_far_back():
    last = NOON - timedelta(days=40)

    found = series.window("all", now=NOON, first_at=last - timedelta(days=9), last_at=last)

    assert found.end - last < HOUR
    assert not found.is_live


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (8.7, 17.3, "9 to 17 cycles"),
        (0.2, 0.4, "Less than 1 cycle"),
        (11.6, 12.4, "About 12 cycles"),
    ],
)
def test_remaining_life_is_an_interval_in_whole_units(low, high, words):
    assert life.interval_words(low, high, "cycles") == words


def test_the_distribution_puts_low_best_and_high_in_order_inside_the_field():
    drawn = life.drawing(low=8.7, best=12.4, high=17.3, unit="cycles")

    low, best, high = float(drawn.low), float(drawn.best), float(drawn.high)
    assert 8 <= low < best < high <= 352
    assert all(8 <= float(x) <= 352 for x in re.findall(r"[ML]([\d.]+) ", drawn.whole))


def test_an_interval_that_has_shrunk_to_a_point_is_drawn_all_the_same():
    assert life.drawing(low=5, best=5, high=5, unit="cycles").whole
