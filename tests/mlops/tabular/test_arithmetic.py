"""Hand-worked cases of calibration, folds, combinations, tests against chance and figures."""

import numpy as np
import pytest

from mlops.tabular import calibration, folds, scores, skill
from mlops.tabular.derived import Derived, Design, proposals
from mlops.tabular.table import Column, Outcome, Table, UnusableTable, column_of


def outcome(codes):
    return Outcome(("no", "yes"), np.array(codes, dtype=np.int64))


def test_a_column_with_a_word_in_it_is_a_category():
    column, values = column_of("grade", ["M", "", "L", "M"])

    assert column == Column("grade", ("L", "M"))
    assert values == pytest.approx([1, np.nan, 0, 1], nan_ok=True)


def test_what_is_not_known_is_no_number():
    _column, values = column_of("x", ["1.5", "NaN", "?", "inf"])

    assert values == pytest.approx([1.5, np.nan, np.nan, np.nan], nan_ok=True)


def test_a_table_must_be_as_wide_as_its_names():
    with pytest.raises(UnusableTable, match="1 columns are named"):
        Table((Column("a"),), np.zeros((2, 2)))


def test_combinations_are_unknown_where_they_cannot_be_made():
    values = np.array([[6.0, 3.0], [1.0, 0.0], [np.nan, 2.0]])

    made = [Derived(kind, 0, 1).values(values) for kind in ("x", "-", "/")]

    assert made[0] == pytest.approx([18, 0, np.nan], nan_ok=True)
    assert made[1] == pytest.approx([3, 1, np.nan], nan_ok=True)
    assert made[2] == pytest.approx([2, np.nan, np.nan], nan_ok=True)


def test_three_columns_have_nine_combinations():
    assert len(proposals([4, 0, 2])) == 9


def test_rare_levels_have_no_column_of_their_own():
    codes = np.array([0.0] * 6 + [1.0] * 5 + [2.0] * 4)
    table = Table((Column("grade", ("A", "B", "C")),), codes[:, None])

    assert Design.fit(table).levels == ((0, 0), (0, 1))


def test_a_sigmoid_finds_the_shares_of_two_groups():
    """30 of 40 and 10 of 40 happened. With targets 41/42 and 1/42 the mean of the first is
    (30 x 41 + 10) / (40 x 42) = 0.738, log-odds 1.036; of the second the opposite.
    """
    happened = np.array([True] * 30 + [False] * 10 + [True] * 10 + [False] * 30)

    slope, offset = calibration.platt(np.repeat([1.0, -1.0], 40), happened)

    assert slope == pytest.approx(1.036, abs=1e-3)
    assert offset == pytest.approx(0.0, abs=1e-6)


def test_scores_that_point_the_wrong_way_say_nothing():
    happened = np.array([False] * 10 + [True] * 10)

    slope, offset = calibration.platt(np.repeat([1.0, -1.0], 10), happened)

    assert slope == 0.0
    assert calibration.sigmoid(np.array([offset]))[0] == pytest.approx(0.5)


def test_a_group_is_never_on_both_sides():
    groups = np.repeat(np.arange(20), 3)

    for fold in folds.by_group(outcome(groups % 2), groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert np.mean(groups[fold.test] % 2) == 0.5  # as many of each outcome


def test_time_runs_forwards():
    times = np.arange(60.0)

    judged = folds.by_time(outcome(times.astype(int) % 3 == 0), times)

    assert len(judged) == 5
    assert all(times[f.train].max() < times[f.test].min() for f in judged)


def test_gains_are_per_group():
    """Certain and right against one half: ln 2 per case, whatever the size of its group."""
    probability = np.array([[0.0, 1.0]] * 3 + [[0.5, 0.5]])
    base = np.full((4, 2), 0.5)

    gains = skill.group_gains(probability, base, np.ones(4, dtype=int), np.array([0, 0, 0, 1]))

    assert gains == pytest.approx([np.log(2), 0.0])


def test_six_gains_in_six_groups_are_one_in_64():
    p_value = skill.by_flips(np.ones(6), rng=np.random.default_rng(0))

    assert p_value == pytest.approx(1 / 64, abs=0.006)


def test_refits_stop_once_chance_does_as_well():
    asked = []

    def as_good(order):
        asked.append(order)
        return 0.2

    assert skill.by_refits(0.1, as_good, 12) == 1.0
    assert len(asked) == skill.ENOUGH_AS_GOOD


def test_more_cases_are_asked_for_by_the_effect_seen():
    """Mean 0.5, deviation 1: (2.487 / 0.5)^2 = 24.7, so 25 cases, 21 more than 4."""
    gains = 0.5 + np.array([1.0, -1.0, 1.0, -1.0]) * np.sqrt(3 / 4)

    judged = skill.judge(gains)

    assert judged.n_needed == 25
    assert "about 21 more independent cases" in judged.sentence


def test_figures_of_four_cases():
    probability = np.array([0.9, 0.8, 0.3, 0.1])
    codes = np.array([1, 0, 1, 0])

    figures = scores.report(
        np.column_stack([1 - probability, probability]), np.array([1, 1, 0, 0]), codes
    )

    assert figures["f1"] == 0.5
    assert figures["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["roc_auc"] == 0.75
    assert figures["mcc"] == 0.0


def test_a_class_never_called_has_no_precision():
    (_no, yes) = scores.by_class(np.array([0, 0]), np.array([0, 1]), ("no", "yes"))

    assert np.isnan(yes.precision)
    assert (yes.recall, yes.n) == (0.0, 1)


def test_the_area_of_several_classes_is_the_mean_over_those_seen():
    probability = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    codes = np.array([0, 0, 1, 1])

    figures = scores.report(probability, np.argmax(probability, axis=1), codes)

    # Class 0: {0.7, 0.2} above {0.6, 0.1} in 3 of 4 pairs; class 1: {0.3, 0.8} above {0.2, 0.5}
    # likewise; class 2 was never seen.
    assert figures["roc_auc"] == pytest.approx(3 / 4)
