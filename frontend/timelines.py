"""State timelines as lengths in per cent: pure, drawn by components/timeline.html."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from frontend.formats import length
from frontend.words import STATE_WORDS

# The height of the bar is the output, so that it reads in greyscale.
HEIGHTS = {"slow": 58, "idle": 24}
PATTERNS = {"setup": "url(#tl-setup)", "nodata": "url(#tl-hatch)"}
SMALLEST = 0.7  # per cent: a stop of seconds must stay visible
OUTLINED = frozenset({"planned", "nodata"})


@dataclass(frozen=True)
class Span:
    """A machine was in one state from `start` to `end`."""

    state: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Part:
    """One rectangle, in per cent of the drawing."""

    state: str
    x: str
    width: str
    y: int
    height: int
    fill: str
    is_cut: bool


@dataclass(frozen=True)
class Timeline:
    parts: tuple[Part, ...]
    summary: str


def timeline(
    spans: Sequence[Span], *, start: datetime, end: datetime, now: datetime, name: str
) -> Timeline:
    """Lay spans out over [start, end); what lies after `now` is an empty track."""
    total = (end - start).total_seconds()
    if total <= 0:
        return Timeline((), f"{name}: no time to show")

    def share(at: datetime) -> float:
        return max(0.0, min(100.0, (at - start).total_seconds() / total * 100))

    parts = []
    seconds: dict[str, float] = {}
    for span in spans:
        left, right = share(span.start), share(min(span.end, now))
        if right <= left:
            continue
        state = str(span.state)
        shown = (min(span.end, now, end) - max(span.start, start)).total_seconds()
        seconds[state] = seconds.get(state, 0.0) + shown
        parts.append(_part(state, left, max(right - left, SMALLEST)))
    if now < end:
        parts.append(_part("future", share(now), 100 - share(now)))
    spent = ", ".join(
        f"{STATE_WORDS[state].lower()} {length(spent)}"
        for state, spent in sorted(seconds.items(), key=lambda item: -item[1])
        if state in STATE_WORDS
    )
    return Timeline(tuple(parts), f"{name}: {spent or 'nothing known'}")


def _part(state: str, left: float, width: float) -> Part:
    height = HEIGHTS.get(state, 100)
    return Part(
        state=state,
        x=f"{left:.2f}",
        width=f"{min(width, 100 - left):.2f}",
        y=100 - height,
        height=height,
        fill=PATTERNS.get(state, ""),
        is_cut=state not in OUTLINED and state != "future",
    )
