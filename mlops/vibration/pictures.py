"""Spectra small enough to draw, with the places where a bearing's lines would be.

Pure, no Django.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.vibration.bearing import N_HARMONICS, STANDS_OUT_DB, Geometry, Lines, Part
from mlops.vibration.spectra import Spectrum

MAX_POINTS: Final = 2_000
# What bearing specialists call the rates; a spot on an element strikes twice a turn.
SYMBOLS: Final = {
    Part.OUTER_RACE: "BPFO",
    Part.INNER_RACE: "BPFI",
    Part.ROLLING_ELEMENT: "2xBSF",
    Part.CAGE: "FTF",
}
# An envelope is drawn up to a little beyond the last line looked for.
BEYOND: Final = 1.15
WITHOUT_LINES_HZ: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A line in a picture.

    Attributes:
        name: "BPFO", "2 x BPFO".
        hz: where it was read, or is expected where it was not looked for.
        above_db: over its surroundings; None where it was not looked for.
    """

    part: Part
    harmonic: int
    name: str
    hz: float
    above_db: float | None = None

    @property
    def stands_out(self) -> bool:
        return self.above_db is not None and self.above_db >= STANDS_OUT_DB


def thinned(spectrum: Spectrum, *, until_hz: float, n_most: int = MAX_POINTS) -> Spectrum:
    """Return at most `n_most` lines up to `until_hz`: of neighbours the highest, where it is.

    A mean would hide the very lines that are looked for.
    """
    inside = spectrum.frequency_hz <= until_hz
    frequency, amplitude = spectrum.frequency_hz[inside], spectrum.amplitude_g[inside]
    n_each = -(-len(frequency) // n_most)
    if n_each > 1:
        starts = np.arange(0, len(frequency), n_each)
        chosen = np.array([i + int(np.argmax(amplitude[i : i + n_each])) for i in starts])
        frequency, amplitude = frequency[chosen], amplitude[chosen]
    return Spectrum(frequency, amplitude, spectrum.band_hz)


def marks_found(lines: Iterable[Lines]) -> tuple[Mark, ...]:
    """Return the lines of a diagnosis where they were read."""
    return tuple(
        Mark(one.part, k, _name(one.part, k), hz, db)
        for one in lines
        for k, (hz, db) in enumerate(zip(one.found_hz, one.above_db, strict=True), start=1)
    )


def marks_expected(geometry: Geometry, speed_rpm: float, *, n: int = 1) -> tuple[Mark, ...]:
    """Return where lines are expected, `n` harmonics of each."""
    return tuple(
        Mark(part, k, _name(part, k), k * hz)
        for part, hz in geometry.frequencies_hz(speed_rpm).items()
        for k in range(1, n + 1)
    )


def envelope_until_hz(marks: Iterable[Mark]) -> float:
    """Return up to where an envelope spectrum is worth drawing."""
    last = max((mark.hz for mark in marks), default=WITHOUT_LINES_HZ / BEYOND)
    return BEYOND * last


def _name(part: Part, harmonic: int) -> str:
    assert 1 <= harmonic <= N_HARMONICS
    return SYMBOLS[part] if harmonic == 1 else f"{harmonic} x {SYMBOLS[part]}"
