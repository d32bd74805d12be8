"""What needs a person now: few rows, the worst first, each with one thing to do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from analytics import sentences
from analytics.states import State
from analytics.tiles import Frame, MachineTile

# Look: 1 go now, 2 this hour, 3 this shift, 4 when there is time.
CRITICAL, HIGH, MEDIUM = 1, 2, 3
DOWN_AFTER = timedelta(minutes=10)
SLOW_AFTER = timedelta(minutes=15)
SLOW_BELOW = 0.8
SILENT_AFTER = timedelta(minutes=5)
IDLE_AFTER = timedelta(minutes=30)
NEAR_SHARE = 0.2  # of a life left: time to plan the repair


@dataclass(frozen=True)
class AttentionRow:
    """One thing that needs a person.

    Attributes:
        subject: the machine's name; `sentence` goes on from it.
        cost: what it costs or what is missing, may be empty.
        action: the words of the button; it leads to the machine's page.
    """

    severity: int
    machine_id: UUID
    subject: str
    sentence: str
    since: datetime | None
    cost: str
    action: str
    url_name: str = "machine"


@dataclass(frozen=True)
class Outlook:
    """The remaining life of a machine's component, as predicted.

    Attributes:
        low, high: the interval that holds the truth with probability `level`.
        share_left: of the whole life, by the best estimate.
    """

    machine_id: UUID
    name: str
    component: str
    low: float
    high: float
    unit: str
    level: float
    made_at: datetime
    share_left: float


def rows(
    tiles: Iterable[MachineTile], *, outlooks: Iterable[Outlook], frame: Frame
) -> list[AttentionRow]:
    """Name what needs a person, the worst and oldest first."""
    found = [row for tile in tiles if (row := _of_tile(tile, frame)) is not None]
    found += [_of_outlook(outlook) for outlook in outlooks if outlook.share_left <= NEAR_SHARE]
    found.sort(key=lambda row: (row.severity, row.since or frame.now, row.subject))
    return found


def _of_tile(tile: MachineTile, frame: Frame) -> AttentionRow | None:
    if tile.since is None:
        return None
    age = frame.now - tile.since
    how_long = sentences.length(age.total_seconds())
    if tile.is_since_cut:
        how_long = f"over {how_long}"
    lost = ""
    if tile.lost_minor is not None:
        lost = f"{sentences.money(tile.lost_minor, currency=frame.currency)} lost so far"
    if tile.state == State.DOWN:
        severity = CRITICAL if age >= DOWN_AFTER else HIGH
        sentence = f"has been down for {how_long}. Nobody has said why."
        return _row(tile, severity, sentence, lost)
    if tile.state == State.NODATA and age >= SILENT_AFTER:
        return _row(tile, HIGH, _silence(tile, frame), f"Readings missing: {how_long}", "Show how")
    if tile.state == State.SLOW and age >= SLOW_AFTER and (tile.ratio or 1.0) < SLOW_BELOW:
        share = sentences.percent(tile.ratio or 0.0)
        return _row(tile, HIGH, f"runs at {share} of its rated speed.", lost)
    if tile.state == State.IDLE and age >= IDLE_AFTER:
        return _row(tile, MEDIUM, f"has stood ready for {how_long}.", lost)
    return None


def _silence(tile: MachineTile, frame: Frame) -> str:
    seen = tile.last_seen_at
    assert tile.since is not None
    if seen is not None and seen > tile.since + SILENT_AFTER:
        return (
            "does not say what it does. Its device answers, these signals do not: check the plug."
        )
    return f"sends no data since {frame.clock(tile.since)}. Check its gateway and the network."


def _row(
    tile: MachineTile, severity: int, sentence: str, cost: str, action: str = "Open"
) -> AttentionRow:
    return AttentionRow(severity, tile.machine_id, tile.name, sentence, tile.since, cost, action)


def _of_outlook(outlook: Outlook) -> AttentionRow:
    span = sentences.remaining(low=outlook.low, high=outlook.high, unit=outlook.unit)
    part = f"a new {outlook.component.lower()}" if outlook.component else "maintenance"
    return AttentionRow(
        severity=MEDIUM,
        machine_id=outlook.machine_id,
        subject=outlook.name,
        sentence=f"needs {part} in {span}.",
        since=outlook.made_at,
        cost=f"{sentences.percent(outlook.level)} likely",
        action="See why",
    )
