"""Pictures and tables of them as files that no browser takes for anything else.

Everything goes out through our own host, to who may see it: there is no address of the object
store that would show a picture.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from mlops import selectors
from mlops.models import ImageVerdict
from telemetry import device_list
from tenants import streaming
from tenants.context import factory_context
from tenants.models import Factory

ROWS_AT_A_TIME: Final = 1000
COLUMNS: Final = (
    "made_at", "picture", "file", "lot", "piece", "machine", "state", "verdict", "score", "limit",
    "version", "n_regions", "message", "label_of_people",
)  # fmt: skip


def picture_answer(
    content: bytes, *, name: str, content_type: str = "image/png", max_age_s: int = 3600
) -> HttpResponse:
    """Answer with a picture of ours, as a file; pages may show it as an image."""
    answer = HttpResponse(content, content_type=content_type)
    _be_careful(answer, name=name, cache=f"private, max-age={max_age_s}")
    return answer


def _be_careful(answer: HttpResponseBase, *, name: str, cache: str) -> None:
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    answer.headers["Cache-Control"] = cache


def verdicts_answer(
    request: HttpRequest, *, plan_id: UUID, factory: Factory
) -> StreamingHttpResponse:
    """Answer with every verdict on a plan's pictures as CSV, newest first, a piece at a time."""
    pieces = streaming.streamed(request, _verdict_lines(plan_id, factory))
    answer = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    _be_careful(answer, name=f"verdicts-{plan_id}.csv", cache="no-store, private")
    return answer


def _verdict_lines(plan_id: UUID, factory: Factory) -> Iterator[bytes]:
    """Write page after page, each asked for inside the factory: no thread is ours for long."""
    yield _written([COLUMNS])
    last: ImageVerdict | None = None
    while page := _page(plan_id, factory, last):
        yield _written(map(_cells, page))
        last = page[-1]


def _page(plan_id: UUID, factory: Factory, last: ImageVerdict | None) -> list[ImageVerdict]:
    with factory_context(factory):
        rows = selectors.verdicts_of(plan_id)
        if last is not None:
            rows = rows.filter(
                Q(made_at__lt=last.made_at) | Q(made_at=last.made_at, pk__lt=last.pk)
            )
        page = list(rows[:ROWS_AT_A_TIME])
    # The next page may be asked for much later, from another thread.
    if not connection.in_atomic_block:
        connection.close()
    return page


def _cells(verdict: ImageVerdict) -> Sequence[object]:
    image, looked = verdict.image, verdict.image.inspection
    return (
        verdict.made_at.isoformat(), image.pk, image.name,
        looked.lot.code if looked and looked.lot else "",
        looked.piece if looked else "",
        looked.machine.name if looked and looked.machine else "",
        verdict.state, verdict.verdict, verdict.score, verdict.limit,
        verdict.version.version if verdict.version else None,
        len(verdict.regions), verdict.message, image.label,
    )  # fmt: skip


def _written(rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(
        [device_list.safe_cell(cell) if isinstance(cell, str) else cell for cell in row]
        for row in rows
    )
    return out.getvalue().encode()
