"""Exports of readings as files to be saved."""

from collections.abc import Iterator

from django.http import HttpRequest, StreamingHttpResponse

from telemetry.models import Export
from tenants import streaming

CONTENT_TYPES = {
    Export.Form.CSV: "text/csv; charset=utf-8",
    Export.Form.PARQUET: "application/vnd.apache.parquet",
}


def attachment(
    request: HttpRequest, export: Export, pieces: Iterator[bytes]
) -> StreamingHttpResponse:
    """Answer with the file of an export, a piece at a time, to be saved and never shown."""
    return streaming.attachment(
        request,
        pieces,
        name=f"takt-{export.start:%Y%m%d}-{export.end:%Y%m%d}-{str(export.pk)[:8]}.{export.form}",
        content_type=CONTENT_TYPES[Export.Form(export.form)],
        n_bytes=export.n_bytes,
    )
