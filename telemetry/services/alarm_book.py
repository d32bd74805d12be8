"""Writes down what an evaluation found: raises, clears, corrects, and tells who must know.

Nothing is deleted: what late data moved or undid gets an event that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Max, Min, Q

from telemetry.alarms import announcing, schedule
from telemetry.alarms.evaluation import Episode
from telemetry.alarms.tracking import Difference, Known, compare
from telemetry.models import Alarm, AlarmEvent, AlarmFlood, AlarmPoint, AlarmRule
from telemetry.selectors import alarms as selectors
from telemetry.selectors.alarm_sources import Target
from telemetry.times import EPOCH
from tenants import jobs
from tenants.context import current_factory

Kind = AlarmEvent.Kind

# More alarms than this of one cause within the window are a flood (ISA-18.2).
FLOOD_SIZE = 10
FLOOD_WINDOW = timedelta(minutes=10)
# What was over before anybody could know is written down, and told only while it is fresh.
STALE = timedelta(minutes=15)
# A schedule that began is seen within seconds; so far back after a watcher that was away.
LOOK_BACK = timedelta(days=2)
ESCALATE = "telemetry.escalate_alarm"


def from_ms(at_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=at_ms)


def to_ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True)
class Found:
    """What an evaluation of a point found for [since, until)."""

    point: AlarmPoint
    rule: AlarmRule
    target: Target
    episodes: Sequence[Episode]
    since: int
    until: int


def write(found: Found, *, at: datetime) -> list[int]:
    """Bring the alarms of a point in line with what was found; return those that changed."""
    since = from_ms(found.since)
    touching = Q(cleared_at=None) | Q(cleared_at__gte=since)
    rows = Alarm.objects.filter(
        touching, point=found.point, withdrawn_at=None, raised_at__lt=from_ms(found.until)
    )
    if not found.episodes and not rows.exists():
        return []
    # Only this rule's own version: what an older one has raised ended with it.
    rows = rows.filter(rule_version=found.rule.version)
    by_id = {row.pk: row for row in rows}
    known = [
        Known(row.pk, to_ms(row.raised_at), None if not row.cleared_at else to_ms(row.cleared_at))
        for row in by_id.values()
    ]
    difference = compare(known, found.episodes, since=found.since, until=found.until)
    return _apply(found, difference, by_id, at)


def _apply(
    found: Found, difference: Difference, by_id: dict[int, Alarm], at: datetime
) -> list[int]:
    changed: list[int] = []
    # Ends come first: a point is on once at a time.
    for known in difference.gone:
        _withdraw(by_id[known.id], at)
        changed.append(known.id)
    moved = sorted(difference.moved, key=lambda pair: pair[1].cleared_at is None)
    for known, episode in moved:
        _move(found, by_id[known.id], known, episode, at)
        changed.append(known.id)
    return changed + [_raise(found, episode, at).pk for episode in difference.raised]


def note(
    found: Alarm, kind: str, *, at: datetime, text: str = "", person_id: int | None = None
) -> AlarmEvent:
    """Add an event to an alarm's log."""
    return AlarmEvent.objects.create(
        alarm=found, at=at, kind=kind, text=text[:1000], person_id=person_id
    )


def _withdraw(row: Alarm, at: datetime) -> None:
    row.withdrawn_at = at
    row.save(update_fields=["withdrawn_at"])
    note(row, Kind.WITHDRAWN, at=at, text="Data that came late show that it never was on.")


def _move(found: Found, row: Alarm, known: Known, episode: Episode, at: datetime) -> None:
    """Clear an alarm, or correct its times; who took it has still taken it."""
    before = (row.raised_at, row.cleared_at)
    row.raised_at = from_ms(episode.raised_at)
    row.cleared_at = None if episode.cleared_at is None else from_ms(episode.cleared_at)
    if row.raised_at != before[0]:
        row.evidence = episode.evidence
    if row.sounded_at is not None and row.raised_at != before[0]:
        end = row.cleared_at or max(at, from_ms(found.until))
        allowed = selectors.stretches(found.rule, found.target, row.raised_at, end)
        row.sounded_at = schedule.first_moment(allowed, row.raised_at, end)
    row.save(update_fields=["raised_at", "cleared_at", "sounded_at", "evidence"])
    if known.cleared_at is None and row.raised_at == before[0]:
        note(row, Kind.CLEARED, at=at, text=f"It ended at {_said(row.cleared_at)}.")
        return
    text = (
        f"Data that came late: raised {_said(row.raised_at)} (was {_said(before[0])}), "
        f"cleared {_said(row.cleared_at)} (was {_said(before[1])})."
    )
    note(row, Kind.CORRECTED, at=at, text=text)


def _said(at: datetime | None) -> str:
    return "not yet" if at is None else at.isoformat(" ", "seconds").replace("+00:00", " UTC")


def _raise(found: Found, episode: Episode, at: datetime) -> Alarm:
    raised_at = from_ms(episode.raised_at)
    cleared_at = None if episode.cleared_at is None else from_ms(episode.cleared_at)
    row = Alarm.objects.create(
        point=found.point,
        rule_version=found.rule.version,
        severity=found.rule.severity,
        raised_at=raised_at,
        cleared_at=cleared_at,
        noticed_at=at,
        evidence=episode.evidence,
    )
    note(row, Kind.RAISED, at=at, text=found.rule.name)
    if cleared_at is not None:
        note(row, Kind.CLEARED, at=at, text=f"It ended at {_said(cleared_at)}.")
    end = cleared_at or max(at, from_ms(found.until))
    allowed = selectors.stretches(found.rule, found.target, raised_at, end)
    sounded_at = schedule.first_moment(allowed, raised_at, end)
    if sounded_at is not None:
        _sound(found, row, sounded_at, at)
    return row


def sound_suppressed(found: Found, row: Alarm, *, at: datetime) -> bool:
    """Let an alarm be heard whose schedule has begun meanwhile; say whether it is."""
    start = max(row.raised_at, at - LOOK_BACK)
    sounded_at = schedule.first_moment(
        selectors.stretches(found.rule, found.target, start, at), start, at
    )
    if sounded_at is None:
        return False
    note(row, Kind.SOUNDED, at=at)
    _sound(found, row, sounded_at, at)
    return True


def _sound(found: Found, row: Alarm, sounded_at: datetime, at: datetime) -> None:
    row.sounded_at = sounded_at
    row.flood = _flood(found, row)
    row.save(update_fields=["sounded_at", "flood"])
    if row.cleared_at is not None and row.cleared_at < at - STALE:
        return
    if is_silenced(found.point, at=at):
        return
    announce(row, target=found.target, at=at)
    schedule_escalation(row, found.rule, at=at)


def is_silenced(point: AlarmPoint, *, at: datetime) -> bool:
    """Say whether a person has shelved the point, or taken it out of service."""
    is_shelved = point.shelved_until is not None and point.shelved_until > at
    return is_shelved or point.out_of_service_at is not None


def announce(
    row: Alarm,
    *,
    target: Target,
    at: datetime,
    occasion: str = "",
    recipients: Sequence[int] | None = None,
) -> None:
    """Tell people of an alarm, once an `occasion`; of a flood once, whatever its size."""
    rule = row.point.rule
    text = selectors.sentence(row, target=target, at=at)
    if rule.advice:
        text += f"\nUsually helps: {rule.advice}"
    subject = f"{target.name}: {rule.name}"
    key = f"alarm:{row.pk}{occasion}"
    if row.flood_id is not None:
        key = f"alarm-flood:{row.flood_id}{occasion}"
        cause = target.name if row.flood and row.flood.machine_id else rule.name
        subject = f"{cause}: more than {FLOOD_SIZE} alarms in 10 min"
    announcing.tell_people(
        severity=row.severity,
        subject=subject,
        text=text,
        path=f"/alarms/{row.pk}/",
        key=key,
        at=at,
        recipients=recipients,
    )


def schedule_escalation(row: Alarm, rule: AlarmRule, *, at: datetime) -> None:
    """Have the next step of the escalation taken when its time has come."""
    step = row.n_escalations
    if step >= len(rule.escalation):
        return
    before = float(rule.escalation[step - 1]["after_min"]) if step else 0.0
    wait = timedelta(minutes=max(0.0, float(rule.escalation[step]["after_min"]) - before))
    jobs.enqueue(
        task=ESCALATE,
        kwargs={"alarm_id": row.pk, "step": step},
        factory=current_factory(),
        delay=wait,
    )


def _flood(found: Found, row: Alarm) -> AlarmFlood | None:
    """Return the flood that an alarm belongs to, begun by it where it is one too many."""
    causes: list[dict[str, Any]] = [{"rule_id": found.rule.pk}]
    if found.point.machine_id is not None:
        causes.insert(0, {"machine_id": found.point.machine_id})
    floods = (_flood_of(cause, row) for cause in causes)
    return next((flood for flood in floods if flood is not None), None)


def _flood_of(cause: dict[str, Any], row: Alarm) -> AlarmFlood | None:
    earliest = row.raised_at - FLOOD_WINDOW
    flood = AlarmFlood.objects.filter(
        **cause, last_at__gt=earliest, started_at__lte=row.raised_at
    ).first()
    if flood is not None:
        last_at = max(flood.last_at, row.raised_at)
        AlarmFlood.objects.filter(pk=flood.pk).update(n_alarms=F("n_alarms") + 1, last_at=last_at)
        flood.refresh_from_db()
        return flood
    of_cause = {f"point__{name}": value for name, value in cause.items()}
    near = Alarm.objects.filter(
        **of_cause,
        sounded_at__isnull=False,
        withdrawn_at=None,
        flood=None,
        raised_at__gt=earliest,
        raised_at__lte=row.raised_at,
    ).exclude(pk=row.pk)
    ids = list(near.values_list("pk", flat=True))
    if len(ids) < FLOOD_SIZE:
        return None
    span = near.aggregate(first=Min("raised_at"), last=Max("raised_at"))
    flood = AlarmFlood.objects.create(
        **cause, started_at=span["first"], last_at=row.raised_at, n_alarms=len(ids) + 1
    )
    Alarm.objects.filter(pk__in=ids).update(flood=flood)
    return flood
