"""Data quality by hand: each case is small enough to be worked out on paper."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from telemetry import quality
from telemetry.quality import Earlier, Nature, Window

MIDNIGHT = int(datetime(2026, 11, 17, tzinfo=UTC).timestamp() * 1000)
HOUR, MINUTE, DAY = 3_600_000, 60_000, 86_400_000
WINDOW = Window(MIDNIGHT, MIDNIGHT + DAY, ZoneInfo("Europe/Berlin"))
NUMBER = Nature("temp_c", unit="°C")


def each_minute(*, without: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A day of minutes, those in [from, to) left out."""
    minutes = np.arange(0, 24 * 60)
    kept = (minutes < without[0]) | (minutes >= without[1])
    return MIDNIGHT + minutes[kept] * MINUTE


def waves(times: np.ndarray) -> np.ndarray:
    """Values that change with each reading, 40 to 60."""
    return 50 + 10 * np.sin(times / 7e5)


def days_before(
    n: int = 7, *, still_buckets: int = 0, middle: float = 50.0, step: float = 1.0
) -> Earlier:
    """Buckets of an hour whose means are middle - step, middle, middle + step, in turn."""
    t = MIDNIGHT - n * DAY + np.arange(n * 24) * HOUR
    mean = np.asarray(middle + step * (np.arange(len(t)) % 3 - 1), np.float64)
    low, high = mean - 1, mean + 1
    if still_buckets:
        mean[:still_buckets] = low[:still_buckets] = high[:still_buckets] = middle
    return Earlier(t, low, mean, high, float(HOUR), np.ones(len(t), bool), n)


def test_a_full_day_has_no_gap():
    found = quality.gaps(each_minute(), window=WINDOW)

    assert (found.score, found.reason) == (100, "no gap, one reading each 1 min")


def test_a_gap_is_told_with_its_share_and_its_longest_piece_in_the_factory_s_time():
    # 130 readings are missing: from 02:11 to 04:21 UTC, and Berlin is an hour ahead.
    times = each_minute(without=(132, 262))

    found = quality.gaps(times, window=WINDOW)

    # 130 of 1,440 minutes: 9.03 %.
    assert found.score == 90
    assert found.reason == "no reading for 9 % of the last 24 h, longest 2 h 10 min from 03:11"


def test_silence_at_the_end_counts_up_to_now():
    found = quality.gaps(each_minute(without=(720, 1440)), window=WINDOW)

    # The last reading is of 11:59; the next was due at 12:00: 12 h of 24 are missing.
    assert found.score == 50


def test_pauses_of_two_intervals_are_no_gap():
    times = np.delete(each_minute(), np.arange(10, 1400, 20))

    assert quality.gaps(times, window=WINDOW).score == 100


def test_what_comes_irregularly_has_no_gaps_that_could_be_told():
    steps = np.tile([1, 60], 400) * 1000
    found = quality.gaps(MIDNIGHT + np.cumsum(steps), window=WINDOW)

    assert found.score is None
    assert found.reason.startswith("comes when it likes (1 s to 1 min apart)")


def test_a_frozen_value_is_stuck_and_said_to_last():
    times = each_minute()
    values = waves(times)
    values[960:] = 41.5  # the last 8 h

    found = quality.stuck(times, values, nature=NUMBER, window=WINDOW, earlier=days_before())

    # 479 of 1,440 minutes would be 66; while it lasts at most 40.
    assert found.score == 40
    assert found.reason == (
        "the same value (41.5 °C) for 7 h 59 min from 17:00, still now; up to 1 h is usual"
    )


def test_a_frozen_stretch_that_is_over_costs_its_share():
    times = each_minute()
    values = waves(times)
    values[600:960] = 41.5

    found = quality.stuck(times, values, nature=NUMBER, window=WINDOW, earlier=days_before())

    assert found.score == 75  # 359 of 1,440 minutes: 1 - 0.249, rounded down


def test_a_run_as_long_as_known_ones_is_usual():
    times = each_minute()
    values = waves(times)
    values[600:960] = 41.5
    nights = days_before(still_buckets=8)  # a machine that rests for 8 h

    found = quality.stuck(times, values, nature=NUMBER, window=WINDOW, earlier=nights)

    assert found.score == 100


def test_a_set_point_is_not_stuck():
    times = each_minute()
    before = days_before(still_buckets=7 * 24)

    found = quality.stuck(
        times, np.full(len(times), 50.0), nature=NUMBER, window=WINDOW, earlier=before
    )

    assert (found.score, found.reason) == (None, "changes rarely, as a set point does")


def test_without_an_earlier_day_nobody_can_say_what_is_stuck():
    times = each_minute()

    found = quality.stuck(times, waves(times), nature=NUMBER, window=WINDOW, earlier=None)

    assert found.score is None


def test_a_boolean_is_judged_by_its_gaps_only():
    times = each_minute()
    found = quality.judge(
        times, np.zeros(len(times)), nature=Nature("fault", "b"), window=WINDOW, earlier=None
    )

    assert [check.check for check in found.checks] == ["gaps"]
    assert (found.score, found.reason) == (100, "nothing to object to")


def test_values_outside_declared_limits_cost_ten_times_their_share():
    values = np.full(200, 50.0)
    values[:6] = 130.0

    found = quality.out_of_range(values, nature=Nature("t", unit="°C", low=0.0, high=120.0))

    # 6 of 200 are 3 %: 100 - 10 * 3.
    assert found.score == 70
    assert found.reason == "3 % of the values are not within 0 to 120 °C; the farthest is 130 °C"


@pytest.mark.parametrize(
    ("nature", "value", "score"),
    [
        (Nature("oil_temp", unit="°C"), -300.0, 0),
        (Nature("oil_temp", unit="°C"), -40.0, 100),
        (Nature("humidity_pct", unit="%"), 140.0, 0),
        (Nature("humidity_pct", unit="%"), 100.4, 100),
        (Nature("spindle_load_pct", unit="%"), 140.0, None),
        (Nature("pressure", unit="bar"), -1.0, 100),
        (Nature("pressure", unit="bar"), -3.0, 0),
        (Nature("x", unit="mm"), -1e9, None),
    ],
)
def test_without_limits_only_the_impossible_is_out_of_range(nature, value, score):
    assert quality.out_of_range(np.full(50, value), nature=nature).score == score


def test_a_median_that_stayed_is_no_drift():
    found = quality.drift(np.full(100, 50.0), nature=NUMBER, earlier=days_before())

    assert found.score == 100
    assert found.reason == (
        "median 50 °C against 50 °C on 7 earlier days, 0.0 times the usual spread"
    )


def test_drift_is_measured_in_modified_z_scores():
    # Means 49, 50, 51 in turn: median 50, MAD 1. At 53: z = 0.6745 * 3 = 2.0235,
    # (3.5 - 2.0235) / 2.5 = 0.5906.
    found = quality.drift(np.full(100, 53.0), nature=NUMBER, earlier=days_before())

    assert found.score == 59


def test_two_days_are_too_few_to_speak_of_drift():
    found = quality.drift(np.full(100, 53.0), nature=NUMBER, earlier=days_before(2))

    assert (found.score, found.reason) == (None, "2 of 3 earlier days are known")


def test_a_constant_that_moved_may_be_a_new_set_point():
    found = quality.drift(np.full(100, 53.0), nature=NUMBER, earlier=days_before(step=0.0))

    assert found.score is None
    assert "set anew, or drifting" in found.reason


def test_a_counter_neither_sticks_nor_drifts():
    times = each_minute()
    counter = Nature("part_count", counts_up=True)
    found = quality.judge(
        times, np.arange(1440.0), nature=counter, window=WINDOW, earlier=days_before()
    )

    assert {check.check: check.score for check in found.checks} == {
        "gaps": 100,
        "stuck": None,
        "range": None,
        "drift": None,
    }


def test_the_worst_check_speaks_for_the_signal():
    times = each_minute(without=(720, 1440))
    found = quality.judge(times, waves(times), nature=NUMBER, window=WINDOW, earlier=days_before())

    assert found.score == 50
    assert found.reason.startswith("no reading for 50 % of the last 24 h")


def test_a_handful_of_readings_is_no_ground_for_a_score():
    found = quality.judge(each_minute()[:3], np.ones(3), nature=NUMBER, window=WINDOW, earlier=None)

    assert found.score is None
    assert found.reason == "3 readings in the last 24 h: at least 20 are needed"


def test_who_needs_a_look_comes_first_and_the_unknown_last():
    scores = [quality.Quality(score, "", ()) for score in (100, None, 20, 90)]

    assert quality.worst_first(scores) == [2, 3, 0, 1]
