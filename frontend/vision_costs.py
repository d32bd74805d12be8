"""What each limit is expected to cost a day: the curve as a drawing, and what it means in words.

A field is 690 by 260; all positions are made here, the template only draws them.
"""

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

from frontend.formats import exact, figure, money
from frontend.quality_charts import Mark
from frontend.tiles import Figure
from mlops.models import ModelVersion, VisionSetup
from mlops.services import SetupFields
from mlops.vision.costs import CostCurve, Estimate
from mlops.vision.thresholds import cost_at, cost_curve, limit_of
from production.models import InspectionPlan

LEFT, RIGHT, TOP, BOTTOM = 76.0, 600.0, 34.0, 214.0
# So many times the cheapest is drawn; what costs more lies above the field.
MOST_TIMES = 6.0
LATE = 0.7  # of the width: from here on the words of a line stand left of it


@dataclass(frozen=True)
class Line:
    """An upright line at a limit, with its words."""

    x: str
    text_x: str
    anchor: str
    words: str


@dataclass(frozen=True)
class CurveDrawing:
    summary: str
    path: str
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    best: Line
    by_hand: Line | None
    best_y: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CostPreview:
    """What the costs that somebody typed would mean.

    Attributes:
        limit: that would count.
        words: one sentence, how the limit comes about.
        sure: how sure this is; empty where nothing could be weighed.
    """

    limit: str
    words: str
    sure: str
    figures: tuple[Figure, ...]
    drawing: CurveDrawing | None
    is_one_sided: bool
    has_moved: bool


def preview(
    version: ModelVersion, plan: InspectionPlan, setup: VisionSetup, fields: SetupFields,
    own_costs: Mapping[str, int | None], *, now: float, currency: str, names: Mapping[str, str],
) -> CostPreview:  # fmt: skip
    """Say what would follow from costs that are not saved; `now` is the limit that counts."""
    in_force, said = copy(plan), copy(setup)
    in_force.escape_cost_minor = fields.escape_cost_minor
    in_force.false_reject_cost_minor = fields.false_reject_cost_minor
    said.parts_per_day, said.defective_share = fields.parts_per_day, fields.defective_share
    said.limit = fields.limit
    curve = cost_curve(version, said, in_force, own_costs)
    limit = _limit(version, said, in_force, curve)
    return CostPreview(
        limit=figure(limit),
        words=_words(said, curve, limit, currency),
        sure=curve.sentence if curve else "",
        figures=_figures(curve, limit, currency, names) if curve else (),
        drawing=_drawing(curve, said.limit, currency) if curve and not curve.is_one_sided else None,
        is_one_sided=curve is not None and curve.is_one_sided,
        has_moved=abs(limit - now) > 0.0005 * max(abs(now), 1e-9),
    )


def _limit(
    version: ModelVersion, setup: VisionSetup, plan: InspectionPlan, curve: CostCurve | None
) -> float:
    if setup.limit is None and curve is not None and not curve.is_one_sided:
        return curve.best.threshold
    return limit_of(version, setup, plan)


def _words(setup: VisionSetup, curve: CostCurve | None, limit: float, currency: str) -> str:
    if setup.limit is not None:
        if curve is None or curve.is_one_sided:
            return "It is set by hand."
        more = cost_at(curve, limit) - curve.best.cost
        return (
            f"It is set by hand. It costs about {_money(more, currency)} a day more than the best."
        )
    if curve is None:
        return "It is the model's own: say what both mistakes cost, and it is set by that."
    if curve.is_one_sided:
        return "It is the model's own: no defective part has been shown yet."
    return f"It costs least: about {_money(curve.best.cost, currency)} a day."


def _money(minor: float, currency: str) -> str:
    """Write an expected amount without false digits."""
    return money(round(minor), currency, whole=abs(minor) >= 10_000)


def _figures(
    curve: CostCurve, limit: float, currency: str, names: Mapping[str, str]
) -> tuple[Figure, ...]:
    """Return what the best limit is expected to do in a day; nothing of escapes when unknown."""
    best = curve.best
    where = "" if curve.is_one_sided or limit == best.threshold else "at the best limit, "
    found = [
        Figure("Expected cost a day", _money(cost_at(curve, limit), currency),
               below="escapes and false rejects, at this limit"),
        Figure("False rejects a day", figure(round(best.false_rejects.value, 2)),
               below=where + _between(best.false_rejects)),
    ]  # fmt: skip
    for code, one in sorted(best.escapes.items()):
        name = names.get(code, "defects").lower()
        found.append(
            Figure(f"Escapes a day: {name}", figure(round(one.value, 2)),
                   below=where + _between(one))
        )  # fmt: skip
    return tuple(found)


def _between(one: Estimate) -> str:
    return f"{figure(round(one.low, 2))} to {figure(round(one.high, 2))}, 9 chances in 10"


def _drawing(curve: CostCurve, by_hand: float | None, currency: str) -> CurveDrawing:
    low, high = float(curve.thresholds[0]), float(curve.thresholds[-1])
    top = _top(curve)

    def x(limit: float) -> float:
        share = math.log(max(limit, low) / low) / math.log(high / low)
        return LEFT + (RIGHT - LEFT) * min(1.0, share)

    def y(cost: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * min(cost / top, 1.0)

    points = [
        f"{x(float(at)):.1f} {y(float(cost)):.1f}"
        for at, cost in zip(curve.thresholds, curve.costs, strict=True)
    ]
    best = curve.best
    shown = [*_round_numbers(low, high)]
    return CurveDrawing(
        summary=(
            f"Expected cost a day over the limit: least at {figure(best.threshold)} with about "
            f"{_money(best.cost, currency)}; a table of it follows"
        ),
        path="M" + "L".join(points),
        x_marks=tuple(Mark(f"{x(at):.1f}", exact(at)) for at in shown),
        y_marks=tuple(
            Mark(f"{y(top * part):.1f}", _money(top * part, currency), f"{y(top * part) + 4:.1f}")
            for part in (0.0, 0.5, 1.0)
        ),
        best=_line(x(best.threshold), f"Best {figure(best.threshold)}"),
        by_hand=_line(x(by_hand), f"By hand {figure(by_hand)}") if by_hand is not None else None,
        best_y=f"{y(best.cost):.1f}",
        rows=tuple(
            (figure(float(curve.thresholds[place])), _money(float(curve.costs[place]), currency))
            for place in range(0, len(curve.thresholds), len(curve.thresholds) // 10)
        ),
    )


def _top(curve: CostCurve) -> float:
    most = float(curve.costs.max())
    return max(min(most, MOST_TIMES * max(curve.best.cost, 0.02 * most)), 1.0)


def _round_numbers(low: float, high: float) -> list[float]:
    """Return round limits within the field, one to a doubling or so, never more than eight."""
    found = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1.0, 2.0, 5.0)
    ]
    inside = [value for value in found if low <= value <= high]
    return inside[:: max(1, math.ceil(len(inside) / 8))]


def _line(x: float, words: str) -> Line:
    is_late = x > LEFT + (RIGHT - LEFT) * LATE
    return Line(f"{x:.1f}", f"{x - 6 if is_late else x + 6:.1f}", "end" if is_late else "start",
                words)  # fmt: skip
