import numpy as np
import pytest
from scipy import stats

from mlops.anomaly.limits import independent_rows, prediction_limit


def test_independent_rows_are_worth_their_number():
    noise = np.random.default_rng(0).normal(size=4000)

    assert independent_rows(noise) == pytest.approx(4000, rel=0.1)


def test_rows_that_remember_are_worth_less():
    # For x[t] = 0.9 x[t-1] + e the correlations sum to 0.9 / 0.1, so n / 19 rows count.
    rng = np.random.default_rng(0)
    series = np.zeros(20_000)
    for t in range(1, len(series)):
        series[t] = 0.9 * series[t - 1] + rng.normal()

    assert independent_rows(series) == pytest.approx(20_000 / 19, rel=0.25)


def test_a_series_that_stands_still_has_no_memory():
    assert independent_rows(np.ones(50)) == 50


@pytest.mark.parametrize("n_signals", [2, 8, 40])
def test_as_many_normal_rows_exceed_the_limit_as_stated(n_signals):
    rng = np.random.default_rng(0)
    past, future = rng.chisquare(n_signals, 4000), rng.chisquare(n_signals, 100_000)

    assert np.mean(future > prediction_limit(past, 0.01)) == pytest.approx(0.01, abs=0.002)


def test_a_short_history_gives_a_wider_limit():
    def past(n):
        even = stats.chi2.ppf((np.arange(n) + 0.5) / n, 8)
        return np.random.default_rng(0).permutation(even)

    assert prediction_limit(past(20), 0.01) > 1.1 * prediction_limit(past(2000), 0.01)
