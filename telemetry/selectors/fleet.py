"""Devices with what is known of their health: when they were heard, how their clock goes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    F,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextChoices,
    Value,
    When,
)

from telemetry.models import Device, Latest
from telemetry.selectors.usage import usage_by_hour

SILENT_AFTER = timedelta(minutes=5)
CLOCK_OFF_S = 60.0
HOUR = timedelta(hours=1)


class DeviceState(TextChoices):
    LIVE = "live", "Live"
    SILENT = "silent", "Silent"
    NEVER = "never", "Never seen"
    RETIRED = "retired", "Retired"


_OF_LATEST = ("clock_offset_s", "clock_seen_at", "n_stored", "n_rejected")
# What a list is asked for: a state, or the clocks that are off, whatever the state.
CLOCK_OFF = "clock_off"
FILTERS = (*DeviceState.values, CLOCK_OFF)


@dataclass(frozen=True, slots=True)
class FleetQuery:
    """Which devices are looked for; empty: all that are not retired."""

    q: str = ""
    group: str = ""
    tag: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """What the list says of a device."""

    state: str
    heard_at: datetime | None
    clock_offset_s: float | None
    clock_seen_at: datetime | None
    n_stored: int
    n_rejected: int

    @property
    def is_clock_off(self) -> bool:
        return self.clock_offset_s is not None and abs(self.clock_offset_s) > CLOCK_OFF_S


def fleet(*, at: datetime, query: FleetQuery | None = None) -> QuerySet[Device]:
    """Return devices by name, each with what `health` reads; one query."""
    query = query or FleetQuery()
    rows = _found(_with_health(at), query)
    if query.state == CLOCK_OFF:
        rows = rows.filter(_clock_is_off(), retired_at=None)
    elif query.state:
        rows = rows.filter(Q(state=query.state))
    else:
        rows = rows.filter(retired_at=None)
    return rows.order_by("name", "pk")


def fleet_device(device_id: int, *, at: datetime) -> Device:
    """Return one device, retired or not, with its health.

    Raises:
        Device.DoesNotExist: not in this factory.
    """
    return _with_health(at).get(pk=device_id)


def health(device: Device) -> Health:
    """Return what `fleet` has found out about a device."""
    known: Any = device
    return Health(
        state=known.state,
        heard_at=known.heard_at,
        clock_offset_s=known.clock_offset_s,
        clock_seen_at=known.clock_seen_at,
        n_stored=known.n_stored or 0,
        n_rejected=known.n_rejected or 0,
    )


def n_by_state(*, at: datetime, query: FleetQuery) -> dict[str, int]:
    """Count the devices that each filter would show, the one chosen now left aside."""
    rows = _found(_with_health(at), query).order_by()
    counts = {state: Count("pk", filter=Q(state=state)) for state in DeviceState.values}
    off = Count("pk", filter=_clock_is_off() & Q(retired_at=None))
    return rows.aggregate(**counts, **{CLOCK_OFF: off})


def groups() -> list[str]:
    """Return the groups that devices are in, by name."""
    names = Device.objects.exclude(group="").values_list("group", flat=True)
    return list(names.order_by("group").distinct())


def tags() -> list[str]:
    """Return the tags that devices carry, by name."""
    each = Func(F("tags"), function="unnest", output_field=CharField())
    found = Device.objects.annotate(tag=each).values_list("tag", flat=True)
    return sorted(set(found.distinct()))


def readings_per_min(device_ids: Iterable[int], *, at: datetime) -> dict[int, float]:
    """Return how many readings a minute each device had stored over the last hour. One query.

    From the hourly counts: this hour's, and as much of the last one's as belongs to the hour.
    """
    this_hour = at.replace(minute=0, second=0, microsecond=0)
    left = 1 - (at - this_hour) / HOUR
    rates: dict[int, float] = {}
    for row in usage_by_hour(start=this_hour - HOUR, end=this_hour + HOUR, device_ids=device_ids):
        share = 1.0 if row.hour == this_hour else left
        rates[row.device_id] = rates.get(row.device_id, 0.0) + row.n_readings * share / 60
    return rates


def _with_health(at: datetime) -> QuerySet[Device]:
    latest = Latest.objects.filter(device_id=OuterRef("pk"))
    return (
        Device.objects.select_related("machine")
        .annotate(
            heard_at=Subquery(latest.values("received_at")[:1]),
            **{name: Subquery(latest.values(name)[:1]) for name in _OF_LATEST},
        )
        .annotate(
            state=Case(
                When(retired_at__isnull=False, then=Value(DeviceState.RETIRED)),
                When(heard_at=None, then=Value(DeviceState.NEVER)),
                When(heard_at__lt=at - SILENT_AFTER, then=Value(DeviceState.SILENT)),
                default=Value(DeviceState.LIVE),
                output_field=CharField(),
            )
        )
    )


def _clock_is_off() -> Q:
    return Q(clock_offset_s__gt=CLOCK_OFF_S) | Q(clock_offset_s__lt=-CLOCK_OFF_S)


def _found(rows: QuerySet[Device], query: FleetQuery) -> QuerySet[Device]:
    if query.q:
        words = Q(name__icontains=query.q) | Q(machine__name__icontains=query.q)
        rows = rows.filter(words | Q(hardware_id__icontains=query.q))
    if query.group:
        rows = rows.filter(group=query.group)
    if query.tag:
        rows = rows.filter(tags__contains=[query.tag])
    return rows
