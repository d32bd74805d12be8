"""The cost of a month as a line, its forecast as a dashed one with a cone. Pure geometry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from billing.selectors import UsageSummary
from frontend.formats import money

LEFT, RIGHT, TOP, BOTTOM = 48.0, 598.0, 20.0, 282.0
STEPS = (1, 2, 5)
LATE = 0.86  # of the width: from here on the word "Today" stands left of its line


@dataclass(frozen=True)
class Mark:
    at: str
    words: str
    text_at: str = ""
    anchor: str = "middle"


@dataclass(frozen=True)
class CostChart:
    """Positions in a field of 690 by 318, ready for the template."""

    summary: str
    y_marks: tuple[Mark, ...]
    x_marks: tuple[Mark, ...]
    line: str
    forecast: str
    cone: str
    today: str
    today_text: str
    today_anchor: str
    now_y: str
    end_words: str
    end_y: str
    range_y: str
    range_words: str


def cost_chart(summary: UsageSummary, *, now: datetime) -> CostChart | None:
    """Lay out the month, or nothing where it costs nothing and will not."""
    start = summary.period_start.astimezone(UTC).date()
    last = (summary.period_end.astimezone(UTC) - timedelta(seconds=1)).date()
    days = max((last - start).days, 1)
    most = max(summary.forecast_high_minor, summary.so_far_minor)
    if not most or not summary.daily:
        return None
    step = _step(most)
    top = step * (most // step + 1)

    def x(on: date) -> float:
        return LEFT + (RIGHT - LEFT) * max(0.0, min(1.0, (on - start).days / days))

    def y(minor: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * minor / top

    today = min(now.astimezone(UTC).date(), last)
    known = [(x(day.on), y(day.total_minor)) for day in summary.daily if day.on <= today]
    here = (x(today), y(summary.so_far_minor))
    ahead = [day for day in summary.forecast_daily if day.on > today]
    is_late = here[0] > LEFT + (RIGHT - LEFT) * LATE
    low, high = (
        money(v, summary.currency, whole=True)
        for v in (summary.forecast_low_minor, summary.forecast_high_minor)
    )
    end_y = y(summary.forecast_minor)
    return CostChart(
        summary=(
            f"Cost this month: {money(summary.so_far_minor, summary.currency)} so far,"
            f" forecast {money(summary.forecast_minor, summary.currency)}, likely {low} to {high}"
        ),
        y_marks=tuple(
            Mark(
                f"{y(v):.1f}", money(v, summary.currency, whole=step % 100 == 0), f"{y(v) + 4:.1f}"
            )
            for v in range(0, top + 1, step)
        ),
        x_marks=_days(start, last, x),
        line=_path([*known, here]),
        forecast=_path([here, *((x(d.on), y(d.expected_minor)) for d in ahead)]) if ahead else "",
        cone=_cone(here, [(x(d.on), y(d.low_minor), y(d.high_minor)) for d in ahead]),
        today=f"{here[0]:.1f}",
        today_text=f"{here[0] - 6:.1f}" if is_late else f"{here[0] + 6:.1f}",
        today_anchor="end" if is_late else "start",
        now_y=f"{here[1]:.1f}",
        end_words=money(summary.forecast_minor, summary.currency, whole=True),
        end_y=f"{end_y + 4:.1f}",
        range_y=f"{end_y + 20:.1f}",
        range_words=f"{low} to {high}" if low != high else "",
    )


def _step(most: int) -> int:
    """Return a round step that gives four to eight lines."""
    size = 1
    while True:
        for factor in STEPS:
            if most / (size * factor) <= 7:
                return size * factor
        size *= 10


def _days(start: date, last: date, x: Callable[[date], float]) -> tuple[Mark, ...]:
    marks = [Mark(f"{x(start):.1f}", f"{start.day} {start:%b}", anchor="start")]
    for day_of_month in (8, 15, 22):
        on = start.replace(day=day_of_month)
        if start < on < last and x(on) - x(start) > 40 and x(last) - x(on) > 40:
            marks.append(Mark(f"{x(on):.1f}", str(day_of_month)))
    marks.append(Mark(f"{x(last):.1f}", f"{last.day} {last:%b}", anchor="end"))
    return tuple(marks)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _cone(here: tuple[float, float], ahead: Sequence[tuple[float, float, float]]) -> str:
    if not ahead:
        return ""
    upper = [(x, high) for x, _low, high in ahead]
    lower = [(x, low) for x, low, _high in reversed(ahead)]
    return _path([here, *upper, *lower]) + "Z"
