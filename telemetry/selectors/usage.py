"""How much was stored: what billing pulls."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from telemetry.models import ReadingHour
from tenants.context import current_schema


@dataclass(frozen=True, slots=True)
class HourOfUse:
    """What was stored of a device for one hour of measured time."""

    hour: datetime
    device_id: int
    machine_id: UUID | None
    n_readings: int
    n_values: int


def usage_by_hour(*, start: datetime, end: datetime) -> list[HourOfUse]:
    """Return what was stored for the hours in [start, end), per device."""
    return _usage("h.hour >= %s AND h.hour < %s", [start, end])


def usage_changed_since(at: datetime) -> list[HourOfUse]:
    """Return the hours whose figures changed since `at`, with their figures of now.

    A change becomes visible at the end of its transaction, seconds after its time at most: ask
    with an overlap of a minute.
    """
    return _usage("h.changed_at >= %s", [at])


def hours_of(*, device_id: int, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Return the hours that touch [start, end) and hold readings of a device, with how many."""
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    rows = ReadingHour.objects.filter(device_id=device_id, hour__gte=first, hour__lt=end)
    return list(rows.order_by("hour").values_list("hour", "n_readings"))


def first_hour_of(*, device_id: int) -> datetime | None:
    """Return the earliest hour of which a device has readings."""
    rows = ReadingHour.objects.filter(device_id=device_id).order_by("hour")
    return rows.values_list("hour", flat=True).first()


def _usage(condition: str, values: list[Any]) -> list[HourOfUse]:
    current_schema()  # outside a factory the tables of another would answer
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.hour, h.device_id, d.machine_id, h.n_readings, h.n_values"  # noqa: S608
            " FROM reading_hour h LEFT JOIN telemetry_device d ON d.id = h.device_id"
            f" WHERE {condition} ORDER BY h.hour, h.device_id",
            values,
        )
        return [HourOfUse(*row) for row in cursor.fetchall()]
