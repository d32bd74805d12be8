"""The drawings of quality: values with their limits, the chance that a lot is accepted. Geometry.

A field is 690 by 240; all positions are made here, the template only draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from frontend.formats import day, exact, figure, moment
from production import sampling
from production.models import Characteristic, InspectionPlan
from production.selectors import Value

LEFT, RIGHT, TOP, BOTTOM = 60.0, 590.0, 16.0, 204.0
N_CURVE = 60


@dataclass(frozen=True)
class Mark:
    at: str
    words: str
    text_at: str = ""


@dataclass(frozen=True)
class Dot:
    x: str
    y: str
    is_within: bool


@dataclass(frozen=True)
class ValuesChart:
    """Dots in time, and the limits as lines with their words."""

    summary: str
    dots: tuple[Dot, ...]
    limits: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    first: str
    last: str


@dataclass(frozen=True)
class CurveChart:
    """The chance of acceptance over the share of defective parts."""

    summary: str
    line: str
    x_marks: tuple[Mark, ...]
    y_marks: tuple[Mark, ...]
    rows: tuple[tuple[str, str], ...]


def values_chart(row: Characteristic, values: Sequence[Value]) -> ValuesChart | None:
    """Lay out the values of a characteristic, or nothing where there is none."""
    if not values:
        return None
    limits = [("At least", row.lower_limit), ("At most", row.upper_limit)]
    known = [limit for _, limit in limits if limit is not None]
    low = min([value.value for value in values] + known)
    high = max([value.value for value in values] + known)
    room = (high - low or abs(high) or 1.0) * 0.08
    low, high = low - room, high + room
    start, end = values[0].measured_at.timestamp(), values[-1].measured_at.timestamp()
    span = end - start or 1.0

    def x(at: datetime) -> float:
        return (LEFT + RIGHT) / 2 if end == start else LEFT + (RIGHT - LEFT) * (
            at.timestamp() - start) / span  # fmt: skip

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    n_out = sum(not value.is_within for value in values)
    return ValuesChart(
        summary=(
            f"{row.name}: {len(values)} values from {day(values[0].measured_at)} to"
            f" {day(values[-1].measured_at)}, {n_out} out of their limits, the last one"
            f" {figure(values[-1].value)} {row.unit}"
        ),
        dots=tuple(
            Dot(f"{x(v.measured_at):.1f}", f"{y(v.value):.1f}", v.is_within) for v in values
        ),
        limits=tuple(
            Mark(f"{y(limit):.1f}", f"{word} {exact(limit)}", f"{y(limit) + 4:.1f}")
            for word, limit in limits
            if limit is not None
        ),
        y_marks=tuple(
            Mark(f"{y(v):.1f}", exact(round(v, 4)), f"{y(v) + 4:.1f}")
            for v in (low + room, high - room)
            if v not in known
        ),
        first=moment(values[0].measured_at),
        last=moment(values[-1].measured_at),
    )


def acceptance_chart(plan: InspectionPlan) -> CurveChart | None:
    """Lay out how likely a lot is accepted, or nothing where the plan draws no sample of a lot."""
    if plan.sampling != sampling.PER_LOT:
        return None
    n, c = plan.sample_n, plan.acceptance_number
    if c >= n:
        return None
    rare = sampling.rate_accepted_at(0.02, n=n, acceptance_number=c) or 1.0
    most = _round_up(min(1.0, rare))
    rates = [most * step / N_CURVE for step in range(N_CURVE + 1)]
    points = sampling.operating_characteristic(rates, n=n, acceptance_number=c)

    def place(rate: float, chance: float) -> str:
        x = LEFT + (RIGHT - LEFT) * rate / most
        return f"{x:.1f} {BOTTOM - (BOTTOM - TOP) * chance:.1f}"

    return CurveChart(
        summary=_acceptance_words(n, c),
        line="M" + "L".join(place(*point) for point in points),
        x_marks=tuple(
            Mark(f"{LEFT + (RIGHT - LEFT) * share:.1f}", percent(most * share))
            for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        ),
        y_marks=tuple(
            Mark(f"{BOTTOM - (BOTTOM - TOP) * chance:.1f}", percent(chance),
                 f"{BOTTOM - (BOTTOM - TOP) * chance + 4:.1f}")
            for chance in (0.0, 0.5, 1.0)
        ),
        rows=tuple(
            (percent(most * share / 8), percent(sampling.acceptance_probability(
                most * share / 8, n=n, acceptance_number=c)))
            for share in range(9)
        ),
    )  # fmt: skip


def _acceptance_words(n: int, c: int) -> str:
    good = sampling.rate_accepted_at(0.95, n=n, acceptance_number=c) or 0.0
    bad = sampling.rate_accepted_at(0.10, n=n, acceptance_number=c) or 0.0
    return (
        f"A lot with {percent(good)} defective parts is accepted 95 times in 100;"
        f" one with {percent(bad)} is accepted 10 times."
    )


def percent(share: float) -> str:
    """Write a share without false digits: 93 %, 0.6 %."""
    value = share * 100
    digits = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2
    text = f"{value:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def _round_up(rate: float) -> float:
    for most in (0.004, 0.01, 0.02, 0.04, 0.1, 0.2, 0.4):
        if rate <= most:
            return most
    return 1.0
