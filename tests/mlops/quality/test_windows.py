import numpy as np
import pytest

from mlops.quality import windows
from mlops.tabular.table import Column, Table

COLUMNS = (Column("temperature"), Column("speed"), Column("supplier", ("A", "B", "C")))


def table(n=1_500, seed=0):
    rng = np.random.default_rng(seed)
    values = [rng.uniform(180, 220, n), rng.uniform(10, 20, n), rng.integers(0, 3, n)]
    return Table(COLUMNS, np.column_stack(values)), rng


def test_the_window_of_one_parameter_is_recovered():
    cases, rng = table()
    temperature = cases.values[:, 0]
    chance = np.where((temperature > 190) & (temperature < 205), 0.01, 0.3)

    found = windows.find(
        cases, rng.random(len(cases)) < chance, columns=["temperature", "speed"], asked=0.03,
        order=np.arange(len(cases), dtype=float),
    )  # fmt: skip

    assert found.window is not None
    (bound,) = found.window.bounds
    assert bound.low == pytest.approx(190, abs=1)
    assert bound.high == pytest.approx(205, abs=1)
    assert found.window.rate <= 0.03 < found.window.rate_outside
    assert f"Of {found.window.n_parts} later parts within" in found.sentence


def test_where_one_parameter_does_not_do_two_are_taken():
    cases, rng = table(3_000)
    good = (cases.values[:, 0] > 200) & (cases.values[:, 1] < 15)

    found = windows.find(
        cases, rng.random(len(cases)) < np.where(good, 0.01, 0.5),
        columns=["temperature", "speed"], asked=0.05,
    )  # fmt: skip

    assert found.window is not None
    temperature, speed = found.window.bounds
    assert temperature.low == pytest.approx(200, abs=1)
    assert speed.high == pytest.approx(15, abs=0.3)


def test_levels_of_a_category_are_a_window_too():
    cases, rng = table()
    chance = np.where(cases.values[:, 2] == 1, 0.4, 0.01)

    found = windows.find(cases, rng.random(len(cases)) < chance, columns=["supplier"], asked=0.03)

    assert found.window is not None
    assert found.window.bounds[0].levels == (0, 2)


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_helps_no_window_is_found(seed):
    cases, rng = table(seed=seed)

    found = windows.find(
        cases, rng.random(len(cases)) < 0.2, columns=["temperature", "speed"], asked=0.1
    )

    assert found.window is None
    assert "No window of temperature and speed found" in found.sentence


def test_a_window_that_no_longer_holds_is_not_told():
    """What went well at first is checked on later parts."""
    cases, rng = table()
    cold = cases.values[:, 0] < 200
    early = np.arange(len(cases)) < 900
    chance = np.where(cold == early, 0.01, 0.4)

    found = windows.find(
        cases, rng.random(len(cases)) < chance, columns=["temperature"], asked=0.05,
        order=np.arange(len(cases), dtype=float),
    )  # fmt: skip

    assert found.window is None


def test_a_good_line_needs_no_window():
    cases, _rng = table(100)

    found = windows.find(cases, np.zeros(100, dtype=bool), columns=["speed"], asked=0.01)

    assert found.window is None
    assert "No window is needed" in found.sentence
