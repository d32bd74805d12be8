import numpy as np
import pytest

from mlops.quality.intervals import Neighbours, rate_interval
from mlops.tabular.calibration import logit, sigmoid


def crooked(said):
    """What really happens where a forecast says so much: it is far too sure of itself."""
    return sigmoid(0.5 * logit(said) - 0.7)


def made(rng, n):
    said = sigmoid(rng.normal(-2.0, 1.5, n))
    codes = (rng.random(n) < crooked(said)).astype(np.int64)
    return Neighbours.of(np.column_stack([1 - said, said]), codes, np.arange(n))


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 2_000])
def test_intervals_hold_the_truth_even_of_a_badly_calibrated_forecast(n):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(60):
        neighbours = made(rng, n)
        for said in sigmoid(rng.normal(-2.0, 1.5, 20)):
            interval = neighbours.interval(float(said), 1)
            held.append(interval.low <= crooked(said) <= interval.high)

    assert np.mean(held) >= 0.88


def test_more_cases_make_intervals_narrower():
    rng = np.random.default_rng(1)
    few, many = (made(rng, n).interval(0.2, 1) for n in (200, 5_000))

    assert many.high - many.low < few.high - few.low
    assert many.n_similar > few.n_similar


def test_an_interval_holds_its_forecast_and_tells_what_supports_it():
    interval = made(np.random.default_rng(2), 500).interval(0.01, 1)

    assert interval.low <= 0.01 <= interval.high
    assert 0 <= interval.n_so <= interval.n_similar


def test_no_reject_among_forty_is_not_never():
    low, high = rate_interval(np.zeros(40))

    # Jeffreys: the 95 % quantile of Beta(0.5, 40.5).
    assert low == 0.0
    assert high == pytest.approx(0.0469, abs=5e-4)


def test_lots_of_like_parts_are_worth_less_than_their_parts():
    happened = np.repeat([0.0, 1.0, 0.0, 0.0], 25)

    low, high = rate_interval(happened, np.repeat(np.arange(4), 25))
    single_low, single_high = rate_interval(happened)

    assert high - low > 2 * (single_high - single_low)
