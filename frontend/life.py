"""The remaining life of a machine as people read it: an interval first, reasons after it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frontend.formats import figure

# Unit -> one, many; what is not named here is used as it stands.
UNIT_WORDS = {
    "h": ("operating hour", "operating hours"),
    "cycles": ("cycle", "cycles"),
    "parts": ("part", "parts"),
}
CHANCES = {0.8: "4 chances in 5", 0.9: "9 chances in 10", 0.5: "1 chance in 2"}
_LEFT, _RIGHT, _FLOOR, _TOP = 8.0, 352.0, 78.0, 30.0


@dataclass(frozen=True)
class Reason:
    percent: str
    share: float
    sentence: str


@dataclass(frozen=True)
class Mark:
    x: str
    words: str
    anchor: str


@dataclass(frozen=True)
class Drawing:
    """The distribution on an axis of use, as SVG paths in a field of 360 by 108."""

    whole: str
    likely: str
    low: str
    best: str
    high: str
    best_words: str
    marks: tuple[Mark, ...]
    summary: str


@dataclass(frozen=True)
class LifeCard:
    heading: str
    big: str
    under: str
    is_words: bool = False
    drawing: Drawing | None = None
    reasons: tuple[Reason, ...] = ()
    advice: str = ""
    footnote: str = ""
    action: str = ""
    action_url: str = ""


def units(value: float, unit: str) -> str:
    one, many = UNIT_WORDS.get(unit, (unit, unit))
    return one if round(value) == 1 else many


def interval_words(low: float, high: float, unit: str) -> str:
    """Write an interval in whole units: "9 to 17 cycles", "fewer than 4 cycles"."""
    first, last = max(0, round(low)), max(0, round(high))
    if last <= 0:
        return f"Less than 1 {units(1, unit)}"
    if first == last:
        return f"About {last:,} {units(last, unit)}"
    return f"{first:,} to {last:,} {units(last, unit)}"


def open_words(low: float, unit: str) -> str:
    """Write an interval without an upper end: "More than 120 cycles"."""
    least = max(0, round(low))
    return f"More than {least:,} {units(least, unit)}"


def drawing(*, low: float, best: float, high: float, unit: str) -> Drawing:
    """Draw two half bells that meet at the best estimate and hold 80 % between low and high.

    The model gives three figures and no shape, so the shape is the plainest that agrees with
    them: a split normal whose 10 % and 90 % points are `low` and `high`.
    """
    best = min(max(best, low), high)
    z = 1.2816  # 90 % point of the standard normal
    left_sd, right_sd = max((best - low) / z, 1e-6), max((high - best) / z, 1e-6)
    end = max(high + 1.6 * right_sd, best * 1.2, 1.0)

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * max(0.0, min(1.0, value / end))

    def y(value: float) -> float:
        sd = left_sd if value < best else right_sd
        return _FLOOR - (_FLOOR - _TOP) * math.exp(-0.5 * ((value - best) / sd) ** 2)

    def path(start: float, stop: float) -> str:
        n = 48
        points = [start + (stop - start) * i / n for i in range(n + 1)]
        line = "L".join(f"{x(value):.1f} {y(value):.1f}" for value in points)
        return f"M{x(start):.1f} {_FLOOR:.0f}L{line}L{x(stop):.1f} {_FLOOR:.0f}Z"

    return Drawing(
        whole=path(0.0, end),
        likely=path(low, high),
        low=f"{x(low):.1f}",
        best=f"{x(best):.1f}",
        high=f"{x(high):.1f}",
        best_words=f"{round(best):,}",
        marks=_marks(low, high, end, x),
        summary=(
            f"Likely end of life after {interval_words(low, high, unit)},"
            f" best estimate {round(best):,}"
        ),
    )


def _marks(low: float, high: float, end: float, x: Callable[[float], float]) -> tuple[Mark, ...]:
    marks = [Mark(f"{_LEFT:.0f}", "Now", "start")]
    if x(low) > _LEFT + 44:
        marks.append(Mark(f"{x(low):.1f}", f"{round(low):,}", "middle"))
    if x(high) - x(low) > 40:
        marks.append(Mark(f"{x(high):.1f}", f"{round(high):,}", "middle"))
    if _RIGHT - x(high) > 56:
        marks.append(Mark(f"{_RIGHT:.0f}", f"{round(end):,}", "end"))
    return tuple(marks)


def reasons(found: Sequence[dict[str, object]]) -> tuple[Reason, ...]:
    """Return the reasons with their shares; what does not push towards the end is left out."""
    rows = []
    for item in found[:3]:
        share = float(str(item.get("share") or 0))
        sentence = str(item.get("sentence") or "")
        if sentence and share > 0:
            rows.append(Reason(f"{round(share * 100)} %", share, sentence))
    return tuple(rows)


def usage_words(value: float | None, unit: str) -> str:
    return "" if value is None else f"{figure(round(value))} {units(value, unit)} used so far."
