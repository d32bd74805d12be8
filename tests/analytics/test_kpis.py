"""The base example of ISO 22400-2 as this product tells it, to the minute."""

import numpy as np
import pytest

from analytics.evidence import Samples
from analytics.kpis import energy_kwh, overlap_ms, shift_sums, total
from analytics.states import State, StateInterval

MINUTE = 60_000
SHIFT = 480 * MINUTE


def _laid_out(*parts: tuple[State, int]) -> list[StateInterval]:
    out, at = [], 0
    for state, minutes in parts:
        out.append(StateInterval(at, at + minutes * MINUTE, state))
        at += minutes * MINUTE
    return out


# Shift 480 min, break 30, set-up 40, breakdown 35, waiting 15: PBT 450, APT 360; 0.9 min a part,
# 372 parts: A = 0.800, E = 0.930, A * E = 0.744.
DAY = _laid_out(
    (State.RUN, 200), (State.SETUP, 40), (State.RUN, 100), (State.PLANNED, 30), (State.DOWN, 35),
    (State.RUN, 60), (State.IDLE, 15),
)  # fmt: skip
WORKING = np.array([[0, 340], [370, 480]], dtype=np.int64) * MINUTE


def _sums(intervals=DAY, *, n_parts=372.0, working=WORKING):
    return shift_sums(
        intervals, working=working, n_parts=n_parts, ideal_rate_per_h=60 / 0.9, has_count=True
    )


def test_the_base_example_gives_the_standards_figures():
    sums = _sums()

    assert (sums.busy_ms, sums.cycling_ms) == (450 * MINUTE, 360 * MINUTE)
    assert sums.availability == pytest.approx(0.8)
    assert sums.performance == pytest.approx(0.93)
    assert sums.oee == pytest.approx(0.8 * 0.93)
    assert sums.lost_ms == 90 * MINUTE


def test_twenty_minutes_without_data_leave_the_denominator_and_lower_the_coverage():
    intervals = _laid_out(
        (State.RUN, 180), (State.NODATA, 20), (State.SETUP, 40), (State.RUN, 100),
        (State.PLANNED, 30), (State.DOWN, 35), (State.RUN, 60), (State.IDLE, 15),
    )  # fmt: skip

    sums = _sums(intervals)

    assert sums.busy_ms == 430 * MINUTE
    assert sums.coverage == pytest.approx(430 / 450)


def test_an_oee_of_half_known_time_is_not_said():
    intervals = _laid_out((State.RUN, 150), (State.NODATA, 330))

    assert _sums(intervals, n_parts=100, working=None).oee is None


def test_work_in_a_break_is_overtime_and_cannot_lift_the_oee():
    intervals = _laid_out((State.RUN, 480))

    sums = _sums(intervals, n_parts=480 / 0.9)

    assert sums.busy_ms == SHIFT
    assert sums.oee == pytest.approx(1.0)


def test_nothing_planned_is_null_and_nothing_made_is_zero():
    assert _sums(_laid_out((State.PLANNED, 480)), n_parts=0).oee is None
    assert _sums(_laid_out((State.DOWN, 340)), n_parts=0).oee == 0


def test_a_plants_oee_is_a_ratio_of_sums_and_not_a_mean():
    first = _sums(n_parts=350)  # ideal 315 min of 450
    second = shift_sums(
        _laid_out((State.RUN, 200)), working=None, n_parts=60, ideal_rate_per_h=60, has_count=True
    )

    assert total([first, second]).oee == pytest.approx((315 + 60) / 650)


def test_a_machine_without_a_rate_stays_out_of_the_oee_but_not_of_the_losses():
    unrated = shift_sums(
        _laid_out((State.IDLE, 60)), working=None, n_parts=0, ideal_rate_per_h=None, has_count=False
    )

    both = total([_sums(), unrated])

    assert both.oee == pytest.approx(0.744)
    assert both.lost_ms == 150 * MINUTE


def test_overlap_counts_each_planned_part_once():
    assert overlap_ms(330 * MINUTE, 380 * MINUTE, WORKING) == 20 * MINUTE


def test_energy_is_not_invented_across_a_gap():
    power = Samples(np.array([0, 1, 2, 62]) * MINUTE, np.array([6.0, 6, 6, 6]))

    kwh = energy_kwh(power, start_ms=0, end_ms=63 * MINUTE, longest_gap_ms=MINUTE)

    assert kwh == pytest.approx(6 * 4 / 60)
