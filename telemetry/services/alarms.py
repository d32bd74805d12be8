"""What people do with alarms (ISA-18.2): take, comment, shelve, take out of service, reset."""

from datetime import datetime, timedelta

from django.db import transaction

from telemetry.alarms import announcing
from telemetry.models import Alarm, AlarmEvent, AlarmPoint
from telemetry.selectors import alarm_sources
from telemetry.selectors import alarms as selectors
from telemetry.services import alarm_book
from tenants import jobs
from tenants.context import current_factory
from tenants.models import User

Kind = AlarmEvent.Kind
LONGEST_SHELF = timedelta(days=30)
UNSHELVE = "telemetry.unshelve_alarm"


class NotPossible(Exception):
    """The state of the alarm does not allow it; the text is for people."""


class NoSuchAction(Exception):
    """Nothing that can be done with an alarm has this name."""


def act(
    *, alarm: Alarm, action: str, text: str, until: datetime | None, by: User | None, at: datetime
) -> None:
    """Do what a person chose by name.

    Raises:
        NotPossible: the state of the alarm does not allow it.
        NoSuchAction: none has this name.
    """
    match action:
        case "acknowledge":
            acknowledge(alarm=alarm, by=by, at=at, comment=text)
        case "comment":
            comment(alarm=alarm, by=by, at=at, text=text)
        case "reset":
            reset(alarm=alarm, by=by, at=at)
        case "shelve":
            shelve(alarm=alarm, by=by, at=at, until=until or at, reason=text)  # nosec B403
        case "unshelve":
            unshelve(alarm=alarm, by=by, at=at)
        case "take_out_of_service":
            set_service(alarm=alarm, in_service=False, by=by, at=at, reason=text)
        case "put_in_service":
            set_service(alarm=alarm, in_service=True, by=by, at=at, reason=text)
        case _:
            raise NoSuchAction(action)


@transaction.atomic
def acknowledge(*, alarm: Alarm, by: User | None, at: datetime, comment: str = "") -> None:
    """Take an alarm: its escalation ends. Whoever is first has taken it.

    Raises:
        NotPossible: somebody has it already, or late data have withdrawn it.
    """
    n_taken = Alarm.objects.filter(pk=alarm.pk, acknowledged_at=None, withdrawn_at=None).update(
        acknowledged_at=at, acknowledged_by=by
    )
    if not n_taken:
        raise NotPossible("Somebody has taken this alarm already, or it was withdrawn.")
    _note(alarm, Kind.ACKNOWLEDGED, by, at, comment)


@transaction.atomic
def comment(*, alarm: Alarm, by: User | None, at: datetime, text: str) -> None:
    """Add a comment to the log of an alarm.

    Raises:
        NotPossible: it says nothing.
    """
    if not text.strip():
        raise NotPossible("Write a few words.")
    _note(alarm, Kind.COMMENT, by, at, text)


@transaction.atomic
def reset(*, alarm: Alarm, by: User | None, at: datetime) -> None:
    """End a latched alarm whose condition is over.

    Raises:
        NotPossible: it is not latched, is still on, or was reset already.
    """
    n_reset = Alarm.objects.filter(
        pk=alarm.pk, point__rule__latched=True, cleared_at__isnull=False, reset_at=None
    ).update(reset_at=at)
    if not n_reset:
        raise NotPossible("Only a latched alarm whose condition is over can be reset.")
    _note(alarm, Kind.RESET, by, at)


@transaction.atomic
def shelve(*, alarm: Alarm, by: User | None, at: datetime, until: datetime, reason: str) -> None:
    """Silence the rule on this target until a time, with a reason; it goes on being evaluated.

    Raises:
        NotPossible: no reason, or the time is not within the next 30 days.
    """
    if not reason.strip():
        raise NotPossible("Say why it is shelved.")
    if not at < until <= at + LONGEST_SHELF:
        raise NotPossible("Shelve for at most 30 days.")
    AlarmPoint.objects.filter(pk=alarm.point_id).update(
        shelved_until=until, shelved_by=by, shelve_reason=reason[:500]
    )
    jobs.enqueue(
        task=UNSHELVE,
        kwargs={"point_id": alarm.point_id, "until": until.isoformat()},
        factory=current_factory(),
        delay=until - at,
    )
    _note(alarm, Kind.SHELVED, by, at, f"Until {until:%Y-%m-%d %H:%M} UTC: {reason}")


@transaction.atomic
def unshelve(*, alarm: Alarm, by: User | None, at: datetime) -> None:
    """Take an alarm from the shelf before its time.

    Raises:
        NotPossible: it is not on the shelf.
    """
    if not _take_from_shelf(alarm.point_id):
        raise NotPossible("It is not shelved.")
    _note(alarm, Kind.UNSHELVED, by, at)


@transaction.atomic
def end_shelf(*, point_id: int, until: datetime, at: datetime) -> bool:
    """End a shelf whose time is over and tell of what is still on; say whether it was there.

    Raises:
        AlarmPoint.DoesNotExist: not in this factory.
    """
    AlarmPoint.objects.get(pk=point_id)
    if not _take_from_shelf(point_id, until=until):
        return False
    for found in Alarm.objects.filter(point_id=point_id, cleared_at=None, withdrawn_at=None):
        row = selectors.alarm(found.pk)
        _note(row, Kind.UNSHELVED, None, at, "Its time on the shelf is over.")
        if row.acknowledged_at is None and row.sounded_at is not None:
            target = target_of(row)
            if target is not None:
                shelf = f":shelf:{until.isoformat()}"
                alarm_book.announce(row, target=target, at=at, occasion=shelf)
                alarm_book.schedule_escalation(row, row.point.rule, at=at)
    return True


def _take_from_shelf(point_id: int, *, until: datetime | None = None) -> bool:
    rows = AlarmPoint.objects.filter(pk=point_id, shelved_until__isnull=False)
    if until is not None:
        rows = rows.filter(shelved_until=until)
    return bool(rows.update(shelved_until=None, shelved_by=None, shelve_reason=""))


@transaction.atomic
def set_service(
    *, alarm: Alarm, in_service: bool, by: User | None, at: datetime, reason: str = ""
) -> None:
    """Take the rule on this target out of service (maintenance), or put it back.

    Raises:
        NotPossible: it is so already, or no reason is given.
    """
    if not in_service and not reason.strip():
        raise NotPossible("Say why it is out of service.")
    rows = AlarmPoint.objects.filter(
        pk=alarm.point_id, out_of_service_at__isnull=in_service is False
    )
    n_changed = rows.update(
        out_of_service_at=None if in_service else at,
        out_of_service_by=None if in_service else by,
        out_of_service_reason="" if in_service else reason[:500],
    )
    if not n_changed:
        raise NotPossible("It is so already.")
    _note(alarm, Kind.IN_SERVICE if in_service else Kind.OUT_OF_SERVICE, by, at, reason)


@transaction.atomic
def escalate(*, alarm_id: int, step: int, at: datetime) -> bool:
    """Tell the people of the next step, unless somebody has taken the alarm; say whether it did.

    Raises:
        Alarm.DoesNotExist: not in this factory.
    """
    row = selectors.alarm(alarm_id)
    steps = row.point.rule.escalation
    is_over = row.cleared_at is not None or alarm_book.is_silenced(row.point, at=at)
    if step >= len(steps) or is_over:
        return False
    n_claimed = Alarm.objects.filter(
        pk=alarm_id, n_escalations=step, acknowledged_at=None, withdrawn_at=None
    ).update(n_escalations=step + 1)
    target = target_of(row)
    if not n_claimed or target is None:
        return False
    row.n_escalations = step + 1
    people = list(steps[step]["user_ids"]) or None
    alarm_book.announce(row, target=target, at=at, occasion=f":step:{step}", recipients=people)
    who = "everybody who asked for it" if people is None else f"{len(people)} people"
    _note(row, Kind.ESCALATED, None, at, f"Nobody had taken it: step {step + 1}, {who}.")
    alarm_book.schedule_escalation(row, row.point.rule, at=at)
    return True


def target_of(row: Alarm) -> alarm_sources.Target | None:
    """Return what an alarm is about; None where it is no longer in use."""
    point = row.point
    for target in alarm_sources.targets():
        if (target.machine_id, target.device_id) == (point.machine_id, point.device_id):
            return target
    return None


def _note(alarm: Alarm, kind: str, by: User | None, at: datetime, text: str = "") -> None:
    person_id = by.pk if by else None
    alarm_book.note(alarm, kind, at=at, text=text, person_id=person_id)
    announcing.tell_pages([alarm.pk])
