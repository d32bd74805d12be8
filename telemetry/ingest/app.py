"""The ASGI application behind POST /api/v1/telemetry.

A 2xx answer means that every reading it reports as stored is committed in PostgreSQL, once, and
readable at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from telemetry.ingest import decoding, limits, planning, salvaging
from telemetry.ingest.body import BodyClock, ClientGone, gunzip, too_large
from telemetry.ingest.credentials import Credentials
from telemetry.ingest.decoding import Decoded, ServerTimes
from telemetry.ingest.errors import RequestRefused, too_fast, unavailable
from telemetry.ingest.interning import Interner
from telemetry.ingest.publishing import Publisher
from telemetry.ingest.state import Device
from telemetry.ingest.writer import Writer
from telemetry.times import iso_utc

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# curl -d says form-urlencoded and means JSON, as do small devices that say nothing at all.
CONTENT_TYPES: Final = frozenset(
    [b"", b"application/json", b"text/json", b"text/plain", b"application/octet-stream",
     b"application/x-www-form-urlencoded"]
)  # fmt: skip
# A body from here on that is not well-formed is taken apart in a thread of its own.
_LONG_BODY = 64 * 1024
_ENCODE = msgspec.json.Encoder().encode
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def _keep(_connection: Any) -> None:
    """Nothing to reset between uses: no lookup leaves a setting, a lock or a cursor behind."""


class _Request:
    """The headers that matter here."""

    __slots__ = ("authorization", "content_length", "content_type", "encoding", "host", "n_hosts")

    def __init__(self, scope: Scope) -> None:
        self.authorization = self.host = self.content_type = self.encoding = b""
        self.content_length = 0
        self.n_hosts = 0
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.authorization = value
            elif name == b"host":
                self.host = value
                self.n_hosts += 1
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-encoding":
                self.encoding = value
            elif name == b"content-length" and value.isdigit():
                self.content_length = int(value)

    def check(self) -> None:
        if self.n_hosts > 1:
            raise RequestRefused(400, "two_hosts", "The request names more than one host.")
        if self.content_length > limits.MAX_BODY_BYTES:
            raise too_large(limits.MAX_BODY_BYTES)
        if self.content_type not in CONTENT_TYPES:
            kind = self.content_type.partition(b";")[0].strip().lower()
            if kind not in CONTENT_TYPES:
                raise RequestRefused(415, "unsupported_media_type", "Send application/json.")
        if self.encoding not in (b"", b"identity", b"gzip"):
            raise RequestRefused(
                415,
                "unsupported_encoding",
                "Send the body plain or with gzip.",
                headers=((b"accept-encoding", b"gzip"),),
            )


class IngestApp:
    """Takes readings. Starts itself in the event loop of its first request."""

    def __init__(
        self, *, database_url: str, valkey_url: str, base_url: str, body_timeout_s: float = 10.0
    ) -> None:
        self._database_url = database_url
        self._valkey_url = valkey_url
        self._base_host = base_url.partition("://")[2].partition("/")[0].rsplit(":", 1)[0]
        self._body_timeout_s = body_timeout_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._server_times = ServerTimes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            status, body = await self._answer(scope, receive)
            headers: tuple[tuple[bytes, bytes], ...] = ()
        except RequestRefused as refusal:
            status, headers = refusal.status, refusal.headers
            body = _ENCODE(
                {
                    "code": refusal.code,
                    "message": refusal.message,
                    "detail": {},
                    "server_time": iso_utc(time.time_ns() // 1000),
                }
            )
        except ClientGone:
            return
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(body)),
                    (b"cache-control", b"no-store"),
                    *headers,
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    # -- one request ---------------------------------------------------------------------------

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        if scope["method"] != "POST":
            raise RequestRefused(
                405,
                "method_not_allowed",
                "Readings are sent by POST.",
                headers=((b"allow", b"POST"),),
            )
        if self._loop is not asyncio.get_running_loop():
            await self.startup()
        request = _Request(scope)
        request.check()
        device = await self._credentials.device_for(
            authorization=request.authorization, host=request.host
        )
        if device.factory.limits.ingest_blocked:
            raise too_fast(
                "The factory takes no readings at the moment; its owner sees why under "
                "Usage and bill.",
                retry_after_s=300,
            )
        # Before the body is read: what cannot be stored need not be received.
        self._writer.check_room(device.factory)
        body = await self._body_clock.read(receive, max_bytes=limits.MAX_BODY_BYTES)
        if request.encoding == b"gzip":
            body = gunzip(body)
        decoded = await self._decode(body)
        self._check_rate(device, len(decoded.times))
        try:
            submission = await planning.plan(device, decoded, self._interner)
        except _AWAY as error:
            log.warning("telemetry.ingest.not_planned", error=type(error).__name__)
            raise unavailable("The database is away; send again in a moment.") from None
        if submission.n_received:
            await self._writer.submit(submission)
        return _receipt(submission)

    async def _decode(self, body: bytes) -> Decoded:
        now_us = time.time_ns() // 1000
        decoded = decoding.decode(body, now_us=now_us, server_times=self._server_times)
        if decoded is not None:
            return decoded
        if len(body) < _LONG_BODY:
            return salvaging.salvage(body, now_us=now_us, server_times=self._server_times)
        return await asyncio.to_thread(
            salvaging.salvage, body, now_us=now_us, server_times=self._server_times
        )

    @staticmethod
    def _check_rate(device: Device, n_readings: int) -> None:
        now = time.monotonic()
        for bucket, whose in ((device.bucket, "device"), (device.factory.bucket, "factory")):
            wait_s = 0.0 if bucket is None else bucket.take(n_readings or 1, now)
            if bucket is not None and wait_s:
                raise too_fast(
                    f"The {whose} sends more than {bucket.rate:g} readings a second.",
                    retry_after_s=wait_s,
                )

    # -- life ----------------------------------------------------------------------------------

    async def startup(self) -> None:
        """Connect; returns when the first connection was made or refused."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._starting is None or self._starting.get_loop() is not loop:
            self._starting = loop.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        try:
            pool = await asyncpg.create_pool(
                self._database_url,
                min_size=0,
                max_size=4,
                timeout=3,
                command_timeout=5,
                max_inactive_connection_lifetime=60,
                reset=_keep,
                server_settings={
                    "application_name": "takt ingest lookups",
                    "lock_timeout": "2s",
                    "statement_timeout": "5s",
                },
            )
        except _AWAY:
            self._starting = None
            raise unavailable("The database is away; send again in a moment.") from None
        self._pool = pool
        self._interner = Interner(pool)
        self._credentials = Credentials(pool=pool, base_host=self._base_host)
        self._publisher = Publisher(valkey_url=self._valkey_url)
        self._writer = Writer(
            database_url=self._database_url, after_commit=self._publisher.announce
        )
        self._body_clock = BodyClock(timeout_s=self._body_timeout_s)
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._writer.run(), self._credentials.run(), self._publisher.run(), self._sweep()
            )
        ]  # fmt: skip
        await self._writer.wait_ready(timeout_s=2)
        self._loop = asyncio.get_running_loop()
        self._starting = None

    async def shutdown(self) -> None:
        """Stop; what is in the queue is answered 503 and comes again."""
        self._loop = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if tasks:
            self._pool.terminate()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self._body_timeout_s / 4))
            self._body_clock.sweep()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # A database that is away at the start may come; requests get 503 until then.
                with contextlib.suppress(RequestRefused):
                    await self.startup()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _receipt(submission: planning.Submission) -> tuple[int, bytes]:
    n_rejected = len(submission.rejected)
    rejected = _ENCODE(submission.rejected) if n_rejected else b"[]"
    body = b'{"received":%d,"stored":%d,"duplicates":%d,"rejected":%b,"server_time":"%b"}' % (
        submission.n_received,
        submission.n_stored,
        submission.n_duplicates,
        rejected,
        iso_utc(time.time_ns() // 1000).encode(),
    )
    return (422 if n_rejected and n_rejected == submission.n_received else 200), body
