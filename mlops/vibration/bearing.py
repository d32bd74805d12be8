"""Which part of a rolling bearing is damaged, from the lines in the envelope spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import cos, radians
from typing import Final

import numpy as np

from mlops.vibration.levels import Burst, UnusableBurst
from mlops.vibration.spectra import Spectrum, envelope_spectrum

N_HARMONICS: Final = 3
# Rolling elements slip by 1 to 3 %.
SLIP: Final = 0.03
# The surroundings of a line reach this share of its fundamental to both sides.
SURROUNDINGS: Final = 0.3
# A line stands out from this height over the median of its surroundings. With two of three
# harmonics asked for, none of 900 made-up bursts of noise (2, 4 and 10 s) named a part.
STANDS_OUT_DB: Final = 9.0
MIN_HARMONICS: Final = 2
# A band must hold this many of the highest defect frequency.
LINES_IN_A_BAND: Final = 3.0


class Part(StrEnum):
    """Parts of a bearing, by the words of a sentence."""

    OUTER_RACE = "outer race"
    INNER_RACE = "inner race"
    ROLLING_ELEMENT = "rolling element"
    CAGE = "cage"


@dataclass(frozen=True, slots=True)
class Geometry:
    """A rolling bearing with its outer ring fixed.

    Attributes:
        n_elements: rolling elements in the row.
        element_mm, pitch_mm: diameters of an element and of the circle of their centres.
        angle_deg: contact angle.
    """

    n_elements: int
    element_mm: float
    pitch_mm: float
    angle_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.n_elements < 3 or not 0 < self.element_mm < self.pitch_mm:
            raise ValueError("A bearing has 3 elements or more, smaller than their pitch circle.")

    @property
    def ratio(self) -> float:
        return self.element_mm / self.pitch_mm * cos(radians(self.angle_deg))

    def frequencies_hz(self, speed_rpm: float) -> dict[Part, float]:
        """Return at what rate a spot on each part is struck.

        A spot on a rolling element strikes both races: twice its spin frequency (2 x BSF). The
        others are BPFO, BPFI and FTF.

        Source: Randall and Antoni, Rolling element bearing diagnostics: a tutorial (MSSP, 2011).
        """
        turns = speed_rpm / 60.0
        return {
            Part.OUTER_RACE: self.n_elements * turns / 2 * (1 - self.ratio),
            Part.INNER_RACE: self.n_elements * turns / 2 * (1 + self.ratio),
            Part.ROLLING_ELEMENT: turns * self.pitch_mm / self.element_mm * (1 - self.ratio**2),
            Part.CAGE: turns / 2 * (1 - self.ratio),
        }


@dataclass(frozen=True, slots=True)
class Lines:
    """The harmonics of one defect frequency in an envelope spectrum, as data for a picture.

    Attributes:
        expected_hz: from the geometry.
        found_hz: (n_harmonics,) where they were read, all with the same slip.
        amplitude_g: (n_harmonics,).
        above_db: (n_harmonics,) over the median of each one's surroundings.
    """

    part: Part
    expected_hz: float
    found_hz: tuple[float, ...]
    amplitude_g: tuple[float, ...]
    above_db: tuple[float, ...]

    @property
    def n_standing(self) -> int:
        return sum(db >= STANDS_OUT_DB for db in self.above_db)

    @property
    def strength_db(self) -> float:
        """Mean height of the harmonics: one alone may be anything, a row of them is a pattern."""
        return float(np.mean(self.above_db))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an envelope spectrum says of a bearing.

    Attributes:
        damaged: the part whose lines stand out most; None where none does.
        lines: of all parts, strongest first.
        sentence: for a reader.
    """

    damaged: Part | None
    lines: tuple[Lines, ...]
    envelope: Spectrum
    sentence: str


def diagnose(
    burst: Burst, geometry: Geometry, *, bearing: str, band_hz: tuple[float, float] | None = None
) -> Diagnosis:
    """Say which part of a bearing shows damage.

    Args:
        bearing: as it is called on the machine, for the sentence ("drive-end bearing").
        band_hz: where the housing rings; sought where not given.

    Raises:
        UnusableBurst: the speed is not known, or the burst holds too few turns.
    """
    if burst.speed_rpm is None:
        raise UnusableBurst("Bearing lines cannot be placed without the shaft's speed.")
    expected = geometry.frequencies_hz(burst.speed_rpm)
    envelope = envelope_spectrum(
        burst, band_hz=band_hz, min_width_hz=LINES_IN_A_BAND * max(expected.values())
    )
    lines = sorted(
        (
            lines_at(envelope, part, frequency)
            for part, frequency in expected.items()
            if SURROUNDINGS * frequency >= 2 * envelope.resolution_hz
        ),
        key=lambda one: -one.strength_db,
    )
    if not lines:
        raise UnusableBurst("The burst is too short to tell the bearing's lines apart.")
    standing = [one for one in lines if one.n_standing >= MIN_HARMONICS]
    damaged = standing[0].part if standing else None
    return Diagnosis(damaged, tuple(lines), envelope, _sentence(standing, lines, bearing))


def lines_at(envelope: Spectrum, part: Part, expected_hz: float) -> Lines:
    """Read the harmonics of a frequency, allowing for slip.

    The slip within 3 % that makes the harmonics stand highest together is taken: it is one
    slip for all of them, while chance peaks would each need their own.
    """
    step = min(envelope.resolution_hz / (2 * N_HARMONICS * expected_hz), SLIP)
    n_steps = int(SLIP // step)
    background = [_surroundings(envelope, expected_hz, h) for h in range(1, N_HARMONICS + 1)]
    best: tuple[float, list[int], list[float]] | None = None
    for slip in step * np.arange(-n_steps, n_steps + 1):
        places, heights = [], []
        for harmonic in range(1, N_HARMONICS + 1):
            place = _nearest(envelope, harmonic * expected_hz * (1 + float(slip)))
            places.append(place)
            ratio = envelope.amplitude_g[place] / background[harmonic - 1]
            heights.append(20.0 * float(np.log10(max(ratio, 1e-6))))
        if best is None or float(np.mean(heights)) > best[0]:
            best = float(np.mean(heights)), places, heights
    assert best is not None  # the slip of 0 is always tried
    return Lines(
        part, expected_hz,
        tuple(float(envelope.frequency_hz[i]) for i in best[1]),
        tuple(float(envelope.amplitude_g[i]) for i in best[1]), tuple(best[2]),
    )  # fmt: skip


def _nearest(envelope: Spectrum, frequency_hz: float) -> int:
    return min(round(frequency_hz / envelope.resolution_hz), len(envelope.frequency_hz) - 1)


def _surroundings(envelope: Spectrum, expected_hz: float, harmonic: int) -> float:
    """Return the median amplitude around a harmonic, the searched range left out."""
    centre = harmonic * expected_hz
    away = np.abs(envelope.frequency_hz - centre)
    searched = max(SLIP * centre, envelope.resolution_hz)
    reach = max(SURROUNDINGS * expected_hz, 2 * searched, 5 * envelope.resolution_hz)
    around = envelope.amplitude_g[(away <= reach) & (away > searched)]
    return max(float(np.median(around)), 1e-12) if len(around) else 1e-12


def _sentence(standing: Sequence[Lines], lines: Sequence[Lines], bearing: str) -> str:
    if not standing:
        strongest = lines[0]
        return (
            f"No defect lines in the {bearing}: the strongest, of the {strongest.part}, stand "
            f"{strongest.strength_db:.0f} dB above their surroundings on average."
        )
    first = standing[0]
    heights = [db for db in first.above_db if db >= STANDS_OUT_DB]
    return (
        f"{first.part.capitalize()} of the {bearing}: {len(heights)} harmonics of "
        f"{first.found_hz[0]:.1f} Hz stand {np.mean(heights):.0f} dB above their surroundings."
    )
