"""What the lower floors have stored, as billing counts it."""

from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from billing.counting import MachineHour, MonthFacts, SourceHour
from mlops import selectors as mlops_selectors
from telemetry import selectors as telemetry_selectors

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def usage(*, start: datetime, end: datetime) -> list[MachineHour]:
    """Return the factory's stored readings by machine and hour of measured time, [start, end)."""
    return [
        MachineHour(row.hour, _source(row.machine_id, row.device_id), row.n_readings)
        for row in telemetry_selectors.usage_by_hour(start=start, end=end)
    ]


@lru_cache(maxsize=4096)
def _source(machine_id: UUID | None, device_id: int) -> str:
    return f"machine:{machine_id}" if machine_id else f"device:{device_id}"


def changed_hours(*, since: datetime) -> set[datetime]:
    """Return the hours whose count of anything was changed at or after a moment."""
    readings = {row.hour for row in telemetry_selectors.usage_changed_since(since)}
    images = mlops_selectors.images_changed_since(since)
    return readings | images | telemetry_selectors.archive_changed_since(since)


def month(*, start: datetime, end: datetime) -> MonthFacts:
    """Return everything that is counted of the factory in [start, end)."""
    return MonthFacts(
        readings=usage(start=start, end=end),
        images=images(start=start, end=end),
        planning_minutes=planning_minutes(start=start, end=end),
        archive=archive(start=start, end=end),
    )


def images(*, start: datetime, end: datetime) -> list[SourceHour]:
    """Return the images inspected by machine and hour, [start, end)."""
    return [
        SourceHour(hour, f"machine:{machine_id}" if machine_id else "", n)
        for hour, machine_id, n in mlops_selectors.images_by_hour(start=start, end=end)
    ]


def planning_minutes(*, start: datetime, end: datetime) -> list[SourceHour]:
    """Return the minutes that plans were computed for, by hour: none, as nothing plans yet."""
    return []


def archive(*, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Return the archive's size in bytes at `start` and from each hour on in which it changed."""
    changes = telemetry_selectors.archived_bytes_by_hour(start=_BEGINNING, end=end)
    size = sum(n for hour, n in changes if hour < start)
    levels = [(start, size)] if size else []
    for hour, n in changes:
        if hour >= start:
            size += n
            levels.append((hour, size))
    return levels
