"""What one burst says of its machine: figures, zone, bearing lines, what to check first.

Pure, no Django. Answers are JSON, because they are kept beside the burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mlops.vibration.bearing import Diagnosis, Geometry, Part, diagnose
from mlops.vibration.levels import (
    STANDARD_GRAVITY_M_S2,
    Burst,
    Machine,
    Support,
    UnusableBurst,
    Zone,
    levels_of,
    zone_of,
)
from mlops.vibration.pictures import SYMBOLS

ZONE_WORDS: Final = {
    "A": "As new",
    "B": "Fit for long running",
    "C": "Only for a while",
    "D": "Damaging",
}
# From maintenance practice: first what is cheap and done while the machine runs.
CHECKS: Final[dict[str, tuple[str, ...]]] = {
    Part.OUTER_RACE: (
        "Listen at the housing: a steady rattle in the load zone fits.",
        "See whether lubricant is there and clean.",
        "Look at the seat and the fit of the outer ring when it stands.",
    ),
    Part.INNER_RACE: (
        "Listen at the housing: a rattle that swells once a turn fits.",
        "See whether lubricant is there and clean.",
        "Look at the shaft's seat, and at what else turns with it.",
    ),
    Part.ROLLING_ELEMENT: (
        "See whether lubricant is there and clean.",
        "Measure again tomorrow: lines of rolling elements come and go.",
    ),
    Part.CAGE: (
        "See whether lubricant is there and clean.",
        "Measure again soon: a broken cage fails fast.",
    ),
    "shaking": (
        "Look for loose feet and bolts.",
        "Check balance: build-up, a missing piece, a worn tool.",
        "Check the alignment of the coupling and the tension of belts.",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a measuring point.

    Attributes:
        bearing: as it is called in a sentence ("bearing 6205 at drive end").
        nominal_rpm: taken where a burst does not tell its speed.
    """

    bearing: str
    geometry: Geometry | None = None
    machine: Machine | None = None
    support: Support = Support.RIGID
    nominal_rpm: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a burst says; `diagnosis` is None where no lines could be placed."""

    figures: dict[str, Any]
    told: dict[str, Any]
    diagnosis: Diagnosis | None


def with_speed(burst: Burst, place: Place | None) -> Burst:
    """Return a burst that did not tell its speed at the nominal one, if that is known."""
    if burst.speed_rpm is None and place is not None and place.nominal_rpm is not None:
        return Burst(burst.samples_g, burst.rate_hz, place.nominal_rpm)
    return burst


def judge(burst: Burst, place: Place | None) -> Judgement:
    """Judge one burst by what is known of its place; never fails, but says what it lacks."""
    turning = with_speed(burst, place)
    levels = levels_of(turning)
    zone = None
    if levels.velocity_mm_s is not None and place is not None and place.machine is not None:
        zone = zone_of(levels.velocity_mm_s, machine=place.machine, support=place.support)
    figures = {
        "rms_m_s2": levels.rms_g * STANDARD_GRAVITY_M_S2,
        "peak_m_s2": levels.peak_g * STANDARD_GRAVITY_M_S2,
        "crest": levels.crest,
        "kurtosis": levels.kurtosis,
        "velocity_mm_s": levels.velocity_mm_s,
        "zone": None if zone is None else _zone(zone),
    }
    told: dict[str, Any] = {
        "damaged": None, "sentence": "", "lines": [], "speed_rpm": turning.speed_rpm,
        "is_nominal_speed": turning.speed_rpm != burst.speed_rpm,
    }  # fmt: skip
    found = None
    if place is None or place.geometry is None:
        told["sentence"] = "The bearing of this point is not known, so no defect lines are placed."
    else:
        try:
            found = diagnose(turning, place.geometry, bearing=place.bearing)
        except UnusableBurst as error:
            told["sentence"] = str(error)
        else:
            told |= _told(found, told)
    told["checks"] = list(first_checks(told["damaged"], zone.name if zone else None))
    return Judgement(figures, told, found)


def first_checks(damaged: str | None, zone: str | None) -> tuple[str, ...]:
    """Return what to look at first; nothing where nothing is wrong."""
    if damaged:
        return CHECKS[damaged]
    return CHECKS["shaking"] if zone in ("C", "D") else ()


def _zone(zone: Zone) -> dict[str, Any]:
    return {
        "name": zone.name, "words": ZONE_WORDS[zone.name],
        "limits_mm_s": list(zone.limits_mm_s), "edition": zone.edition,
    }  # fmt: skip


def _told(found: Diagnosis, told: dict[str, Any]) -> dict[str, Any]:
    sentence = found.sentence
    if told["is_nominal_speed"]:
        sentence += f" The speed was not sent; the nominal {told['speed_rpm']:,.0f} rpm is assumed."
    lines = [
        {
            "part": one.part.value, "name": SYMBOLS[one.part], "expected_hz": one.expected_hz,
            "found_hz": list(one.found_hz), "above_db": list(one.above_db),
        }
        for one in found.lines
    ]  # fmt: skip
    damaged = found.damaged.value if found.damaged else None
    return {"damaged": damaged, "sentence": sentence, "lines": lines}
