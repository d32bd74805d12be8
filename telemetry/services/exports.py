"""What can happen to exports: asked for, written by a job, cancelled, fetched, removed."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from telemetry import selectors
from telemetry.models import Export, Signal
from tenants import announcing, audit, jobs, names, storage
from tenants.context import current_factory
from tenants.models import Job, User

log = structlog.get_logger(__name__)

MAX_EXPORT_SIGNALS = 64
MAX_EXPORT_ROWS = 50_000_000
MAX_EXPORT_BYTES = 2 * 1024**3
MAX_OPEN_EXPORTS = 3
EXPORT_KEPT_FOR = timedelta(days=7)
# The store for files may be away for an hour and a half; then the export has failed.
RETRY_AFTER = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 600, 1200, 1800, 1800))
TOPIC = "exports"
Report = Callable[[float, str], None]


class ExportRefused(Exception):
    """It cannot be exported; the text says why and what to do."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class NotReady(Exception):
    """There is no file (yet, or any more)."""


class _Cancelled(Exception):
    """Somebody cancelled it while it was being written."""


def request_export(
    *,
    signals: Sequence[Signal],
    start: datetime,
    end: datetime,
    form: str,
    at: datetime,
    by: User | None = None,
) -> Export:
    """Have the readings of some signals in [start, end) written into a file by a job.

    Raises:
        ExportRefused: nothing to write, more than the limits, or too many at a time.
    """
    if not signals or start >= end:
        raise ExportRefused("nothing_chosen", "Choose at least one signal and a range of time.")
    if len(signals) > MAX_EXPORT_SIGNALS:
        raise ExportRefused(
            "too_many_signals",
            f"An export takes up to {MAX_EXPORT_SIGNALS} signals, not {len(signals)}.",
        )
    n_rows = _most_rows(signals, start=start, end=end)
    if n_rows > MAX_EXPORT_ROWS:
        raise ExportRefused(
            "too_many_rows",
            f"This would be up to {n_rows:,} rows; an export takes {MAX_EXPORT_ROWS:,}."
            " Choose a shorter range or fewer signals.",
        )
    factory = current_factory()
    with transaction.atomic():
        # Two requests at once would both see room for one more: they pass here one by one.
        type(factory).objects.select_for_update().get(pk=factory.pk)
        if len(selectors.open_exports()) >= MAX_OPEN_EXPORTS:
            raise ExportRefused(
                "too_many_exports",
                f"{MAX_OPEN_EXPORTS} exports are being written already:"
                " wait for one, or cancel it.",
            )
        export = Export.objects.create(
            signal_ids=[signal.pk for signal in signals],
            start=start,
            end=end,
            form=form,
            asked_by=by.email if by else "",
            created_at=at,
        )
        _enqueue(export)
        audit.record(
            action="export.requested",
            actor=by,
            target=str(export.pk),
            detail={"form": form, "n_signals": len(signals),
                    "start": start.isoformat(), "end": end.isoformat()},
            factory=factory,
        )  # fmt: skip
    return export


def cancel_export(*, export: Export, at: datetime, by: User | None = None) -> bool:
    """Stop an export; a job that writes it sees so at its next piece. False: it had ended."""
    with transaction.atomic():
        n_stopped = Export.objects.filter(pk=export.pk, state__in=Export.OPEN_STATES).update(
            state=Export.State.CANCELLED, finished_at=at, message=""
        )
        if n_stopped:
            audit.record(
                action="export.cancelled",
                actor=by,
                target=str(export.pk),
                factory=current_factory(),
            )
            transaction.on_commit(partial(announcing.announce, TOPIC))
    return bool(n_stopped)


def write_export(*, export_id: UUID, report: Report) -> dict[str, int]:
    """Write the file of an export and store it; running again begins anew.

    Raises:
        Export.DoesNotExist: not in this factory.
    """
    export = Export.objects.get(pk=export_id)
    if not _move(export, Export.State.RUNNING, message=""):
        return {}  # cancelled before it began, or finished by another run
    with tempfile.TemporaryDirectory(prefix="takt-export-") as folder:
        path = Path(folder) / "file"
        try:
            n_rows = _write(export, path, report)
            n_bytes = path.stat().st_size
            report(0.97, "Storing the file")
            storage.put_file(key=object_key(export), path=path)
        except _Cancelled:
            return {}
        except ExportRefused as refusal:
            _move(export, Export.State.FAILED, message=str(refusal), finished_at=timezone.now())
            return {}
        except storage.StorageUnavailable:
            _try_later(export, at=timezone.now())
            return {}
    at = timezone.now()
    is_done = _move(
        export, Export.State.DONE, message="", progress=1.0, n_rows=n_rows, n_bytes=n_bytes,
        finished_at=at, expires_at=at + EXPORT_KEPT_FOR,
    )  # fmt: skip
    if not is_done:  # cancelled while the last piece was stored
        storage.delete(key=object_key(export))
    return {"n_rows": n_rows, "n_bytes": n_bytes}


def file_of(*, export: Export, by: User | None = None) -> Iterator[bytes]:
    """Return the pieces of the file of an export.

    Raises:
        NotReady: there is no file.
        tenants.storage.StorageUnavailable: it cannot be fetched now.
    """
    if export.state != Export.State.DONE:
        raise NotReady
    try:
        content = storage.stream(key=object_key(export))
    except storage.ObjectMissing as error:
        raise NotReady from error
    audit.record(
        action="export.downloaded", actor=by, target=str(export.pk), factory=current_factory()
    )
    return content


def tidy_exports(*, at: datetime) -> int:
    """Remove the files of old exports, and end those whose job was given up; return how many."""
    n_tidied = 0
    for export in Export.objects.filter(state=Export.State.DONE, expires_at__lt=at):
        storage.delete(key=object_key(export))
        n_tidied += _move(export, Export.State.EXPIRED, message="")
    given_up = Job.objects.filter(state__in=[Job.State.DEAD, Job.State.FAILED, Job.State.DONE])
    for export in Export.objects.filter(state__in=Export.OPEN_STATES):
        if export.job_id and given_up.filter(pk=export.job_id).exists():
            n_tidied += _move(
                export, Export.State.FAILED, finished_at=at,
                message="Something broke on our side while it was written. Ask for it again.",
            )  # fmt: skip
    return n_tidied


def object_key(export: Export) -> str:
    """Return where the file lies."""
    return names.object_key("exports", f"{export.pk}.{export.form}")


def _enqueue(export: Export, *, delay: timedelta = timedelta(0)) -> None:
    job = jobs.enqueue(
        task="telemetry.write_export",
        kwargs={"export_id": str(export.pk)},
        factory=current_factory(),
        delay=delay,
    )
    export.job_id = job.pk
    export.save(update_fields=["job_id"])
    transaction.on_commit(partial(announcing.announce, TOPIC))


def _most_rows(signals: Sequence[Signal], *, start: datetime, end: datetime) -> int:
    """Count the readings of each device; each holds at most one value a signal."""
    n_rows = 0
    for device_id in {signal.device_id for signal in signals}:
        n_own = sum(signal.device_id == device_id for signal in signals)
        hours = selectors.hours_of(device_id=device_id, start=start, end=end)
        n_rows += n_own * sum(n for _hour, n in hours)
    return n_rows


def _write(export: Export, path: Path, report: Report) -> int:
    from telemetry import export_files  # brings Arrow, which only workers need in memory

    rows = selectors.signals(ids=export.signal_ids).in_bulk()
    signals = [rows[pk] for pk in export.signal_ids if pk in rows]
    by_device = {
        device_id: [signal for signal in signals if signal.device_id == device_id]
        for device_id in dict.fromkeys(signal.device_id for signal in signals)
    }
    plan = {
        device_id: list(
            export_files.pieces(
                selectors.hours_of(device_id=device_id, start=export.start, end=export.end),
                start=export.start,
                end=export.end,
            )
        )
        for device_id in by_device
    }
    n_expected = sum(piece.n_readings for parts in plan.values() for piece in parts) or 1
    n_read = n_rows = 0
    file = export_files.open_file(path, export.form)
    try:
        for device_id, parts in plan.items():
            own = by_device[device_id]
            keys = list(dict.fromkeys(signal.key.key for signal in own))
            for piece in parts:
                readings = selectors.raw(
                    device_id=device_id, keys=keys, start=piece.start, end=piece.end
                )
                table = export_files.table(readings, own)
                file.write(table)
                n_read, n_rows = n_read + piece.n_readings, n_rows + table.num_rows
                _progress(export, 0.95 * n_read / n_expected, n_rows, report)
                _check_size(path)
    finally:
        file.close()
    _check_size(path)
    return n_rows


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_EXPORT_BYTES:
        raise ExportRefused(
            "too_many_bytes",
            f"The file passed {MAX_EXPORT_BYTES // 1024**3} GiB, which is the most one may have."
            " Choose a shorter range, or Parquet, which is smaller.",
        )


def _progress(export: Export, progress: float, n_rows: int, report: Report) -> None:
    if not _move(export, Export.State.RUNNING, progress=progress, n_rows=n_rows):
        raise _Cancelled
    report(progress, f"{n_rows:,} rows written")


def _try_later(export: Export, *, at: datetime) -> None:
    """Queue it again after a while, and say so; after the last wait it has failed."""
    if export.n_tries >= len(RETRY_AFTER):
        message = (
            "The store for files has not answered for over an hour. The readings are safe;"
            " ask for the export again later."
        )
        _move(export, Export.State.FAILED, message=message, finished_at=at)
        return
    wait = RETRY_AFTER[export.n_tries]
    message = "The store for files does not answer. The readings are safe; Takt tries again."
    with transaction.atomic():
        if _move(export, Export.State.WAITING, message=message, n_tries=export.n_tries + 1):
            _enqueue(export, delay=wait)
    log.warning("telemetry.export.store_away", export_id=str(export.pk), n_tries=export.n_tries)


def _move(export: Export, state: str, **fields: object) -> bool:
    """Bring an export into a state, unless it was cancelled or is over; say whether it was."""
    allowed = Q(state__in=Export.OPEN_STATES)
    if state == Export.State.EXPIRED:
        allowed = Q(state=Export.State.DONE)
    n_moved = Export.objects.filter(allowed, pk=export.pk).update(state=state, **fields)
    if n_moved:
        transaction.on_commit(partial(announcing.announce, TOPIC))
    return bool(n_moved)
