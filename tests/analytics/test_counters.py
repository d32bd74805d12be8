"""Hand-worked counters: each case of the table in docs of `analytics.counters`."""

import numpy as np
import pytest

from analytics.counters import increments

MINUTE = 60_000


def _count(*values: float, max_rate_per_h: float | None = 60):
    times = np.arange(len(values), dtype=np.int64) * MINUTE
    return increments(times, np.array(values, dtype=float), max_rate_per_h=max_rate_per_h)


def test_the_first_reading_is_a_baseline_and_counts_nothing():
    assert _count(1204, 1205, 1207).counted.tolist() == [0, 1, 2]


def test_a_sixteen_bit_register_wraps_without_losing_a_part():
    counted = _count(65534, 65535, 1)

    assert counted.counted.tolist() == [0, 1, 2]
    assert (counted.n_rollovers, counted.n_resets) == (1, 0)


def test_a_four_digit_fall_is_a_reset_that_counted_from_zero():
    counted = _count(500, 501, 2)

    assert counted.counted.tolist() == [0, 1, 2]
    assert (counted.n_rollovers, counted.n_resets) == (0, 1)


def test_an_implausible_rise_is_set_aside_and_counts_nothing():
    # 60/h allows 1.5 * 60 / 60 + 2 = 3.5 in a minute.
    counted = _count(10, 13, 17)

    assert counted.counted.tolist() == [0, 3, 0]
    assert counted.jumps.tolist() == [2]


def test_without_a_known_rate_every_rise_counts():
    assert _count(0, 1_000, max_rate_per_h=None).counted.tolist() == [0, 1000]


def test_a_total_takes_the_readings_of_its_period_only():
    counted = _count(0, 1, 2, 3)

    assert counted.total(start_ms=MINUTE, end_ms=3 * MINUTE) == 2


def test_no_readings_make_no_increments():
    empty = increments(np.empty(0, dtype=np.int64), np.empty(0), max_rate_per_h=60)

    assert len(empty.counted) == 0


@pytest.mark.parametrize("late_index", [1, 2, 3])
def test_a_late_reading_changes_its_neighbours_but_not_the_total(late_index):
    values = np.array([0.0, 1, 2, 3, 4])
    times = np.arange(5, dtype=np.int64) * MINUTE
    kept = np.arange(5) != late_index

    with_it = increments(times, values, max_rate_per_h=60).counted.sum()
    without = increments(times[kept], values[kept], max_rate_per_h=60).counted.sum()

    assert with_it == without == 4
