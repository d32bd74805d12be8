"""What can be asked about alarms and their rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Min, Prefetch, Q, QuerySet

from production import selectors as production_selectors
from production.calendar import Shift
from telemetry.alarms import parsing, schedule, sentences
from telemetry.models import Alarm, AlarmEvent, AlarmRule
from telemetry.selectors.alarm_sources import Target
from telemetry.selectors.latest import LatestReading


@dataclass(frozen=True, slots=True)
class Standing:
    """What the bell shows: how many alarms are open, and how bad the worst one is."""

    n_open: int = 0
    worst: int | None = None


def rules() -> QuerySet[AlarmRule]:
    """Return the rules by severity and name, with what they are about at hand."""
    rows = AlarmRule.objects.select_related("line", "machine_type", "machine")
    return rows.order_by("severity", "name", "pk")


def rule(rule_id: int) -> AlarmRule:
    """Return one rule.

    Raises:
        AlarmRule.DoesNotExist: not in this factory.
    """
    return rules().get(pk=rule_id)


def alarms() -> QuerySet[Alarm]:
    """Return the alarms, newest first, with rule and target at hand; withdrawn ones left out."""
    rows = Alarm.objects.select_related("point__rule", "point__machine", "point__device", "flood")
    return rows.filter(withdrawn_at=None).order_by("-raised_at", "-pk")


def alarm(alarm_id: int) -> Alarm:
    """Return one alarm, withdrawn or not, with its events.

    Raises:
        Alarm.DoesNotExist: not in this factory.
    """
    events = Prefetch("events", AlarmEvent.objects.select_related("person").order_by("pk"))
    rows = Alarm.objects.select_related(
        "point__rule", "point__machine", "point__device", "flood", "acknowledged_by",
        "point__shelved_by", "point__out_of_service_by",
    )  # fmt: skip
    return rows.prefetch_related(events).get(pk=alarm_id)


def last_event_at() -> datetime | None:
    """Return when something last happened to any alarm."""
    return AlarmEvent.objects.order_by("-pk").values_list("at", flat=True).first()


def _is_on() -> Q:
    return Q(cleared_at=None) | Q(point__rule__latched=True, reset_at=None)


def _is_heard(at: datetime) -> Q:
    """Neither suppressed by design, nor shelved, nor out of service (ISA-18.2 E to G)."""
    shelf = Q(point__shelved_until=None) | Q(point__shelved_until__lte=at)
    return Q(sounded_at__isnull=False) & shelf & Q(point__out_of_service_at=None)


def open_alarms(*, at: datetime) -> QuerySet[Alarm]:
    """Return what is on and nobody has taken, worst first."""
    rows = alarms().filter(_is_on(), _is_heard(at), acknowledged_at=None)
    return rows.order_by("severity", "raised_at", "pk")


def taken_alarms(*, at: datetime) -> QuerySet[Alarm]:
    """Return what is on and somebody works on, worst first."""
    rows = alarms().filter(_is_on(), _is_heard(at), acknowledged_at__isnull=False)
    return rows.select_related("acknowledged_by").order_by("severity", "raised_at", "pk")


def silent_alarms(*, at: datetime) -> QuerySet[Alarm]:
    """Return what is on and silenced: shelved, suppressed by its schedule, out of service."""
    return alarms().filter(_is_on()).exclude(_is_heard(at)).order_by("severity", "raised_at", "pk")


def cleared_alarms() -> QuerySet[Alarm]:
    """Return what was heard and is over, the last to end first."""
    rows = alarms().exclude(_is_on()).filter(sounded_at__isnull=False)
    return rows.select_related("acknowledged_by").order_by("-cleared_at", "-pk")


def standing(*, at: datetime) -> Standing:
    """Return what the bell shows; one query over a partial index."""
    found = (
        Alarm.objects.filter(_is_on(), _is_heard(at), acknowledged_at=None, withdrawn_at=None)
        .order_by()
        .aggregate(n=Count("pk"), worst=Min("severity"))
    )
    return Standing(found["n"], found["worst"])


def n_since(start: datetime) -> int:
    """Count the alarms that were heard since a time."""
    return Alarm.objects.filter(sounded_at__gte=start, withdrawn_at=None).count()


def between(*, machine_ids: Sequence[UUID], start: datetime, end: datetime) -> QuerySet[Alarm]:
    """Return the alarms of some machines that touch [start, end), for charts; oldest first."""
    touching = Q(cleared_at=None) | Q(cleared_at__gt=start)
    rows = alarms().filter(touching, raised_at__lt=end, point__machine_id__in=machine_ids)
    return rows.order_by("raised_at", "pk")


def target_name(found: Alarm) -> str:
    return str(found.point.machine or found.point.device)


def sentence(
    found: Alarm, *, target: Target | None, latest: Sequence[LatestReading] = (), at: datetime
) -> str:
    """Say in plain words what happened, since when, and how it stands now."""
    condition = parsing.parse(found.point.rule.condition)
    now = {
        key: float(value) * (target.sources[key].scale if target and key in target.sources else 1)
        for one in latest
        for key, value in one.values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    end = found.cleared_at or max(at, found.raised_at)
    return sentences.happened(
        condition,
        target=target_name(found),
        names=target.names if target else {},
        lasted_s=(end - found.raised_at).total_seconds(),
        is_on=found.cleared_at is None,
        now=now or found.evidence,
    )


def stretches(
    rule_row: AlarmRule, target: Target, start: datetime, end: datetime
) -> list[schedule.Stretch]:
    """Return when a rule may sound on a target within [start, end)."""
    when = schedule.parse(rule_row.schedule)
    site = None
    if when.kind != schedule.Kind.ALWAYS:
        sites = production_selectors.sites()
        site = sites.filter(pk=target.site_id).first() if target.site_id else sites.first()
    if site is None:
        return [(start, end)]
    shifts: list[Shift] = []
    if when.needs_shifts:
        shifts = production_selectors.shifts_between(site=site, start=start, end=end)
    return schedule.stretches(when, ZoneInfo(site.time_zone), start, end, shifts)


def n_alarms_by_rule(*, since: datetime) -> dict[int, int]:
    """Count the alarms of each rule since a time."""
    rows = Alarm.objects.filter(raised_at__gte=since, withdrawn_at=None).order_by()
    return dict(rows.values_list("point__rule_id").annotate(Count("pk")))
