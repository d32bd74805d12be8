import numpy as np
import pytest

from mlops.anomaly.online import QUIET_ROWS, WARM_UP, OnlineDetector


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(10.0, 1.0, (n, 1))


def test_nothing_is_said_before_anything_is_known():
    values = noise(WARM_UP)
    values[150] = 500.0

    assert not OnlineDetector(1).score(values)[:, 0].any()


def test_a_stretch_is_announced_while_it_gets_worse_and_not_again():
    values = noise(1000)
    values[600:640] = 30.0

    announced = np.flatnonzero(OnlineDetector(1).score(values)[500:, 1] > 1)

    assert announced[0] == 100
    assert len(announced) < 12
    assert announced[-1] < 140


def test_a_small_shift_that_stays_is_found():
    values = noise(2000)
    values[1500:] += 2.0

    score = OnlineDetector(1).score(values)[:, 0]

    assert (score[:1500] > 1).mean() < 0.005
    assert (score[1500:1560] > 1).any()


def test_what_lies_ahead_changes_nothing():
    values = noise(400)
    changed = values.copy()
    changed[300:] = 99.0

    assert np.array_equal(
        OnlineDetector(1).score(values)[:300], OnlineDetector(1).score(changed)[:300]
    )


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1e-3, 5.0), (-1.0, 0.0)])
def test_units_do_not_matter(scale, shift):
    values = noise(300)
    values[250] = 25.0

    assert OnlineDetector(1).score(values * scale + shift) == pytest.approx(
        OnlineDetector(1).score(values), rel=1e-6
    )


def test_the_deviating_signal_is_named():
    values = np.column_stack([noise(300), noise(300, seed=1), noise(300, seed=2)])
    values[250, 1] = 40.0
    detector = OnlineDetector(3)

    said = [detector.push(row) for row in values]

    assert said[250].signal == 1
    assert said[250].announced > 1


def test_silence_is_not_a_change():
    values = noise(300)
    values[:20] = np.nan
    values[250:270] = np.nan

    score = OnlineDetector(1).score(values)[:, 0]

    assert not score[250:270].any()
    assert (score > 1).mean() < 0.02


def test_the_quiet_period_ends():
    values = noise(1000)
    values[500], values[500 + QUIET_ROWS + 60] = 40.0, 40.0

    announced = OnlineDetector(1).score(values)[:, 1]

    assert announced[500] > 1
    assert announced[500 + QUIET_ROWS + 60] > 1
