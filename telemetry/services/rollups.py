"""The rows of rollups: corrected where something was sealed, or made anew.

A row reflects exactly the sealed segments of its window, so whoever seals writes it in the same
transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection

from telemetry import packing, tables, windows
from telemetry.models import ArchiveFile, ForgottenHour, Latest, Rollup
from telemetry.rollups import WIDTHS_US, Buckets, replaced, summed, unpack
from telemetry.services import locking, segments
from telemetry.services.segments import Header
from telemetry.tables import Int64s, Table
from telemetry.times import from_us, to_us

# For a row that the next hour changes again.
_FOR_NOW = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A row to be written; without a payload, to be removed."""

    level: int
    t0: int
    keyset_id: int
    payload: bytes | None


def corrected(
    device_id: int,
    table: Table,
    *,
    starts: Int64s,
    ends: Int64s,
    others: Sequence[Header],
    closed_us: int,
) -> list[Row]:
    """Say what the rows become once `table` is all that is sealed in the windows.

    Args:
        starts, ends: the windows, disjoint, ascending, of whole hours.
        others: the sealed segments that meet none of the windows.
    """
    texts = segments.text_keys(table.key_ids)
    first = np.array([one.t0 for one in others], np.int64)
    last = np.array([one.t1 for one in others], np.int64)
    made: list[Row] = []
    forgotten = _forgotten(starts, ends)
    for level, (width_us, span_us) in WIDTHS_US.items():
        new = summed(table.times, table.values, table.key_ids, width_us=width_us, texts=texts)
        spans = np.unique(windows.floor(new.starts, span_us))
        rows = _rows(device_id, level, spans)
        for t0 in spans.tolist():
            old = rows.get(t0)
            if old is None:
                # No row, so there are few readings, and the others of them are read.
                near = (first < t0 + span_us) & (last >= t0)
                some = [one for one, is_near in zip(others, near, strict=True) if is_near]
                old = _summed(device_id, some, width_us=width_us).within(t0, t0 + span_us)
            is_touched = windows.overlapping(starts, ends, old.starts, old.starts)
            # Of a forgotten hour they are all that is left: what came late does not replace them.
            is_left = np.isin(windows.floor(old.starts, windows.HOUR_US), forgotten)
            late = new.within(t0, t0 + span_us).but(old.starts[is_left])
            buckets = replaced(old, late, is_touched=is_touched & ~is_left)
            how = packing.SMALL if t0 + span_us <= closed_us else _FOR_NOW
            made.append(row_of(level, t0, buckets, how, must_stay=bool(is_left.any())))
    return made


def row_of(
    level: int, t0: int, buckets: Buckets, how: int = packing.SMALL, *, must_stay: bool = False
) -> Row:
    """Make the row of a window; none where it would save nothing, unless it must stay."""
    if not must_stay and not buckets.is_worth_a_row():
        return Row(level, t0, 0, None)
    return Row(level, t0, segments.keyset_of(buckets.key_ids), buckets.pack(level=how))


def _forgotten(starts: Int64s, ends: Int64s) -> Int64s:
    """The forgotten hours in the days around some windows, and in those of their months."""
    if not len(starts):
        return np.empty(0, np.int64)
    first = windows.floor(starts[:1], windows.MONTH_US)[0]
    last = windows.floor(ends[-1:], windows.MONTH_US)[0] + windows.MONTH_US
    found = ForgottenHour.objects.filter(
        hour__gte=from_us(int(first)), hour__lt=from_us(int(last))
    ).values_list("hour", flat=True)
    return np.array([to_us(hour) for hour in found], np.int64)


def _rows(device_id: int, level: int, spans: Int64s) -> dict[int, Buckets]:
    """The rows that are there, by their windows."""
    found = {from_us(t0): t0 for t0 in spans.tolist()}
    rows = Rollup.objects.filter(device_id=device_id, level=level, t0__in=list(found))
    key_ids = segments.key_ids_of(row.keyset_id for row in rows)
    return {found[row.t0]: unpack(bytes(row.payload), key_ids[row.keyset_id]) for row in rows}


def _summed(device_id: int, some: Sequence[Header], *, width_us: int) -> Buckets:
    parts = segments.parts(device_id, some)
    table = tables.unite(parts, segments.key_ids_of(part.keyset_id for part in parts))
    texts = segments.text_keys(table.key_ids)
    return summed(table.times, table.values, table.key_ids, width_us=width_us, texts=texts)


def write(device_id: int, rows: Iterable[Row]) -> None:
    """Write rows, and remove those that are to be none; the device is locked."""
    kept = [row for row in rows if row.payload is not None]
    gone = [row for row in rows if row.payload is None]
    with connection.cursor() as cursor:
        if kept:
            cursor.executemany(
                "INSERT INTO rollup (device_id, level, t0, keyset_id, payload)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (device_id, level, t0) DO UPDATE"
                " SET keyset_id = excluded.keyset_id, payload = excluded.payload",
                [
                    (device_id, row.level, from_us(row.t0), row.keyset_id, row.payload)
                    for row in kept
                ],
            )
        if gone:
            cursor.execute(
                "DELETE FROM rollup r USING unnest(%s::int[], %s::timestamptz[]) AS d (level, t0)"
                " WHERE r.device_id = %s AND (r.level, r.t0) = (d.level, d.t0)",
                [[row.level for row in gone], [from_us(row.t0) for row in gone], device_id],
            )


def rebuild_rollups(*, device_ids: Sequence[int] | None = None) -> int:
    """Make the rollups of some devices, or of all, anew from their sealed segments.

    Those of archived months stay as they are, and so do those with a forgotten hour.

    Locks one device at a time, for as long as its readings take to read.

    Raises:
        DeviceBusy: a device was locked by somebody else; those before it are done.

    Returns:
        how many rows there are now.
    """
    n_rows = 0
    devices = Latest.objects.order_by("device_id").values_list("device_id", flat=True)
    if device_ids is not None:
        devices = devices.filter(device_id__in=list(device_ids))
    for device_id in list(devices):
        with locking.locked(device_id):
            n_rows += _rebuild(device_id)
    return n_rows


def _rebuild(device_id: int) -> int:
    archived = {
        to_us(t0)
        for t0 in ArchiveFile.objects.filter(device_id=device_id).values_list("t0", flat=True)
    }
    forgotten = {to_us(hour) for hour in ForgottenHour.objects.values_list("hour", flat=True)}
    left = {
        (level, hour // span_us * span_us)
        for level, (_width_us, span_us) in WIDTHS_US.items()
        for hour in forgotten
    }
    there = Rollup.objects.filter(device_id=device_id)
    stays = [
        row.pk
        for row in there.only("pk")
        if _month(to_us(row.t0)) in archived or (row.level, to_us(row.t0)) in left
    ]
    there.exclude(pk__in=stays).delete()
    headers = segments.headers(device_id, condition="level > 0")
    first = np.array([one.t0 for one in headers], np.int64)
    last = np.array([one.t1 for one in headers], np.int64)
    for level, (width_us, span_us) in WIDTHS_US.items():
        spans = {
            t0
            for one in headers
            for t0 in range(one.t0 // span_us * span_us, one.t1 + 1, span_us)
            if _month(t0) not in archived and (level, t0) not in left
        }
        for t0 in sorted(spans):
            near = (first < t0 + span_us) & (last >= t0)
            some = [one for one, is_near in zip(headers, near, strict=True) if is_near]
            buckets = _summed(device_id, some, width_us=width_us).within(t0, t0 + span_us)
            write(device_id, [row_of(level, t0, buckets)])
    return there.count()


def _month(time_us: int) -> int:
    return time_us // windows.MONTH_US * windows.MONTH_US
