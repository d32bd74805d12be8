import numpy as np
import pytest

from mlops.tabular import skill, training
from mlops.tabular.folds import NotEnoughCases
from mlops.tabular.table import Column, Outcome, Table, UnusableTable
from mlops.tabular.training import Costs, best_threshold
from mlops.trees import OnnxModel
from tests.mlops.tabular.cases import experiments, parts


def test_a_model_is_served_where_skill_is_shown(trained):
    assert trained.skill.is_shown
    assert trained.metrics["f1"] > 0.8
    assert trained.metrics["f1_low"] <= trained.metrics["f1"] <= trained.metrics["f1_high"]


def test_a_model_holds_on_cases_it_never_saw(trained):
    table, outcome = parts(2_000, seed=1)

    said = trained.model.predict(table, OnnxModel(trained.model.serialised))

    called = trained.model.called(said)
    right = np.mean(called == outcome.codes)
    assert right > 0.95
    # Calibrated: as many events as the probabilities add up to.
    assert said[:, 1].sum() == pytest.approx(outcome.codes.sum(), rel=0.15)


def test_modes_tell_how_a_case_would_fail(trained):
    values = np.array([[60.0, 190.0, 50.0, 0.0], [58.0, 120.0, 50.0, 1.0]])

    shares = trained.model.mode_shares(
        Table(trained.model.columns, values), OnnxModel(trained.model.serialised)
    )

    assert shares["overload"][0] > 0.9
    assert shares["brittle"][1] > 0.9


def test_a_combination_is_kept_because_it_helps(trained):
    kept = {(d.kind, d.first, d.second) for d in trained.model.design.derived}

    assert ("x", 0, 1) in kept


@pytest.mark.slow
def test_labels_without_reason_yield_no_model():
    table, outcome = parts(300)
    shuffled = np.random.default_rng(5).permutation(outcome.codes)

    training_ = training.train(table, Outcome(outcome.classes, shuffled), n_threads=1)

    assert training_.model is None
    assert "No evidence of skill" in training_.skill.sentence


@pytest.mark.slow
def test_rows_of_one_experiment_are_one_piece_of_evidence():
    """Row by row each experiment is known by its offset; as experiments nothing can be seen."""
    table, outcome, groups = experiments(effect=0.0)

    by_experiment = training.train(table, outcome, groups=groups, n_threads=1)

    assert by_experiment.model is None
    assert by_experiment.skill.n_groups == 12
    assert by_experiment.skill.n_needed is not None
    assert training.train(table, outcome, n_threads=1).metrics["roc_auc"] > 0.9


@pytest.mark.slow
def test_fourteen_experiments_are_enough_for_a_plain_effect(monkeypatch):
    monkeypatch.setattr(skill, "N_REFITS", 19)
    table, outcome, groups = experiments(14, effect=6.0)

    found = training.train(table, outcome, groups=groups, n_threads=1)

    assert found.model is not None
    assert found.skill.p_value <= 0.05


@pytest.mark.slow
def test_later_cases_are_judged_by_models_of_earlier_ones():
    """The cause of failures changes half way: what was learnt no longer holds, and it shows."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (400, 2))
    later = np.arange(400) >= 200
    failed = np.where(later, x[:, 0] < -0.8, x[:, 0] > 0.8)
    table = Table((Column("a"), Column("b")), x)
    outcome = Outcome(("fine", "failed"), failed.astype(np.int64))

    in_time = training.train(table, outcome, times=np.arange(400.0), n_threads=1)

    mixed = training.train(table, outcome, n_threads=1)
    assert in_time.metrics["average_precision"] < mixed.metrics["average_precision"]


@pytest.mark.slow
def test_several_classes_are_told_apart():
    rng = np.random.default_rng(2)
    x = rng.normal(0, 1, (300, 3))
    codes = (x[:, 0] > 0.5).astype(np.int64) + (x[:, 0] > -0.5)
    table = Table((Column("a"), Column("b"), Column("c")), x)
    outcome = Outcome(("small", "right", "large"), codes)

    found = training.train(table, outcome, n_threads=1)

    assert found.model is not None
    said = found.model.predict(table, OnnxModel(found.model.serialised))
    assert found.metrics["accuracy"] > 0.9
    assert [report.name for report in found.by_class] == ["small", "right", "large"]
    assert said.sum(axis=1) == pytest.approx(np.ones(300))


@pytest.mark.slow
def test_another_division_into_folds_judges_every_case_again():
    table, outcome = parts(200)

    first, second = (
        training.cross_validated(table, outcome, seed=seed, n_threads=1) for seed in (0, 1)
    )

    assert sorted(first.rows) == sorted(second.rows) == list(range(200))
    assert list(np.unique(first.fold)) == [0, 1, 2, 3, 4]
    assert not np.array_equal(first.rows, second.rows)


def test_too_few_cases_of_an_outcome_are_named():
    table, outcome = parts(100)
    codes = np.zeros(100, dtype=np.int64)
    codes[:3] = 1

    with pytest.raises(NotEnoughCases, match="about 2 more independent cases of 'failed'"):
        training.train(table, Outcome(outcome.classes, codes))


@pytest.mark.parametrize("wrong", [{"groups": ["a"]}, {"times": np.array([np.nan] * 100)}])
def test_groups_and_times_must_fit_the_cases(wrong):
    with pytest.raises(UnusableTable):
        training.train(*parts(100), **wrong)


def test_costs_move_the_threshold():
    assert Costs(false_alarm=100, miss=900).threshold == pytest.approx(0.1)


def test_the_threshold_is_half_of_the_f1_to_be_expected():
    # Called 1: 2 x 0.9 / (1 + 1.5); called 2: 2 x 1.4 / (2 + 1.5) = 0.8; called 3: 3 / 4.5.
    assert best_threshold(np.array([0.5, 0.9, 0.1])) == pytest.approx(0.4)


def test_other_columns_are_refused(trained):
    table, _outcome = parts(5)
    other = Table((Column("power"), *table.columns[1:]), table.values)

    with pytest.raises(UnusableTable, match="not those"):
        trained.model.predict(other, OnnxModel(trained.model.serialised))
