"""Live readings for the portal's pages, by server-sent events.

One subscription per process and factory's channel on Valkey, fanned out to the open pages
through bounded queues. A page that reads too slowly misses readings, never memory.
Events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import structlog
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET
from redis import asyncio as valkey
from redis.exceptions import RedisError

from tenants import names
from tenants.permissions import requires

log = structlog.get_logger(__name__)

HEARTBEAT_S = 15.0
# Then the browser connects again, and whoever has left the factory is turned away.
LIFETIME_S = 300.0
QUEUE_SIZE = 200
MAX_DEVICES = 200


class Hub:
    """Carries messages of Valkey's channels to the queues of one event loop."""

    def __init__(self, *, url: str) -> None:
        self._client: Any = valkey.Redis.from_url(url, socket_connect_timeout=2.0)
        self._queues: dict[str, set[asyncio.Queue[bytes]]] = {}
        self._wanted = asyncio.Event()
        self._pubsub: Any = None
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[asyncio.Queue[bytes]]:
        """Receive the messages of a channel while the block runs."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_SIZE)
        is_first = channel not in self._queues
        self._queues.setdefault(channel, set()).add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        self._wanted.set()
        if is_first:
            await self._tell("subscribe", channel)
        try:
            yield queue
        finally:
            self._queues[channel].discard(queue)
            if not self._queues[channel]:
                del self._queues[channel]
                await self._tell("unsubscribe", channel)

    async def _tell(self, command: str, channel: str) -> None:
        # While Valkey is away the reader subscribes to everything when it is back.
        if self._pubsub is not None:
            with contextlib.suppress(RedisError, OSError):
                await getattr(self._pubsub, command)(channel)

    async def _run(self) -> None:
        delay_s = 0.2
        while True:
            if not self._queues:
                self._wanted.clear()
                await self._wanted.wait()
            try:
                await self._read()
                delay_s = 0.2
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("telemetry.live.away", error=type(error).__name__)
                await asyncio.sleep(delay_s)
                delay_s = min(5.0, delay_s * 2)

    async def _read(self) -> None:
        """Hand messages on until nobody listens any more."""
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(*self._queues)
            self._pubsub = pubsub
            try:
                while self._queues:
                    message = await pubsub.get_message(
                        ignore_subscribe_messages=True, timeout=HEARTBEAT_S
                    )
                    if message is not None:
                        self._hand_on(message["channel"].decode(), message["data"])
            finally:
                self._pubsub = None

    def _hand_on(self, channel: str, data: bytes) -> None:
        for queue in self._queues.get(channel, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(data)


_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def _hub() -> Hub:
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub(url=settings.VALKEY_URL)
    return _hubs[loop]


async def events(
    channel: str, *, device_ids: frozenset[int] = frozenset()
) -> AsyncGenerator[bytes, None]:
    """Yield the events of one page: readings as they come, a heartbeat where there are none."""
    starts = tuple(b'{"device_id":%d,' % device_id for device_id in device_ids)
    ends_at = time.monotonic() + LIFETIME_S
    async with _hub().listen(channel) as queue:
        yield b"retry: 2000\n\n: connected\n\n"
        while (left_s := ends_at - time.monotonic()) > 0:
            try:
                data = await asyncio.wait_for(queue.get(), min(HEARTBEAT_S, left_s))
            except TimeoutError:
                yield b": beat\n\n"
                continue
            if data.startswith(b'{"alarm":'):
                yield b"event: alarm\ndata: " + data + b"\n\n"
            elif not starts or data.startswith(starts):
                yield b"event: reading\ndata: " + data + b"\n\n"


def _asked_devices(request: HttpRequest) -> Iterator[int]:
    for text in request.GET.getlist("device")[:MAX_DEVICES]:
        if text.isascii() and text.isdigit() and len(text) < 10:
            yield int(text)


@require_GET
@requires("telemetry.view")
def stream(request: HttpRequest) -> HttpResponseBase:
    """Stream the readings of the factory of this host; `?device=1&device=2` only of some."""
    channel = names.channel("live")
    device_ids = frozenset(_asked_devices(request))
    response = StreamingHttpResponse(
        events(channel, device_ids=device_ids), content_type="text/event-stream"
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    # The stream lives for minutes and asks the database nothing: give the connection back.
    if not connection.in_atomic_block:
        connection.close()
    return response
