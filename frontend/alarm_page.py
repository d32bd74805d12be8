"""Everything that the page of one alarm shows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from django.urls import reverse

from frontend.formats import length
from telemetry import selectors as telemetry_selectors
from telemetry.alarms import conditions, parsing
from telemetry.alarms.sentences import Name
from telemetry.alarms.sentences import figure as figure_of
from telemetry.models import Alarm
from telemetry.selectors import alarms as selectors
from telemetry.selectors.alarm_sources import Target
from telemetry.services import alarms as services

N_BUCKETS = 240
_WIDTH, _HEIGHT = 720.0, 160.0


@dataclass(frozen=True)
class LogLine:
    at: datetime
    words: str
    who: str
    text: str


@dataclass(frozen=True)
class Sketch:
    """A signal around an alarm, drawn on the server: what does not move needs no script."""

    label: str
    unit: str
    lines: tuple[str, ...]
    x: float
    width: float
    limit_y: float | None
    limit_words: str
    low: float
    high: float
    start: datetime
    end: datetime
    summary: str


@dataclass(frozen=True)
class AlarmPage:
    id: int
    name: str
    target: str
    severity: int
    sentence: str
    advice: str
    state: str
    raised_at: datetime
    cleared_at: datetime | None
    lasted: str
    taken_by: str
    machine_url: str
    rule_url: str
    url: str
    act_url: str
    log: tuple[LogLine, ...]
    sketches: tuple[Sketch, ...]
    can_take: bool
    can_reset: bool
    is_shelved: bool
    is_out_of_service: bool
    is_on: bool


def build(found: Alarm, *, at: datetime) -> AlarmPage:
    point, rule = found.point, found.point.rule
    target = services.target_of(found)
    latest = telemetry_selectors.latest_values(target.device_ids) if target else {}
    is_shelved = point.shelved_until is not None and point.shelved_until > at
    end = found.cleared_at or at
    return AlarmPage(
        id=found.pk,
        name=rule.name,
        target=selectors.target_name(found),
        severity=found.severity,
        sentence=selectors.sentence(found, target=target, latest=list(latest.values()), at=at),
        advice=rule.advice,
        state=_state(found, is_shelved=is_shelved),
        raised_at=found.raised_at,
        cleared_at=found.cleared_at,
        lasted=length((end - found.raised_at).total_seconds()),
        taken_by=str(found.acknowledged_by or "") if found.acknowledged_at else "",
        machine_url=reverse("frontend:machine", args=[point.machine_id])
        if point.machine_id
        else "",
        rule_url=reverse("frontend:alarm-rule", args=[rule.pk]),
        url=reverse("frontend:alarm", args=[found.pk]),
        act_url=reverse("frontend:alarm-act", args=[found.pk]),
        log=tuple(
            LogLine(e.at, e.get_kind_display(), str(e.person or ""), e.text)
            for e in found.events.all()
        ),
        sketches=_sketches(found, target, at),
        can_take=found.acknowledged_at is None and found.withdrawn_at is None,
        can_reset=rule.latched and found.cleared_at is not None and found.reset_at is None,
        is_shelved=is_shelved,
        is_out_of_service=point.out_of_service_at is not None,
        is_on=found.cleared_at is None and found.withdrawn_at is None,
    )


def _machine_url(found: Alarm) -> str:
    machine_id = found.point.machine_id
    return reverse("frontend:machine", args=[machine_id]) if machine_id else ""


def _state(found: Alarm, *, is_shelved: bool) -> str:
    if found.withdrawn_at is not None:
        return "Withdrawn: data that came late show that it never was on"
    if found.point.out_of_service_at is not None:
        return "Out of service"
    if is_shelved:
        return "Shelved"
    if found.sounded_at is None:
        return "Suppressed by its schedule"
    if found.cleared_at is not None:
        return "Cleared" if found.acknowledged_at else "Cleared, nobody took it"
    return "Being worked on" if found.acknowledged_at else "Open"


def _sketches(found: Alarm, target: Target | None, at: datetime) -> tuple[Sketch, ...]:
    """Draw up to two numeric signals of the rule, from before the alarm until after it."""
    if target is None:
        return ()
    end = found.cleared_at or at
    margin = max((end - found.raised_at) / 3, timedelta(minutes=2))
    start, end = found.raised_at - margin, min(end + margin, at)
    drawn = []
    condition = parsing.parse(found.point.rule.condition)
    nodes = [n for n in conditions.walk(condition) if isinstance(n, (conditions.Threshold))]
    for key, same in groupby(nodes[:4], key=lambda node: node.signal):
        source = target.sources.get(key)
        if source is None:
            continue
        read = telemetry_selectors.series(
            device_id=source.device_id, keys=[key], start=start, end=end, n_buckets=N_BUCKETS
        )
        points = read.keys[key]
        if points.t:
            limit = next(same).limit
            values = [value * source.scale for value in points.avg]
            drawn.append(_sketch(found, source.name, points.t, values, limit, start, end))
    return tuple(drawn[:2])


def _sketch(
    found: Alarm,
    name: Name,
    times: list[int],
    values: list[float],
    limit: conditions.Limit,
    start: datetime,
    end: datetime,
) -> Sketch:
    limits = [limit.low, limit.high] if limit.is_band else [limit.value]
    low, high = min([*values, *limits]), max([*values, *limits])
    room = (high - low) * 0.08 or 1.0
    low, high = low - room, high + room
    span_ms = (end - start) / timedelta(milliseconds=1)
    start_ms = start.timestamp() * 1000

    def x(t: float) -> float:
        return round((t - start_ms) / span_ms * _WIDTH, 1)

    def y(value: float) -> float:
        return round(_HEIGHT - (value - low) / (high - low) * _HEIGHT, 1)

    gap_ms = max(3 * span_ms / N_BUCKETS, 60_000)
    lines: list[list[str]] = [[]]
    before = None
    for t, value in zip(times, values, strict=True):
        if before is not None and t - before > gap_ms:
            lines.append([])
        lines[-1].append(f"{x(t)},{y(value)}")
        before = t
    left = x(found.raised_at.timestamp() * 1000)
    right = x((found.cleared_at or end).timestamp() * 1000)
    return Sketch(
        label=name.label,
        unit=name.unit,
        lines=tuple(" ".join(line) for line in lines),
        x=left,
        width=max(2.0, right - left),
        limit_y=y(limits[-1]),
        limit_words=f"Limit {figure_of(limits[-1])}",
        low=low,
        high=high,
        start=start,
        end=end,
        summary=f"{name.label} between {name.value(min(values))} and {name.value(max(values))}.",
    )
