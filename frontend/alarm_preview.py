"""The preview of a rule: a line of time a machine, and what happened when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from frontend.formats import length
from telemetry.selectors.alarm_preview import Preview

WIDTH = 600.0
N_LISTED = 20


@dataclass(frozen=True)
class Bar:
    x: float
    width: float
    is_heard: bool


@dataclass(frozen=True)
class Line:
    target: str
    bars: tuple[Bar, ...]
    n: int


@dataclass(frozen=True)
class Listed:
    target: str
    raised_at: datetime
    lasted: str
    is_heard: bool


@dataclass(frozen=True)
class PreviewCard:
    words: str
    lines: tuple[Line, ...]
    listed: tuple[Listed, ...]
    n_more: int
    start: datetime
    end: datetime


def card(found: Sequence[Preview], *, start: datetime, end: datetime) -> PreviewCard:
    span = (end - start).total_seconds()
    lines, listed = [], []
    for one in found:
        bars = []
        for firing in one.firings:
            until = firing.cleared_at or end
            x = (firing.raised_at - start).total_seconds() / span * WIDTH
            width = max(1.5, (until - firing.raised_at).total_seconds() / span * WIDTH)
            bars.append(Bar(round(x, 1), round(width, 1), firing.is_heard))
            lasted = length((until - firing.raised_at).total_seconds())
            listed.append(Listed(one.target, firing.raised_at, lasted, firing.is_heard))
        lines.append(Line(one.target, tuple(bars), len(bars)))
    listed.sort(key=lambda row: row.raised_at, reverse=True)
    n, n_targets = len(listed), sum(bool(line.n) for line in lines)
    per_day = n / max(span / 86_400, 1e-9)
    words = "It would not have sounded."
    if not found:
        words = "No machine with a device is watched by this rule."
    elif n:
        words = f"It would have sounded {n} times on {n_targets} of {len(lines)} machines"
        words += f", about {per_day:.1f} times a day."
    rows = tuple(listed[:N_LISTED])
    return PreviewCard(words, tuple(lines), rows, n - len(rows), start, end)
