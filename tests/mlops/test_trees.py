import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops.trees import OnnxModel, UnsupportedTree, rounded_down, to_onnx


def boosted(features, target, **settings):
    data = lightgbm.Dataset(features, label=target)
    return lightgbm.train({"verbosity": -1, "num_threads": 1, "seed": 1, **settings}, data, 40)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    # Few distinct values, so that many thresholds fall on or right beside a value.
    features = np.round(rng.normal(0, 1, (800, 6)), 1).astype(np.float32).astype(np.float64)
    return features, features[:, 0] * 3 + np.abs(features[:, 4]) + rng.normal(0, 0.1, 800)


def test_onnx_says_what_the_boosters_say(problem):
    features, target = problem
    columns = [np.array([0, 1, 2, 4]), np.array([0, 3, 4, 5])]
    boosters = [boosted(features[:, own], target) for own in columns]

    onnx = OnnxModel(to_onnx(boosters, columns, n_features=6))

    expected = np.mean(
        [b.predict(features[:, own]) for b, own in zip(boosters, columns, strict=True)], axis=0
    )
    assert onnx.predict(features) == pytest.approx(expected, abs=1e-4)


def test_a_booster_that_learnt_nothing_is_a_constant():
    features = np.zeros((50, 2))
    booster = boosted(features, np.full(50, 7.0))

    onnx = OnnxModel(to_onnx([booster], [np.array([0, 1])], n_features=2))

    assert onnx.predict(np.ones((3, 2))) == pytest.approx([7.0] * 3)


@pytest.mark.parametrize("seen_in_training", [True, False])
def test_an_unknown_value_goes_where_the_booster_sends_it(problem, seen_in_training):
    features, target = problem
    holed = np.where(np.random.default_rng(1).random(features.shape) < 0.2, np.nan, features)
    booster = boosted(holed if seen_in_training else features, target)

    onnx = OnnxModel(to_onnx([booster], [np.arange(6)], n_features=6))

    assert onnx.predict(holed) == pytest.approx(booster.predict(holed), abs=1e-4)


def test_every_target_is_the_mean_of_its_own_boosters(problem):
    features, target = problem
    columns = [np.arange(6)] * 3
    boosters = [boosted(features, part, seed=i) for i, part in enumerate([target, -target, target])]

    onnx = OnnxModel(to_onnx(boosters, columns, n_features=6, targets=[0, 1, 0]))

    first = (boosters[0].predict(features) + boosters[2].predict(features)) / 2
    assert onnx.predict_all(features)[:, 0] == pytest.approx(first, abs=1e-4)
    assert onnx.predict_all(features)[:, 1] == pytest.approx(
        boosters[1].predict(features), abs=1e-4
    )


def test_splits_by_category_are_refused(problem):
    features, target = problem
    codes = np.abs(features[:, :1] * 10) % 7
    data = lightgbm.Dataset(codes, label=target, categorical_feature=[0])
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1, "min_data_per_group": 1}, data, 5)

    with pytest.raises(UnsupportedTree):
        to_onnx([booster], [np.array([0])], n_features=1)


@given(threshold=st.floats(-1e30, 1e30), value=st.floats(-(2.0**90), 2.0**90, width=32))
def test_a_rounded_threshold_splits_every_single_alike(threshold, value):
    assert (value <= threshold) == (np.float32(value) <= np.float32(rounded_down(threshold)))
