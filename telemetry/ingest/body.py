"""From the socket to the plain bytes of a request, never holding more than the limits allow."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from telemetry.ingest import limits
from telemetry.ingest.errors import RequestRefused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_GZIP = 16 + zlib.MAX_WBITS


class BodyClock:
    """Ends requests whose body takes too long.

    One sweep a second over the requests that are being read costs a tenth of a timer per
    request, which at thousands of requests a second is worth having.
    """

    def __init__(self, *, timeout_s: float = limits.BODY_TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()

    async def read(self, receive: Receive, *, max_bytes: int) -> bytes:
        """Read the body; raises RequestRefused 400, 408 or 413."""
        task = asyncio.current_task()
        if task is None:
            return await _read(receive, max_bytes)
        self._reading[task] = time.monotonic()
        try:
            return await _read(receive, max_bytes)
        except asyncio.CancelledError:
            if task not in self._expired:
                raise
            self._expired.discard(task)
            task.uncancel()
            raise RequestRefused(
                408, "body_too_slow", f"The body did not arrive within {self.timeout_s:g} s."
            ) from None
        finally:
            del self._reading[task]

    def sweep(self) -> None:
        """Cancel what has been reading for too long; called about once a second."""
        if not self._reading:
            return
        oldest = time.monotonic() - self.timeout_s
        for task, started in list(self._reading.items()):
            if started < oldest and task not in self._expired:
                self._expired.add(task)
                task.cancel()


async def _read(receive: Receive, max_bytes: int) -> bytes:
    message = await receive()
    if message["type"] != "http.request":
        raise _incomplete()
    first: bytes = message.get("body", b"")
    if len(first) > max_bytes:
        raise too_large(max_bytes)
    if not message.get("more_body", False):
        return first
    chunks = [first]
    size = len(first)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _incomplete()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def gunzip(data: bytes, *, max_bytes: int = limits.MAX_UNZIPPED_BYTES) -> bytes:
    """Inflate, giving up as soon as the result passes `max_bytes`.

    Several gzip members after each other are one text, as RFC 1952 has it.
    """
    parts: list[bytes] = []
    room = max_bytes
    while data:
        inflater = zlib.decompressobj(_GZIP)
        try:
            part = inflater.decompress(data, room + 1)
        except zlib.error:
            raise RequestRefused(400, "bad_gzip", "The body is not valid gzip.") from None
        room -= len(part)
        if room < 0:
            raise RequestRefused(
                413, "body_too_large", f"The body unzips to more than {max_bytes} bytes."
            )
        if not inflater.eof:
            raise RequestRefused(400, "bad_gzip", "The gzip body is cut off.")
        parts.append(part)
        data = inflater.unused_data
    return b"".join(parts)


def too_large(max_bytes: int) -> RequestRefused:
    return RequestRefused(
        413, "body_too_large", f"The body is larger than {max_bytes} bytes: send smaller batches."
    )


def _incomplete() -> RequestRefused:
    # The client has hung up, or its chunks are no chunks: then it is still there to be told.
    return RequestRefused(400, "incomplete_body", "The body ended before it was complete.")
