"""Robustness, "Bad input", over a really served port: a 4xx, all else unaffected, /health in 2 s.

What is wrong inside a body is in `test_answers`, `test_columnar`, `test_line_protocol` and
`test_things`; the flood of keys is in `test_refusals`.
"""

import gzip
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection

import pytest

from tests.telemetry.ingest.conftest import Sender, Server

pytestmark = pytest.mark.slow
PATH = "/api/v1/telemetry"
READING = b'{"values": {"a": 1}}'


def head(sender: Sender, *lines: str, method: str = "POST", path: str = PATH) -> bytes:
    """The head of a request, `lines` being the headers that matter."""
    usual = ["Host: localhost:8443", f"Authorization: Bearer {sender.token}"]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *usual, *lines, "", ""]).encode("latin-1")


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as opened:
        yield opened


def statuses(opened: socket.socket, *, timeout_s: float = 5.0) -> list[int]:
    """The statuses of all answers until the server closes or says nothing more."""
    opened.settimeout(timeout_s)
    received = b""
    try:
        while data := opened.recv(65536):
            received += data
            opened.settimeout(0.2)
    except (TimeoutError, ConnectionError):
        pass
    lines = [line for line in received.split(b"\r\n") if b"HTTP/1.1 " in line]
    return [int(line.split(b"HTTP/1.1 ")[1][:3]) for line in lines]


def ask(server: Server, raw: bytes) -> list[int]:
    with connected(server) as opened:
        with suppress(ConnectionError):  # refused before all of it was sent
            opened.sendall(raw)
        return statuses(opened)


@pytest.fixture(autouse=True)
def _all_else_goes_on(server: Server, oven: Sender) -> Iterator[None]:
    """Whatever a test sends: afterwards all is well, at once and for another factory."""
    yield
    assert_well(server, oven)


def assert_well(server: Server, other: Sender) -> None:
    started = time.monotonic()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/health", headers={"Host": "localhost:8443"})
    answer = connection.getresponse()
    answer.read()
    # Two seconds, on a machine that has its processors to itself.
    limit_s = 2 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert (answer.status, time.monotonic() - started < limit_s) == (200, True)
    connection.request(
        "POST", PATH, READING,
        {"Host": "localhost:8443", "Authorization": f"Bearer {other.token}"},
    )  # fmt: skip
    assert json.loads(connection.getresponse().read())["stored"] == 1
    connection.close()


async def n_rows(sql, sender: Sender):
    return await sql.fetchval(
        f"SELECT count(*) FROM {sender.schema}.reading_hot WHERE device_id = $1", sender.device_id
    )


# -- slow ----------------------------------------------------------------------------------------


def test_a_hundred_slow_heads_and_bodies_hold_up_nobody(server: Server, mill: Sender, oven: Sender):
    opened = [socket.create_connection(("127.0.0.1", server.port), timeout=15) for _ in range(200)]
    try:
        for i, one in enumerate(opened):
            start = head(mill, "Content-Length: 500")
            one.sendall(start[:40] if i % 2 else start + b'{"values"')
        for _ in range(5):
            time.sleep(0.2)
            for i, one in enumerate(opened):
                with suppress(ConnectionError):  # on a busy machine its time is up
                    one.sendall(b"X" if i % 2 else b" ")
            assert_well(server, oven)

        # A body may take 10 s; then its sender is told.
        assert statuses(opened[0], timeout_s=15) == [408]
    finally:
        for one in opened:
            one.close()


# -- large ---------------------------------------------------------------------------------------


def test_a_hundred_megabytes_announced_are_refused_unread(server: Server, mill: Sender):
    started = time.monotonic()

    assert ask(server, head(mill, "Content-Length: 100000000") + b"[" * 1000) == [413]
    assert time.monotonic() - started < 2


def test_a_hundred_megabytes_in_chunks_are_cut_off(server: Server, mill: Sender):
    n_sent = 0
    with connected(server) as opened:
        opened.sendall(head(mill, "Transfer-Encoding: chunked"))
        try:
            for _ in range(1_000):
                opened.sendall(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
                n_sent += 100_000
        except ConnectionError:
            pass
        found = statuses(opened)

    # The answer may be lost when the server closes a connection that is still being written to.
    assert found in ([413], [])
    assert n_sent < 50_000_000 or found == [413]


def test_a_gzip_bomb_is_413(server: Server, mill: Sender):
    bomb = gzip.compress(b"[" + b" " * 200_000_000)

    raw = head(mill, "Content-Encoding: gzip", f"Content-Length: {len(bomb)}") + bomb

    assert ask(server, raw) == [413]


def test_giant_heads_are_refused(server: Server, mill: Sender):
    for lines in ([f"X-Filler: {'x' * 1_000_000}"], [f"X-{i}: x" for i in range(10_000)]):
        found = ask(server, head(mill, *lines, "Content-Length: 20") + READING)
        assert found in ([431], [400], []), found


def test_a_giant_address_is_refused(server: Server, mill: Sender):
    found = ask(server, head(mill, path=PATH + "?" + "x" * 100_000))

    assert found in ([414], [431], [400], [405]), found


# -- strange -------------------------------------------------------------------------------------

INNER = (
    b"POST /api/v1/telemetry HTTP/1.1\r\nHost: localhost:8443\r\n"
    b"Authorization: Bearer %b\r\nContent-Length: 20\r\n\r\n" + READING
)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        ("Transfer-Encoding:\x0bchunked",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: -1",),
        ("Content-Length: 5, 5",),
        ("Content-Length: 99999999999999999999",),
        ("X: 1\r\n Content-Length: 5",),
    ],
)
async def test_a_request_smuggled_in_a_body_is_never_answered(
    server: Server, mill: Sender, oven: Sender, sql, lines: tuple[str, ...]
):
    """Between two readings of one stream the inner request must not become one of its own."""
    inner = INNER % oven.token.encode()

    found = ask(server, head(mill, *lines) + b"0\r\n\r\n" + inner)

    assert await n_rows(sql, oven) == 0
    assert len(found) <= 1
    assert all(400 <= status < 500 for status in found), found


def test_a_well_formed_chunked_body_is_taken(server: Server, mill: Sender):
    body = b"a\r\n" + READING[:10] + b"\r\na\r\n" + READING[10:] + b"\r\n0\r\n\r\n"

    assert ask(server, head(mill, "Transfer-Encoding: chunked") + body) == [200]


@pytest.mark.parametrize("size", [b"zz", b"-1", b"fffffffffffffffff", b"5;" + b"x" * 100_000])
async def test_a_chunk_of_no_size_ends_the_connection(server: Server, mill: Sender, sql, size):
    raw = head(mill, "Transfer-Encoding: chunked") + size + b"\r\nabcde\r\n0\r\n\r\n"

    found = ask(server, raw)

    assert all(400 <= status < 500 for status in found), found
    assert await n_rows(sql, mill) == 0


@pytest.mark.parametrize("method", ["TRACE", "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", [PATH, "/api/v2/write", "/api/v1/{token}/telemetry"])
async def test_other_methods_store_nothing_whatever_they_claim_to_be(
    server: Server, mill: Sender, sql, method: str, path: str
):
    override = ("X-HTTP-Method-Override: POST", "X-Method-Override: POST", "Content-Length: 20")

    raw = head(mill, *override, method=method, path=path.format(token=mill.token)) + READING

    # To the port for devices a method that nobody has heard of is no request.
    assert ask(server, raw) in ([405], [400] if method == "BREW" else [])
    assert await n_rows(sql, mill) == 0


async def test_who_hangs_up_halfway_stores_nothing_and_breaks_nothing(
    server: Server, mill: Sender, sql
):
    for lines, rest in (
        (("Content-Length: 500",), READING),
        (("Transfer-Encoding: chunked",), b"5\r\nab"),
        ((), b""),
    ):
        with connected(server) as opened:
            opened.sendall(head(mill, *lines) + rest)

    assert await n_rows(sql, mill) == 0
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize(
    "start",
    [
        b"POST /api/v1/telemetry\r\n\r\n", b"\x00\xff\xfe", b"\x16\x03\x01\x02\x00\x01",
        b"\r\n" * 9,
        b"POST http://[::1 HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /api/v1/telemetry HTTP/9.9\r\nHost: x\r\n\r\n", b"POST  HTTP/1.1\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(server: Server, start: bytes):
    found = ask(server, start)

    assert all(400 <= status <= 505 and status != 500 for status in found), found


@pytest.mark.parametrize("path", [PATH, "/api/v2/write", "/api/v1/{token}/telemetry",
                                  "/api/v1/{token}/attributes"])  # fmt: skip
@pytest.mark.parametrize(
    "body",
    [b"", b"\x00" * 100, b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'"' * 9_999,
     b"\\" * 9_999, b"a b=\"" + b"\n" * 5_000, b"=" * 9_999, b"," * 9_999],
)  # fmt: skip
def test_no_body_breaks_a_way_in(server: Server, mill: Sender, path: str, body: bytes):
    raw = head(mill, f"Content-Length: {len(body)}", path=path.format(token=mill.token)) + body

    (status,) = ask(server, raw)

    assert 400 <= status < 500 or (not body.strip(b"\x00") and status == 204)
