"""A port for devices alone: the ways in of `dialects`, and nothing of the portal.

It stands beside the server of the portal, in the same process and event loop, and hands its
requests to the same `IngestApp`. A plant may let its machines reach this port and no other.
"""

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

import httptools
import structlog

from telemetry.ingest import dialects
from telemetry.ingest.app import IngestApp
from telemetry.ingest.dialects import NATIVE, Answer
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.wire import Connection, Message

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 10_000
BACKLOG = 2048
HANDSHAKE_TIMEOUT_S = 10.0
# Requests under way may end for so long when the process stops.
CLOSING_S = 3.0
_SWEEP_S = 1.0
# What a process opens besides: the portal's connections, the database's, modules.
_OTHER_FILES = 2_000
_NATIVE_URL = dialects.PATH.encode()


class DevicePort:
    """Listens, counts connections, and finds out what a request is for."""

    def __init__(
        self,
        ingest: IngestApp,
        *,
        portal_url: str,
        tls: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._ingest = ingest
        self._portal_url = portal_url
        self._tls = tls
        self._max_connections = max_connections
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._deserted = asyncio.Event()
        self.is_closing = False
        self._tell_time()

    # -- life --------------------------------------------------------------------------------------

    async def open(self, listener: socket.socket) -> None:
        """Take connections from a bound socket, until `close`."""
        self.loop = asyncio.get_running_loop()
        self._tell_time()
        _allow_files(self._max_connections + _OTHER_FILES)
        # A database that is away may come; requests get 503 until then.
        with contextlib.suppress(RequestRefused):
            await self._ingest.startup()
        self._server = await self.loop.create_server(
            lambda: Connection(self),
            sock=listener,
            backlog=BACKLOG,
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if self._tls else None,
        )
        self._sweeping = self.loop.create_task(self._run())

    async def close(self) -> None:
        """Take no more; answer what is under way, for `CLOSING_S` at most."""
        self.is_closing = True
        if self._server is None or self._sweeping is None:
            return
        self._server.close()
        self._sweeping.cancel()
        for connection in list(self._connections):
            connection.close()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._deserted.wait(), CLOSING_S)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._tell_time()
            self._sweep()

    def _sweep(self) -> None:
        # Not in the coroutine, which would hold the last one while it sleeps.
        for connection in list(self._connections):
            connection.sweep()

    def _tell_time(self) -> None:
        self.now = time.monotonic()
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()

    # -- for connections ---------------------------------------------------------------------------

    def arrived(self, connection: Connection) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self._max_connections

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self.is_closing and not self._connections:
            self._deserted.set()

    async def answer(self, message: Message) -> Answer:
        if message.url == _NATIVE_URL:
            return await self._ingest.respond(
                NATIVE, message.method, message.request, message.receive
            )
        scope = _scope(message)
        dialect = NATIVE if scope["path"] == dialects.PATH else dialects.find(scope)
        if dialect is not None:
            return await self._ingest.respond(
                dialect, message.method, message.request, message.receive
            )
        if dialects.answers_ping(scope):
            return dialects.PONG
        if scope["path"] == "/health" and message.method in ("GET", "HEAD"):
            return 200, ((b"content-type", b"application/json"),), b'{"status":"ok"}'
        raise RequestRefused(
            404,
            "not_found",
            f"This port takes what devices send; all else is at {self._portal_url}.",
        )


def _allow_files(n: int) -> None:
    """Let the process have so many files open, as far as its machine lets it; often it is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = n if hard == resource.RLIM_INFINITY else min(n, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _scope(message: Message) -> dict[str, Any]:
    """What `dialects` has to know of a request."""
    try:
        url = httptools.parse_url(message.url)
    except httptools.HttpParserInvalidURLError:
        raise RequestRefused(400, "bad_request", "The address is malformed.") from None
    return {
        "method": message.method,
        "path": unquote((url.path or b"/").decode("latin-1")),
        "query_string": url.query or b"",
    }


def bound(host: str, port: int) -> socket.socket:
    """Bind a socket, beside those of the other processes that serve the port.

    Raises:
        OSError: it cannot be had.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def tls(*, certificate: str, key: str) -> ssl.SSLContext:
    """What a device that speaks TLS 1.2 or later is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Old gateways speak nothing newer.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
