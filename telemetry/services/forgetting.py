"""Remove the readings of some hours for good, and leave the figures that were made of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from telemetry import windows
from telemetry.models import ForgottenHour, ReadingRevision
from telemetry.services import compaction, locking, retention, segments
from telemetry.services.segments import Changed
from telemetry.times import from_us, to_us
from tenants import audit
from tenants.context import current_factory

log = structlog.get_logger()

Span = tuple[int, int]  # [start, end) in microseconds since 1970


def forget_hours(*, hours: Sequence[datetime], reason: str = "cap") -> int:
    """Remove the readings measured in some UTC hours of the factory at work.

    They are sealed first and then go; what is archived stays. Counts (`ReadingHour`) stay, so
    that usage can be recounted, and so do rollups: charts of a longer time go on, readings
    themselves are gone. What comes late for such an hour is stored as ever, and leaves its
    rollups alone; calling this again removes it, too.

    An hour that is not over yet, and a device that is locked or just sending for such an hour,
    is left for the next call. Killed at any point, a repetition goes on.

    Args:
        reason: a word that is kept with the hours.

    Returns:
        how many readings were removed.
    """
    at = timezone.now()
    closed_us = compaction.closed_before(at)
    wanted = {to_us(hour) // windows.HOUR_US * windows.HOUR_US for hour in hours}
    spans = list(_spans(sorted(hour for hour in wanted if hour < closed_us)))
    if not spans:
        return 0
    device_ids = _devices_in(spans)
    # Sealed first, so that their rollups say all that came in time.
    compaction.compact(at=at, device_ids=device_ids)
    _mark(spans, reason, at)
    removed: dict[int, int] = dict.fromkeys((start for start, _end in spans), 0)
    for device_id in device_ids:
        for span in spans:
            try:
                removed[span[0]] += _forget(device_id, span)
            except (locking.DeviceBusy, Changed):
                log.info("telemetry.forgetting.skipped", device_id=device_id)
    return _noted(spans, removed, reason)


def _spans(hours: Sequence[int]) -> Iterator[Span]:
    """Unite hours that follow each other, up to a day, so that no lock lasts long."""
    start = end = None
    for hour in hours:
        if start is not None and end == hour and hour % windows.DAY_US:
            end = hour + windows.HOUR_US
            continue
        if start is not None and end is not None:
            yield start, end
        start, end = hour, hour + windows.HOUR_US
    if start is not None and end is not None:
        yield start, end


def _devices_in(spans: Sequence[Span]) -> list[int]:
    """Return the devices with a reading from the first of the hours to the last."""
    start, end = from_us(spans[0][0]), from_us(spans[-1][1])
    earliest = from_us(spans[0][0] - windows.YEAR_US)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id FROM latest l"
            " WHERE EXISTS (SELECT FROM segment s WHERE s.device_id = l.device_id"
            "   AND s.t0 >= %s AND s.t0 < %s AND s.t1 >= %s)"
            " OR EXISTS (SELECT FROM reading_hot h WHERE h.device_id = l.device_id"
            "   AND h.ts >= %s AND h.ts < %s) ORDER BY device_id",
            [earliest, end, start, start, end],
        )
        return [device_id for (device_id,) in cursor.fetchall()]


def _mark(spans: Sequence[Span], reason: str, at: datetime) -> None:
    """Write the hours down before anything is removed: from then on their rollups are kept."""
    ForgottenHour.objects.bulk_create(
        [
            ForgottenHour(hour=from_us(hour), reason=reason, forgotten_at=at)
            for start, end in spans
            for hour in range(start, end, windows.HOUR_US)
        ],
        ignore_conflicts=True,
    )


def _forget(device_id: int, span: Span) -> int:
    """Remove what one device has in a span.

    Raises:
        Changed, DeviceBusy: nothing was removed.
    """
    start, end = from_us(span[0]), from_us(span[1])
    with locking.locked(device_id):
        if not segments.is_settled(device_id, start, end):
            raise Changed  # something came while it was being sealed: its rollups lack it
        found = segments.sealed_headers(device_id, start_us=span[0], end_us=span[1])
        kept = list(retention.without(device_id, found, start_us=span[0], end_us=span[1]))
        segments.remove(device_id, found)
        segments.insert(device_id, kept)
        ReadingRevision.objects.filter(device_id=device_id, ts__gte=start, ts__lt=end).delete()
    return sum(one.n for one in found) - sum(one.n for one in kept)


@transaction.atomic
def _noted(spans: Sequence[Span], removed: dict[int, int], reason: str) -> int:
    """Keep how much went with the first hour of each span, and write the audit log."""
    n_removed = sum(removed.values())
    for start, n in removed.items():
        if n:
            ForgottenHour.objects.filter(hour=from_us(start)).update(n_readings=F("n_readings") + n)
    if n_removed:
        audit.record(
            action="readings.forgotten",
            actor=None,
            target=reason,
            detail={
                "from": from_us(spans[0][0]).astimezone(UTC).isoformat(),
                "to": from_us(spans[-1][1]).astimezone(UTC).isoformat(),
                "n_hours": sum((end - start) // windows.HOUR_US for start, end in spans),
                "n_readings": n_removed,
            },
            factory=current_factory(),
        )
    return n_removed
