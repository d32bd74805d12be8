"""The ASGI application behind POST /api/v1/telemetry and the other ways in (`dialects`).

A 2xx answer means that every reading it reports as stored is committed in PostgreSQL, once, and
readable at once.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from telemetry.ingest import attributes, limits, planning
from telemetry.ingest.body import BodyClock, gunzip
from telemetry.ingest.clocks import MAX_LIVE
from telemetry.ingest.credentials import Credentials
from telemetry.ingest.decoding import Decoded, ServerTimes
from telemetry.ingest.dialects import NATIVE, Answer, Attributes, Dialect
from telemetry.ingest.errors import (
    AWAY,
    RequestRefused,
    cap_reached,
    suspended,
    too_fast,
    unavailable,
)
from telemetry.ingest.interning import Interner
from telemetry.ingest.lanes import LARGE_BYTES, Lanes
from telemetry.ingest.notes import Notes
from telemetry.ingest.publishing import Publisher
from telemetry.ingest.rates import Rates
from telemetry.ingest.request import Request
from telemetry.ingest.rsgi import receiver, texts
from telemetry.ingest.state import Device

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# A body from here on that is not well-formed is taken apart in a thread of its own.
_LONG_BODY = 64 * 1024


async def send_answer(answer: Answer, send: Send) -> None:
    """Send an answer as ASGI does."""
    status, headers, body = answer
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"cache-control", b"no-store")],
    }
    if status != 204:
        start["headers"].append((b"content-length", b"%d" % len(body)))
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def _keep(_connection: Any) -> None:
    """Nothing to reset between uses: no lookup leaves a setting, a lock or a cursor behind."""


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
        await self.serve(NATIVE, scope, receive, send)

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request in the way its clients expect."""
        request = Request.of_asgi(scope["headers"])
        await send_answer(await self.respond(dialect, scope["method"], request, receive), send)

    async def serve_rsgi(self, dialect: Dialect, scope: Any, protocol: Any) -> None:
        """The same for a server that speaks RSGI."""
        request = Request.of_rsgi(scope)
        receive = receiver(protocol, is_whole=request.content_length > 0)
        status, headers, body = await self.respond(dialect, scope.method, request, receive)
        protocol.response_bytes(status, [*texts(headers), ("cache-control", "no-store")], body)

    async def respond(
        self, dialect: Dialect, method: str, request: Request, receive: Receive
    ) -> Answer:
        """Answer a request: status, headers, body. Its body is asked for when it is wanted."""
        try:
            return await self._answer(dialect, method, request, receive)
        except RequestRefused as refusal:
            if request.device is not None:
                self._notes.refused(request.device, refusal)
            return dialect.refusal(refusal)

    # -- one request ---------------------------------------------------------------------------

    async def _answer(
        self, dialect: Dialect, method: str, request: Request, receive: Receive
    ) -> Answer:
        if method not in dialect.methods:
            raise RequestRefused(
                405,
                "method_not_allowed",
                "Readings are sent by POST.",
                headers=((b"allow", ", ".join(dialect.methods).encode()),),
            )
        if self._loop is not asyncio.get_running_loop():
            await self.startup()
        request.check_host()
        device = await self._credentials.device_for(
            authorization=dialect.authorization(request.authorization), host=request.host
        )
        request.device = device
        self._check_before_reading(dialect, request, device)
        body = await self._body_clock.read(receive, max_bytes=limits.MAX_BODY_BYTES)
        if request.encoding == b"gzip":
            body = gunzip(body)
        if isinstance(dialect, Attributes):
            return await self._attributes(dialect, method, device, body)
        now_us = time.time_ns() // 1000
        if len(body) < LARGE_BYTES:
            decoded = await self._decode(dialect, body, device, now_us)
        else:
            async with self._lanes.turn():
                decoded = await self._decode(dialect, body, device, now_us)
        for rate in device.rates:
            if not rate.take(len(decoded.times) or 1):
                await self._rates.take(rate, len(decoded.times) or 1)
        if now_us >= device.clock.due:
            self._look_at_clock(device, decoded, request.date, now_us)
        try:
            submission = await planning.plan(device, decoded, self._interner)
        except AWAY as error:
            log.warning("telemetry.ingest.not_planned", error=type(error).__name__)
            raise unavailable("The database is away; send again in a moment.") from None
        if submission.n_received:
            await self._lanes.submit(submission)
        status, headers, answer = dialect.receipt(submission)
        return status, (*headers, *device.rates[0].headers) if device.rates else headers, answer

    def _check_before_reading(self, dialect: Dialect, request: Request, device: Device) -> None:
        """Refuse what will not be stored before its body is received."""
        allowed = device.factory.limits
        if dialect.is_token_in_path and not allowed.token_in_path_allowed:
            raise RequestRefused(
                401,
                "token_in_path",
                "This factory takes no tokens in addresses: send them in a header.",
            )
        request.check_body()
        if allowed.is_suspended:
            raise suspended(f"{allowed.kept_until:%Y-%m-%d}" if allowed.kept_until else "")
        if allowed.is_capped and not isinstance(dialect, Attributes):
            raise cap_reached(limits.seconds_to_next_month(datetime.now(UTC)))
        if allowed.ingest_blocked:
            raise too_fast(
                "The factory takes no readings at the moment; its owner sees why under "
                "Usage and bill.",
                retry_after_s=300,
            )
        self._lanes.check_room(device.factory, n_bytes=request.content_length)

    async def _decode(self, dialect: Dialect, body: bytes, device: Device, now_us: int) -> Decoded:
        decoded = dialect.decode(
            body, usual=device.usual, now_us=now_us, server_times=self._server_times
        )
        if decoded is not None:
            return decoded
        if len(body) < _LONG_BODY:
            return dialect.salvage(body, now_us=now_us, server_times=self._server_times)
        return await asyncio.to_thread(
            dialect.salvage, body, now_us=now_us, server_times=self._server_times
        )

    def _look_at_clock(self, device: Device, decoded: Decoded, date: bytes, now_us: int) -> None:
        times = [r.time_us for r in decoded.rejected if r.time_us is not None]
        newest = max([*decoded.times[:MAX_LIVE], *times[:MAX_LIVE]], default=None)
        offset_s = device.clock.look(
            now=now_us,
            # A time that we gave ourselves says nothing.
            newest=None if newest == self._server_times.last else newest,
            n_readings=decoded.n_received,
            date=date,
        )
        if offset_s is not None:
            self._notes.clock(device, offset_s)

    async def _attributes(
        self, dialect: Attributes, method: str, device: Device, body: bytes
    ) -> Answer:
        for rate in device.rates:
            if not rate.take(1):
                await self._rates.take(rate, 1)
        try:
            if method == "POST":
                await attributes.store(self._pool, device, attributes.decode(body))
                return 200, (), b""
            keys = dialect.keys
            found = {} if keys is None else await attributes.load(self._pool, device, keys)
        except AWAY as error:
            log.warning("telemetry.ingest.no_attributes", error=type(error).__name__)
            raise unavailable("The database is away; send again in a moment.") from None
        return dialect.found(found)

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
        except AWAY:
            self._starting = None
            raise unavailable("The database is away; send again in a moment.") from None
        self._pool = pool
        self._interner = Interner(pool)
        self._credentials = Credentials(pool=pool, base_host=self._base_host)
        self._publisher = Publisher(valkey_url=self._valkey_url)
        self._rates = Rates(valkey_url=self._valkey_url)
        self._notes = Notes(pool)
        self._lanes = Lanes(database_url=self._database_url, after_commit=self._publisher.announce)
        self._body_clock = BodyClock(timeout_s=self._body_timeout_s)
        self._tasks = [
            asyncio.create_task(work)
            for work in (
                self._lanes.run(), self._credentials.run(), self._publisher.run(),
                self._notes.run(), self._sweep(),
            )
        ]  # fmt: skip
        await self._lanes.wait_ready(timeout_s=2)
        self._loop = asyncio.get_running_loop()
        self._starting = None

    async def shutdown(self) -> None:
        """Stop; what is in the queue is answered 503 and comes again."""
        self._loop = None
        tasks, self._tasks = self._tasks, []
        # Again and again: a driver may take a cancellation for a time-out of its own and go on.
        while still := [task for task in tasks if not task.done()]:
            for task in still:
                task.cancel()
            await asyncio.wait(still, timeout=0.2)
        if tasks:
            await self._rates.close()
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
