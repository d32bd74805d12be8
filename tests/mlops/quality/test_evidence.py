import numpy as np
import pytest

from mlops.quality import training
from mlops.quality.evidence import within_folds
from mlops.tabular.table import Column, Outcome, Table


def outcome(codes):
    return Outcome(("pass", "fail"), np.asarray(codes, dtype=np.int64))


def leaking(n=900, seed=0):
    """A sensor wanders from shift to shift and so does the yield, for reasons of their own."""
    rng = np.random.default_rng(seed)
    shift = np.arange(n) // 30
    level, share = rng.normal(0, 1, n // 30)[shift], rng.choice([0.05, 0.6], n // 30)[shift]
    values = np.column_stack([level + rng.normal(0, 0.05, n), rng.normal(0, 1, n)])
    table = Table((Column("pressure"), Column("flow")), values)
    return table, outcome(rng.random(n) < share), np.arange(n, dtype=float)


@pytest.mark.slow
def test_what_only_a_random_order_shows_is_refused():
    table, answers, times = leaking()

    found = training.learn(table, answers, times=times, n_threads=1)

    assert found.evidence.random is not None
    assert found.evidence.in_time is not None
    assert found.evidence.random.low > 0.6
    assert found.evidence.in_time.low <= 0.5
    assert found.model is None
    assert found.evidence.sentence.startswith(
        "No evidence of skill in time order: no model is served. AUC 0."
    )
    assert "with cases in random order" in found.evidence.sentence


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_refused(seed):
    rng = np.random.default_rng(seed)
    table = Table(tuple(Column(f"s{i}") for i in range(20)), rng.normal(0, 1, (400, 20)))

    found = training.learn(
        table, outcome(rng.random(400) < 0.07), times=np.arange(400.0), n_threads=1
    )

    assert found.model is None


@pytest.mark.slow
def test_one_in_a_hundred_is_learnt_where_it_has_a_cause():
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (3_000, 4))
    x[rng.random(x.shape) < 0.1] = np.nan
    failed = (x[:, 0] > 2.2) & (rng.random(3_000) < 0.9)
    table = Table(tuple(Column(name) for name in "abcd"), x)

    found = training.learn(table, outcome(failed), times=np.arange(3_000.0), n_threads=1)

    assert np.mean(failed) < 0.015
    assert found.model is not None
    assert found.evidence.in_time is not None
    assert found.evidence.in_time.value > 0.9


def test_forecasts_of_different_folds_are_not_compared():
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]])
    codes, fold = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])

    assert within_folds(probability, codes, fold) == 1.0
    assert within_folds(probability, codes, np.zeros(4, dtype=np.int64)) == 0.75
    assert np.isnan(within_folds(probability, np.zeros(4, dtype=np.int64), fold))
