"""Alarms as the pages show them: rows in three groups, floods folded into one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from frontend.formats import length, moment
from frontend.words import SEVERITY_WORDS
from telemetry.alarms import parsing, sentences
from telemetry.models import Alarm
from telemetry.selectors import alarms as selectors
from telemetry.selectors.alarm_sources import Target

Place = tuple[object, object]


@dataclass(frozen=True)
class Row:
    """One alarm, or a flood of them."""

    severity: int
    subject: str
    words: str
    under: str
    when: str
    who: str
    url: str
    act_url: str
    n_folded: int = 0
    fold_url: str = ""


@dataclass(frozen=True)
class Group:
    heading: str
    kind: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chip:
    severity: int
    word: str
    n: int
    url: str
    is_chosen: bool


def by_place(targets: Iterable[Target]) -> dict[Place, Target]:
    return {(target.machine_id, target.device_id): target for target in targets}


def rows(
    found: Sequence[Alarm], places: dict[Place, Target], *, at: datetime, unfolded: int | None
) -> tuple[Row, ...]:
    """Draw alarms in their order; of a flood only its first, with how many there are."""
    made: list[Row] = []
    shown: set[int] = set()
    sizes: dict[int, int] = {}
    for alarm in found:
        if alarm.flood_id is not None:
            sizes[alarm.flood_id] = sizes.get(alarm.flood_id, 0) + 1
    for alarm in found:
        flood = alarm.flood_id
        if flood is None or flood == unfolded or sizes[flood] == 1:
            made.append(_row(alarm, places, at))
        elif flood not in shown:
            shown.add(flood)
            made.append(_folded(alarm, sizes[flood], at))
    return tuple(made)


def _row(alarm: Alarm, places: dict[Place, Target], at: datetime) -> Row:
    point = alarm.point
    target = places.get((point.machine_id, point.device_id))
    names = target.names if target else {}
    condition = parsing.parse(point.rule.condition)
    is_on = alarm.cleared_at is None
    end = alarm.cleared_at or at
    lasted = length((end - alarm.raised_at).total_seconds())
    return Row(
        severity=alarm.severity,
        subject=selectors.target_name(alarm),
        words=point.rule.name,
        under=f"Rule: {sentences.describe(condition, names)}.",
        when=lasted if is_on else moment(alarm.cleared_at),
        who=str(alarm.acknowledged_by) if alarm.acknowledged_by else "",
        url=reverse("frontend:alarm", args=[alarm.pk]),
        act_url=reverse("frontend:alarm-act", args=[alarm.pk]),
    )


def _folded(alarm: Alarm, n: int, at: datetime) -> Row:
    flood, rule = alarm.flood, alarm.point.rule
    of_machine = flood is not None and flood.machine_id is not None
    list_url = reverse("frontend:alarms")
    return Row(
        severity=alarm.severity,
        subject=selectors.target_name(alarm) if of_machine else rule.name,
        words=f"raised {n} alarms at once",
        under=f"{n} alarms have this one cause and are folded here.",
        when=length((at - alarm.raised_at).total_seconds()),
        who="",
        url=reverse("frontend:alarm", args=[alarm.pk]),
        act_url="",
        n_folded=n,
        fold_url=f"{list_url}?flood={alarm.flood_id}",
    )


def chips(found: Iterable[Alarm], *, chosen: int | None) -> list[Chip]:
    """Count alarms by severity; each chip is a filter."""
    counts = dict.fromkeys(SEVERITY_WORDS, 0)
    for alarm in found:
        counts[alarm.severity] += 1
    url = reverse("frontend:alarms")
    return [
        Chip(
            level,
            SEVERITY_WORDS[level],
            n,
            url if chosen == level else f"{url}?severity={level}",
            chosen == level,
        )
        for level, n in counts.items()
    ]
