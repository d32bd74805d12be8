import numpy as np
import pytest

from mlops.lives import Life, UnusableLives, digest, preferred, resample, step_for
from tests.mlops.wear import SIGNALS, worn_life


def test_readings_are_averaged_into_steps_of_usage():
    usage = np.array([0.0, 0.4, 1.0, 3.2])
    values = np.array([[2.0], [4.0], [10.0], [np.nan]])

    steps, means = resample(usage=usage, values=values, step=1.0)

    assert steps.tolist() == [0.0, 1.0, 3.0]  # step 2 had no reading: it is absent
    assert means[:2, 0].tolist() == [3.0, 10.0]
    assert np.isnan(means[2, 0])


@pytest.mark.parametrize(
    ("length", "natural", "step"), [(200.0, 1.0, 1.0), (400.0, 1.0, 1.0), (2000.0, 1.0, 10.0)]
)
def test_long_lives_are_cut_more_coarsely(length, natural, step):
    assert step_for(lengths=[length], natural=natural) == step


@pytest.mark.parametrize(("value", "rounded"), [(117.0, 125.0), (0.9, 1.0), (181.0, 200.0)])
def test_estimates_are_rounded_to_preferred_numbers(value, rounded):
    assert preferred(value) == rounded


def test_what_remains_counts_down_to_the_failure():
    assert worn_life("a", length=4, seed=0).remaining().tolist() == [3.0, 2.0, 1.0, 0.0]


def test_what_remains_of_a_running_machine_is_not_known():
    with pytest.raises(UnusableLives):
        worn_life("a", length=9, seed=0).until(5).remaining()


@pytest.mark.parametrize("usage", [[0.0, 0.0], [1.0, 0.5], []])
def test_usage_that_does_not_increase_is_refused(usage):
    with pytest.raises(UnusableLives):
        Life("a", "a", np.array(usage), np.zeros((len(usage), 1)), True)


def test_the_digest_changes_with_any_value():
    one, other = worn_life("a", length=9, seed=0), worn_life("a", length=9, seed=0)
    assert digest([one], SIGNALS) == digest([other], SIGNALS)

    other.values[3, 1] += 1e-9

    assert digest([one], SIGNALS) != digest([other], SIGNALS)
