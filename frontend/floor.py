"""The floor as the pages show it: what analytics decided, in tiles, rows, chips and figures."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse

from analytics.attention import AttentionRow as Need
from analytics.selectors import PlantFigure
from analytics.tiles import MachineTile, Segment
from frontend.formats import DASH, clock, day, moment
from frontend.tiles import AttentionRow, Figure, Tile
from frontend.timelines import Span, Timeline, timeline
from frontend.words import STATE_WORDS

IDLE_LIMIT = timedelta(minutes=30)
EARLIEST_SILENCE = timedelta(seconds=60)
MOST_ROWS = 5
SHORTEST_STOP_S = 60.0
MOST_STOPS = 12


@dataclass(frozen=True)
class Chip:
    """A state with its count; the legend is the filter."""

    state: str
    n: int
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class Stop:
    """A stretch in which a machine did not run."""

    state: str
    start: datetime
    end: datetime
    is_open: bool

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True)
class ShiftRow:
    name: str
    starts: str
    timeline: Timeline


def next_change(seen: Iterable[tuple[str, datetime | None]], *, now: datetime) -> int | None:
    """Return when a state may change by time alone: a machine that talks would be silent.

    Args:
        seen: state and newest reading of each machine.

    Returns:
        Seconds since 1970, None where every machine is silent already. Silence begins 60 s after
        a reading at the earliest; of a machine that reports less often we ask later and later.
    """
    times = [
        at + max(EARLIEST_SILENCE, 1.5 * (now - at))
        for state, at in seen
        if state != "nodata" and at is not None
    ]
    return math.ceil(min(times).timestamp()) + 1 if times else None


def tile_of(tile: MachineTile, *, now: datetime) -> Tile:
    state = str(tile.state)
    bar = timeline(
        spans_of(tile.segments),
        start=tile.window_start,
        end=tile.window_end,
        now=now,
        name=f"{tile.name} since {clock(tile.window_start)}",
    )
    oee = tile.oee
    return Tile(
        id=str(tile.machine_id),
        name=tile.name,
        state=state,
        note=tile.note,
        value=tile.figure.value,
        unit=tile.figure.unit,
        beside=tile.figure.beside,
        second_label="OEE",
        second=DASH if oee is None else f"{round(oee * 100)} %",
        timeline=bar,
        url=reverse("frontend:machine", args=[tile.machine_id]),
        since=None if tile.is_since_cut else tile.since,
        is_over_limit=state == "idle" and tile.since is not None and now - tile.since > IDLE_LIMIT,
    )


def spans_of(segments: Iterable[Segment]) -> list[Span]:
    return [Span(str(segment.state), segment.start, segment.end) for segment in segments]


def needs(rows: Sequence[Need], *, now: datetime) -> tuple[AttentionRow, ...]:
    """Return the rows that need a person, at most five: what comes after them can wait."""
    return tuple(
        AttentionRow(
            severity=row.severity,
            subject=row.subject,
            sentence=row.sentence,
            when=_when(row.since, now),
            cost=row.cost,
            action=row.action,
            url=reverse("frontend:machine", args=[row.machine_id]),
        )
        for row in rows[:MOST_ROWS]
    )


def _when(since: datetime | None, now: datetime) -> str:
    if since is None:
        return ""
    return clock(since) if now - since < timedelta(hours=12) else moment(since, now)


def legend(tiles: Sequence[MachineTile], *, chosen: str, address: str, view: str) -> list[Chip]:
    """Count the states; a second click on a chosen chip shows all again."""
    counts = Counter(str(tile.state) for tile in tiles)
    chips = []
    for state in STATE_WORDS:
        url = page_url(address, state="" if state == chosen else state, view=view)
        chips.append(Chip(state, counts.get(state, 0), url, state == chosen))
    return chips


def page_url(address: str, *, state: str, view: str) -> str:
    parts = [f"{name}={value}" for name, value in (("state", state), ("view", view)) if value]
    return f"{address}?{'&'.join(parts)}" if parts else address


def shift_figures(found: Sequence[PlantFigure]) -> tuple[Figure, ...]:
    """Return the figures of the shift; what cannot be said is a dash, never nought."""
    return tuple(
        Figure(
            label=one.label,
            value=DASH if one.value is None else one.value,
            unit="" if one.value is None else one.unit,
            below=one.below,
            is_none=one.value is None,
        )
        for one in found
    )


def stops(segments: Sequence[Segment], *, now: datetime) -> tuple[tuple[Stop, ...], int]:
    """Return the stretches without run, newest first, and how many short ones were left out."""
    found = [
        Stop(str(part.state), part.start, part.end, part.end >= now)
        for part in segments
        if str(part.state) not in ("run", "slow")
    ]
    long = [stop for stop in found if stop.seconds >= SHORTEST_STOP_S or stop.is_open]
    long.sort(key=lambda stop: stop.start, reverse=True)
    return tuple(long[:MOST_STOPS]), len(found) - len(long[:MOST_STOPS])


def eight_hours(segments: Sequence[Segment], *, now: datetime, name: str) -> list[ShiftRow]:
    """Cut the last 24 hours into three rows of eight, the newest last."""
    spans = spans_of(segments)
    rows = []
    for back in (24, 16, 8):
        start = now - timedelta(hours=back)
        end = start + timedelta(hours=8)
        bar = timeline(
            spans, start=start, end=end, now=now, name=f"{name} from {moment(start, now)}"
        )
        rows.append(ShiftRow(day(start), clock(start), bar))
    return rows
