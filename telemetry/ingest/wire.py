"""HTTP/1.1 as devices speak it, straight on the event loop: no thread lies between.

A server of general use hands each request from its own threads to Python's and back, which is
half of what a single reading costs (docs/adr/0013). Here a connection's requests are parsed as
they come (llhttp, through httptools), answered one after the other and in their order.
RFC 9112: https://www.rfc-editor.org/rfc/rfc9112
"""

import asyncio
import http
import math
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Final, Protocol

import httptools
import structlog

from telemetry.ingest.dialects import NATIVE, Answer
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.request import Request

log = structlog.get_logger(__name__)

MAX_HEAD_BYTES = 16 * 1024
# What comes around a body in chunks: their lengths, and trailers, which nobody reads.
MAX_AROUND_BYTES = 1024 * 1024
# So much of a body waits here for who reads it; then the sender waits.
MAX_UNREAD_BYTES = 64 * 1024
# The rest of a refused request up to here is read and forgotten; before a longer one the connection
# ends.
MAX_DROPPED_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 10.0
# Longer than that of a load balancer in front, which would otherwise send into a connection that
# is just being closed (infra/terraform/load_balancer.tf: 120 s).
IDLE_TIMEOUT_S = 180.0
# A client that is still sending what is refused already is listened to for so long: closing at
# once would take the answer from it.
LINGER_S = 2.0
# An answer that nobody takes.
CHOKED_S = 10.0

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in http.HTTPStatus
}
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
_WITHOUT_BODY = frozenset({204, 304})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Port(Protocol):
    """What the connections of one listener share."""

    loop: asyncio.AbstractEventLoop
    # Renewed once a second: the monotonic time, and the header that tells the time.
    now: float
    date: bytes
    is_closing: bool

    async def answer(self, message: "Message") -> Answer:
        """Answer a request; raises RequestRefused."""

    def arrived(self, connection: "Connection") -> bool:
        """Count a connection in; False where there is no room for it."""

    def left(self, connection: "Connection") -> None:
        """Count it out."""


class Message:
    """One request, as far as it has come."""

    __slots__ = (
        "_connection", "_pieces", "_waiter", "error", "headers", "is_broken", "is_complete",
        "is_continue_awaited", "is_dropped", "is_kept_alive", "is_old", "method", "n_around",
        "n_head", "n_unread", "request", "url",
    )  # fmt: skip

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self.method = ""
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.request = _NOBODY
        # Bytes of the headers; of what has come and is no body; of the body that nobody took yet.
        self.n_head = self.n_around = self.n_unread = 0
        # What is wrong with it, where it is to be refused whoever sent it.
        self.error: RequestRefused | None = None
        self.is_complete = self.is_broken = False
        # It was answered before all of it came; the rest is for nobody.
        self.is_dropped = False
        self.is_continue_awaited = False
        self.is_kept_alive = False
        self.is_old = False

    async def receive(self) -> MutableMapping[str, Any]:
        """Return what has come of the body, as ASGI's `receive` does."""
        while not (self._pieces or self.is_complete or self.is_broken):
            await self._wait()
        if self.is_broken:
            return {"type": "http.disconnect"}
        pieces, self._pieces, self.n_unread = self._pieces, [], 0
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return {"type": "http.request", "body": body, "more_body": not self.is_complete}

    async def _wait(self) -> None:
        self._connection.want(self)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self.n_unread += len(piece)
        self._wake()

    def complete(self) -> None:
        self.is_complete = True
        self._wake()

    def break_off(self) -> None:
        """No more will come, though more was promised."""
        if not self.is_complete:
            self.is_broken = True
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


_NOBODY = Request()


class Connection(asyncio.Protocol):
    """A connection and its requests, one after the other."""

    __slots__ = (
        "__weakref__", "_deadline", "_incoming", "_is_choked", "_is_deaf", "_is_paused", "_parser",
        "_port", "_serving", "_transport", "_waiting",
    )  # fmt: skip

    def __init__(self, port: Port) -> None:
        self._port = port
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        # The one that is coming in, the one that is being answered, those between.
        self._incoming: Message | None = None
        self._serving: Message | None = None
        self._waiting: deque[Message] = deque()
        self._deadline = math.inf
        self._is_choked = self._is_paused = False
        # What comes is no longer looked at: the answer on its way is the last one.
        self._is_deaf = False

    @property
    def is_serving(self) -> bool:
        return self._serving is not None

    # -- from the event loop -----------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self._port.arrived(self):
            self._deadline = self._port.now + IDLE_TIMEOUT_S
        else:
            self._refuse(RequestRefused(503, "unavailable", "Too many connections; come again."))

    def connection_lost(self, _error: Exception | None) -> None:
        self._port.left(self)
        self._is_deaf = True
        self._waiting.clear()
        for message in (self._incoming, self._serving):
            if message is not None:
                message.break_off()
        # They know the connection: nothing is to be left for the collector, which seldom comes.
        self._parser = self._incoming = None

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(RequestRefused(400, "bad_request", f"This is not HTTP/1.1: {error}"))
        incoming = self._incoming
        if incoming is not None:
            incoming.n_around += len(data)
            if incoming.n_around > (MAX_AROUND_BYTES if incoming.method else MAX_HEAD_BYTES):
                self._refuse(_head_too_long())
        self._steer()

    def pause_writing(self) -> None:
        self._is_choked = True
        self._deadline = self._port.now + CHOKED_S
        self._steer()

    def resume_writing(self) -> None:
        self._is_choked = False
        self._rest()
        self._steer()

    # -- the parser --------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_last(data[upgrade.args[0] :])

    def _parse_last(self, rest: bytes) -> None:
        """Take a request for an Upgrade as one without (RFC 9110, 7.8), and as the last.

        The parser takes it for the end of HTTP and leaves its body; another one, that is told
        the body's length alone, finds its end.
        """
        message = self._waiting[-1] if self._waiting else self._serving
        assert message is not None
        message.is_kept_alive = message.is_complete = False
        self._incoming = message
        self._parser = httptools.HttpRequestParser(_LastBody(self))
        lengths = [each for each in message.headers if each[0] in _LENGTHS]
        head = b"".join(b"%b: %b\r\n" % each for each in lengths)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n%b" % (head, rest))

    def on_last_complete(self) -> None:
        self.on_message_complete()
        self._is_deaf = True

    def on_message_begin(self) -> None:
        self._incoming = Message(self)
        if self._serving is None:
            self._deadline = self._port.now + HEAD_TIMEOUT_S

    def on_url(self, url: bytes) -> None:
        assert self._incoming is not None
        self._incoming.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        message = self._incoming
        assert message is not None
        if message.method:
            return  # a trailer
        name = name.lower()
        message.headers.append((name, value))
        message.n_head += len(name) + len(value) + 4
        if name == b"expect":
            message.is_continue_awaited = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        message = self._incoming
        assert message is not None
        message.method = self._parser.get_method().decode()
        message.request = Request.of_asgi(message.headers)
        message.is_old = self._parser.get_http_version() == "1.0"
        message.is_kept_alive = self._parser.should_keep_alive()
        if message.n_head + len(message.url) > MAX_HEAD_BYTES:
            message.error, message.is_kept_alive = _head_too_long(), False
        self._queue(message)

    def on_body(self, body: bytes) -> None:
        message = self._incoming
        assert message is not None
        message.n_around -= len(body)
        if not message.is_dropped:
            message.add(body)

    def on_message_complete(self) -> None:
        message, self._incoming = self._incoming, None
        assert message is not None
        message.complete()
        if message.is_dropped:
            self._rest()

    # -- one after the other -----------------------------------------------------------------------

    def _queue(self, message: Message) -> None:
        if self._serving is None:
            self._serve(message)
        else:
            self._waiting.append(message)

    def _serve(self, message: Message) -> None:
        self._serving = message
        # Who answers has time-outs of its own, for the body and for the database.
        self._deadline = math.inf
        self._port.loop.create_task(self._answered(message))

    async def _answered(self, message: Message) -> None:
        try:
            if message.error is not None:
                raise message.error
            answer = await self._port.answer(message)
        except RequestRefused as refusal:
            answer = NATIVE.refusal(refusal)
        except Exception:
            log.exception("telemetry.device_port.failed")
            answer = NATIVE.refusal(RequestRefused(500, "failed", "This is our fault."))
        self._serving = None
        if not self._transport.is_closing():
            self._write(message, *answer)
        if self._waiting and not self._transport.is_closing():
            self._serve(self._waiting.popleft())
        self._steer()

    def _write(self, message: Message, status: int, headers: Any, body: bytes) -> None:
        is_last = not message.is_kept_alive or status == 408 or self._is_last(message)
        lines = [_STATUS_LINES[status], self._port.date]
        lines += [b"%b: %b\r\n" % header for header in headers]
        if status not in _WITHOUT_BODY:
            lines.append(b"content-length: %d\r\n" % len(body))
        if is_last:
            lines.append(b"connection: close\r\n")
        elif message.is_old:
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"cache-control: no-store\r\n\r\n")
        if status not in _WITHOUT_BODY and message.method != "HEAD":
            lines.append(body)
        self._transport.write(b"".join(lines))
        if is_last:
            self._hang_up(message)
        else:
            self._rest()

    def _is_last(self, message: Message) -> bool:
        """Say whether the connection ends with the answer to this message."""
        if self._port.is_closing or (self._is_deaf and not self._waiting):
            return True
        if message.is_complete:
            return False
        length = message.request.content_length
        if message.is_broken or message.is_continue_awaited or not 0 < length <= MAX_DROPPED_BYTES:
            return True
        message.is_dropped = True
        return False

    def _hang_up(self, message: Message) -> None:
        self._is_deaf = True
        self._waiting.clear()
        if message.is_complete:
            self._end()
        else:
            self._deadline = self._port.now + LINGER_S
            self._steer()

    def _refuse(self, error: RequestRefused) -> None:
        """Answer what is no request, after all that came before it; then the connection ends."""
        self._is_deaf = True
        incoming, self._incoming = self._incoming, None
        if incoming is not None and incoming.is_dropped:
            self._end()
            return
        if incoming is not None and incoming.method:
            # Its head was good and it is being answered, or will be.
            incoming.break_off()
            return
        message = Message(self)
        message.error, message.method = error, "POST"
        self._queue(message)

    # -- reading and time --------------------------------------------------------------------------

    def want(self, message: Message) -> None:
        """More of a body is waited for."""
        if message.is_continue_awaited:
            message.is_continue_awaited = False
            self._transport.write(_CONTINUE)
        self._steer()

    def _steer(self) -> None:
        """Read on, or let the sender wait until what has come is dealt with."""
        serving = self._serving
        is_full = not self._is_deaf and (
            self._is_choked
            or bool(self._waiting)
            or (serving is not None and serving.n_unread > MAX_UNREAD_BYTES)
        )
        if is_full is self._is_paused or self._transport.is_closing():
            return
        self._is_paused = is_full
        if is_full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _rest(self) -> None:
        """Set the time by which what is expected now has to come."""
        if self._serving is not None or self._is_deaf:
            return
        if self._is_choked:
            timeout_s = CHOKED_S
        else:
            timeout_s = IDLE_TIMEOUT_S if self._incoming is None else HEAD_TIMEOUT_S
        self._deadline = self._port.now + timeout_s

    def sweep(self) -> None:
        """End what has taken too long; called about once a second."""
        if self._deadline > self._port.now:
            return
        incoming = self._incoming
        if self._is_choked or self._transport.is_closing():
            self._transport.abort()
        elif self._is_deaf or (incoming is not None and incoming.is_dropped):
            self._end()
        elif incoming is not None:
            self._refuse(
                RequestRefused(408, "head_too_slow", "The request's headers did not arrive.")
            )
        else:
            self._end()

    def close(self) -> None:
        """End the connection, with the answer that is on its way."""
        if not self.is_serving:
            self._end()

    def _end(self) -> None:
        """Close once what was written is sent, or when its time is up."""
        self._transport.close()
        self._deadline = self._port.now + CHOKED_S


class _LastBody:
    """What a parser is to tell of that looks for the end of a body alone."""

    def __init__(self, connection: Connection) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_last_complete


def _head_too_long() -> RequestRefused:
    return RequestRefused(
        431, "headers_too_large", f"The headers are longer than {MAX_HEAD_BYTES} bytes."
    )
