import numpy as np
import pytest

from mlops.drift import Reference, What, departures
from mlops.regimes import find_regimes


def run(n, *, product=0, seed=0, step=0.0):
    """Return (n, 4): load and speed say the product, heat and vibration follow slowly."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, 1.0, (n, 4))
    level = np.array([[50.0, 1200.0, 40.0, 1.5], [80.0, 2000.0, 55.0, 2.5]])[product]
    values = level + noise * np.array([1.0, 20.0, 0.8, 0.1])
    values[:, 2] += step
    return values


@pytest.fixture(scope="module")
def reference():
    seen = np.vstack([run(600, seed=1), run(600, product=1, seed=2)])
    return Reference.of(find_regimes(seen), seen)


def test_what_was_trained_on_is_no_drift(reference):
    for seed in range(20):
        recent = run(40, product=seed % 2, seed=100 + seed)
        assert departures(reference, recent, n_machines=10) == []


def test_a_change_between_known_products_is_no_drift(reference):
    recent = np.vstack([run(20, seed=5), run(20, product=1, seed=6)])

    assert departures(reference, recent) == []


def test_a_sensor_that_drifts_is_named(reference):
    recent = run(40, seed=7)
    recent[:, 2] += np.linspace(0.0, 12.0, 40)

    (found,) = departures(reference, recent, n_machines=10)

    assert (found.what, found.columns, found.side) == (What.DRIFT, (2,), 1)
    assert found.p_value < 0.01
    assert found.value > found.usual[1]


def test_a_sensor_that_falls_is_below(reference):
    (found,) = departures(reference, run(40, seed=8, step=-6.0))

    assert found.side == -1


def test_a_new_product_is_a_new_way_of_running_and_no_drift(reference):
    recent = run(40, seed=9) + np.array([-25.0, 900.0, 20.0, 1.6])

    found = departures(reference, recent)

    assert [one.what for one in found] == [What.NEW_REGIME]


def test_a_few_outliers_are_no_drift(reference):
    recent = run(40, seed=10)
    recent[[3, 20, 31], 2] = 90.0

    assert departures(reference, recent) == []


def test_too_few_steps_and_silent_signals_say_nothing(reference):
    silent = run(40, seed=11)
    silent[:, 3] = np.nan

    assert departures(reference, run(11, seed=12, step=30.0)) == []
    assert departures(reference, silent) == []


def test_wear_that_training_saw_is_no_drift():
    rng = np.random.default_rng(0)
    lives = [
        np.column_stack([40 + 15 * np.exp(-left / 12) + rng.normal(0, 0.8, 60),
                         55 + rng.normal(0, 3, 60)])
        for left in [np.arange(60)[::-1]] * 12
    ]  # fmt: skip
    seen = np.vstack(lives)
    reference = Reference.of(find_regimes(seen), seen)

    assert departures(reference, lives[0][-40:]) == []
