"""Everything that a factory has in Takt, written into one ZIP on S3 by a job.

The tables are written here, since every floor has some. What lies elsewhere, or is packed, each
floor adds from its `AppConfig.ready` by `contribute`, so that this floor knows none above it. The
ZIP is written as it grows, in parts: memory holds one part and one piece of one file.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from tenants import announcing, audit, jobs, names, storage, tables
from tenants.context import current_factory
from tenants.export_files import ExportFile
from tenants.models import Factory, Job, User

TASK: Final = "tenants.export_factory"
KEY: Final = "export-everything"
TOPIC: Final = jobs.factory_topic(TASK)
KEPT_FOR: Final = timedelta(days=30)
FORMAT: Final = 1
Report = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one floor adds; `covers` are tables whose rows the files hold in a readable form."""

    name: str
    files: Callable[[], Iterator[ExportFile]]
    covers: frozenset[str]
    count: Callable[[], int] | None


_CONTRIBUTIONS: dict[str, Contribution] = {}


class NotReady(Exception):
    """There is no file (yet, or any more)."""


def contribute(
    name: str,
    files: Callable[[], Iterator[ExportFile]],
    *,
    covers: Collection[str] = (),
    count: Callable[[], int] | None = None,
) -> None:
    """Have files written into every export; all three are called inside the factory's schema.

    Args:
        name: a folder of its own in the ZIP, and the name of what `count` counts.
        files: yields them in order; the content of one is read before the next is asked for.
        covers: tables that are not written as CSV, because the files say the same.
        count: how many things there are, for the record of a factory that is deleted.
    """
    _CONTRIBUTIONS[name] = Contribution(name, files, frozenset(covers), count)


def count_of(name: str) -> int:
    """Count what a contribution counts, in the factory at work; 0 where nobody counts it."""
    found = _CONTRIBUTIONS.get(name)
    return found.count() if found is not None and found.count is not None else 0


# -- asked for, looked at, fetched


def request_export(*, by: User | None) -> Job:
    """Have everything of the factory at work exported; one that waits or runs is returned."""
    factory = current_factory()
    with transaction.atomic():
        job = jobs.enqueue(
            task=TASK, factory=factory, kwargs={"schema": factory.schema_name}, key=KEY
        )
        audit.record(
            action="factory.export_requested", actor=by, target=str(job.pk), factory=factory
        )
        transaction.on_commit(partial(announcing.announce, TOPIC))
    return job


def exports_of(factory: Factory) -> list[Job]:
    """Return the newest exports of a factory, newest first."""
    rows = Job.objects.filter(factory=factory, task=TASK).order_by("-created_at", "pk")
    return list(rows[:20])


def export_of(factory: Factory, *, job_id: UUID) -> Job:
    """Return one export.

    Raises:
        Job.DoesNotExist: not of this factory.
    """
    return Job.objects.get(pk=job_id, factory=factory, task=TASK)


def expires_at(job: Job) -> datetime | None:
    """Return until when the file of an export is kept; None while there is none."""
    is_done = job.state == Job.State.DONE and job.finished_at is not None
    return job.finished_at + KEPT_FOR if is_done and job.finished_at else None


def file_of(job: Job, *, by: User | None) -> Iterator[bytes]:
    """Return the pieces of the ZIP of an export.

    Raises:
        NotReady: there is no file.
        tenants.storage.StorageUnavailable: it cannot be fetched now.
    """
    until = expires_at(job)
    if until is None or until <= timezone.now() or job.result is None:
        raise NotReady
    try:
        content = storage.stream(key=job.result["key"])
    except storage.ObjectMissing as error:
        raise NotReady from error
    audit.record(
        action="factory.export_downloaded", actor=by, target=str(job.pk), factory=job.factory
    )
    return content


def file_name(job: Job) -> str:
    """Return what the ZIP of an export is called where it is saved."""
    schema = job.factory.schema_name if job.factory else ""
    return f"takt-{schema}-{job.created_at:%Y%m%d}-{str(job.pk)[:8]}.zip"


def newest_done_at(factory: Factory) -> datetime | None:
    """Return when the newest export that can be fetched was made."""
    done = Job.objects.filter(factory=factory, task=TASK, state=Job.State.DONE)
    newest = done.order_by("-finished_at").first()
    return newest.finished_at if newest else None


def tidy(*, at: datetime) -> int:
    """Remove the files of the factory at work that were kept long enough; return how many."""
    n_removed = 0
    for found in storage.objects(prefix=names.object_key("leaving") + "/"):
        if found.stored_at < at - KEPT_FOR:
            storage.delete(key=found.key)
            n_removed += 1
    return n_removed


# -- written


def write(*, job_id: str, at: datetime, report: Report) -> dict[str, Any]:
    """Write the ZIP of the factory at work and store it; running again begins anew.

    Raises:
        tenants.storage.StorageUnavailable: nothing is stored.
        tenants.jobs.JobCancelled: somebody ended the job; nothing is stored.
    """
    key = names.object_key("leaving", f"{job_id}.zip")
    with (
        storage.upload(key=key) as upload,
        zipfile.ZipFile(upload, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        book = _Book(archive, report)
        for share, file in _planned():
            book.add(file, share)
        report(0.97, "Writing manifest.json")
        manifest = _manifest(book, at)
        archive.writestr("manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))
    return {"key": key, "n_bytes": upload.n_bytes, "n_files": len(book.entries) + 1}


def _planned() -> Iterator[tuple[float, ExportFile]]:
    """Yield every file, with the share of the work that is done before it."""
    kinds: list[Callable[[], Iterator[ExportFile]]] = [
        tables.account_files,
        partial(tables.table_files, skip=_covered()),
        *(one.files for one in _CONTRIBUTIONS.values()),
    ]
    for i, files in enumerate(kinds):
        for file in files():
            yield i / len(kinds), file


def _covered() -> frozenset[str]:
    return frozenset().union(*(one.covers for one in _CONTRIBUTIONS.values()))


class _Book:
    """Writes files into the ZIP and keeps what the manifest says of them."""

    def __init__(self, archive: zipfile.ZipFile, report: Report) -> None:
        self._archive = archive
        self._report = report
        self.entries: list[dict[str, Any]] = []

    def add(self, file: ExportFile, share: float) -> None:
        self._report(0.96 * share, f"Writing {file.path}")
        info = zipfile.ZipInfo(file.path, date_time=timezone.now().timetuple()[:6])
        info.compress_type = zipfile.ZIP_STORED if file.is_packed else zipfile.ZIP_DEFLATED
        digest, n_bytes, n_rows = hashlib.sha256(), 0, None
        # Its size is not known before: room for more than 4 GiB.
        with self._archive.open(info, "w", force_zip64=True) as out:
            while True:
                try:
                    piece = next(file.content)
                except StopIteration as end:
                    n_rows = end.value
                    break
                out.write(piece)
                digest.update(piece)
                n_bytes += len(piece)
        self.entries.append(
            {
                "path": file.path,
                "about": file.about,
                "n_bytes": n_bytes,
                "n_rows": n_rows,
                "sha256": digest.hexdigest(),
            }
        )


def _manifest(book: _Book, at: datetime) -> dict[str, Any]:
    factory = current_factory()
    counts = tables.row_counts()
    return {
        "format": FORMAT,
        "factory": factory.name,
        "schema": factory.schema_name,
        "begun_at": at.isoformat(),
        "time_zone": factory.time_zone,
        "times": "Times in the files are UTC. A day of the factory is one of its time zone.",
        "csv": "UTF-8, comma, header. A text that a spreadsheet would take for a formula begins"
        " with an apostrophe. Each table is as it was when it was written.",
        "tables": {
            name: {"n_rows": n_rows, "written_as": _written_as(name)}
            for name, n_rows in sorted(counts.items())
        },
        "files": book.entries,
    }


def _written_as(table: str) -> str:
    for one in _CONTRIBUTIONS.values():
        if table in one.covers:
            return f"{one.name}/"
    return f"tables/{table}.csv"
