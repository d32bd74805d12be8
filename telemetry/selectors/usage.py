"""How much was stored: what billing pulls."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from telemetry.times import from_s
from tenants.context import current_schema


class HourOfUse(NamedTuple):
    """What was stored of a device for one hour of measured time."""

    hour: datetime
    device_id: int
    machine_id: UUID | None
    n_readings: int
    n_values: int


# Folded hours, and what the last commits added to them.
_FACTS = """
    SELECT device_id, hour, n_readings, n_values, changed_at FROM reading_hour
    UNION ALL
    SELECT u.d, timestamptz '1970-01-01 00:00:00+00' + u.h * interval '1 hour', u.r, u.v, at
    FROM usage_delta, unnest(device_ids, hours, n_readings, n_values) AS u(d, h, r, v)
"""
_USAGE = """
    SELECT extract(epoch FROM f.hour)::bigint, f.device_id, d.machine_id,
        sum(f.n_readings)::bigint, sum(f.n_values)::bigint
    FROM facts f LEFT JOIN telemetry_device d ON d.id = f.device_id
"""


def usage_by_hour(
    *, start: datetime, end: datetime, device_ids: Iterable[int] | None = None
) -> list[HourOfUse]:
    """Return what was stored for the hours in [start, end), per device: of some, or of all."""
    of_some = ""
    values: list[Any] = [start, end]
    if device_ids is not None:
        of_some = " AND f.device_id = ANY(%s)"
        values.append(list(device_ids))
    return _usage(f"{_USAGE} WHERE f.hour >= %s AND f.hour < %s{of_some}", values)


def usage_changed_since(at: datetime) -> list[HourOfUse]:
    """Return the hours whose figures changed since `at`, with their figures of now.

    A change becomes visible at the end of its transaction, seconds after its time at most: ask
    with an overlap of a minute.
    """
    changed = "(SELECT device_id, hour FROM facts WHERE changed_at >= %s)"
    return _usage(f"{_USAGE} WHERE (f.device_id, f.hour) IN {changed}", [at])


def archived_bytes_by_hour(*, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Return by how many bytes the archive grew in each UTC hour in [start, end); below 0: shrank.

    Hours without a change are left out; the sum of all hours is what the archive holds.
    """
    return _archive_changes("at >= %s AND at < %s", [start, end])


def archive_changed_since(at: datetime) -> set[datetime]:
    """Return the UTC hours whose change may be another one since `at`; ask with an overlap."""
    return {hour for hour, _n_bytes in _archive_changes("at >= %s", [at])}


def _archive_changes(condition: str, values: list[Any]) -> list[tuple[datetime, int]]:
    current_schema()  # outside a factory the tables of another would answer
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT extract(epoch FROM hour)::bigint, n FROM (
                SELECT date_bin('1 hour', at, timestamptz '1970-01-01 00:00:00+00') AS hour,
                    sum(n_bytes)::bigint AS n
                FROM archive_change WHERE {condition} GROUP BY hour ORDER BY hour
            ) AS hours
            """,  # noqa: S608
            values,
        )
        return [(from_s(seconds), n_bytes) for seconds, n_bytes in cursor.fetchall()]


def hours_of(*, device_id: int, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """Return the hours that touch [start, end) and hold readings of a device, with how many."""
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    used = usage_by_hour(start=first, end=end, device_ids=[device_id])
    return [(row.hour, row.n_readings) for row in used]


def first_hour_of(*, device_id: int) -> datetime | None:
    """Return the earliest hour of which a device has readings."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH facts AS ({_FACTS}) SELECT min(hour) FROM facts"  # noqa: S608
            " WHERE device_id = %s",
            [device_id],
        )
        found: tuple[datetime | None] = cursor.fetchone()
        return found[0]


def _usage(question: str, values: list[Any]) -> list[HourOfUse]:
    current_schema()  # outside a factory the tables of another would answer
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH facts AS ({_FACTS}) {question}"
            " GROUP BY f.hour, f.device_id, d.machine_id ORDER BY f.hour, f.device_id",
            values,
        )
        return [
            HourOfUse(from_s(seconds), device_id, machine_id, n_readings, n_values)
            for seconds, device_id, machine_id, n_readings, n_values in cursor.fetchall()
        ]
