import pytest

from mlops.vibration.bearing import Geometry, Part, diagnose
from mlops.vibration.levels import UnusableBurst
from tests.mlops.vibration.bursts import sine, struck

BEARING_6205 = Geometry(n_elements=9, element_mm=7.94, pitch_mm=39.04)


def test_a_6205_at_1797_rpm():
    """BPFO 107.4, BPFI 162.2, 2 x BSF 141.2, FTF 11.9 Hz (CWRU's own factors agree)."""
    found = BEARING_6205.frequencies_hz(1_797)

    assert found[Part.OUTER_RACE] == pytest.approx(107.4, abs=0.1)
    assert found[Part.INNER_RACE] == pytest.approx(162.2, abs=0.1)
    assert found[Part.ROLLING_ELEMENT] == pytest.approx(141.2, abs=0.1)
    assert found[Part.CAGE] == pytest.approx(11.9, abs=0.05)


@pytest.mark.parametrize("part", [Part.OUTER_RACE, Part.INNER_RACE, Part.ROLLING_ELEMENT])
@pytest.mark.parametrize("slip", [-0.02, 0.0, 0.02])
def test_impacts_name_their_part_in_spite_of_slip(part, slip):
    name = part.value.capitalize()
    rate = BEARING_6205.frequencies_hz(1_797)[part] * (1 + slip)

    found = diagnose(struck(rate), BEARING_6205, bearing="drive-end bearing")

    assert found.damaged == part
    assert found.lines[0].found_hz[0] == pytest.approx(rate, abs=1.5)
    assert found.sentence.startswith(f"{name} of the drive-end bearing: 3 harmonics")


def test_noise_alone_has_no_lines():
    named = [
        diagnose(struck(107.4, high=0, seed=seed), BEARING_6205, bearing="bearing").damaged
        for seed in range(20)
    ]

    assert named == [None] * 20


def test_without_speed_no_line_can_be_placed():
    with pytest.raises(UnusableBurst, match="speed"):
        diagnose(sine(1, 100), BEARING_6205, bearing="bearing")


def test_a_geometry_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="pitch"):
        Geometry(9, 40.0, 39.0)
