"""The road between a client and Takt, on which requests are turned back and answers are lost."""

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.clients.takt import Takt

# As a proxy whose Takt is away words it.
_TURNED_BACK = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 5\r\n\r\naway\n"
)


@dataclass
class Road:
    """Where a client finds Takt.

    `ahead` says what becomes of the next requests ("turned back", "request lost" before it came
    to Takt, or "answer lost" after Takt gave it); of the others `loses` is the share that is lost.
    """

    url: str
    port: int
    ahead: list[str] = field(default_factory=list)
    loses: float = 0.0
    n_lost: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(11))
    ends: list[socket.socket] = field(default_factory=list)

    def fate(self) -> str:
        if self.ahead:
            return self.ahead.pop(0)
        if self.chance.random() < self.loses:
            return self.chance.choice(["request lost", "answer lost"])
        return ""


@contextmanager
def road(takt: Takt, *, tls: bool = True) -> Iterator[Road]:
    """Open a road to Takt; without `tls` its near end is plain, for clients that speak no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = Road(f"{'https' if tls else 'http'}://localhost:{port}", port)
        near = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
        if near is not None:
            near.load_cert_chain(takt.certificates.certificate, takt.certificates.key)
        threads: list[threading.Thread] = []
        stopped = threading.Event()

        def accept() -> None:
            while True:
                client, _ = listener.accept()
                if stopped.is_set():
                    client.close()
                    return
                found.ends.append(client)
                threads.append(threading.Thread(target=_carry, args=(client, near, found, takt)))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield found
        finally:
            stopped.set()
            socket.create_connection(("127.0.0.1", port)).close()
            accepting.join()
            for end in found.ends:
                with contextlib.suppress(OSError):  # closed already
                    end.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _carry(client: socket.socket, near: ssl.SSLContext | None, road: Road, takt: Takt) -> None:
    """Carry requests and answers, one after the other, until a side ends or one is lost."""
    far = ssl.create_default_context(cafile=str(takt.ca_file))
    client.settimeout(20)
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        stack.enter_context(client)
        if near is not None:
            client = stack.enter_context(near.wrap_socket(client, server_side=True))
            road.ends.append(client)
        raw = socket.create_connection(("127.0.0.1", takt.port), timeout=20)
        server = stack.enter_context(far.wrap_socket(raw, server_hostname="localhost"))
        while True:
            request = _message(client)
            fate = road.fate()
            if fate == "turned back":
                client.sendall(_TURNED_BACK)
                continue
            if fate == "request lost":
                road.n_lost += 1
                return
            server.sendall(request)
            answer = _message(server)
            if fate == "answer lost":
                road.n_lost += 1
                return
            client.sendall(answer)


def _message(end: socket.socket) -> bytes:
    """Read one request or answer whole; all of them here carry a length, or have no body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(end)
    head = data.partition(b"\r\n\r\n")[0]
    fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:])
    while len(data) < len(head) + 4 + int(fields.get(b"content-length", 0)):
        data += _some(end)
    return data


def _some(end: socket.socket) -> bytes:
    data = end.recv(65536)
    if not data:
        raise ConnectionError
    return data
