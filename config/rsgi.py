"""The door as granian opens it fastest: RSGI, which makes no dicts of a request.

Single readings are answered here; all else goes on to `config.asgi` as ASGI. At 256 senders a
reading takes a seventh less CPU than through granian's own ASGI.
RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

import asyncio
import ssl
from typing import Any

from django.conf import settings
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]  # is its public name

from config import env
from config.asgi import application as asgi
from config.asgi import ingest
from telemetry.ingest import device_port, dialects
from telemetry.ingest.device_port import DevicePort
from telemetry.ingest.rsgi import Message, receiver, texts


class _Application:
    """What granian calls: at the start and end of a process, and for each request."""

    _devices: DevicePort | None = None

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the port for devices, where one is wanted (`TAKT_DEVICE_ADDRESS`)."""
        address = env.listener("TAKT_DEVICE_ADDRESS")
        if address is None:
            return
        self._devices = DevicePort(ingest, portal_url=settings.BASE_URL, tls=_device_tls())
        # Bound here and now: a port that cannot be had ends the process rather than being missed.
        self._opening = loop.create_task(self._devices.open(device_port.bound(*address)))
        self._opening.add_done_callback(
            asyncio.Task.result
        )  # a failure is raised where it is logged

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        if scope.path == dialects.PATH:
            await ingest.serve_rsgi(dialects.NATIVE, scope, protocol)
            return
        answer = _Answer(protocol)
        await asgi(_as_asgi(scope), receiver(protocol), answer.send)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what devices have under way."""
        if self._devices is not None:
            loop.run_until_complete(self._devices.close())


application = _Application()


def _device_tls() -> ssl.SSLContext | None:
    certificate, key = env.text("TAKT_DEVICE_CERTIFICATE"), env.text("TAKT_DEVICE_KEY")
    if not certificate:
        return None
    try:
        return device_port.tls(certificate=certificate, key=key)
    except OSError as error:  # of SSL too
        raise env.BadSetting(
            "TAKT_DEVICE_CERTIFICATE", f"and TAKT_DEVICE_KEY name no certificate: {error}"
        ) from error


def _as_asgi(scope: Any) -> Message:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in scope.headers.items()
    ]
    if scope.authority is not None and not any(name == b"host" for name, _ in headers):
        # HTTP/2 names the host in a field of its own.
        headers.append((b"host", scope.authority.encode("latin-1")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "query_string": scope.query_string.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "server": _address(scope.server),
        "client": _address(scope.client),
    }


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class _Answer:
    """ASGI's `send`: an answer in one piece as such, one in several as a stream."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._status = 500
        self._headers: list[tuple[str, str]] = []
        self._stream: Any = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = texts(message["headers"])
            return
        body, has_more = message.get("body", b""), message.get("more_body", False)
        if self._stream is None and not has_more:
            if body:
                self._protocol.response_bytes(self._status, self._headers, bytes(body))
            else:
                self._protocol.response_empty(self._status, self._headers)
            return
        if self._stream is None:
            self._stream = self._protocol.response_stream(self._status, self._headers)
        if body:
            try:
                await self._stream.send_bytes(bytes(body))
            except ProtocolClosed:
                # Who streams to nobody is to stop, as at the end of the connection.
                raise asyncio.CancelledError from None
        if not has_more:
            # Letting go of it ends the stream; Django's frames may live on for a while.
            self._stream = None
