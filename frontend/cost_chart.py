"""The cost of a month as a line, its forecast as a dashed one with a cone. Pure geometry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from billing.selectors import UsageSummary
from frontend.formats import money

LEFT, RIGHT, TOP, BOTTOM = 48.0, 598.0, 20.0, 282.0
STEPS = (1, 2, 5)
LATE = 0.86  # of the width: from here on the word "Today" stands left of its line
LINE_HEIGHT = 17.0
MOST_ABOVE = 2.0  # a budget further above the bill than this would flatten everything else


@dataclass(frozen=True)
class Mark:
    at: str
    words: str
    text_at: str = ""
    anchor: str = "middle"


@dataclass(frozen=True)
class Label:
    """Words at the right end of a line."""

    at: str
    words: str
    kind: str  # of their style


@dataclass(frozen=True)
class CostChart:
    """Positions in a field of 690 by 318, ready for the template."""

    summary: str
    y_marks: tuple[Mark, ...]
    x_marks: tuple[Mark, ...]
    line: str
    forecast: str
    cone: str
    previous: str
    budget_y: str
    today: str
    today_text: str
    today_anchor: str
    now_y: str
    labels: tuple[Label, ...]


def cost_chart(
    summary: UsageSummary, *, now: datetime, budget_minor: int | None = None
) -> CostChart | None:
    """Lay out the month, or nothing where it costs nothing and will not."""
    start = summary.period_start.astimezone(UTC).date()
    last = (summary.period_end.astimezone(UTC) - timedelta(seconds=1)).date()
    days = max((last - start).days, 1)
    most = max(summary.forecast_high_minor, summary.so_far_minor)
    if not most or not summary.daily:
        return None
    most = max(most, summary.previous_total_minor or 0)
    budget = budget_minor if budget_minor and budget_minor <= most * MOST_ABOVE else None
    most = max(most, budget or 0)
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
    return CostChart(
        summary=_words(summary, budget_minor),
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
        previous=_previous(summary, x=lambda n: LEFT + (RIGHT - LEFT) * min(1.0, n / days), y=y),
        budget_y=f"{y(budget):.1f}" if budget else "",
        today=f"{here[0]:.1f}",
        today_text=f"{here[0] - 6:.1f}" if is_late else f"{here[0] + 6:.1f}",
        today_anchor="end" if is_late else "start",
        now_y=f"{here[1]:.1f}",
        labels=_labels(summary, budget=budget, y=y),
    )


def _words(summary: UsageSummary, budget_minor: int | None) -> str:
    """Say in a sentence what the chart shows."""
    so_far, end, low, high = (
        money(minor, summary.currency)
        for minor in (
            summary.so_far_minor,
            summary.forecast_minor,
            summary.forecast_low_minor,
            summary.forecast_high_minor,
        )
    )
    words = f"Cost this month: {so_far} so far, forecast {end}, likely {low} to {high}"
    if budget_minor:
        words += f", budget {money(budget_minor, summary.currency)}"
    if summary.previous_total_minor:
        words += f", the month before {money(summary.previous_total_minor, summary.currency)}"
    return words


def _previous(
    summary: UsageSummary, *, x: Callable[[int], float], y: Callable[[float], float]
) -> str:
    """Draw the month before over the same days of this one."""
    if not summary.previous:
        return ""
    first = summary.previous[0].on.replace(day=1)
    return _path([(x((day.on - first).days), y(day.total_minor)) for day in summary.previous])


def _labels(
    summary: UsageSummary, *, budget: int | None, y: Callable[[float], float]
) -> tuple[Label, ...]:
    """Name the lines at their right ends, none over another."""

    def whole(minor: int) -> str:
        return money(minor, summary.currency, whole=True)

    low, high = whole(summary.forecast_low_minor), whole(summary.forecast_high_minor)
    blocks = [(y(summary.forecast_minor), [(whole(summary.forecast_minor), "on-s1")])]
    if low != high:
        blocks[0][1].append((f"{low} to {high}", ""))
    if budget:
        blocks.append((y(budget), [("Budget", "lab"), (whole(budget), "lab")]))
    if summary.previous:
        month = f"{summary.previous[-1].on:%B}"
        total = summary.previous[-1].total_minor
        blocks.append((y(total), [(f"{month} {whole(total)}", "")]))
    blocks.sort(key=lambda block: block[0])
    labels, least = [], 0.0
    for at, lines in blocks:
        at = max(at + 4, least)
        for words, kind in lines:
            labels.append(Label(f"{at:.1f}", words, kind))
            at += LINE_HEIGHT
        least = at
    return tuple(labels)


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
