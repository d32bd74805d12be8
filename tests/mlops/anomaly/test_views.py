import numpy as np
import pytest

from mlops.anomaly.views import CHANGE, Memory, views


def test_views_of_a_step_by_hand():
    # After rows 0 and 1 the mean with weight 0.2 is 0.2; its variance has grown to
    # 1 - 0.8**4 = 0.5904 of the long run's.
    seen = views(np.array([[0.0], [1.0]]))

    assert seen[CHANGE][:, 0].tolist() == [0.0, 1.0]
    assert seen[1][:, 0].tolist() == [0.0, 1.0]
    assert seen[2][1, 0] == pytest.approx(0.2 / np.sqrt(0.5904))


def test_the_spread_of_a_view_is_the_same_from_the_first_row_on():
    noise = np.random.default_rng(0).normal(size=(60, 4000))

    spread = views(noise).std(axis=2)

    assert spread[1:, 0] == pytest.approx(spread[1:, -1], rel=0.08)


def test_a_stream_sees_what_a_batch_sees():
    scores = np.random.default_rng(0).normal(size=(50, 3))
    memory = Memory(3)

    pushed = np.stack([memory.push(row) for row in scores], axis=1)

    assert pushed == pytest.approx(views(scores))
