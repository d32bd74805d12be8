"""How strongly and how roughly a machine shakes, and what the standard says of it.

Pure arithmetic, no Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import scipy

from mlops.lives import FloatArray

STANDARD_GRAVITY_M_S2: Final = 9.80665
SLOW_RPM: Final = 600.0


class UnusableBurst(ValueError):
    """The samples cannot be evaluated; says why."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Acceleration sampled evenly.

    Attributes:
        samples_g: (n_samples,) in g, no NaN.
        rate_hz: samples a second.
        speed_rpm: of the shaft, None where not known.
    """

    samples_g: FloatArray
    rate_hz: float
    speed_rpm: float | None = None

    def __post_init__(self) -> None:
        if self.samples_g.ndim != 1 or len(self.samples_g) < 16:
            raise UnusableBurst("A burst needs at least 16 samples in a row.")
        if not np.isfinite(self.samples_g).all():
            raise UnusableBurst("A burst must have no gaps.")
        if not self.rate_hz > 0 or (self.speed_rpm is not None and not self.speed_rpm > 0):
            raise UnusableBurst("Sampling rate and speed must be above 0.")

    @property
    def centred(self) -> FloatArray:
        """The samples without their mean, which is the sensor's and gravity's."""
        centred: FloatArray = self.samples_g - float(self.samples_g.mean())
        return centred


@dataclass(frozen=True, slots=True)
class Levels:
    """Figures of one burst.

    Attributes:
        rms_g, peak_g: of acceleration without its mean.
        crest: peak by RMS; 1.41 for a sine, about 4 for noise, higher with impacts.
        kurtosis: 1.5 for a sine, 3 for noise, higher with impacts.
        skewness: 0 where both directions are alike.
        velocity_mm_s: RMS in the band of the standard; None where sampled too slowly or too
            briefly for it.
    """

    rms_g: float
    peak_g: float
    crest: float
    kurtosis: float
    skewness: float
    velocity_mm_s: float | None


def levels_of(burst: Burst) -> Levels:
    """Return the figures of a burst. Shape figures are 0 where nothing moves."""
    x = burst.centred
    rms = float(np.sqrt(np.mean(x**2)))
    peak = float(np.max(np.abs(x)))
    try:
        velocity = velocity_rms_mm_s(burst)
    except UnusableBurst:
        velocity = None
    if rms <= 1e-9:
        return Levels(rms, peak, 0.0, 0.0, 0.0, velocity)
    return Levels(
        rms, peak, peak / rms, float(scipy.stats.kurtosis(x, fisher=False)),
        float(scipy.stats.skew(x)), velocity,
    )  # fmt: skip


VELOCITY_BAND_HZ: Final = (10.0, 1000.0)
SLOW_VELOCITY_BAND_HZ: Final = (2.0, 1000.0)


def velocity_rms_mm_s(burst: Burst) -> float:
    """Return the RMS of velocity from 10 to 1000 Hz, from 2 Hz below 600 rpm.

    Integrated in the frequency domain: each line's acceleration divided by 2 pi f. The band is
    cut sharply; the standard allows a filter's slopes there.

    Raises:
        UnusableBurst: sampled too slowly for 1000 Hz, or too briefly for the lowest frequency.

    Source: ISO 20816-1:2016 (evaluation by RMS velocity in the frequency band).
    """
    is_slow = burst.speed_rpm is not None and burst.speed_rpm < SLOW_RPM
    low, high = SLOW_VELOCITY_BAND_HZ if is_slow else VELOCITY_BAND_HZ
    n = len(burst.samples_g)
    if burst.rate_hz < 2 * high:
        raise UnusableBurst(f"At least {2 * high:g} samples a second are needed.")
    if n / burst.rate_hz < 1 / low:
        raise UnusableBurst(f"At least {1 / low:g} s are needed for {low:g} Hz.")
    lines = np.fft.rfft(burst.centred * STANDARD_GRAVITY_M_S2 * 1000.0)
    frequency = np.fft.rfftfreq(n, 1.0 / burst.rate_hz)
    inside = (frequency >= low) & (frequency <= high)
    power = np.abs(lines[inside] / (2 * np.pi * frequency[inside])) ** 2
    # Each line but the one at half the sampling rate stands for two of the full spectrum.
    twice = np.where(frequency[inside] == burst.rate_hz / 2, 1.0, 2.0)
    return float(np.sqrt(np.sum(twice * power)) / n)


class Machine(StrEnum):
    """Groups of machines with zone limits of their own."""

    LARGE = "group 1"  # above 300 kW
    MEDIUM = "group 2"  # 15 to 300 kW
    SMALL = "class I"  # up to 15 kW


class Support(StrEnum):
    RIGID = "rigid"
    FLEXIBLE = "flexible"


@dataclass(frozen=True, slots=True)
class Zone:
    """Where a level stands.

    Attributes:
        name: A (as new), B (long-term operation), C (short-term, plan a repair), D (damaging).
        limits_mm_s: A/B, B/C and C/D.
        edition: of the standard that the limits are from.
    """

    name: str
    limits_mm_s: tuple[float, float, float]
    edition: str


LARGER_MACHINES: Final = "ISO 10816-3:2009"
SMALL_MACHINES: Final = "ISO 10816-1:1995, class I (informative)"
ZONE_LIMITS_MM_S: Final[dict[tuple[Machine, Support], tuple[float, float, float]]] = {
    (Machine.LARGE, Support.RIGID): (2.3, 4.5, 7.1),
    (Machine.LARGE, Support.FLEXIBLE): (3.5, 7.1, 11.0),
    (Machine.MEDIUM, Support.RIGID): (1.4, 2.8, 4.5),
    (Machine.MEDIUM, Support.FLEXIBLE): (2.3, 4.5, 7.1),
    (Machine.SMALL, Support.RIGID): (0.71, 1.8, 4.5),
    (Machine.SMALL, Support.FLEXIBLE): (0.71, 1.8, 4.5),
}


def zone_of(velocity_mm_s: float, *, machine: Machine, support: Support) -> Zone:
    """Return the zone of a velocity RMS; a value on a boundary belongs to the lower zone.

    ISO 20816-3:2022 has replaced 10816-3 and treats A/B differently, so the edition goes with
    the zone. A manufacturer's limits, where there are any, win over both. Meant for steady
    running at 120 to 15,000 rpm, on the bearing housing.
    """
    limits = ZONE_LIMITS_MM_S[machine, support]
    place = int(np.searchsorted(limits, velocity_mm_s, side="left"))
    edition = SMALL_MACHINES if machine is Machine.SMALL else LARGER_MACHINES
    return Zone("ABCD"[place], limits, edition)
