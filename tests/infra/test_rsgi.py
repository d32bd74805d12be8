"""Django behind granian's RSGI: what the adapter in config.rsgi has to keep."""

import asyncio
import weakref
from typing import Any

import pytest

from config import env
from config.rsgi import _Answer, _as_asgi, _device_tls


class Stream:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


class Protocol:
    def __init__(self) -> None:
        self.answered: list[Any] = []
        self.stream: weakref.ref[Stream] | None = None
        self.sent: list[bytes] = []

    def response_bytes(self, *answer: Any) -> None:
        self.answered.append(answer)

    def response_stream(self, *answer: Any) -> Stream:
        self.answered.append(answer)
        stream = Stream()
        self.stream, self.sent = weakref.ref(stream), stream.sent
        return stream


START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]}


async def test_an_answer_in_one_piece_is_sent_as_such():
    protocol = Protocol()
    answer = _Answer(protocol)

    await answer.send(START)
    await answer.send({"type": "http.response.body", "body": b"all"})

    assert protocol.answered == [(200, [("x-a", "1")], b"all")]


async def test_a_stream_ends_with_its_last_piece_though_the_answer_lives_on():
    """Browsers on HTTP/2 wait for the end, whatever Content-Length says."""
    protocol = Protocol()
    answer = _Answer(protocol)
    await answer.send(START)
    for piece in (b"a", b"b"):
        await answer.send({"type": "http.response.body", "body": piece, "more_body": True})
    assert protocol.stream is not None
    assert protocol.stream() is not None

    await answer.send({"type": "http.response.body", "body": b"", "more_body": False})

    assert protocol.sent == [b"a", b"b"]
    assert protocol.stream() is None
    assert isinstance(answer, _Answer)


async def test_who_streams_to_nobody_is_stopped():
    from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

    class Gone(Protocol):
        def response_stream(self, *_answer: Any) -> Any:
            class Closed:
                async def send_bytes(self, _data: bytes) -> None:
                    raise ProtocolClosed

            return Closed()

    answer = _Answer(Gone())
    await answer.send(START)

    with pytest.raises(asyncio.CancelledError):
        await answer.send({"type": "http.response.body", "body": b"a", "more_body": True})


def test_http_2_names_the_host_in_a_field_of_its_own():
    class Headers:
        def items(self) -> list[tuple[str, str]]:
            return [("cookie", "a=1"), ("cookie", "b=2")]

    class Scope:
        headers = Headers()
        authority = "acme.localhost:8443"
        http_version, method, scheme, path = "2", "GET", "https", "/a b"
        query_string, server, client = "x=1", "127.0.0.1:8443", "[::1]:50000"

    scope = _as_asgi(Scope())

    assert (b"host", b"acme.localhost:8443") in scope["headers"]
    assert (scope["path"], scope["query_string"]) == ("/a b", b"x=1")
    assert scope["client"] == ("::1", 50000)


@pytest.mark.parametrize("address", ["8444", "127.0.0.1:", "127.0.0.1:0x1", "host:70000", ":8444"])
def test_a_malformed_address_for_devices_is_named(monkeypatch, address):
    monkeypatch.setenv("TAKT_DEVICE_ADDRESS", address)

    with pytest.raises(env.BadSetting, match="TAKT_DEVICE_ADDRESS: expected host:port"):
        env.listener("TAKT_DEVICE_ADDRESS")


def test_an_address_for_devices_may_be_of_either_family(monkeypatch):
    monkeypatch.setenv("TAKT_DEVICE_ADDRESS", "[::1]:8444")
    assert env.listener("TAKT_DEVICE_ADDRESS") == ("::1", 8444)

    monkeypatch.setenv("TAKT_DEVICE_ADDRESS", "")
    assert env.listener("TAKT_DEVICE_ADDRESS") is None


def test_a_certificate_that_is_none_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TAKT_DEVICE_CERTIFICATE", str(tmp_path / "absent.pem"))

    with pytest.raises(env.BadSetting, match="TAKT_DEVICE_CERTIFICATE"):
        _device_tls()
