import numpy as np
import pytest

from mlops.vibration.levels import (
    Burst,
    Machine,
    Support,
    UnusableBurst,
    levels_of,
    velocity_rms_mm_s,
    zone_of,
)
from tests.mlops.vibration.bursts import sine


def test_a_sine_has_the_figures_of_the_textbook():
    levels = levels_of(sine(2.0, 50))

    assert levels.rms_g == pytest.approx(2 / np.sqrt(2))
    assert levels.crest == pytest.approx(np.sqrt(2))
    assert levels.kurtosis == pytest.approx(1.5)
    assert levels.skewness == pytest.approx(0, abs=1e-9)


def test_a_square_wave_has_crest_and_kurtosis_of_one():
    levels = levels_of(Burst(np.tile([3.0, -3.0], 5_000), 10_000.0))

    assert (levels.peak_g, levels.crest, levels.kurtosis) == pytest.approx((3, 1, 1))


def test_a_machine_that_stands_has_no_shape():
    levels = levels_of(Burst(np.full(4_000, 1.0), 4_000.0))

    assert (levels.rms_g, levels.crest, levels.velocity_mm_s) == (0.0, 0.0, 0.0)


def test_velocity_is_acceleration_over_angular_frequency():
    """1 g at 160 Hz: 9806.65 mm/s2 / (2 pi 160) = 9.755 mm/s peak, 6.898 mm/s RMS."""
    burst = sine(1.0, 160, seconds=0.5)

    assert velocity_rms_mm_s(burst) == pytest.approx(6.898, abs=1e-3)


@pytest.mark.parametrize(
    ("speed_rpm", "expected"), [(3_000, 0.0), (300, 9806.65 / 31.416 / 1.4142)]
)
def test_slow_machines_are_heard_from_two_hertz(speed_rpm, expected):
    burst = sine(1.0, 5, seconds=2, speed_rpm=speed_rpm)

    assert velocity_rms_mm_s(burst) == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("burst", [sine(1, 5, rate_hz=1_000), sine(1, 500, seconds=0.05)])
def test_too_slow_or_too_short_a_burst_has_no_velocity(burst):
    with pytest.raises(UnusableBurst):
        velocity_rms_mm_s(burst)


@pytest.mark.parametrize(
    ("machine", "support", "velocity", "zone"),
    [
        (Machine.LARGE, Support.RIGID, 2.3, "A"),  # on the boundary: the lower zone
        (Machine.LARGE, Support.FLEXIBLE, 7.2, "C"),
        (Machine.MEDIUM, Support.RIGID, 1.41, "B"),
        (Machine.MEDIUM, Support.FLEXIBLE, 7.11, "D"),
        (Machine.SMALL, Support.RIGID, 1.8, "B"),
    ],
)
def test_zones_by_group_and_support(machine, support, velocity, zone):
    found = zone_of(velocity, machine=machine, support=support)

    assert found.name == zone
    assert "ISO 10816" in found.edition


def test_a_gap_is_refused():
    with pytest.raises(UnusableBurst, match="gaps"):
        Burst(np.array([0.0] * 20 + [np.nan]), 1_000.0)
