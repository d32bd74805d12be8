"""The vibration of a machine as people read it: points, zone, trend, spectra, what to check."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from frontend.formats import figure
from frontend.vibration_chart import SpectrumChart, TrendChart, spectrum_chart, trend_chart
from mlops import bursts
from mlops import selectors as mlops_selectors
from mlops.models import BearingPlace, VibrationBurst
from mlops.vibration.levels import ZONE_LIMITS_MM_S, Machine, Support
from production.models import Machine as ProductionMachine

N_TREND = 90
# State of the page's colours and shape of the badge; the word tells the zone without either.
ZONE_LOOKS = {"A": ("run", "circle-check"), "B": ("run", "check"), "C": ("slow", "alert-circle"),
              "D": ("down", "x")}  # fmt: skip


@dataclass(frozen=True)
class ZoneBadge:
    words: str
    state: str
    icon: str
    edition: str


@dataclass(frozen=True)
class PointRow:
    """The newest burst of a point."""

    point: str
    url: str
    taken_at: datetime
    zone: ZoneBadge | None
    velocity: str
    sentence: str
    is_damaged: bool
    is_chosen: bool


@dataclass(frozen=True)
class BurstCard:
    """One burst in full; without charts where only its figures were kept."""

    point: str
    taken_at: datetime
    is_newest: bool
    zone: ZoneBadge | None
    zone_words: str
    is_damaged: bool
    sentence: str
    checks: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]
    spectrum: SpectrumChart | None
    envelope: SpectrumChart | None
    envelope_words: str


@dataclass(frozen=True)
class VibrationPage:
    machine: ProductionMachine
    url: str
    points: tuple[PointRow, ...]
    burst: BurstCard | None
    trend: TrendChart | None
    place: BearingPlace | None


def address(machine: ProductionMachine) -> str:
    return reverse("frontend:machine-vibration", args=[machine.pk])


def build(machine: ProductionMachine, *, point: str, burst_id: str) -> VibrationPage:
    """Gather the page; without a known point the one that matters most is shown, without
    a known burst its newest."""
    url = address(machine)
    newest = mlops_selectors.newest_bursts(machine.pk)
    worst = max(newest, key=_matters, default=None)
    chosen = next((row for row in newest if row.point == point), worst)
    places = mlops_selectors.bearing_places(machine)
    if chosen is None:
        return VibrationPage(machine, url, (), None, None, places.get(point))
    lately = list(mlops_selectors.bursts_of(machine.pk, point=chosen.point)[:N_TREND])
    shown = next((row for row in lately if str(row.pk) == burst_id), chosen)
    place = places.get(chosen.point)
    return VibrationPage(
        machine=machine,
        url=url,
        points=tuple(_row(row, url, is_chosen=row.pk == chosen.pk) for row in newest),
        burst=_card(
            mlops_selectors.burst(shown.pk, machine_id=machine.pk), place,
            is_newest=shown.pk == chosen.pk,
        ),
        trend=_trend(lately, url, place),
        place=place,
    )  # fmt: skip


def _matters(row: VibrationBurst) -> tuple[bool, str, datetime]:
    """Order points by damage, then zone, then how fresh they are."""
    zone = row.figures["zone"]
    return row.diagnosis["damaged"] is not None, zone["name"] if zone else "", row.taken_at


def _row(row: VibrationBurst, url: str, *, is_chosen: bool) -> PointRow:
    return PointRow(
        point=row.point,
        url=f"{url}?{urlencode({'point': row.point})}",
        taken_at=row.taken_at,
        zone=_badge(row.figures),
        velocity=_velocity(row.figures),
        sentence=row.diagnosis["sentence"],
        is_damaged=row.diagnosis["damaged"] is not None,
        is_chosen=is_chosen,
    )


def _badge(figures: dict[str, Any]) -> ZoneBadge | None:
    zone = figures["zone"]
    if zone is None:
        return None
    state, icon = ZONE_LOOKS[zone["name"]]
    return ZoneBadge(f"Zone {zone['name']}: {zone['words'].lower()}", state, icon, zone["edition"])


def _velocity(figures: dict[str, Any]) -> str:
    value = figures["velocity_mm_s"]
    return figure(value) if value is None else f"{figure(value)} mm/s"


def _card(row: VibrationBurst, place: BearingPlace | None, *, is_newest: bool) -> BurstCard:
    drawn = bursts.picture(row, bursts.place_of(place))
    figures, told = row.figures, row.diagnosis
    if drawn is not None:
        figures, told = drawn.judgement.figures, drawn.judgement.told
    badge = _badge(figures)
    return BurstCard(
        point=row.point,
        taken_at=row.taken_at,
        is_newest=is_newest,
        zone=badge,
        zone_words=_zone_words(figures, badge),
        is_damaged=told["damaged"] is not None,
        sentence=told["sentence"],
        checks=tuple(told["checks"]),
        figures=_figures(row, figures, told),
        spectrum=spectrum_chart(
            drawn.spectrum, drawn.expected, name="Spectrum", band_hz=drawn.envelope.band_hz
        )
        if drawn
        else None,
        envelope=spectrum_chart(drawn.envelope, drawn.marks, name="Envelope spectrum")
        if drawn
        else None,
        envelope_words=_envelope_words(drawn),
    )


def _zone_words(figures: dict[str, Any], badge: ZoneBadge | None) -> str:
    if badge is not None:
        return f"{_velocity(figures)} RMS, by {badge.edition}."
    if figures["velocity_mm_s"] is None:
        return "No zone: RMS velocity needs 2,000 samples a second and 0.1 s (0.5 s below 600 rpm)."
    return f"{_velocity(figures)} RMS. No zone yet: say below how large the machine is."


def _figures(
    row: VibrationBurst, figures: dict[str, Any], told: dict[str, Any]
) -> tuple[tuple[str, str], ...]:
    seconds = row.n_samples / row.sample_rate_hz
    speed = told["speed_rpm"]
    rpm = figure(speed) if speed is None else f"{speed:,.0f} rpm"
    found = [
        ("RMS velocity", _velocity(figures)),
        ("RMS acceleration", f"{figure(figures['rms_m_s2'])} m/s²"),
        ("Peak", f"{figure(figures['peak_m_s2'])} m/s²"),
        ("Crest factor", figure(figures["crest"])),
        ("Kurtosis (3 is noise)", figure(figures["kurtosis"])),
        ("Speed", f"{rpm}, nominal" if told["is_nominal_speed"] else rpm),
        ("Length", f"{figure(seconds)} s at {row.sample_rate_hz:,.0f} samples/s"),
    ]
    if row.load_percent is not None:
        found.append(("Load", f"{figure(row.load_percent)} %"))
    return tuple(found)


def _envelope_words(drawn: bursts.Picture | None) -> str:
    if drawn is None or drawn.envelope.band_hz is None:
        return ""
    low, high = drawn.envelope.band_hz
    words = f"Taken from {low:,.0f} to {high:,.0f} Hz, the most impulsive band."
    if drawn.marks:
        words += (
            " Full lines stand 9 dB or more above their surroundings, dashed ones do not."
            " BPFO is the outer race, BPFI the inner race, 2xBSF a rolling element, FTF the cage."
        )
    return words


def _trend(rows: list[VibrationBurst], url: str, place: BearingPlace | None) -> TrendChart | None:
    limits: tuple[float, ...] = ()
    if place is not None and place.machine_group:
        limits = ZONE_LIMITS_MM_S[Machine(place.machine_group), Support(place.support)]
    levels = [
        (
            row.taken_at,
            float(row.figures["velocity_mm_s"]),
            f"{url}?{urlencode({'point': row.point, 'burst': str(row.pk)})}",
        )
        for row in reversed(rows)
        if row.figures["velocity_mm_s"] is not None
    ]
    return trend_chart(levels, limits)
