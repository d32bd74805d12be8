"""Pictures of vibration as SVG geometry: spectra with the defect lines, and the trend in zones.

Positions in a field of 690 by 300; pure, so that the server draws and the browser only shows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from frontend.formats import day, figure
from mlops.vibration.bearing import Part
from mlops.vibration.pictures import Mark
from mlops.vibration.spectra import Spectrum

LEFT, RIGHT, TOP, BOTTOM = 52.0, 662.0, 12.0, 266.0
# Rows for names above the curve, one a part, so that two parts never write over each other.
ROWS = {Part.OUTER_RACE: 0, Part.INNER_RACE: 1, Part.ROLLING_ELEMENT: 2, Part.CAGE: 3}
ROW_PX = 15.0
GLYPH_PX = 6.6  # of a name's letter, at 12 px
KINDS = {
    Part.OUTER_RACE: "outer", Part.INNER_RACE: "inner", Part.ROLLING_ELEMENT: "element",
    Part.CAGE: "cage",
}  # fmt: skip
MAX_PATH = 640
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    at: str
    words: str


@dataclass(frozen=True)
class DefectLine:
    """A line of a bearing; without a name where its neighbour's stands already."""

    x: str
    top: str
    text_y: str
    name: str
    kind: str
    is_high: bool


@dataclass(frozen=True)
class SpectrumChart:
    summary: str
    path: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[DefectLine, ...]
    band_x: str
    band_width: str


@dataclass(frozen=True)
class Limit:
    y: str
    text_y: str
    words: str
    kind: str


@dataclass(frozen=True)
class TrendDot:
    x: str
    y: str
    url: str
    words: str


@dataclass(frozen=True)
class TrendChart:
    summary: str
    path: str
    dots: tuple[TrendDot, ...]
    limits: tuple[Limit, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def spectrum_chart(
    found: Spectrum, marks: Sequence[Mark], *, name: str, band_hz: tuple[float, float] | None = None
) -> SpectrumChart:
    """Lay a spectrum out in mg, with the lines that lie in it.

    Args:
        band_hz: to be shaded: what the envelope was taken from.
    """
    last_hz = float(found.frequency_hz[-1]) or 1.0
    shown = [mark for mark in marks if mark.hz <= last_hz]
    curve_top = TOP + ROW_PX * len(ROWS) + 6 if shown else TOP
    highest = float(found.amplitude_g.max()) * 1000.0 or 1.0

    def x(hz: float) -> float:
        return LEFT + (RIGHT - LEFT) * hz / last_hz

    def y(mg: float) -> float:
        return BOTTOM - (BOTTOM - curve_top) * mg / highest

    step_hz, step_mg = _step(last_hz, 7), _step(highest, 4)
    high = [f"{mark.name} {figure(mark.hz)} Hz" for mark in shown if mark.stands_out]
    told = f" Standing out: {', '.join(high)}." if high else ""
    peak_hz = float(found.frequency_hz[int(found.amplitude_g.argmax())])
    band = (max(0.0, band_hz[0]), min(last_hz, band_hz[1])) if band_hz else (0.0, 0.0)
    return SpectrumChart(
        summary=f"{name} up to {figure(round(last_hz))} Hz: highest {figure(highest)} mg at "
        f"{figure(peak_hz)} Hz.{told}",
        path=_path((x(hz), y(mg)) for hz, mg in _reduced(found)),
        x_ticks=tuple(Tick(f"{x(v):.1f}", f"{v:,.0f}") for v in _steps(last_hz, step_hz)),
        y_ticks=tuple(Tick(f"{y(v):.1f}", figure(v)) for v in _steps(highest, step_mg)),
        lines=_lines(shown, x),
        band_x=f"{x(band[0]):.1f}",
        band_width=f"{x(band[1]) - x(band[0]):.1f}" if band_hz else "",
    )


def _reduced(found: Spectrum) -> list[tuple[float, float]]:
    """Return one point a pixel, the highest of each."""
    pairs = list(
        zip(found.frequency_hz.tolist(), (found.amplitude_g * 1000.0).tolist(), strict=True)
    )
    n_each = -(-len(pairs) // MAX_PATH)
    return [max(pairs[i : i + n_each], key=lambda p: p[1]) for i in range(0, len(pairs), n_each)]


def _lines(marks: Sequence[Mark], x: Callable[[float], float]) -> tuple[DefectLine, ...]:
    """Place lines; a name that would run into the one before it in its row is left out."""
    free_from = dict.fromkeys(ROWS, 0.0)
    found = []
    for mark in sorted(marks, key=lambda one: one.hz):
        row, at = ROWS[mark.part], x(mark.hz)
        half = len(mark.name) * GLYPH_PX / 2
        has_room = at - half >= free_from[mark.part] and at + half <= RIGHT + 12
        if has_room:
            free_from[mark.part] = at + half + 4
        base = TOP + ROW_PX * row
        found.append(
            DefectLine(
                f"{at:.1f}", f"{base + 4:.1f}", f"{base:.1f}", mark.name if has_room else "",
                KINDS[mark.part], mark.stands_out,
            )
        )  # fmt: skip
    return tuple(found)


def trend_chart(
    levels: Sequence[tuple[datetime, float, str]], limits: Sequence[float], *, names: str = "ABCD"
) -> TrendChart | None:
    """Lay RMS velocity out over time, oldest first, with the limits of the zones.

    Args:
        levels: time, mm/s and address of each burst.
        limits: A/B, B/C, C/D in mm/s; empty where not known.
    """
    if not levels:
        return None
    first, last = levels[0][0], levels[-1][0]
    span = (last - first).total_seconds()
    highest = max([*(mm_s for _at, mm_s, _url in levels), *limits]) * 1.1 or 1.0

    def x(at: datetime) -> float:
        share = (at - first).total_seconds() / span if span else 0.5
        return LEFT + 8 + (RIGHT - LEFT - 60) * share

    def y(mm_s: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * mm_s / highest

    places = [(x(at), y(mm_s)) for at, mm_s, _url in levels]
    ends = [(first, places[0][0])] + ([(last, places[-1][0])] if span > 86_400 else [])
    return TrendChart(
        summary=f"RMS velocity of {len(levels)} bursts since {day(first)}: "
        f"{figure(levels[0][1])} at first, {figure(levels[-1][1])} mm/s now.",
        path=_path(places) if len(places) > 1 else "",
        dots=tuple(
            TrendDot(f"{px:.1f}", f"{py:.1f}", url, f"{day(at)}: {figure(mm_s)} mm/s")
            for (px, py), (at, mm_s, url) in zip(places, levels, strict=True)
        ),
        limits=tuple(
            Limit(
                f"{y(v):.1f}", f"{y(v) - 4:.1f}", f"{names[i]} | {names[i + 1]}",
                "limit-1" if i == 2 else "limit-2",
            )
            for i, v in enumerate(limits)
        ),
        x_ticks=tuple(Tick(f"{px:.1f}", day(at)) for at, px in ends),
        y_ticks=tuple(
            Tick(f"{y(v):.1f}", figure(v)) for v in _steps(highest, _step(highest, 4))
        ),
    )  # fmt: skip


def _step(most: float, n: int) -> float:
    """Return a round step that gives at most `n` of them."""
    size = 1e-9
    while True:
        for factor in STEPS:
            if most / (size * factor) <= n:
                return size * factor
        size *= 10.0


def _steps(most: float, step: float) -> list[float]:
    return [k * step for k in range(int(most / step + 1e-9) + 1)]


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
