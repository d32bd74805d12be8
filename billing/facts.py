"""What the lower floors have stored, as billing counts it."""

from datetime import datetime

from billing.counting import MachineHour, MonthFacts, SourceHour
from telemetry import selectors as telemetry_selectors


def usage(*, start: datetime, end: datetime) -> list[MachineHour]:
    """Return the factory's stored readings by machine and hour of measured time, [start, end)."""
    return [
        MachineHour(
            hour=row.hour,
            source=f"machine:{row.machine_id}" if row.machine_id else f"device:{row.device_id}",
            n_readings=row.n_readings,
        )
        for row in telemetry_selectors.usage_by_hour(start=start, end=end)
    ]


def changed_hours(*, since: datetime) -> set[datetime]:
    """Return the hours of measured time whose count was changed at or after a moment."""
    return {row.hour for row in telemetry_selectors.usage_changed_since(since)}


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
    return []


def planning_minutes(*, start: datetime, end: datetime) -> list[SourceHour]:
    """Return the minutes that plans were computed for, by hour; nothing plans yet."""
    return []


def archive(*, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Return the archive's size in bytes at `start` and from each hour on in which it changed."""
    return []
