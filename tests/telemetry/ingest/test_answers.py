"""What a sender is told, and that it is true."""

# ruff: noqa: UP031  braces of JSON read better with percent

import asyncio
import gzip
import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from tests.telemetry.ingest.conftest import Door, Sender
from tests.telemetry.ingest.stored import current

NOON = "2026-11-17T12:00:00Z"


async def n_rows(sql, sender: Sender):
    return await sql.fetchval(
        f"SELECT count(*) FROM {sender.schema}.reading_hot WHERE device_id = $1", sender.device_id
    )


async def test_a_single_reading_is_stored_and_readable_at_once(door: Door, mill: Sender, sql):
    answer = await door.post({"ts": NOON, "values": {"load_pct": 58.25}}, sender=mill)

    assert (answer.status, answer.counts) == (200, (1, 1, 0, 0))
    row = await sql.fetchrow(
        "SELECT ts, vals FROM mills.reading_hot WHERE device_id = $1", mill.device_id
    )
    assert row["ts"] == datetime(2026, 11, 17, 12, tzinfo=UTC)
    assert row["vals"] == [58.25]


@pytest.mark.parametrize(
    "body",
    [
        {"ts": NOON, "values": {"a": 1}},
        [{"ts": NOON, "values": {"a": 1}}],
        {"readings": [{"ts": NOON, "values": {"a": 1}}]},
        {"ts": 1_795_435_200_000, "values": {"a": 1}},
        {"ts": "2026-11-17T14:00:00+02:00", "values": {"a": 1}},
        {"ts": "2026-11-17 12:00:00.000000z", "values": {"a": 1}},
        {"values": {"a": 1}},
    ],
)
async def test_each_form_of_a_body_is_taken(door: Door, mill: Sender, body):
    answer = await door.post(body, sender=mill)

    assert (answer.status, answer.counts) == (200, (1, 1, 0, 0))


async def test_readings_without_a_time_are_readings_of_their_own(door: Door, mill: Sender, sql):
    answer = await door.post([{"values": {"a": 1}}, {"values": {"a": 2}}], sender=mill)

    assert answer.counts == (2, 2, 0, 0)
    assert await n_rows(sql, mill) == 2


async def test_an_empty_list_is_a_receipt_of_nothing(door: Door, mill: Sender):
    answer = await door.post([], sender=mill)

    assert (answer.status, answer.counts) == (200, (0, 0, 0, 0))


async def test_numbers_texts_and_booleans_are_stored_as_numbers_and_codes(
    door: Door, mill: Sender, sql
):
    await door.post(
        {"ts": NOON, "values": {"x": -0.5, "on": True, "execution": "ACTIVE"}}, sender=mill
    )

    row = await sql.fetchrow(
        """SELECT h.vals, (SELECT array_agg(k.key || k.kind ORDER BY i)
               FROM unnest(s.key_ids) WITH ORDINALITY u(id, i)
               JOIN mills.telemetry_signalkey k ON k.id = u.id) AS keys
           FROM mills.reading_hot h JOIN mills.telemetry_keyset s ON s.id = h.keyset_id
           WHERE device_id = $1""",
        mill.device_id,
    )
    values = dict(zip(row["keys"], row["vals"], strict=True))
    word = await sql.fetchval("SELECT id FROM mills.telemetry_word WHERE text = 'ACTIVE'")
    assert values == {"xn": -0.5, "onb": 1.0, "executions": float(word)}


BAD_ITEMS = [
    ('{"values": {"a": NaN}}', "not_finite"),
    ('{"values": {"a": Infinity}}', "not_finite"),
    ('{"values": {"a": -Infinity}}', "not_finite"),
    ('{"values": {"a": 1e999}}', "not_finite"),
    ('{"values": {"a": 1e308}}', "number_too_large"),
    ('{"values": {"a": 9223372036854775808}}', "number_too_large"),
    ('{"values": {"a": 9007199254740993}}', "number_too_large"),
    ('{"values": {"a": %s}}' % ("9" * 400), "number_too_large"),
    ('{"values": {"a": null}}', "wrong_type"),
    ('{"values": {"a": [1]}}', "wrong_type"),
    ('{"values": {"a": {"b": 1}}}', "wrong_type"),
    ('{"values": [1, 2]}', "wrong_type"),
    ('{"values": "x"}', "wrong_type"),
    ('{"values": {}}', "no_values"),
    ("{}", "no_values"),
    ("[]", "wrong_type"),
    ("17", "wrong_type"),
    ('"text"', "wrong_type"),
    ("null", "wrong_type"),
    ('{"values": {"a": tru}}', "malformed"),
    ('{"values": {"a": 01}}', "malformed"),
    ('{"values": {"a" 1}}', "malformed"),
    ('{"ts": "yesterday", "values": {"a": 1}}', "bad_time"),
    ('{"ts": "2026-02-30T10:00:00Z", "values": {"a": 1}}', "bad_time"),
    ('{"ts": "2026-11-17T12:00:00", "values": {"a": 1}}', "bad_time"),
    ('{"ts": "2026-11-17T25:00:00Z", "values": {"a": 1}}', "bad_time"),
    ('{"ts": "0001-01-01T00:00:00Z", "values": {"a": 1}}', "bad_time"),
    ('{"ts": -1, "values": {"a": 1}}', "bad_time"),
    ('{"ts": 1763380800, "values": {"a": 1}}', "bad_time"),
    ('{"ts": 1.5, "values": {"a": 1}}', "bad_time"),
    ('{"ts": true, "values": {"a": 1}}', "bad_time"),
    ('{"ts": %s, "values": {"a": 1}}' % ("9" * 400), "bad_time"),
    ('{"ts": "9999-12-31T23:59:59Z", "values": {"a": 1}}', "in_the_future"),
    ('{"ts": 99999999999999, "values": {"a": 1}}', "in_the_future"),
    ('{"ts": 1e30, "values": {"a": 1}}', "bad_time"),
    ('{"values": {"": 1}}', "bad_key"),
    ('{"values": {"a\\u0000b": 1}}', "bad_key"),
    ('{"values": {"\\ud800": 1}}', "bad_key"),
    ('{"values": {"%s": 1}}' % ("k" * 129), "key_too_long"),
    ('{"values": {"a": "\\u0000"}}', "bad_text"),
    ('{"values": {"a": "\\ud800"}}', "bad_text"),
    ('{"values": {"a": "%s"}}' % ("t" * 257), "text_too_long"),
    ('{"values": {"a": %s1%s}}' % ("[" * 100_000, "]" * 100_000), "too_deep"),
    ('{"values": %s1%s}' % ('{"a":' * 100_000, "}" * 100_000), "too_deep"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "code"), BAD_ITEMS)
async def test_one_bad_item_is_named_and_sinks_nothing_else(
    door: Door, mill: Sender, sql, item: str, code: str
):
    good = '{"ts": "2026-11-17T12:00:0%d.5Z", "values": {"good": 1.5}}'
    body = f"[{good % 1}, {item}, {good % 2}]".encode()

    answer = await door.post(body, sender=mill)

    assert (answer.status, answer.counts) == (200, (3, 2, 0, 1)), answer.body
    rejected = answer.body["rejected"][0]
    assert (rejected["index"], rejected["code"]) == (1, code)
    assert rejected["message"].isprintable()
    assert len(rejected["message"]) < 300
    assert await n_rows(sql, mill) == 2


async def test_invalid_utf8_in_one_item_is_named(door: Door, mill: Sender):
    answer = await door.post(b'[{"values":{"a":1}},{"values":{"a":"\xff"}}]', sender=mill)

    assert answer.counts == (2, 1, 0, 1)
    assert answer.body["rejected"][0]["code"] == "bad_text"


async def test_when_all_are_refused_the_answer_is_422_with_the_receipt(door: Door, mill: Sender):
    answer = await door.post(b'[{"values":{"a":NaN}}]', sender=mill)

    assert (answer.status, answer.counts) == (422, (1, 0, 0, 1))


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"17", b'"x"', b"[", b'[{"values":{"a":1}}', b'{"values":{"a":1}',
     b'[{"values":{"a":1}}] extra', b"[" * 100_000, b"\x00" * 10, b'{"readings": [{}'],
)  # fmt: skip
async def test_what_cannot_be_taken_apart_is_400(door: Door, mill: Sender, body: bytes):
    answer = await door.post(body, sender=mill)

    assert (answer.status, answer.body["code"]) == (400, "malformed_json")
    assert "server_time" in answer.body


async def test_names_that_look_like_sql_or_templates_are_just_names(door: Door, mill: Sender, sql):
    keys = ["'; DROP TABLE mills.latest; --", "{{ 7*7 }}", '"quoted"', "%s", "naïve µm"]

    answer = await door.post({"values": dict.fromkeys(keys, 1) | {"t": "';--"}}, sender=mill)

    assert answer.counts == (1, 1, 0, 0)
    stored = await sql.fetch(
        "SELECT k.key FROM mills.telemetry_signal s JOIN mills.telemetry_signalkey k"
        " ON k.id = s.key_id WHERE s.device_id = $1",
        mill.device_id,
    )
    assert {row["key"] for row in stored} == {*keys, "t"}


async def test_the_future_is_refused_after_a_day_and_taken_before(door: Door, mill: Sender):
    now = datetime.now(UTC)
    body = [
        {"ts": (now + timedelta(hours=23)).isoformat(), "values": {"a": 1}},
        {"ts": (now + timedelta(hours=25)).isoformat(), "values": {"a": 1}},
    ]

    answer = await door.post(body, sender=mill)

    assert answer.counts == (2, 1, 0, 1)
    assert answer.body["rejected"][0]["code"] == "in_the_future"
    told = datetime.fromisoformat(answer.body["server_time"])
    assert abs(told - now) < timedelta(seconds=10)


async def test_gzip_is_taken_and_a_bomb_is_not(door: Door, mill: Sender):
    good = gzip.compress(json.dumps({"values": {"a": 1}}).encode())
    bomb = gzip.compress(b"[" + b" " * 40_000_000)
    zipped = {"content-encoding": "gzip"}

    assert (await door.post(good, sender=mill, headers=zipped)).status == 200
    assert (await door.post(bomb, sender=mill, headers=zipped)).status == 413
    assert (await door.post(b"not gzip", sender=mill, headers=zipped)).status == 400
    assert (await door.post(good[:-9], sender=mill, headers=zipped)).status == 400


async def test_a_body_announced_too_large_is_refused_before_it_is_read(door: Door, mill: Sender):
    async def never():
        pytest.fail("the body was read")

    answer = await door.post(
        b"", sender=mill, headers={"content-length": "100000000"}, receive=never
    )

    assert answer.status == 413


async def test_a_streamed_body_is_cut_off_at_the_limit(door: Door, mill: Sender):
    n_read = 0

    async def endless():
        nonlocal n_read
        n_read += 1
        return {"type": "http.request", "body": b"x" * 100_000, "more_body": True}

    answer = await door.post(b"", sender=mill, receive=endless)

    assert answer.status == 413
    assert n_read < 50


async def test_a_body_that_does_not_come_ends_with_408(door: Door, mill: Sender):
    async def stuck():
        await asyncio.sleep(60)

    answer = await door.post(b"", sender=mill, receive=stuck)

    assert answer.status == 408


async def test_too_many_readings_in_one_request_are_refused_whole(door: Door, mill: Sender):
    body = b"[" + b",".join([b'{"values":{"a":1}}'] * 10_001) + b"]"

    answer = await door.post(body, sender=mill)

    assert (answer.status, answer.body["code"]) == (413, "too_many_readings")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_are_405_and_say_which_is_meant(door: Door, mill: Sender, method: str):
    answer = await door.post(
        b"", sender=mill, method=method, headers={"x-http-method-override": "POST"}
    )

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "application/x-www-form-urlencoded"}, 200),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"content-type": "application/xml"}, 415),
        ({"content-encoding": "br"}, 415),
        ({"content-encoding": "identity"}, 200),
    ],
)
async def test_content_types(door: Door, mill: Sender, headers: dict[str, str], status: int):
    answer = await door.post({"values": {"a": 1}}, sender=mill, headers=headers)

    assert answer.status == status


async def test_known_keys_go_on_when_a_device_floods_new_ones(
    door: Door, mill: Sender, oven: Sender, set_limits
):
    await set_limits("mills", distinct_keys_per_device=5)
    flood = [{"values": {f"key{i}": 1}} for i in range(50)]

    answer = await door.post(flood, sender=mill)
    again = await door.post([{"values": {"key0": 2}}, {"values": {"key49": 2}}], sender=mill)

    assert answer.counts == (50, 5, 0, 45)
    assert {r["code"] for r in answer.body["rejected"]} == {"too_many_keys"}
    assert again.counts == (2, 1, 0, 1)
    assert (await door.post(flood, sender=oven)).counts == (50, 50, 0, 0)


async def test_a_device_that_sends_ever_new_texts_is_told(door: Door, mill: Sender, monkeypatch):
    monkeypatch.setattr("telemetry.ingest.limits.MAX_WORDS_PER_DEVICE", 3)
    flood = [{"values": {"serial": f"unheard of {mill.device_id} {i}"}} for i in range(5)]

    answer = await door.post(flood, sender=mill)

    assert answer.counts == (5, 3, 0, 2)
    assert {r["code"] for r in answer.body["rejected"]} == {"too_many_texts"}


async def test_values_come_back_bit_for_bit(door: Door, mill: Sender, sql):
    values = [0.1, 1 / 3, 5e-324, 1e300, -1e300, 2.0**53, math.pi, 123456.789]
    body = [{"ts": 1_700_000_000_000 + i, "values": {"a": value}} for i, value in enumerate(values)]
    long_body = [{"ts": 1_700_000_100_000 + i, "values": {"a": values[i % 8]}} for i in range(400)]

    await door.post(body, sender=mill)
    await door.post(long_body, sender=mill)

    found = [value for _, _, value in await current(sql, mill)]
    assert found == values + [values[i % 8] for i in range(400)]
