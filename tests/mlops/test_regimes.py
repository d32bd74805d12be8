import numpy as np

from mlops.regimes import find_regimes

SIX = np.array([[0, 0], [10, 25], [20, 70], [25, 62], [35, 84], [42, 84]], float)


def clouds(centres, n, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(centres), n)
    pushed = np.column_stack([centres[label], 3 * centres[label, :1] + centres[label, 1:]])
    return pushed + rng.normal(0, 0.2, pushed.shape), label


def test_six_ways_of_running_are_found_without_being_told():
    values, label = clouds(SIX, 3000)

    regimes = find_regimes(values)

    assert len(regimes) == 6
    found = regimes.assign(values)
    assert len(set(zip(label.tolist(), found.tolist(), strict=True))) == 6  # one to one


def test_a_machine_run_in_one_way_has_one_regime_even_while_it_wears():
    rng = np.random.default_rng(1)
    trend = np.exp(np.linspace(-4, 1, 4000))[:, None]
    values = rng.normal(0, 0.3, (4000, 5)) + trend * np.array([1, 2, -1, 0.5, 3])

    assert len(find_regimes(values)) == 1


def test_one_flag_alone_makes_no_regime():
    rng = np.random.default_rng(2)
    values = np.column_stack([rng.normal(0, 1, (3000, 3)), rng.random(3000) < 0.3])

    assert len(find_regimes(values)) == 1


def test_a_silent_signal_has_no_say_in_the_regime():
    values, _label = clouds(SIX, 3000)
    regimes = find_regimes(values)
    silent = values.copy()
    silent[:, 0] = np.nan

    assert np.array_equal(regimes.assign(silent), regimes.assign(values))
