"""Between rows of vibration and the arithmetic: what is kept, as bursts, places and pictures."""

from __future__ import annotations

from dataclasses import dataclass

from mlops.models import BearingPlace, VibrationBurst
from mlops.vibration import arriving, judging, pictures
from mlops.vibration.bearing import Geometry
from mlops.vibration.levels import STANDARD_GRAVITY_M_S2, Burst, Machine, Support
from mlops.vibration.spectra import Spectrum, envelope_spectrum, spectrum


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn of a burst; amplitudes in g, at most 2,000 points each.

    Attributes:
        marks: lines looked for in the envelope, where they were read.
        expected: the first of each, for the plain spectrum.
    """

    judgement: judging.Judgement
    spectrum: Spectrum
    envelope: Spectrum
    marks: tuple[pictures.Mark, ...]
    expected: tuple[pictures.Mark, ...]


def place_of(row: BearingPlace | None) -> judging.Place | None:
    """Return a place as the arithmetic takes it."""
    if row is None:
        return None
    geometry = None
    if row.n_elements is not None and row.element_mm is not None and row.pitch_mm is not None:
        geometry = Geometry(row.n_elements, row.element_mm, row.pitch_mm, row.angle_deg)
    return judging.Place(
        bearing=" ".join(filter(None, ["bearing", row.bearing, "at", row.point])),
        geometry=geometry,
        machine=Machine(row.machine_group) if row.machine_group else None,
        support=Support(row.support),
        nominal_rpm=row.nominal_rpm,
    )


def burst_of(row: VibrationBurst) -> Burst | None:
    """Return the samples of a burst; None once only its figures are kept."""
    if row.payload is None:
        return None
    samples = arriving.unpacked(bytes(row.payload)) / STANDARD_GRAVITY_M_S2
    return Burst(samples, row.sample_rate_hz, row.speed_rpm)


def _plain_envelope(burst: Burst) -> Spectrum:
    """Return an envelope as wide as it is drawn where no lines are looked for."""
    return envelope_spectrum(burst, min_width_hz=pictures.WITHOUT_LINES_HZ)


def picture(row: VibrationBurst, place: judging.Place | None) -> Picture | None:
    """Return what is drawn of a burst by what is known of its place now.

    None once only the figures are kept.
    """
    burst = burst_of(row)
    if burst is None:
        return None
    judged = judging.judge(burst, place)
    envelope = judged.diagnosis.envelope if judged.diagnosis else _plain_envelope(burst)
    marks = pictures.marks_found(judged.diagnosis.lines) if judged.diagnosis else ()
    speed = judging.with_speed(burst, place).speed_rpm
    expected: tuple[pictures.Mark, ...] = ()
    if place is not None and place.geometry is not None and speed is not None:
        expected = pictures.marks_expected(place.geometry, speed)
    return Picture(
        judgement=judged,
        spectrum=pictures.thinned(spectrum(burst), until_hz=burst.rate_hz / 2),
        envelope=pictures.thinned(envelope, until_hz=pictures.envelope_until_hz(marks)),
        marks=marks,
        expected=expected,
    )
