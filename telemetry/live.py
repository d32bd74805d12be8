"""Live readings for the portal's pages, by server-sent events.

One subscription per process and factory's channel on Valkey, fanned out to the open pages
through bounded queues. A page that reads too slowly misses readings, never memory; one that
reads fast gets them in a few bundles a second, however many arrive.

A message on the channel is one JSON object a line: a reading, or `{"topic": ...}`, which says
that something else has changed (`tenants.announcing`).
Events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
import json
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
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
from tenants.standing import works_suspended

log = structlog.get_logger(__name__)

HEARTBEAT_S = 15.0
# Then the browser connects again, and whoever has left the factory is turned away.
LIFETIME_S = 300.0
QUEUE_SIZE = 200
# At most so often, and so many readings at a time: what a page can draw without a stutter.
PACE_S = 0.25
MAX_LINES = 1_000
MAX_DEVICES = 200
TOPIC_START = b'{"topic":'
ALARM_START = b'{"alarm":'


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
                first = await asyncio.wait_for(queue.get(), min(HEARTBEAT_S, left_s))
            except TimeoutError:
                yield b": beat\n\n"
                continue
            if event := _event(_waiting(queue, first), starts):
                yield event
            await asyncio.sleep(PACE_S)


def _waiting(queue: "asyncio.Queue[bytes]", first: bytes) -> Iterator[bytes]:
    """Yield the lines of a message and of all that came with it."""
    yield from first.split(b"\n")
    while not queue.empty():
        yield from queue.get_nowait().split(b"\n")


def _event(lines: Iterable[bytes], starts: tuple[bytes, ...]) -> bytes:
    """Write lines as events: all readings as one, each topic once, and one for all alarms."""
    readings: list[bytes] = []
    topics: dict[bytes, None] = {}
    alarms: list[bytes] = []
    for line in lines:
        if line.startswith(TOPIC_START):
            topics[line] = None
        elif line.startswith(ALARM_START):
            alarms = [line]  # whoever hears of one asks for all
        elif line and (not starts or line.startswith(starts)):
            readings.append(line)
    written = [b"event: change\ndata: " + line + b"\n\n" for line in topics]
    written += [b"event: alarm\ndata: " + line + b"\n\n" for line in alarms]
    if readings:
        data = b"\ndata: ".join(readings[-MAX_LINES:])
        written.append(b"event: reading\ndata: " + data + b"\n\n")
    return b"".join(written)


async def topic_events(channel: str, *, topic: str) -> AsyncGenerator[bytes, None]:
    """Yield an event each time that one topic changes, and nothing else of the channel."""
    wanted = _topic_line(topic)
    async with contextlib.aclosing(events(channel)) as stream:
        async for event in stream:
            if event.startswith((b"retry", b":")):
                yield event
            elif wanted in event:
                yield b"event: change\ndata: " + wanted + b"\n\n"


def _topic_line(topic: str) -> bytes:
    return json.dumps({"topic": topic}, separators=(",", ":")).encode()


def _asked_devices(request: HttpRequest) -> Iterator[int]:
    for text in request.GET.getlist("device")[:MAX_DEVICES]:
        if text.isascii() and text.isdigit() and len(text) < 10:
            yield int(text)


@works_suspended
@require_GET
@requires("telemetry.view")
def stream(request: HttpRequest) -> HttpResponseBase:
    """Stream the readings of the factory of this host; `?device=1&device=2` only of some."""
    return response(events(names.channel("live"), device_ids=frozenset(_asked_devices(request))))


def response(stream: AsyncGenerator[bytes, None]) -> StreamingHttpResponse:
    """Answer with a stream of events."""
    answer = StreamingHttpResponse(stream, content_type="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    # The stream lives for minutes and asks the database nothing: give the connection back.
    if not connection.in_atomic_block:
        connection.close()
    return answer
