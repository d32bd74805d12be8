import numpy as np
import pytest

from mlops.anomaly.health import Baseline, NotEnoughHistory, health
from tests.mlops.anomaly.machines import rows

VIB = 2


def test_a_modified_z_score_is_the_distance_over_the_mad():
    # 0..40: median 20, MAD 10, so 0.6745 * (55 - 20) / 10 for a value of 55.
    baseline = Baseline.fit(np.arange(41.0)[:, None])

    assert baseline.scores(np.array([[55.0]]))[0, 0] == pytest.approx(0.6745 * 3.5, abs=1e-3)


def test_where_most_values_are_equal_the_mean_deviation_counts():
    # 30 zeros and 10 times 4: median 0, MAD 0, mean deviation 1, spread 1.2533.
    baseline = Baseline.fit(np.repeat([0.0, 4.0], [30, 10])[:, None])

    assert baseline.scores(np.array([[4.0]]))[0, 0] == pytest.approx(4 / 1.2533)


def test_one_bad_row_in_the_first_hour_changes_little():
    values = rows(60, seed=1)
    spoilt = values.copy()
    spoilt[10] *= 100

    assert Baseline.fit(spoilt).spread == pytest.approx(Baseline.fit(values).spread, rel=0.2)


def test_a_machine_that_runs_as_usual_is_healthy():
    now = health(Baseline.fit(rows(60, seed=1)), rows(20, seed=2))

    assert now.index > 95


def test_a_deviating_signal_is_named_first_with_its_usual_interval():
    window = rows(20, seed=2)
    window[:, VIB] += 0.4

    now = health(Baseline.fit(rows(60, seed=1)), window)

    assert now.index < 20
    assert now.deviations[0].signal == VIB
    low, high = now.deviations[0].usual
    assert 1.4 < low < 1.6 < high < 1.8 < now.deviations[0].value


def test_a_spike_does_not_make_a_machine_ill():
    window = rows(20, seed=2)
    window[7, VIB] = 50.0

    assert health(Baseline.fit(rows(60, seed=1)), window).index > 95


def test_a_change_of_product_is_not_a_deviation():
    baseline = Baseline.fit(rows(400, seed=1, products=2))

    assert len(baseline.regimes) == 2
    assert np.abs(baseline.scores(rows(400, seed=2, products=2))).max() < 6


def test_nothing_is_claimed_of_a_signal_that_stood_still():
    values = np.column_stack([rows(60, seed=1), np.full(60, 3.0)])

    assert Baseline.fit(values).scores(values + 1.0)[:, -1].tolist() == [0.0] * 60


def test_a_few_rows_are_no_history():
    with pytest.raises(NotEnoughHistory, match="12 of 30 rows"):
        Baseline.fit(rows(12, seed=1))
