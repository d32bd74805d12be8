"""Files of the object store handed out through our own host, a piece at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, StreamingHttpResponse


def attachment(
    request: HttpRequest,
    pieces: Iterator[bytes],
    *,
    name: str,
    content_type: str,
    n_bytes: int | None,
) -> StreamingHttpResponse:
    """Answer with a file to be saved and never shown, which no cache keeps."""
    response = StreamingHttpResponse(streamed(request, pieces), content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store, private"
    if n_bytes is not None:
        response.headers["Content-Length"] = str(n_bytes)
    # The store is read for as long as the browser takes: give the database connection back.
    if not connection.in_atomic_block:
        connection.close()
    return response


def streamed(
    request: HttpRequest, pieces: Iterator[bytes]
) -> Iterator[bytes] | AsyncIterator[bytes]:
    """Return pieces that are none of them empty in the form that the server streams.

    A plain iterator would be read to its end in memory before an ASGI server sends a byte.
    """
    return _in_threads(pieces) if isinstance(request, ASGIRequest) else pieces


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
