import numpy as np
import pytest

from mlops.benchmarks.nab_score import (
    WEIGHT_FALSE,
    best_result,
    judge,
    probation_rows,
    result_at,
    scaled_sigmoid,
)

# 2 / (1 + exp(5 x)) - 1
START, MIDDLE = 0.98661, 0.84828


def spikes(*rows, n=200):
    scores = np.zeros(n)
    scores[list(rows)] = 1.0
    return scores


def test_the_sigmoid_of_the_paper():
    worth = scaled_sigmoid(np.array([-1.0, -0.5, 0.0, 1.0, 3.0, 9.0]))

    assert worth == pytest.approx([START, MIDDLE, 0.0, -START, -1.0, -1.0], abs=1e-5)


def test_a_window_found_at_its_first_row_is_worth_all():
    assert result_at([judge(spikes(100), [(100, 119)])], 0.5).score == pytest.approx(100.0)


def test_saying_nothing_is_worth_nothing():
    assert result_at([judge(spikes(), [(100, 119)])], 0.5).score == 0.0


def test_a_later_detection_is_worth_less_and_only_the_earliest_counts():
    # Row 110 of 100..119 lies at -(119 - 110 + 1) / 20 = -0.5.
    result = result_at([judge(spikes(110, 115), [(100, 119)])], 0.5)

    assert result.score == pytest.approx(100 * (MIDDLE / START + 1) / 2, abs=1e-2)
    assert (result.precision, result.recall) == (1.0, 1.0)


def test_a_false_alarm_before_any_window_costs_its_weight():
    result = result_at([judge(spikes(60, 100), [(100, 119)])], 0.5)

    assert result.score == pytest.approx(100 * (1 - WEIGHT_FALSE + 1) / 2)
    assert result.precision == 0.5


def test_a_false_alarm_just_behind_a_window_costs_little():
    # One row behind, at 1 / (20 - 1) widths.
    cost = WEIGHT_FALSE * (1 - 2 / (1 + np.exp(5 / 19)))
    result = result_at([judge(spikes(100, 120), [(100, 119)])], 0.5)

    assert result.score == pytest.approx(100 * (2 - cost) / 2)


def test_probation_is_not_scored():
    assert probation_rows(200) == 30
    assert probation_rows(20_000) == 750
    assert result_at([judge(spikes(5, 29, 100), [(100, 119)])], 0.5).score == pytest.approx(100.0)


def test_one_threshold_serves_all_series():
    one, two = spikes(100) * 0.9, spikes(100) * 0.6
    two[50] = 0.7

    best = best_result([judge(one, [(100, 119)]), judge(two, [(100, 119)])])

    assert best.threshold == 0.6
    assert best.score == pytest.approx(100 * (2 - WEIGHT_FALSE + 2) / 4)
    assert best.recall == 1.0


def test_the_best_threshold_is_at_least_as_good_as_any():
    rng = np.random.default_rng(0)
    series = [judge(rng.random(300).round(2), [(90, 120), (200, 220)]) for _ in range(5)]

    best = best_result(series)

    assert best.score == pytest.approx(result_at(series, best.threshold).score)
    assert all(best.score >= result_at(series, t).score for t in np.linspace(0, 1, 101))
