"""Line protocol to readings, without a server."""

import asyncio

import pytest

from telemetry.ingest import lineprotocol
from telemetry.ingest.decoding import Decoded, ServerTimes
from tests.telemetry.ingest.conftest import Door, Sender

NOW_US = 1_800_000_000_000_000
TIME = 1_700_000_000_000_000


def decode(text: str | bytes, precision: str = "us") -> Decoded:
    return lineprotocol.decode(
        text if isinstance(text, bytes) else text.encode(),
        unit_us=lineprotocol.PRECISIONS[precision],
        now_us=NOW_US,
        server_times=ServerTimes(),
    )


def values(line: str) -> dict:
    found = decode(line)
    assert found.rejected == []
    (reading,) = found.values
    return reading


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("m f=1", {"m.f": 1.0}),
        ("m value=1.5", {"m": 1.5}),
        ("m f=-1.5e3,g=.5,h=2.", {"m.f": -1500.0, "m.g": 0.5, "m.h": 2.0}),
        ("m f=7i,g=7u,h=-7i", {"m.f": 7.0, "m.g": 7.0, "m.h": -7.0}),
        ("m a=t,b=T,c=true,d=True", dict.fromkeys(["m.a", "m.b", "m.c", "m.d"], True)),
        ("m a=f,b=F,c=false,d=False", dict.fromkeys(["m.a", "m.b", "m.c", "m.d"], False)),
        ('m f="a text, with = and spaces"', {"m.f": "a text, with = and spaces"}),
        (r'm f="a \"word\" and a \\ and \n"', {"m.f": r'a "word" and a \ and \n'}),
        ('m f="two\nlines",g=1', {"m.f": "two\nlines", "m.g": 1.0}),
        ('m f="#no comment"', {"m.f": "#no comment"}),
        (r"my\ m\,x f\ g\=h\,i=1", {"my m,x.f g=h,i": 1.0}),
        (r"m,t\ a\=g=v\,w\ x f=1", {"m.f{t a=g=v,w x}": 1.0}),
        ("m,b=2,a=1,host=gw f=1", {"m.f{a=1,b=2}": 1.0}),
        ("m,host=gw value=1", {"m": 1.0}),
        (r"C:\path f=1", {r"C:\path.f": 1.0}),
        ('m,t="q" f="x"', {'m.f{t="q"}': "x"}),
        ("température,ort=Köln wert=1", {"température.wert{ort=Köln}": 1.0}),
        ("  m   f=1   1700000000000000  ", {"m.f": 1.0}),
    ],
)  # fmt: skip
def test_names_types_and_escapes(line: str, expected: dict):
    assert values(line) == expected


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("m", "malformed"), ("m ", "malformed"), ("m f", "malformed"), ("m f=", "malformed"),
        ("m =1", "malformed"), ("m f=1,", "malformed"), (",t=1 f=1", "malformed"),
        ("m,t= f=1", "malformed"), ("m,t f=1", "malformed"), ("m f=1 2 3", "malformed"),
        ('m f="open', "malformed"), ("m f=word", "malformed"), ("m f=1x", "malformed"),
        ("m f=-1u", "malformed"), ("m f=1.5i", "malformed"), ("m f=1_000", "malformed"),
        ("m f=NaN", "not_finite"), ("m f=Inf", "not_finite"), ("m f=-inf", "not_finite"),
        ("m f=1e999", "not_finite"), ("m f=1e308", "number_too_large"),
        ("m f=9007199254740993i", "number_too_large"),
        ("m f=" + "9" * 400 + "i", "number_too_large"),
        ("m f=1 soon", "bad_time"), ("m f=1 1.5", "bad_time"), ("m f=1 -1", "bad_time"),
        ("m f=1 1700000000", "bad_time"), ("m f=1 " + "9" * 400, "bad_time"),
        ("m f=1 1900000000000000", "in_the_future"),
        ("k" * 127 + " ff=1", "key_too_long"), ("m\x07 f=1", "bad_key"), ("m\x00 f=1", "bad_key"),
        ('m f="' + "t" * 257 + '"', "text_too_long"), ('m f="\x00"', "bad_text"),
        (b"m f=\"\xff\"", "bad_text"), (b"m\xff f=1", "bad_key"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_and_sinks_nothing_else(line, code: str):
    line = line if isinstance(line, bytes) else line.encode()
    good = b"good value=1 %d"

    found = decode(b"\n".join([good % TIME, b"# a comment", b"", line, good % (TIME + 1)]))

    assert [r.code for r in found.rejected] == [code]
    assert found.rejected[0].index == 3
    assert found.values == [{"good": 1.0}, {"good": 1.0}]
    assert found.rejected[0].item


def test_a_quote_that_never_ends_refuses_its_line_only():
    body = "\n".join(['m f="open', *[f"good value={i} {TIME + i}" for i in range(40)]])

    found = decode(body)

    assert [r.index for r in found.rejected] == [0]
    assert len(found.values) == 40


def test_lines_of_one_time_become_one_reading_unless_they_say_a_key_twice():
    lines = [f"cpu,cpu=cpu{i},host=gw usage={i} {TIME}" for i in range(3)]

    found = decode("\r\n".join([*lines, f"mem used=5i {TIME}", f"mem used=6i {TIME}"]))

    assert found.values == [
        {"cpu.usage{cpu=cpu0}": 0.0, "cpu.usage{cpu=cpu1}": 1.0, "cpu.usage{cpu=cpu2}": 2.0,
         "mem.used": 5.0},
        {"mem.used": 6.0},
    ]  # fmt: skip
    assert found.times == [TIME, TIME]
    assert found.n_received == 2


def test_lines_without_a_time_are_readings_of_their_own():
    found = decode("m f=1\nm f=2")

    assert len(set(found.times)) == 2
    assert all(0 <= time - NOW_US < 10 for time in found.times)


@pytest.mark.parametrize(
    ("precision", "stamp"),
    [("ns", TIME * 1000 + 999), ("us", TIME), ("ms", TIME // 1000), ("s", TIME // 10**6)],
)
def test_times_are_kept_to_the_microsecond(precision: str, stamp: int):
    assert decode(f"m f=1 {stamp}", precision).times == [TIME]


# -- through the door ----------------------------------------------------------------------------


async def test_both_addresses_and_both_schemes_are_taken(door: Door, mill: Sender):
    token = {"authorization": f"Token {mill.token}"}
    for path in ("/api/v2/write?org=o&bucket=b&precision=s", "/write?db=d&precision=s"):
        for headers in ({}, token):
            answer = await door.post(
                b"m f=1 1700000000", path=path, headers=headers, sender=None if headers else mill
            )
            assert (answer.status, answer.body) == (204, {})
            assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/write?db=d&u=x&p={token}", {}, 401, "unauthorized"),
        ("/write?db=d", {"authorization": "Basic dDp0"}, 401, "unauthorized"),
        ("/api/v2/write?precision=weeks", None, 400, "invalid"),
        ("/api/v2/write", {"content-encoding": "br"}, 415, "invalid"),
        ("/api/v2/write", {"content-length": "100000000"}, 413, "request too large"),
    ],
)
async def test_refusals_have_influxdb_s_form(door: Door, mill: Sender, path, headers, status, code):
    anonymous = status == 401
    answer = await door.post(
        b"m f=1",
        path=path.format(token=mill.token),
        headers=headers,
        sender=None if anonymous else mill,
    )

    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["message"]


async def test_too_many_lines_and_too_fast_are_told_apart(door: Door, mill: Sender, set_limits):
    many = b"\n".join(b"m f=1 %d" % (1_700_000_000 + i) for i in range(10_001))
    path = "/api/v2/write?precision=s"

    assert (await door.post(many, path=path, sender=mill)).status == 413

    await set_limits("mills", readings_per_s=1)
    await asyncio.sleep(1.5)
    batch = b"\n".join(many.split(b"\n")[:9_000])
    statuses = [(await door.post(batch, path=path, sender=mill)) for _ in range(3)]
    assert statuses[-1].status == 429
    assert int(statuses[-1].headers["retry-after"]) > 1
