"""What the lower floors have stored, as billing counts it."""

from datetime import datetime

from billing.counting import MachineHour
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
