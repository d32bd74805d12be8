"""When a rule would have fired: the same evaluation as on the stream, over the past."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from telemetry.alarms import conditions, parsing, schedule
from telemetry.alarms.evaluation import Episode, Watched, advance, beginning
from telemetry.alarms.tracking import joined
from telemetry.models import AlarmRule
from telemetry.selectors import alarm_sources, alarms
from telemetry.selectors.alarm_sources import Target
from telemetry.selectors.usage import usage_by_hour
from telemetry.times import EPOCH

LONGEST = timedelta(days=31)
MAX_READINGS = 3_000_000
MAX_EPISODES = 500
LAST_YEAR = 2200
_PIECE = timedelta(days=1)
_MS = timedelta(milliseconds=1)


class TooMuch(Exception):
    """The preview would read more than a person waits for; the text says what to do."""


class EmptyRange(Exception):
    """The range ends before it starts."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One time that the rule would have been on; `is_heard`: within its schedule."""

    raised_at: datetime
    cleared_at: datetime | None
    is_heard: bool
    evidence: dict[str, float]


@dataclass(frozen=True)
class Preview:
    """What a rule would have done on one target."""

    target: str
    machine_id: UUID | None
    firings: tuple[Firing, ...]


def preview(rule: AlarmRule, *, start: datetime, end: datetime) -> list[Preview]:
    """Say when a rule, saved or not, would have fired in [start, end), target by target.

    Raises:
        TooMuch: the range is longer than a month, or holds too many readings.
        EmptyRange: it ends before it starts.
    """
    if start >= end:
        raise EmptyRange
    if start < EPOCH or end.year > LAST_YEAR:
        raise TooMuch("There are no readings of that time.")
    if end - start > LONGEST:
        raise TooMuch(f"Look at {LONGEST.days} days at most.")
    concerned = alarm_sources.targets_of(rule, alarm_sources.targets())
    _check_size(concerned, start, end)
    found = [_on_target(rule, target, start, end) for target in concerned if target.device_ids]
    return [one for one in found if one.firings] + [one for one in found if not one.firings]


def _check_size(concerned: Sequence[Target], start: datetime, end: datetime) -> None:
    ids = {device_id for target in concerned for device_id in target.device_ids}
    hours = usage_by_hour(start=start - timedelta(hours=1), end=end)
    if sum(hour.n_readings for hour in hours if hour.device_id in ids) > MAX_READINGS:
        raise TooMuch("There are too many readings: choose a shorter range or fewer machines.")


def _on_target(rule: AlarmRule, target: Target, start: datetime, end: datetime) -> Preview:
    condition = parsing.parse(rule.condition)
    keys = conditions.signals(condition)
    watched = Watched(condition, rule.hold_s)
    at, episodes = beginning(watched, (start - EPOCH) // _MS), list[Episode]()
    piece = start
    while piece < end:
        until = min(piece + _PIECE, end)
        read = alarm_sources.readings(target.needs(keys), start=piece, end=until)
        series = read.series(target, keys)
        more, at = advance(watched, series, after=at, until=(until - EPOCH) // _MS)
        episodes = joined(episodes, more)
        piece = until
    allowed = alarms.stretches(rule, target, start, end)
    firings = tuple(_firing(one, allowed, end) for one in episodes[-MAX_EPISODES:])
    return Preview(target.name, target.machine_id, firings)


def _firing(one: Episode, allowed: Sequence[schedule.Stretch], end: datetime) -> Firing:
    raised_at = EPOCH + one.raised_at * _MS
    cleared_at = None if one.cleared_at is None else EPOCH + one.cleared_at * _MS
    heard = schedule.first_moment(allowed, raised_at, cleared_at or end)
    return Firing(raised_at, cleared_at, heard is not None, one.evidence)
