import numpy as np
import pytest

from mlops.quality.aggregation import aggregate
from mlops.quality.process import Series, before, forecast, smoothed


def by_step(values):
    return Series.of(values, np.arange(len(values)), len(values))


def error(said, values, start):
    return float(np.mean(np.abs(said - values)[start:]))


def test_a_step_is_summed_up_and_a_silent_one_repeats_the_one_before():
    series = Series.of(np.array([1.0, 3.0, 8.0, 6.0]), np.array([0, 0, 0, 2]), 4)

    assert series.mean == pytest.approx([4, 4, 6, 6])
    assert series.median == pytest.approx([3, 3, 6, 6])
    assert series.last == pytest.approx([8, 8, 6, 6])
    assert series.moving_average(3) == pytest.approx([4, 4, 18 / 4, 6])


def test_smoothing_weighs_the_latest_value_by_its_share():
    assert smoothed(np.array([2.0, 4.0, 0.0]), 0.5) == pytest.approx([2, 3, 1.5])
    assert before(np.array([1.0, 2.0, 3.0]), 2) == pytest.approx([1, 1, 1])


def test_the_better_expert_gains_the_weight():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 300)
    experts = np.array([truth + rng.normal(0, 0.1, 300), rng.normal(0, 1, 300)])

    said, weights = aggregate(experts, truth, np.arange(300))

    assert weights[0] == pytest.approx([0.5, 0.5])
    assert weights[-1, 0] > 0.9
    assert error(said, truth, 100) < 0.25


def test_weights_follow_when_another_expert_becomes_the_better_one():
    rng = np.random.default_rng(1)
    truth, first = rng.normal(0, 1, 600), np.arange(600) < 300
    noise = rng.normal(0, 1, (2, 600)) * np.where([first, ~first], 0.1, 2.0)

    _said, weights = aggregate(truth + noise, truth, np.arange(600))

    assert weights[290, 0] > 0.8
    assert weights[-1, 1] > 0.8


def delayed(n=600, delay=3, seed=0):
    """An output that follows a process value some steps later."""
    rng = np.random.default_rng(seed)
    heat = rng.normal(0, 1, n)
    output = 50.0 + 2.0 * before(heat, delay) + rng.normal(0, 0.2, n)
    return np.column_stack([rng.normal(0, 1, n), heat]), output


def test_readings_of_an_earlier_stage_explain_a_later_one_after_their_delay():
    inputs, output = delayed()

    said = forecast(by_step(output), output, np.arange(600), inputs, ("speed", "heat"), n_train=120)

    best = min(error(one, output, 120) for one in said.averages.values())
    assert error(said.ours, output, 120) < 0.6 * best
    assert error(said.ours, output, 120) < 0.6 * error(said.alone, output, 120)
    # Two steps before the step that is forecast began is three before it.
    assert said.drivers[0] == ("heat", 2)
    assert said.process_weight > 0.5


def test_without_a_cause_process_values_do_little_harm():
    rng = np.random.default_rng(2)
    output = np.cumsum(rng.normal(0, 1, 400))

    said = forecast(
        by_step(output), output, np.arange(400), rng.normal(0, 1, (400, 30)),
        tuple(f"x{i}" for i in range(30)), n_train=80,
    )  # fmt: skip

    assert error(said.ours, output, 80) < 1.1 * error(said.alone, output, 80)


@pytest.mark.parametrize("changed", ["inputs", "output"])
def test_nothing_of_the_step_itself_or_later_is_looked_at(changed):
    inputs, output = delayed(300)
    steps = np.arange(300)
    first = forecast(by_step(output), output, steps, inputs, ("a", "b"), n_train=60)
    other_inputs, other_output = inputs.copy(), output.copy()
    (other_inputs if changed == "inputs" else other_output)[200:] += 100.0

    second = forecast(
        by_step(other_output), other_output, steps, other_inputs, ("a", "b"), n_train=60
    )

    assert second.ours[:201] == pytest.approx(first.ours[:201])
    assert second.last[:201] == pytest.approx(first.last[:201])
    assert not np.allclose(second.ours[201:], first.ours[201:])
