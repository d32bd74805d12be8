"""A load generator cheap enough to share two cores with what it measures.

Runs in a process of its own: one thread, raw sockets, epoll, requests built before the clock
starts. Every connection sends its next request when the answer to the last has come.
"""

import json
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta


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
    step_ms: int = 1


@dataclass(frozen=True, kw_only=True)
class Result:
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    n_requests: int
    n_errors: int
    client_cpu_share: float


def run(plan: Plan) -> Result:
    """Run a stretch in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=plan.seconds + 60,
    )
    return Result(**json.loads(done.stdout))


def _requests(plan: Plan, device: int) -> Iterator[bytes]:
    """Requests of one device, each with later times; values look like a machine's."""
    chance = random.Random(device)
    at = datetime.fromisoformat(plan.first_at)
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: localhost:8443\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {plan.tokens[device % len(plan.tokens)]}\r\nContent-Length: "
    ).encode()
    minute = [
        (
            f'.%03d%03dZ", "values": {{"spindle_load_pct": {chance.uniform(20, 90):.2f}, '
            f'"vib_rms_mm_s": {chance.uniform(1, 4):.3f}, '
            f'"spindle_temp_c": {chance.uniform(35, 60):.1f}, '
            f'"power_kw": {chance.uniform(2, 11):.2f}}}}}'
        )
        for _ in range(plan.batch)
    ]
    # The seconds differ by request, the milliseconds by reading.
    parts = [text % (i * plan.step_ms % 1000, device % 1000) for i, text in enumerate(minute)]
    template = '{"ts": "@' + ', {"ts": "@'.join(parts)
    if plan.batch > 1:
        template = f"[{template}]"
    body = template.encode()
    while True:
        at += timedelta(seconds=max(1, plan.batch * plan.step_ms // 1000))
        full = body.replace(b"@", at.strftime("%Y-%m-%dT%H:%M:%S").encode())
        yield head + b"%d\r\n\r\n" % len(full) + full


class _Connection:
    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = requests
        self.buffer = b""
        self.sent_at = 0.0

    def send(self) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(next(self.requests))

    def receive(self) -> int:
        """Take what has come; the status once the answer is complete, else 0."""
        data = self.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return 0
        low = head.lower()
        start = low.find(b"content-length: ")
        if start >= 0:
            is_whole = len(body) >= int(low[start + 16 :].split(b"\r\n", 1)[0])
        else:
            is_whole = body.endswith(b"0\r\n\r\n")
        if not is_whole:
            return 0
        self.buffer = b""
        return int(head[9:12])


def _drain(epoll: "select.epoll", connections: "dict[int, _Connection]") -> None:
    """Wait for the answers still under way: what the server has left to do would otherwise
    weigh on the next stretch, which may be the other side's."""
    waiting = set(connections)
    deadline = time.perf_counter() + 45
    while waiting and time.perf_counter() < deadline:
        for descriptor, _ in epoll.poll(1.0):
            if connections[descriptor].receive():
                waiting.discard(descriptor)


def _measure(plan: Plan) -> Result:
    connections = {}
    epoll = select.epoll()
    for device in range(plan.n_connections):
        connection = _Connection(plan.port, _requests(plan, device))
        connections[connection.socket.fileno()] = connection
        epoll.register(connection.socket, select.EPOLLIN)
    latencies: list[float] = []
    n_errors = 0
    cpu = time.process_time()
    start = time.perf_counter()
    for connection in connections.values():
        connection.send()
    # A stretch without a single answer would say nothing: wait for the first one at least.
    while time.perf_counter() - start < plan.seconds or not latencies:
        for descriptor, _ in epoll.poll(1.0):
            connection = connections[descriptor]
            status = connection.receive()
            if status:
                latencies.append(time.perf_counter() - connection.sent_at)
                n_errors += status >= 300
                connection.send()
    seconds = time.perf_counter() - start
    cpu = time.process_time() - cpu
    _drain(epoll, connections)
    latencies.sort()
    return Result(
        requests_per_s=(len(latencies) - n_errors) / seconds,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        n_requests=len(latencies),
        n_errors=n_errors,
        client_cpu_share=cpu / seconds,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(Plan(**json.load(sys.stdin))))))
