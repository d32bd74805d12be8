import numpy as np
import pytest

from mlops.vibration.spectra import envelope_spectrum, impulsive_band, spectrum
from tests.mlops.vibration.bursts import sine, struck


def test_a_sine_on_a_line_reads_its_amplitude():
    found = spectrum(sine(0.8, 120))

    assert found.amplitude_g.max() == pytest.approx(0.8)
    assert found.frequency_hz[np.argmax(found.amplitude_g)] == 120


def test_the_band_holds_the_resonance_that_impacts_ring():
    low, high = impulsive_band(struck(107.4), min_width_hz=500)

    assert low < 3_400 < high


def test_no_band_is_narrower_than_asked():
    low, high = impulsive_band(struck(107.4), min_width_hz=4_000)

    assert (low, high) == (0.0, 6_000.0)


def test_the_envelope_shows_how_often_impacts_come():
    found = envelope_spectrum(struck(107.0), min_width_hz=500)

    strongest = found.frequency_hz[np.argmax(found.amplitude_g)]
    assert strongest == pytest.approx(107, abs=found.resolution_hz)
