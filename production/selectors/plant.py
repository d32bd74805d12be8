"""What can be asked about the plant."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet

from production.calendar import Pattern, Shift
from production.calendar import shifts_between as compute_shifts
from production.models import (
    CalendarException,
    Failure,
    Line,
    Machine,
    MachineType,
    ShiftPattern,
    Site,
)


def sites() -> QuerySet[Site]:
    return Site.objects.order_by("code")


def main_site() -> Site | None:
    return sites().first()


def lines() -> QuerySet[Line]:
    return Line.objects.select_related("area__site").order_by("area__code", "code", "pk")


def machine_types() -> QuerySet[MachineType]:
    return MachineType.objects.annotate(n_machines=Count("machines")).order_by("name", "pk")


def machines(*, include_retired: bool = False) -> QuerySet[Machine]:
    """Return the machines in the order of the floor, with type, line and site at hand."""
    rows = Machine.objects.select_related("machine_type", "line__area__site")
    if not include_retired:
        rows = rows.exclude(state=Machine.State.RETIRED)
    return rows.order_by("position", "name", "pk")


def machine(machine_id: UUID) -> Machine:
    """Return one machine.

    Raises:
        Machine.DoesNotExist: not in this factory.
    """
    return machines(include_retired=True).get(pk=machine_id)


def failures(machine_ids: Sequence[UUID] | None = None) -> QuerySet[Failure]:
    """Return the failures that stand (not superseded), oldest first."""
    rows = Failure.objects.filter(superseded_by=None).select_related("machine")
    if machine_ids is not None:
        rows = rows.filter(machine_id__in=machine_ids)
    return rows.order_by("failed_at", "pk")


def shifts_between(*, site: Site, start: datetime, end: datetime) -> list[Shift]:
    """Return the shifts of a site that touch [start, end), in order. Two queries."""
    zone = ZoneInfo(site.time_zone)
    first, last = start.astimezone(zone).date(), end.astimezone(zone).date()
    patterns = [
        Pattern(
            p.name,
            frozenset(map(int, p.weekdays)),
            p.starts_at,
            p.ends_at,
            p.break_starts_at,
            p.break_minutes,
            p.valid_from,
            p.valid_to,
        )
        for p in ShiftPattern.objects.filter(
            Q(valid_to=None) | Q(valid_to__gt=first - timedelta(days=1)),
            site=site,
            valid_from__lte=last,
        )
    ]
    days_off = CalendarException.objects.filter(
        site=site, on__range=(first - timedelta(days=1), last)
    ).values_list("on", flat=True)
    return compute_shifts(patterns, zone, start, end, frozenset(days_off))


def shift_at(*, site: Site, at: datetime) -> Shift | None:
    """Return the shift that is on, or None where the plant is closed."""
    on = [
        s
        for s in shifts_between(site=site, start=at, end=at + timedelta(seconds=1))
        if s.start <= at
    ]
    return on[-1] if on else None


def machines_with_id(text: str) -> QuerySet[Machine]:
    """Return the machine that an address names; none where it is no id of one."""
    try:
        return machines(include_retired=True).filter(pk=UUID(text))
    except ValueError:
        return Machine.objects.none()
