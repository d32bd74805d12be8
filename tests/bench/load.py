"""A load generator cheap enough to share two cores with what it measures.

Runs in a process of its own: one thread, raw sockets, epoll, requests rendered before the clock
starts. Every connection sends its next request when the answer to the last has come, or, where
the plan has a pace, so long after it sent the last.
"""

import gc
import json
import select
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tests.bench import bodies

# Twice what one connection can do that waits for each answer.
_MOST_REQUESTS_PER_S = 5_000
# An answer to 500 readings has 200 bytes. Large reads cost a fresh mapping of memory each.
_READ_BYTES = 16_384


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One measured stretch. Each connection is one device, its token taken in turn."""

    port: int
    path: str
    tokens: list[str]
    n_connections: int
    batch: int  # readings a request; 1 is sent as a single object
    seconds: float
    first_at: str  # time of the first reading; later stretches must start later
    form: str = "rows"
    ca_file: str = ""  # TLS, trusting this authority
    every_s: float = 0.0  # from one request of a connection to its next; 0: at once


@dataclass(frozen=True, kw_only=True)
class Result:
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    n_requests: int
    n_late: int  # answered after the stretch: not in the rates, but work was done for them
    n_errors: int
    client_cpu_share: float


def start(plan: Plan) -> "subprocess.Popen[str]":
    """Start a stretch in a process of its own; `finish` gives its result."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(asdict(plan)))
    child.stdin.close()
    child.stdin = None  # or `communicate` would flush it again
    return child


def finish(child: "subprocess.Popen[str]", *, timeout_s: float) -> Result:
    """Wait for the end of a stretch.

    Raises:
        RuntimeError: the generator failed; its reason stands on the terminal.
    """
    try:
        answer, _ = child.communicate(timeout=timeout_s)
    finally:
        child.kill()
    if child.returncode != 0:
        raise RuntimeError("the load generator failed")
    return Result(**json.loads(answer))


def run(plan: Plan) -> Result:
    """Run a stretch in a process of its own."""
    return finish(start(plan), timeout_s=plan.seconds + 60)


class _Connection:
    def __init__(self, plan: Plan, device: int, stamps: list[bytes], tls: Any) -> None:
        self.socket: Any = socket.create_connection(("127.0.0.1", plan.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        # A time-out of its own would cost a system call a message; `finish` has one.
        self.socket.settimeout(None)
        self._is_tls = tls is not None
        token = plan.tokens[device % len(plan.tokens)]
        self._parts = bodies.parts(
            plan.form, path=plan.path, token=token, device=device, batch=plan.batch
        )
        self._stamps = iter(stamps)
        self._buffer = b""
        self.sent_at = 0.0
        self.status = 0

    def send(self) -> None:
        request = next(self._stamps).join(self._parts)
        self.sent_at = time.perf_counter()
        try:
            self.socket.sendall(request)
        except OSError as error:
            # A server that refuses a body unread closes the connection after its answer.
            raise ConnectionError(f"closed after an answer of {self.status}") from error

    def receive(self) -> int:
        """Take what has come; the status once the answer is complete, else 0."""
        data = self.socket.recv(_READ_BYTES)
        while self._is_tls and self.socket.pending():
            data += self.socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the server closed the connection")
        if self._buffer:
            data = self._buffer + data
        if _is_whole(data):
            self._buffer = b""
            self.status = int(data[9:12])
            return self.status
        self._buffer = data
        return 0


def _is_whole(answer: bytes) -> bool:
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    start = answer.find(b"content-length: ", 0, end)
    if start < 0:
        start = answer[:end].lower().find(b"content-length: ")
    if start >= 0:
        return len(answer) - end - 4 >= int(answer[start + 16 : answer.index(b"\r", start)])
    return answer[9:12] == b"204" or answer.endswith(b"0\r\n\r\n")


def _drain(epoll: "select.epoll", waiting: "dict[int, _Connection]") -> int:
    """Wait for the answers still under way and count them: what the server has left to do
    would otherwise weigh on the next stretch, which may be the other side's."""
    n_under_way = len(waiting)
    deadline = time.perf_counter() + 45
    while waiting and time.perf_counter() < deadline:
        for descriptor, _ in epoll.poll(1.0):
            if descriptor in waiting and waiting[descriptor].receive():
                del waiting[descriptor]
    return n_under_way - len(waiting)


def _measure(plan: Plan) -> Result:
    tls = ssl.create_default_context(cafile=plan.ca_file) if plan.ca_file else None
    stamps = bodies.FORMS[plan.form].stamps(
        datetime.fromisoformat(plan.first_at), int(plan.seconds * _MOST_REQUESTS_PER_S)
    )
    connections = {}
    epoll = select.epoll()
    for device in range(plan.n_connections):
        connection = _Connection(plan, device, stamps, tls)
        connections[connection.socket.fileno()] = connection
        epoll.register(connection.socket, select.EPOLLIN)
    gc.collect()
    gc.disable()  # nothing here makes cycles
    return _stretch(plan, epoll, connections)


def _stretch(plan: Plan, epoll: "select.epoll", connections: "dict[int, _Connection]") -> Result:
    latencies: list[float] = []
    resting: deque[_Connection] = deque()
    n_errors = 0
    clock = time.perf_counter
    cpu = time.process_time()
    start = clock()
    for connection in connections.values():
        connection.send()
    # A stretch without a single answer would say nothing: wait for the first one at least.
    while clock() - start < plan.seconds or not latencies:
        wait_s = 1.0
        if resting:
            wait_s = max(0.0, min(wait_s, resting[0].sent_at + plan.every_s - clock()))
        for descriptor, _ in epoll.poll(wait_s):
            connection = connections[descriptor]
            status = connection.receive()
            if status:
                latencies.append(clock() - connection.sent_at)
                n_errors += status >= 300
                if plan.every_s:
                    resting.append(connection)
                else:
                    connection.send()
        while resting and resting[0].sent_at + plan.every_s <= clock():
            resting.popleft().send()
    seconds = clock() - start
    cpu = time.process_time() - cpu
    idle = {connection.socket.fileno() for connection in resting}
    n_late = _drain(epoll, {fd: one for fd, one in connections.items() if fd not in idle})
    latencies.sort()
    return Result(
        requests_per_s=(len(latencies) - n_errors) / seconds,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p95_ms=latencies[len(latencies) * 95 // 100] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        n_requests=len(latencies),
        n_late=n_late,
        n_errors=n_errors,
        client_cpu_share=cpu / seconds,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(Plan(**json.load(sys.stdin))))))
