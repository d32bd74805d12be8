"""The port for devices: what its own HTTP has to keep, spoken over real sockets."""

import asyncio
import contextlib
import datetime as dt
import gc
import gzip
import json
import ssl
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.certificates import Certificates
from telemetry.ingest import device_port, wire
from telemetry.ingest.app import IngestApp
from telemetry.ingest.device_port import DevicePort
from tests.bench.installation import free_port
from tests.telemetry.ingest.conftest import Sender, until

PATH = "/api/v1/telemetry"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Line:
    """A connection, as a device holds it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, has_body: bool = True) -> Answer:
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0)) if has_body else 0
        body = await self.reader.readexactly(length)
        return Answer(int(first.split()[1]), headers, json.loads(body or b"{}"))

    async def statuses(self, n: int) -> list[int]:
        return [(await self.answer()).status for _ in range(n)]

    async def is_closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(1), 5) == b""
        except ConnectionResetError:
            return True


@dataclass
class Site:
    """The port, listening."""

    port: DevicePort
    address: tuple[str, int]
    tls: ssl.SSLContext | None = None
    lines: list[Line] = field(default_factory=list)

    async def line(self) -> Line:
        streams = await asyncio.open_connection(*self.address, ssl=self.tls)
        self.lines.append(Line(*streams))
        return self.lines[-1]


@pytest.fixture
async def opened(ingest: IngestApp) -> AsyncIterator[Callable[..., Any]]:
    """Open a port; all of them are closed after the test."""
    sites: list[Site] = []

    async def open_port(client_tls: ssl.SSLContext | None = None, **options: Any) -> Site:
        address = ("127.0.0.1", free_port())
        port = DevicePort(ingest, portal_url="https://takt.example", **options)
        await port.open(device_port.bound(*address))
        sites.append(Site(port, address, client_tls))
        return sites[-1]

    yield open_port
    for site in sites:
        for line in site.lines:
            line.writer.close()
        await site.port.close()


@pytest.fixture
async def site(opened: Callable[..., Any]) -> Site:
    site: Site = await opened()
    return site


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LINGER_S", 0.2)
    monkeypatch.setattr(device_port, "_SWEEP_S", 0.1)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is late sooner."""
    for name in ("HEAD_TIMEOUT_S", "IDLE_TIMEOUT_S", "CHOKED_S"):
        monkeypatch.setattr(wire, name, 0.3)


def reading(n: int = 0) -> bytes:
    return json.dumps({"ts": f"2026-11-17T12:00:00.{n:06d}Z", "values": {"a": n}}).encode()


def request(
    sender: Sender,
    body: bytes,
    *more: str,
    path: str = PATH,
    method: str = "POST",
    version: str = "1.1",
    length: int | None = None,
) -> bytes:
    lines = [
        f"{method} {path} HTTP/{version}",
        "Host: localhost:8444",
        f"Authorization: Bearer {sender.token}",
        *([] if length == 0 else [f"Content-Length: {len(body) if length is None else length}"]),
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def stored(answer: Answer) -> int:
    n: int = answer.body["stored"]
    return n


# -- what is answered ----------------------------------------------------------------------------


async def test_readings_of_one_connection_are_answered_one_by_one(site: Site, mill: Sender, sql):
    line = await site.line()
    for n in range(3):
        line.send(request(mill, reading(n)))
        answer = await line.answer()
        assert (answer.status, stored(answer)) == (200, 1)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["date"].endswith("GMT")

    assert await _n_stored(sql, mill) == 3


async def test_what_is_sent_ahead_is_answered_in_its_order(site: Site, mill: Sender, sql):
    line = await site.line()
    bodies = [reading(0), b"[", reading(1), reading(0), b"{}"]
    line.send(b"".join(request(mill, body) for body in bodies))

    answers = [await line.answer() for _ in bodies]

    assert [answer.status for answer in answers] == [200, 400, 200, 200, 422]
    assert answers[3].body["duplicates"] == 1
    assert await _n_stored(sql, mill) == 2


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_however_requests_are_cut_they_are_answered_alike(data: st.DataObject):
    """No network, no database: the parser's callbacks and the order of the answers."""
    bodies = data.draw(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
    chunked = data.draw(st.lists(st.booleans(), min_size=len(bodies), max_size=len(bodies)))
    sent = b"".join(
        _chunked(body, data.draw(st.integers(1, 9)))
        if is_chunked
        else b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for body, is_chunked in zip(bodies, chunked, strict=True)
    )
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=12)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    assert asyncio.run(_spoken(pieces)) == bodies


def _chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


class _Echo:
    """A port whose answer is the body."""

    now, date, is_closing = 0.0, b"date: today\r\n", False

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def arrived(self, _connection: Any) -> bool:
        return True

    def left(self, _connection: Any) -> None:
        pass

    async def answer(self, message: wire.Message) -> tuple[int, Any, bytes]:
        body, is_more = b"", True
        while is_more:
            got = await message.receive()
            body, is_more = body + got["body"], got["more_body"]
            await asyncio.sleep(0)
        return 200, (), body


class _Transport:
    def __init__(self) -> None:
        self.written = b""
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


async def _spoken(pieces: list[bytes]) -> list[bytes]:
    transport, connection = _Transport(), wire.Connection(_Echo())
    connection.connection_made(transport)
    for piece in pieces:
        while not transport.is_reading:  # noqa: ASYNC110  turns of the loop are what is tried
            await asyncio.sleep(0)
        if piece:
            connection.data_received(piece)
        await asyncio.sleep(0)
    while connection.is_serving:  # noqa: ASYNC110
        await asyncio.sleep(0)
    answers, rest = [], transport.written
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        answers.append(rest[:length])
        rest = rest[length:]
    return answers


async def test_a_body_may_come_in_chunks_and_zipped(site: Site, mill: Sender):
    line = await site.line()
    body = gzip.compress(reading())
    line.send(
        request(mill, b"", "Transfer-Encoding: chunked", "Content-Encoding: gzip", length=0)
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )

    assert stored(await line.answer()) == 1


async def test_who_asks_whether_to_go_on_is_told(site: Site, mill: Sender):
    line = await site.line()
    body = reading()
    line.send(request(mill, b"", "Expect: 100-continue", length=len(body)))
    assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    line.send(body)
    assert stored(await line.answer()) == 1

    # And who is refused anyhow need not send it.
    nobody = Sender(mill.schema, mill.factory_id, 0, "takt_dev_nobody")
    line.send(request(nobody, b"", "Expect: 100-continue", length=1000))
    assert (await line.answer()).status == 401
    assert await line.is_closed()


@pytest.mark.parametrize(
    ("version", "more", "stays"),
    [
        ("1.0", (), False),
        ("1.0", ("Connection: keep-alive",), True),
        ("1.1", ("Connection: close",), False),
        ("1.1", (), True),
        # Java and curl ask for HTTP/2 like this; nobody has to grant it.
        (
            "1.1",
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: A"),
            False,
        ),
    ],
)
async def test_the_connection_stays_as_both_sides_say(
    site: Site, mill: Sender, version: str, more: tuple[str, ...], stays: bool
):
    line = await site.line()
    line.send(request(mill, reading(), *more, version=version))
    answer = await line.answer()

    assert (answer.status, stored(answer)) == (200, 1)
    assert (answer.headers.get("connection") == "close") is not stays
    if stays:
        line.send(request(mill, reading(1), *more, version=version))
        assert stored(await line.answer()) == 1
    else:
        assert await line.is_closed()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("HEAD", "/health", 200),
        ("GET", "/ping", 204),
        ("GET", "/", 404),
        ("GET", "/start/", 404),
        ("GET", "/api/v1/devices/", 404),
        ("POST", "/health", 404),
        ("POST", "//", 404),
        ("GET", PATH, 405),
        ("POST", "/api/v1/%74elemetry", 200),
        ("POST", "http://localhost:8444/api/v1/telemetry", 200),
        ("POST", PATH + "?precision=ms", 200),
    ],
)
async def test_nothing_but_what_devices_send_is_found_here(
    site: Site, mill: Sender, method: str, path: str, status: int
):
    line = await site.line()
    line.send(request(mill, reading() if method == "POST" else b"", path=path, method=method))
    answer = await line.answer(has_body=method != "HEAD")

    assert answer.status == status
    if status == 404:
        assert "https://takt.example" in answer.body["message"]
    line.send(request(mill, reading(1)))
    assert (await line.answer()).status == 200


async def test_a_device_of_another_factory_is_a_stranger(site: Site, mill: Sender):
    line = await site.line()
    raw = request(mill, reading()).replace(b"localhost:8444", b"bakery.localhost:8444")
    line.send(raw)

    assert (await line.answer()).status == 401


# -- what is refused, and what becomes of the connection -----------------------------------------


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\n Folded: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nA : b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", 400),
        (b"POST / HTTP/3.7\r\n\r\n", 400),
        (b"POST /%s HTTP/1.1\r\n\r\n" % (b"a" * 20_000), 431),
        (b"POST / HTTP/1.1\r\n" + b"A: b\r\n" * 4_000 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nA: " + b"a" * 20_000, 431),
    ],
)
async def test_what_is_no_request_ends_the_connection_after_all_before_it(
    site: Site, mill: Sender, raw: bytes, status: int
):
    line = await site.line()
    line.send(request(mill, reading(0)) + request(mill, reading(1)) + raw)

    assert await line.statuses(3) == [200, 200, status]
    assert await line.is_closed()


async def test_a_short_refused_body_leaves_the_connection(site: Site, mill: Sender):
    """Under load a refusal must not cost every sender a connection, and a handshake."""
    nobody = Sender(mill.schema, mill.factory_id, 0, "takt_dev_nobody")
    line = await site.line()
    line.send(request(nobody, b"", length=len(reading())))
    assert (await line.answer()).status == 401
    line.send(reading())

    line.send(request(mill, reading()))
    assert stored(await line.answer()) == 1


async def test_a_long_refused_body_gets_its_answer_while_it_is_sent(site: Site, mill: Sender):
    line = await site.line()
    line.send(request(mill, b"x" * 100_000, length=100_000_000))
    answer = await line.answer()
    assert (answer.status, answer.headers["connection"]) == (413, "close")

    # A sender that does not look at answers is listened to for a while, rather than reset.
    line.send(b"x" * 100_000)
    await line.writer.drain()
    assert await line.is_closed()


async def test_a_body_that_waits_for_its_reader_waits_at_the_sender():
    """More than is looked at is not taken in."""
    transport, port = _Transport(), _Echo()
    told = asyncio.Event()

    async def answer(message: wire.Message) -> tuple[int, Any, bytes]:
        await told.wait()
        got = await message.receive()
        return 200, (), b"%d" % len(got["body"])

    port.answer = answer  # type: ignore[method-assign]
    connection = wire.Connection(port)
    connection.connection_made(transport)
    connection.data_received(b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 70_000)
    was_reading = transport.is_reading

    told.set()
    await until(lambda: transport.written)
    assert (was_reading, transport.is_reading) == (False, True)
    assert transport.written.endswith(b"70000")


@pytest.mark.usefixtures("hurried")
async def test_whoever_is_too_slow_is_let_go(site: Site, mill: Sender):
    idle, head, body, refused, resting = [await site.line() for _ in range(5)]
    resting.send(request(mill, reading()))
    assert (await resting.answer()).status == 200
    head.send(b"POST /api/v1/telemetry HTTP/1.1\r\nHost: a")
    body.send(request(mill, b"[", length=50))
    nobody = Sender(mill.schema, mill.factory_id, 0, "takt_dev_nobody")
    refused.send(request(nobody, b"[", length=50))

    assert (await head.answer()).body["code"] == "head_too_slow"
    assert (await body.answer()).body["code"] == "body_too_slow"
    assert (await refused.answer()).status == 401
    for line in (idle, head, body, refused, resting):
        assert await line.is_closed()


@pytest.mark.usefixtures("hurried")
async def test_who_takes_no_answers_is_let_go(site: Site, mill: Sender):
    line = await site.line()
    transport: Any = line.writer.transport
    transport.pause_reading()
    asked = request(mill, b"", path="/" + "n" * 2000, method="GET") * 50

    async def ask() -> None:
        while True:
            line.send(asked)
            await line.writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(ask(), 20)

    assert not site.port._connections


@pytest.mark.parametrize("endless", [b"A: b\r\n", b"A", b"1;extension=of-a-chunk\r\n \r\n"])
async def test_what_comes_around_a_body_is_bounded(
    site: Site, mill: Sender, sql, endless: bytes, monkeypatch: pytest.MonkeyPatch
):
    """Trailers, one trailer without an end, lengths of chunks: nothing of it is kept for long."""
    monkeypatch.setattr(wire, "MAX_AROUND_BYTES", 100_000)
    line = await site.line()
    last = b"" if endless.startswith(b"1") else b"0\r\n"
    line.send(request(mill, b"", "Transfer-Encoding: chunked", length=0))
    line.send(b"%x\r\n%b\r\n%b" % (len(reading()), reading(), last))
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            line.send(endless * 2_000)
            await line.writer.drain()

    assert (await line.answer()).body["code"] == "incomplete_body"
    assert await line.is_closed()
    assert await _n_stored(sql, mill) == 0


async def test_trailers_are_taken_and_mean_nothing(site: Site, mill: Sender):
    line = await site.line()
    body = b"%x\r\n%b\r\n0\r\nAuthorization: Bearer takt_dev_other\r\n\r\n"
    line.send(
        request(mill, body % (len(reading()), reading()), "Transfer-Encoding: chunked", length=0)
    )
    assert stored(await line.answer()) == 1


async def test_a_broken_chunk_stores_nothing(site: Site, mill: Sender, sql):
    line = await site.line()
    half = b"%x\r\n%b\r\n" % (len(reading()), reading())
    line.send(request(mill, half + b"zz\r\n", "Transfer-Encoding: chunked", length=0))

    assert (await line.answer()).body["code"] == "incomplete_body"
    assert await line.is_closed()
    assert await _n_stored(sql, mill) == 0


async def test_who_hangs_up_in_the_middle_leaves_nothing(site: Site, mill: Sender, sql):
    line = await site.line()
    line.send(request(mill, reading()[:10], length=len(reading())))
    await line.writer.drain()
    await until(lambda: any(one.is_serving for one in site.port._connections))
    line.writer.close()
    await until(lambda: not site.port._connections, at_most_s=0.1)

    assert await _n_stored(sql, mill) == 0


async def test_a_connection_that_ended_leaves_nothing_for_the_collector(site: Site, mill: Sender):
    gc.collect()
    gc.disable()
    try:
        line = await site.line()
        line.send(request(mill, reading()))
        assert stored(await line.answer()) == 1
        (connection,) = site.port._connections
        known = weakref.ref(connection)
        del connection
        line.writer.close()
        await until(lambda: known() is None, at_most_s=0.1)
    finally:
        gc.enable()


async def test_a_fault_of_ours_is_told_as_such_and_harms_no_other(
    site: Site, mill: Sender, monkeypatch: pytest.MonkeyPatch
):
    line = await site.line()
    with monkeypatch.context() as patch:
        patch.setattr(site.port._ingest, "respond", lambda *_: 1 / 0)
        line.send(request(mill, reading()))
        assert (await line.answer()).status == 500

    line.send(request(mill, reading()))
    assert stored(await line.answer()) == 1


# -- the port ------------------------------------------------------------------------------------


async def test_beyond_the_limit_who_comes_is_told_to_come_again(opened, mill: Sender):
    site = await opened(max_connections=2)
    first, second = await site.line(), await site.line()
    for line in (first, second):
        line.send(request(mill, b"[]"))
        assert (await line.answer()).status == 200

    third = await site.line()
    assert (await third.answer()).status == 503
    assert await third.is_closed()


@contextlib.asynccontextmanager
async def _held(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """Requests wait until the event is set."""
    go_on, respond = asyncio.Event(), site.port._ingest.respond

    async def later(*arguments: Any) -> Any:
        await go_on.wait()
        return await respond(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(site.port._ingest, "respond", later)
        yield go_on


async def test_closing_answers_what_is_under_way(site: Site, mill: Sender, monkeypatch):
    busy, idle = await site.line(), await site.line()
    async with _held(site, monkeypatch) as go_on:
        busy.send(request(mill, reading()))
        idle.send(b"")
        await until(lambda: any(one.is_serving for one in site.port._connections))
        closing = asyncio.create_task(site.port.close())
        assert await idle.is_closed()
        go_on.set()
        answer = await busy.answer()
        await closing

    assert (stored(answer), answer.headers["connection"]) == (1, "close")
    assert await busy.is_closed()
    with pytest.raises(OSError):  # noqa: PT011  refused or reset
        await site.line()


async def test_two_processes_may_serve_one_port(ingest: IngestApp, site: Site):
    second = DevicePort(ingest, portal_url="https://takt.example")
    await second.open(device_port.bound(*site.address))
    await second.close()

    with pytest.raises(OSError, match=r"assign|Name"):
        device_port.bound("no-such-host.invalid", 1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_it_speaks_tls(opened, mill: Sender, tmp_path: Path, version: ssl.TLSVersion):
    certificates = Certificates(tmp_path)
    certificates.ensure(now=dt.datetime.now(dt.UTC))
    client = ssl.create_default_context(cafile=str(certificates.authority))
    client.maximum_version = version
    # The certificate names localhost and the loopback address.
    site = await opened(
        client_tls=client,
        tls=device_port.tls(certificate=str(certificates.certificate), key=str(certificates.key)),
    )
    line = await site.line()
    for n in range(2):
        line.send(request(mill, reading(n)))
        assert stored(await line.answer()) == 1


async def _n_stored(sql: Any, sender: Sender) -> int:
    n: int = await sql.fetchval(
        f"SELECT count(*) FROM {sender.schema}.reading_hot WHERE device_id = $1", sender.device_id
    )
    return n
