import numpy as np
import pytest

from mlops.conformal import Spread, quantile, runs_needed


@pytest.mark.parametrize(("level", "needed"), [(0.8, 4), (0.9, 9), (0.95, 19)])
def test_a_level_needs_a_least_number_of_runs(level, needed):
    assert runs_needed(level) == needed


def test_one_score_a_run_gives_the_textbook_rank():
    """n 100, 90 %: the 91st smallest, ceil((n + 1) * 0.9)."""
    scores = [np.array([float(i)]) for i in range(1, 101)]

    assert quantile(scores, 0.9) == 91.0


def test_too_few_runs_give_no_quantile():
    assert quantile([np.array([1.0])] * 8, 0.9) is None
    assert quantile([np.array([1.0])] * 9, 0.9) == 1.0


def test_a_run_counts_once_however_often_it_was_looked_at():
    few = [np.array([float(i)]) for i in range(1, 11)]
    many = [np.repeat(run, 1 + 50 * (i % 2)) for i, run in enumerate(few)]

    assert quantile(many, 0.8) == quantile(few, 0.8)


def test_a_new_run_is_covered_as_often_as_promised():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        sizes = rng.gamma(2.0, 1.0, 21)
        runs = [np.abs(rng.normal(0, size, 15)) for size in sizes]
        reach = quantile(runs[:20], 0.8)
        covered.append(np.mean(runs[20] <= reach))

    assert 0.78 <= np.mean(covered) <= 0.86


def test_the_width_follows_the_errors_around_a_prediction():
    predicted = [np.full(50, 10.0), np.full(50, 90.0)]
    true = [np.full(50, 11.0), np.full(50, 70.0)]

    spread = Spread.fit(predicted, true, cap=100.0)

    assert spread.at(np.array([10.0]))[0] == pytest.approx(1.2, abs=0.3)
    assert spread.at(np.array([90.0]))[0] == pytest.approx(20.0, abs=0.5)
