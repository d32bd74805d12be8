"""Old segments to the archive and back: one file a device and month of 30 days."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone

from telemetry import archive as files
from telemetry import tables, windows
from telemetry.models import ArchiveFile, Latest, Segment
from telemetry.services import retention, segments
from telemetry.services.locking import DeviceBusy, locked
from telemetry.services.segments import Changed, Header, NewSegment
from telemetry.tables import KeyIds, Table
from telemetry.times import from_us, to_us
from tenants import names, storage
from tenants.context import current_factory
from tenants.models import FactoryLimits

log = structlog.get_logger()

# How many readings are in memory at once, and the rows of a group in the file.
_AT_ONCE = 200_000
Report = Callable[[float, str], None]


class NotVerified(Exception):
    """What the store gives back is not what was put there; the readings stay where they are."""


class NoArchiveFile(Exception):
    """The device has no archived file of this month."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What went to the archive."""

    files: int = 0
    readings: int = 0
    n_bytes: int = 0
    skipped: int = 0


def archive(*, at: datetime, report: Report = lambda _share, _words: None) -> Archived:
    """Bring the months of the factory at work that are older than its plan says to the archive.

    A month with hot rows or open segments, or whose device is locked, waits for the next time.
    Killed at any point, a repetition goes on: the readings leave the database in the transaction
    that notes the file, after the file was read back.

    Raises:
        StorageUnavailable: the store is away; what was archived before stays so.
    """
    limits = FactoryLimits.objects.filter(factory=current_factory()).first()
    if limits is None or limits.archive_days is None:
        return Archived()
    before_us = to_us(at - timedelta(days=limits.archive_days))
    due = list(_months_due(before_us // windows.MONTH_US * windows.MONTH_US))
    n_files = n_readings = n_bytes = n_skipped = 0
    for i, (device_id, start_us) in enumerate(due):
        report(i / len(due), f"Archiving {from_us(start_us):%Y-%m-%d}")
        try:
            file = _archive_month(device_id, start_us)
        except (Changed, DeviceBusy):
            file = None
        if file is None:
            n_skipped += 1
            continue
        n_files, n_readings, n_bytes = n_files + 1, n_readings + file.n, n_bytes + file.n_bytes
    if due:
        log.info("telemetry.history.archived", n_files=n_files, n_skipped=n_skipped)
    return Archived(n_files, n_readings, n_bytes, n_skipped)


def _months_due(end_us: int) -> Iterator[tuple[int, int]]:
    """Devices and months with a sealed segment before `end_us`, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, t0, t1 FROM segment WHERE level > 0 AND t0 < %s"
            " ORDER BY device_id, t0",
            [from_us(end_us)],
        )
        spans = cursor.fetchall()
    found = {
        (device_id, month)
        for device_id, t0, t1 in spans
        for month in range(to_us(t0) // windows.MONTH_US, to_us(t1) // windows.MONTH_US + 1)
    }
    for device_id, month in sorted(found):
        if (month + 1) * windows.MONTH_US <= end_us:
            yield device_id, month * windows.MONTH_US


def _archive_month(device_id: int, start_us: int) -> ArchiveFile | None:
    end_us = start_us + windows.MONTH_US
    start, end = from_us(start_us), from_us(end_us)
    headers = segments.sealed_headers(device_id, start_us=start_us, end_us=end_us)
    if not headers or not segments.is_settled(device_id, start, end):
        return None
    if ArchiveFile.objects.filter(device_id=device_id, t0=start).exists():
        # Nothing is taken for an archived month, so this is not to be; better look than lose.
        log.error("telemetry.archive.twice", device_id=device_id, t0=start.isoformat())
        return None
    folder = Path(settings.VAR_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="archive-", dir=folder) as scratch:
        path = Path(scratch) / "readings.parquet"
        key_ids = segments.key_ids_of(one.keyset_id for one in headers)
        union = tuple(sorted({key_id for some in key_ids.values() for key_id in some}))
        ends = _Ends()
        n = files.write(
            path,
            device_id=device_id,
            key_ids=union,
            tables=ends.noting(_tables(device_id, headers, key_ids, start_us, end_us)),
        )
        if n == 0:
            return None  # a segment of a year that has nothing in this month
        file = ArchiveFile(
            device_id=device_id, t0=start, t1=from_us(ends.last_us), n=n,
            key="", sha256=files.digest_of(path), n_bytes=path.stat().st_size,
            archived_at=timezone.now(),
        )  # fmt: skip
        # Named by what is in it: a repetition writes the same object again, and never another
        # over one that is noted.
        file.key = names.object_key(
            "archive", str(device_id), f"{start:%Y-%m-%d}-{file.sha256[:6].hex()}.parquet"
        )
        storage.put_file(key=file.key, path=path)
    _verify(file)
    with locked(device_id):
        there = segments.sealed_headers(device_id, start_us=start_us, end_us=end_us)
        if there != headers or not segments.is_settled(device_id, start, end):
            raise Changed
        outside = list(retention.without(device_id, headers, start_us=start_us, end_us=end_us))
        segments.remove(device_id, headers)
        segments.insert(device_id, outside)
        file.save(force_insert=True)
        retention.close(device_id, end)
    return file


class _Ends:
    """Notes the last time of tables that pass by."""

    last_us = 0

    def noting(self, found: Iterator[Table]) -> Iterator[Table]:
        for table in found:
            if len(table.times):
                self.last_us = int(table.times[-1])
                yield table


def _tables(
    device_id: int, headers: list[Header], key_ids: dict[int, KeyIds], start_us: int, end_us: int
) -> Iterator[Table]:
    """The readings of a month, some segments at a time."""
    some: list[Header] = []
    for i, one in enumerate(headers):
        some.append(one)
        if sum(header.n for header in some) >= _AT_ONCE or i == len(headers) - 1:
            parts = [
                part.cut(start_us)[1].cut(end_us)[0] for part in segments.parts(device_id, some)
            ]
            yield tables.unite(parts, key_ids)
            some = []


def _verify(file: ArchiveFile) -> None:
    """Read a file back from the store.

    Raises:
        NotVerified: it is not what was put there.
    """
    digest, n_bytes = hashlib.sha256(), 0
    for piece in storage.stream(key=file.key):
        digest.update(piece)
        n_bytes += len(piece)
    if (digest.digest(), n_bytes) != (file.sha256, file.n_bytes):
        raise NotVerified(file.key)


def restore(*, device_id: int, t0: datetime) -> int:
    """Bring the archived month that begins at `t0` back into the database.

    Late readings are taken for it once no later month of the device is in the archive. What is
    due for the archive goes back with the next nightly run.

    Returns:
        how many readings came back.

    Raises:
        NoArchiveFile: nothing of this month is in the archive.
        ArchiveAway, ArchiveDamaged: the file cannot be had; nothing changed.
        DeviceBusy: the device is locked by somebody else.
    """
    file = ArchiveFile.objects.filter(device_id=device_id, t0=t0).first()
    if file is None:
        raise NoArchiveFile(f"device {device_id} has no archived month from {t0:%Y-%m-%d}")
    path = files.fetch(file, file.t0, file.t1)
    made: list[NewSegment] = []
    for table in files.read_tables(path):
        made += _resealed(table)
    with locked(device_id):
        # First, because whoever else restores the month waits for it.
        if not ArchiveFile.objects.filter(device_id=device_id, t0=t0).delete()[0]:
            raise NoArchiveFile("somebody else brought it back meanwhile")
        segments.insert(device_id, made)
        segments.raise_packed_to(device_id, to_us(file.t1))
        _reopen(device_id, t0)
    # The object stays for who is just reading it, until the next sweep.
    log.info("telemetry.history.restored", device_id=device_id, n_readings=file.n)
    return file.n


def _resealed(table: Table) -> Iterator[NewSegment]:
    """Pack readings again by the hour, day or month."""
    keyset_id = segments.keyset_of(table.key_ids)
    hours = np.unique(windows.floor(table.times, windows.HOUR_US))
    ones = np.ones(len(table.times), np.int64)
    levels = windows.levels(hours, table.times, ones, closed_us=int(hours[-1]) + windows.YEAR_US)
    # The year around may have other segments.
    levels = np.minimum(levels, int(Segment.Level.MONTH))
    widths = np.array([windows.WIDTH_US[level] for level in levels.tolist()], np.int64)
    starts, place = np.unique(hours // widths * widths, return_index=True)
    for level, start, end in zip(levels[place], starts, starts + widths[place], strict=True):
        i, j = np.searchsorted(table.times, [start, end])
        yield from segments.packed(
            table.times[i:j], table.values[i:j], keyset_id=keyset_id, level=int(level)
        )


def _reopen(device_id: int, t0: datetime) -> None:
    """Take readings again from a month on, but none for what is still in the archive."""
    last = ArchiveFile.objects.filter(device_id=device_id).order_by("-t0").first()
    archived_to = last.t0 + timedelta(microseconds=windows.MONTH_US) if last else t0
    Latest.objects.filter(device_id=device_id).update(closed_to=max(archived_to, t0))


def sweep_archive(*, at: datetime) -> int:
    """Remove the objects that no row notes any more: expired, restored, or left half-way.

    Raises:
        StorageUnavailable: the store is away; a repetition goes on.
    """
    noted = set(ArchiveFile.objects.values_list("key", flat=True))
    n_removed = 0
    for found in storage.objects(prefix=names.object_key("archive") + "/"):
        # One that is being written has no row yet.
        if found.key not in noted and found.stored_at < at - timedelta(days=1):
            storage.delete(key=found.key)
            n_removed += 1
    return n_removed
