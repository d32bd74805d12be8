"""What readings add to an export of everything: a Parquet file a device and month."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path

from django.db import connection
from django.utils.text import slugify

from telemetry import selectors
from telemetry.models import Device, Export, Signal
from tenants import export
from tenants.export_files import Content, ExportFile

NAME = "readings"
# What these hold is in the files, or can be made anew from them.
COVERED = ("reading_hot", "segment", "rollup", "usage_delta")
_PIECE_BYTES = 1024 * 1024


def register() -> None:
    """Have readings exported with everything else."""
    export.contribute(NAME, files, covers=COVERED, count=n_readings)


def n_readings() -> int:
    """Count the readings that were stored, including those that were let go of since."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT sum(n_readings) FROM reading_hour), 0)"
            " + coalesce((SELECT sum(n) FROM usage_delta, unnest(n_readings) AS u(n)), 0)"
        )
        found: tuple[int] = cursor.fetchone()
        return int(found[0])


def files() -> Iterator[ExportFile]:
    """Yield the readings of each device, a calendar month (UTC) at a time."""
    for device in Device.objects.order_by("pk"):
        signals = list(
            Signal.objects.filter(device=device).select_related("key", "device__machine")
        )
        used = selectors.usage_by_hour(
            start=datetime(1970, 1, 1, tzinfo=UTC),
            end=datetime(9999, 1, 1, tzinfo=UTC),
            device_ids=[device.pk],
        )
        hours = [(row.hour, row.n_readings) for row in used]
        folder = f"{NAME}/{device.pk}-{slugify(device.name)[:60] or 'device'}"
        for month, some in groupby(
            hours, key=lambda one: one[0].astimezone(UTC).date().replace(day=1)
        ):
            yield ExportFile(
                path=f"{folder}/{month:%Y-%m}.parquet",
                about=f"Readings of the device {device.name}, {month:%B %Y}, one row a value.",
                content=_month(device, signals, month, list(some)),
                is_packed=True,
            )


def _month(
    device: Device, signals: list[Signal], month: date, hours: list[tuple[datetime, int]]
) -> Content:
    """Write a month into a file, since Parquet ends with its contents, and yield that."""
    from telemetry import export_files  # brings Arrow, which only workers need in memory

    start = datetime(month.year, month.month, 1, tzinfo=UTC)
    end = (start + timedelta(days=32)).replace(day=1)
    keys = list(dict.fromkeys(signal.key.key for signal in signals))
    n_rows = 0
    with tempfile.TemporaryDirectory(prefix="takt-everything-") as folder:
        path = Path(folder) / "readings.parquet"
        writer = export_files.open_file(path, Export.Form.PARQUET)
        try:
            for piece in export_files.pieces(hours, start=start, end=end):
                readings = selectors.raw(
                    device_id=device.pk, keys=keys, start=piece.start, end=piece.end
                )
                table = export_files.table(readings, signals)
                writer.write(table)
                n_rows += table.num_rows
        finally:
            writer.close()
        with path.open("rb") as written:
            yield from iter(partial(written.read, _PIECE_BYTES), b"")
    return n_rows
