"""Spectra of bursts, as data for pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from mlops.lives import FloatArray
from mlops.vibration.levels import Burst

# Shortest piece that is averaged: lines 1 Hz apart are told from each other.
PIECE_S = 1.0
N_PIECES = 4
# Bands are halves, quarters, ... of the whole range, each half overlapping the next.
MAX_HALVINGS = 4


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Amplitudes by frequency.

    Attributes:
        frequency_hz: (n_lines,), evenly spaced from 0.
        amplitude_g: (n_lines,) peak amplitude of a sine at that frequency.
        band_hz: of an envelope spectrum: the band that was demodulated.
    """

    frequency_hz: FloatArray
    amplitude_g: FloatArray
    band_hz: tuple[float, float] | None = None

    @property
    def resolution_hz(self) -> float:
        return float(self.frequency_hz[1])


def spectrum(burst: Burst) -> Spectrum:
    """Return the amplitude spectrum: Hann window, amplitudes put right for it.

    A sine of amplitude 1 g that falls on a line reads 1 g there. One between two lines reads up
    to 15 % less (scalloping of the Hann window).

    Source: Harris, On the use of windows for harmonic analysis with the discrete Fourier
    transform (Proceedings of the IEEE, 1978).
    """
    return _amplitudes(burst.centred, burst.rate_hz)


def envelope_spectrum(
    burst: Burst, *, band_hz: tuple[float, float] | None = None, min_width_hz: float = 0.0
) -> Spectrum:
    """Return the spectrum of the envelope in a band.

    Impacts of a damaged bearing ring at a resonance of the housing; the envelope there shows
    how often they come. Pieces of the envelope are averaged (Welch, 1967), so that noise is
    level and lines stand out.

    Args:
        band_hz: where the resonance is; sought where not given.
        min_width_hz: narrowest band that is tried. A band must be a few times as wide as the
            highest frequency that is looked for in the envelope.

    Source: Randall and Antoni, Rolling element bearing diagnostics: a tutorial (MSSP, 2011).
    """
    x = burst.centred
    band = band_hz or impulsive_band(burst, min_width_hz=min_width_hz)
    envelope = np.abs(_analytic(x, burst.rate_hz, band))
    n_piece = min(len(x), max(len(x) // N_PIECES, int(PIECE_S * burst.rate_hz)))
    found = _amplitudes(envelope - envelope.mean(), burst.rate_hz, n_piece)
    return Spectrum(found.frequency_hz, found.amplitude_g, band)


def impulsive_band(burst: Burst, *, min_width_hz: float = 0.0) -> tuple[float, float]:
    """Return the band whose envelope is most impulsive.

    Tries halves, quarters, eighths and sixteenths of the range, overlapping by half, and takes
    the one with the highest kurtosis of the complex envelope; the whole range where only that
    is wide enough. In the manner of Antoni, Fast computation of the kurtogram (MSSP, 2007),
    with bands cut out of one Fourier transform instead of a filter bank.
    """
    top = burst.rate_hz / 2
    x = burst.centred
    best, chosen = -np.inf, (0.0, top)
    for halvings in range(1, MAX_HALVINGS + 1):
        width = top / 2**halvings
        if width < min_width_hz:
            break
        for start in np.arange(0.0, top - width + 1e-9, width / 2):
            # The lowest lines are unbalance and its kin, not a resonance.
            band = (float(start) if start > 0 else width / 4, float(start + width))
            power = np.abs(_analytic(x, burst.rate_hz, band)) ** 2
            mean = float(power.mean())
            impulsive = float(np.mean(power**2)) / mean**2 - 2.0 if mean > 0 else -np.inf
            if impulsive > best:
                best, chosen = impulsive, band
    return chosen


def _analytic(x: FloatArray, rate_hz: float, band: tuple[float, float]) -> np.ndarray:
    """Return the complex envelope of a band: its positive frequencies alone (Hilbert)."""
    n = len(x)
    lines = np.fft.rfft(x)
    frequency = np.fft.rfftfreq(n, 1.0 / rate_hz)
    whole = np.zeros(n, dtype=np.complex128)
    inside = (frequency >= band[0]) & (frequency <= band[1]) & (frequency > 0)
    whole[: len(lines)][inside] = 2.0 * lines[inside]
    return np.fft.ifft(whole)


def _amplitudes(x: FloatArray, rate_hz: float, n_piece: int | None = None) -> Spectrum:
    frequency, power = scipy.signal.welch(
        x, rate_hz, window="hann", nperseg=n_piece or len(x), detrend="constant",
        scaling="spectrum",
    )  # fmt: skip
    amplitude = np.sqrt(2.0 * power)
    return Spectrum(
        np.asarray(frequency, dtype=np.float64), np.asarray(amplitude, dtype=np.float64)
    )
