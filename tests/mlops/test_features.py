import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops.features import (
    FeatureSpec,
    Standardiser,
    filled_forward,
    rolling_mean,
    rolling_slope,
    start_level,
)
from mlops.lives import Life
from tests.mlops.wear import fleet

RAMP = np.array([[0.0], [2.0], [4.0], [6.0], [8.0], [10.0]])


def test_rolling_means_use_what_is_there():
    assert rolling_mean(RAMP, 3)[:, 0].tolist() == [0.0, 1.0, 2.0, 4.0, 6.0, 8.0]


def test_a_slope_is_known_from_five_steps_on():
    assert rolling_slope(RAMP, 10)[:, 0] == pytest.approx([0, 0, 0, 0, 2.0, 2.0])


def test_the_start_level_stands_once_the_window_is_full():
    assert start_level(RAMP, 2)[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_a_silent_signal_keeps_its_last_value():
    values = np.array([[np.nan, 1.0], [5.0, np.nan], [np.nan, np.nan]])

    assert filled_forward(values, np.array([9.0, 9.0])).tolist() == [[9, 1], [5, 1], [5, 1]]


def test_signals_that_stand_still_or_are_rarely_heard_are_dropped():
    life = fleet(1)[0]
    rare = np.full((len(life), 1), np.nan)
    rare[0] = 1.0
    values = np.hstack([life.values, np.full((len(life), 1), 21.6), rare])

    kept = Standardiser.fit([Life("a", "a", life.usage, values, True)]).kept

    assert kept.tolist() == [0, 1, 2]


def test_z_scores_are_taken_within_the_regime():
    rng = np.random.default_rng(0)
    low, high = rng.normal(10, 1, (400, 3)), rng.normal(90, 1, (400, 3))
    values = np.where(
        (np.arange(800) % 2 == 0)[:, None], np.repeat(low, 2, 0), np.repeat(high, 2, 0)
    )
    life = Life("a", "a", np.arange(800.0), values, True)

    standardiser = Standardiser.fit([life])

    assert len(standardiser.regimes) == 2
    assert np.abs(standardiser.transform(values).mean(axis=0)).max() < 0.2


@pytest.fixture(scope="module")
def spec():
    lives = fleet(4)
    standardiser = Standardiser.fit(lives)
    weights = np.random.default_rng(3).normal(size=(2, len(standardiser.kept)))
    return FeatureSpec(standardiser, 60.0, weights)


@settings(deadline=None, max_examples=40)
@given(now=st.integers(1, 39), seed=st.integers(0, 99), scale=st.floats(0.1, 50))
def test_the_future_never_changes_a_feature_of_the_past(spec, now, seed, scale):
    life = fleet(1)[0]
    changed = life.values.copy()
    changed[now:] += np.random.default_rng(seed).normal(0, scale, changed[now:].shape)

    before = spec.matrix(life)[:now]
    after = spec.matrix(Life("a", "a", life.usage, changed, True))[:now]

    assert np.array_equal(before, after)


@settings(deadline=None, max_examples=40)
@given(n_steps=st.integers(1, 50))
def test_the_last_step_alone_has_the_features_that_training_saw(spec, n_steps):
    life = fleet(1)[0].until(n_steps)
    scores = spec.standardiser.transform(life.values)

    row = spec.row(spec.last(scores), float(life.usage[-1]))

    assert row == pytest.approx(spec.matrix(life)[-1], abs=1e-5)


def test_a_signal_taken_away_leaves_the_features_of_one_that_never_moved(spec):
    life = fleet(1)[0]
    scores = spec.standardiser.transform(life.values)
    still = scores.copy()
    still[:, 2] = 0.3

    without = spec.row(spec.last(scores).without(2, usual=0.3), 5.0)

    assert without == pytest.approx(spec.row(spec.last(still), 5.0), abs=1e-5)


def test_a_member_sees_its_own_index_only(spec):
    width = spec.matrix(fleet(1)[0]).shape[1]
    first, second = set(spec.columns_of(0).tolist()), set(spec.columns_of(1).tolist())

    assert first | second == set(range(width))
    assert first - second
    assert second - first
