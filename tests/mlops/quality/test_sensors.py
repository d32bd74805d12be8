import numpy as np
import pytest

from mlops.quality.sensors import look_at


def measured(n=200):
    return np.random.default_rng(0).normal(12.0, 0.5, n)


def test_zeros_far_from_what_is_measured_are_a_silent_sensor():
    values = measured()
    values[:40] = 0.0

    sensor = look_at(values)

    assert sensor.is_live
    assert not sensor.believed[:40].any()
    assert sensor.share_lost == pytest.approx(0.2)


def test_a_zero_that_belongs_to_the_measurement_is_one():
    values = np.round(np.random.default_rng(0).normal(0.0, 1.0, 200), 1)

    assert look_at(values).believed.all()


def test_a_set_point_tells_that_zero_cannot_be():
    values = np.abs(np.random.default_rng(1).normal(0.5, 0.3, 200))
    values[:50] = 0.0

    assert look_at(values).believed.all()
    assert not look_at(values, np.full(200, 4.0)).believed[:50].any()


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (np.where(np.arange(100) < 80, 0.0, 12.0 + np.arange(100) % 3), "zero or unknown in 80%"),
        (np.zeros(50), "always zero or unknown"),
        (np.full(50, 3.5), "never changes from 3.5"),
        (np.where(np.arange(100) < 90, 7.0, 7.1 + np.arange(100) / 100), "stuck at 7 in 90%"),
    ],
)
def test_faults_are_named(values, fault):
    assert look_at(values).fault.startswith(fault)
