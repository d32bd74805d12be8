"""Let go of history that a factory's plan does not keep."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import connection
from django.db.models import Q

from telemetry import windows
from telemetry.models import ArchiveFile, Latest, ReadingHot, ReadingRevision, Rollup, Segment
from telemetry.rollups import WIDTHS_US, unpack
from telemetry.services import locking, rollups, segments
from telemetry.services.segments import Header, NewSegment
from telemetry.times import from_us, to_us
from tenants.context import current_factory
from tenants.models import FactoryLimits

log = structlog.get_logger()

# Readings may come a month late whatever the plan shows, and are not refused for their age.
KEPT_AT_LEAST = timedelta(days=35)


@dataclass(frozen=True, slots=True)
class Expired:
    """What was let go."""

    devices: int = 0
    skipped: int = 0


def expire(*, at: datetime) -> Expired:
    """Remove the readings of the factory at work that are older than its plan keeps.

    By the full day. Nothing is removed where the plan names no number of days. Files in the
    archive go when their last reading does. A device that is locked is left for the next time.
    """
    limits = FactoryLimits.objects.filter(factory=current_factory()).first()
    if limits is None or limits.history_days is None:
        return Expired()
    kept = max(timedelta(days=limits.history_days), KEPT_AT_LEAST)
    end_us = to_us(at - kept) // windows.DAY_US * windows.DAY_US
    n_devices = n_skipped = 0
    for device_id in _due(from_us(end_us)):
        try:
            with locking.locked(device_id):
                _expire_device(device_id, end_us)
        except locking.DeviceBusy:
            n_skipped += 1
            continue
        n_devices += 1
    log.info("telemetry.history.expired", n_devices=n_devices, n_skipped=n_skipped)
    return Expired(n_devices, n_skipped)


def _due(end: datetime) -> list[int]:
    """Return the devices that take or hold readings from before a time.

    To take none is not enough: what is archived closes a device, too, and to a later time.
    """
    holding = [
        Segment.objects.filter(t0__lt=end),
        ReadingHot.objects.filter(ts__lt=end),
        ReadingRevision.objects.filter(ts__lt=end),
        ArchiveFile.objects.filter(t1__lt=end),
    ]
    due = Q(closed_to=None) | Q(closed_to__lt=end)
    for rows in holding:
        due |= Q(device_id__in=rows.values("device_id"))
    return list(
        Latest.objects.filter(due).order_by("device_id").values_list("device_id", flat=True)
    )


def _expire_device(device_id: int, end_us: int) -> None:
    end = from_us(end_us)
    # First: from here on nothing older is taken.
    close(device_id, end)
    old = segments.headers(device_id, condition="t0 < %s", values=[end])
    segments.insert(device_id, list(without(device_id, old, start_us=None, end_us=end_us)))
    segments.remove(device_id, old)
    ReadingHot.objects.filter(device_id=device_id, ts__lt=end).delete()
    ReadingRevision.objects.filter(device_id=device_id, ts__lt=end).delete()
    _expire_rollups(device_id, end_us)
    # Their objects go with the next sweep (archiving.sweep_archive).
    ArchiveFile.objects.filter(device_id=device_id, t1__lt=end).delete()


def close(device_id: int, to: datetime) -> None:
    """Take no readings of a device before a time any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE latest SET closed_to = greatest(closed_to, %s) WHERE device_id = %s",
            [to, device_id],
        )


def without(
    device_id: int, found: Iterable[Header], *, start_us: int | None, end_us: int
) -> Iterable[NewSegment]:
    """Make what is left of some segments outside [start, end), each at its level."""
    reaching = [
        one for one in found if one.t1 >= end_us or (start_us is not None and one.t0 < start_us)
    ]
    for one, part in zip(reaching, segments.parts(device_id, reaching), strict=True):
        before, after = part.cut(end_us)
        kept = [after] if start_us is None else [before.cut(start_us)[0], after]
        for some in kept:
            yield from segments.packed(
                some.times, some.values, keyset_id=some.keyset_id, level=one.level
            )


def _expire_rollups(device_id: int, end_us: int) -> None:
    end = from_us(end_us)
    for level, (_width_us, span_us) in WIDTHS_US.items():
        old = Rollup.objects.filter(device_id=device_id, level=level, t0__lt=end)
        old.filter(t0__lte=from_us(end_us - span_us)).delete()
        for row in old:
            key_ids = segments.key_ids_of([row.keyset_id])[row.keyset_id]
            t0 = to_us(row.t0)
            left = unpack(bytes(row.payload), key_ids).within(end_us, t0 + span_us)
            rollups.write(device_id, [rollups.row_of(level, t0, left)])
