"""Live readings for the portal's pages, by server-sent events.

One subscription per process and factory's channel on Valkey, fanned out to the open pages
through bounded queues. A page that reads too slowly misses readings, never memory; one that
reads fast gets them in a few bundles a second, however many arrive.

Nothing is heard between the drawing of a page and its subscription, nor while a connection is
away. So each time that the subscription stands, a stream says `listening` and what the database
(`telemetry.missed`) knows since the page was drawn (`?since=`) or was last told (`id`); messages
are kept from the subscription on and follow.

A message on the channel is one JSON object a line: a reading, or `{"topic": ...}`, which says
that something else has changed (`tenants.announcing`).
Events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import contextlib
import json
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET
from redis import asyncio as valkey
from redis.exceptions import RedisError

from telemetry import missed
from telemetry.times import from_us, to_us
from tenants import names
from tenants.context import current_factory
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
CONNECTED = b"retry: 2000\n\n: connected\n\n"
BEAT = b": beat\n\n"
LISTENING = b"event: listening\ndata: {}\n\n"

# Returns the lines of what was heard since a time, given with the time that it is.
Missed = Callable[[datetime, datetime], list[bytes]]


class Inbox(asyncio.Queue[bytes]):
    """Messages that one page has not read yet; the oldest go where there is no room."""

    def __init__(self) -> None:
        super().__init__(QUEUE_SIZE)
        self.is_subscribed = False
        self.is_behind = False  # what was said before the subscription is still to be told

    def subscribed(self) -> None:
        """Note that messages come from now on, and wake who reads them."""
        self.is_subscribed = self.is_behind = True
        self.receive(b"")

    def receive(self, data: bytes) -> None:
        if self.full():
            self.get_nowait()
        self.put_nowait(data)


class Hub:
    """Carries messages of Valkey's channels to the inboxes of one event loop."""

    def __init__(self, *, url: str) -> None:
        # A retry inside the library would hide that messages were lost.
        self._client: Any = valkey.Redis.from_url(url, socket_connect_timeout=2.0, retry=None)
        self._inboxes: dict[str, set[Inbox]] = {}
        self._subscribed: set[str] = set()  # as Valkey has confirmed
        self._wanted = asyncio.Event()
        self._pubsub: Any = None
        self._telling = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Inbox]:
        """Receive the messages of a channel while the block runs."""
        inbox = Inbox()
        is_first = channel not in self._inboxes
        self._inboxes.setdefault(channel, set()).add(inbox)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        self._wanted.set()
        if is_first:
            await self._tell("subscribe", channel)
        elif channel in self._subscribed:
            inbox.subscribed()
        try:
            yield inbox
        finally:
            self._inboxes[channel].discard(inbox)
            if not self._inboxes[channel]:
                del self._inboxes[channel]
                self._subscribed.discard(channel)
                await self._tell("unsubscribe", channel)

    async def _tell(self, command: str, channel: str) -> None:
        # While Valkey is away the reader subscribes to everything when it is back.
        async with self._telling:
            if self._pubsub is not None:
                with contextlib.suppress(RedisError, OSError):
                    await getattr(self._pubsub, command)(channel)

    async def _run(self) -> None:
        delay_s = 0.2
        while True:
            if not self._inboxes:
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
            asked = set(self._inboxes)
            await pubsub.subscribe(*asked)
            self._pubsub = pubsub
            try:
                # Who came while the connection was made has told nobody.
                if late := self._inboxes.keys() - asked:
                    await pubsub.subscribe(*late)
                while self._inboxes:
                    message = await pubsub.get_message(timeout=HEARTBEAT_S)
                    if message is not None:
                        self._take(message)
            finally:
                async with self._telling:  # nothing is sent over what is being closed
                    self._pubsub = None
                self._subscribed.clear()
                for inboxes in self._inboxes.values():
                    for inbox in inboxes:
                        inbox.is_subscribed = False

    def _take(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        if message["type"] == "message":
            self._hand_on(channel, message["data"])
        elif message["type"] == "subscribe" and channel in self._inboxes:
            self._subscribed.add(channel)
            for inbox in self._inboxes[channel]:
                inbox.subscribed()

    def _hand_on(self, channel: str, data: bytes) -> None:
        for inbox in self._inboxes.get(channel, ()):
            inbox.receive(data)


_hubs: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = weakref.WeakKeyDictionary()


def _hub() -> Hub:
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub(url=settings.VALKEY_URL)
    return _hubs[loop]


async def events(
    channel: str,
    *,
    device_ids: frozenset[int] = frozenset(),
    since: datetime | None = None,
    missed: Missed = lambda _since, _at: [],
) -> AsyncGenerator[bytes, None]:
    """Yield the events of one page: readings as they come, a heartbeat where there are none.

    `missed` is asked for what was heard since the page was last told, at first `since`.
    """
    starts = tuple(b'{"device_id":%d,' % device_id for device_id in device_ids)
    told_at = since or timezone.now()
    ends_at = time.monotonic() + LIFETIME_S
    async with _hub().listen(channel) as inbox:
        yield CONNECTED
        while (left_s := ends_at - time.monotonic()) > 0:
            first: bytes | None = None
            with contextlib.suppress(TimeoutError):
                first = await asyncio.wait_for(inbox.get(), min(HEARTBEAT_S, left_s))
            now = timezone.now()
            if inbox.is_behind:
                inbox.is_behind = False
                try:
                    lines = await sync_to_async(missed)(told_at, now)
                except (DatabaseError, InterfaceError) as error:
                    # The page connects again and asks for the same.
                    log.warning("telemetry.live.unasked", error=type(error).__name__)
                    return
                yield _id(now) + LISTENING + _event(lines, ())
            if inbox.is_subscribed:
                told_at = now
            if first is None:
                yield _id(told_at) + BEAT
                continue
            if event := _event(_waiting(inbox, first), starts):
                yield _id(told_at) + event
            await asyncio.sleep(PACE_S)


def _id(told_at: datetime) -> bytes:
    """Name what a page has been told; it says so when it connects again."""
    return b"id: %d\n" % (to_us(told_at) // 1000)


def _waiting(inbox: Inbox, first: bytes) -> Iterator[bytes]:
    """Yield the lines of a message and of all that came with it."""
    yield from first.split(b"\n")
    while not inbox.empty():
        yield from inbox.get_nowait().split(b"\n")


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
    """Yield an event each time that one topic changes, and `listening` when they are heard."""
    wanted = _topic_line(topic)
    async with contextlib.aclosing(events(channel)) as stream:
        async for event in stream:
            if event.endswith((CONNECTED, LISTENING, BEAT)):
                yield event
            elif wanted in event:
                yield b"event: change\ndata: " + wanted + b"\n\n"


def _topic_line(topic: str) -> bytes:
    return json.dumps({"topic": topic}, separators=(",", ":")).encode()


def _asked_devices(request: HttpRequest) -> Iterator[int]:
    for text in request.GET.getlist("device")[:MAX_DEVICES]:
        if text.isascii() and text.isdigit() and len(text) < 10:
            yield int(text)


def _asked_since(request: HttpRequest) -> datetime:
    """Return up to when the page knows everything: from its last event, or from being drawn."""
    now = timezone.now()
    text = request.headers.get("Last-Event-ID") or request.GET.get("since", "")
    if not (text.isascii() and text.isdigit() and len(text) < 15):
        return now
    return min(now, from_us(int(text) * 1000))


def stream_query(*, drawn_at: datetime) -> str:
    """Return the query with which a page drawn at a time opens the stream."""
    return f"?since={to_us(drawn_at) // 1000}"


@works_suspended
@require_GET
@requires("telemetry.view")
def stream(request: HttpRequest) -> HttpResponseBase:
    """Stream the readings of the factory of this host; `?device=1&device=2` only of some."""
    device_ids = frozenset(_asked_devices(request))
    told = events(
        names.channel("live"),
        device_ids=device_ids,
        since=_asked_since(request),
        missed=partial(missed.lines, factory=current_factory(), device_ids=device_ids),
    )
    return response(told)


def response(stream: AsyncGenerator[bytes, None]) -> StreamingHttpResponse:
    """Answer with a stream of events."""
    answer = StreamingHttpResponse(stream, content_type="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    # The stream lives for minutes and asks the database at its beginning: give the connection back.
    if not connection.in_atomic_block:
        connection.close()
    return answer
