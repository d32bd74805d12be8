"""Readings in columns: the same receipts, the same rows as one by one."""

# ruff: noqa: UP031  braces of JSON read better with percent

import json

import pytest

from telemetry.ingest import columnar
from telemetry.ingest.decoding import ServerTimes
from tests.telemetry.ingest.conftest import Door, Sender
from tests.telemetry.ingest.stored import current

T0 = 1_700_000_000_000
NOON = "2026-11-17T12:00:00Z"
NOW_US = 1_800_000_000_000_000


async def rows(sql, sender: Sender) -> list[tuple[int, dict[str, float]]]:
    found: dict[int, dict[str, float]] = {}
    for ts, key, value in await current(sql, sender):
        assert isinstance(value, float)
        found.setdefault(ts, {})[key] = value
    return list(found.items())


@pytest.mark.parametrize("n", [1, 3, 15, 16, 400])
async def test_columns_are_the_readings_they_say(door: Door, mill: Sender, sql, n: int):
    ts = [T0 + i for i in range(n)]
    body = {"ts": ts, "values": {"b": [i / 3 for i in range(n)], "a": list(range(n))}}

    answer = await door.post(body, sender=mill)
    again = await door.post(body, sender=mill)

    assert (answer.status, answer.counts) == (200, (n, n, 0, 0))
    assert again.counts == (n, 0, n, 0)
    assert await rows(sql, mill) == [(t, {"a": float(i), "b": i / 3}) for i, t in enumerate(ts)]


async def test_columns_repeat_what_came_as_readings(door: Door, mill: Sender):
    readings = [{"ts": T0 + i, "values": {"a": i * 0.1}} for i in range(20)]
    columns = {"ts": [r["ts"] for r in readings], "values": {"a": [i * 0.1 for i in range(20)]}}

    await door.post(readings, sender=mill)

    assert (await door.post(columns, sender=mill)).counts == (20, 0, 20, 0)


@pytest.mark.parametrize("n", [4, 40])
async def test_null_means_that_the_reading_has_no_such_key(door: Door, mill: Sender, sql, n: int):
    body = {
        "ts": [T0 + i for i in range(n)],
        "values": {"a": [1.0] * n, "b": [None if i % 2 else 2.0 for i in range(n)]},
    }

    assert (await door.post(body, sender=mill)).counts == (n, n, 0, 0)
    found = await rows(sql, mill)
    assert found[0][1] == {"a": 1.0, "b": 2.0}
    assert found[1][1] == {"a": 1.0}


async def test_texts_booleans_and_written_times_are_taken(door: Door, mill: Sender):
    body = {
        "values": {"state": ["ON", "OFF", "ON"], "door": [True, False, None], "x": [1, 2.5, 3]},
        "ts": [NOON, "2026-11-17T14:00:01+02:00", T0],
    }

    assert (await door.post(body, sender=mill)).counts == (3, 3, 0, 0)


BAD = [
    ("NaN", NOON, "not_finite"), ("1e999", NOON, "not_finite"), ("1e308", NOON, "number_too_large"),
    ("9007199254740993", NOON, "number_too_large"), ("9" * 400, NOON, "number_too_large"),
    ("[1]", NOON, "wrong_type"), ('{"a": 1}', NOON, "wrong_type"), ("null", NOON, "no_values"),
    ('"\\ud800"', NOON, "bad_text"), ('"' + "t" * 257 + '"', NOON, "text_too_long"),
    ("1", "yesterday", "bad_time"), ("1", "9999-12-31T23:59:59Z", "in_the_future"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "ts", "code"), BAD)
@pytest.mark.parametrize("n", [2, 40])
async def test_one_bad_value_refuses_its_own_reading(
    door: Door, mill: Sender, value: str, ts: str, code: str, n: int
):
    times = [*(str(T0 + i) for i in range(n)), json.dumps(ts)]
    body = '{"ts": [%s], "values": {"a": [%s]}}' % (
        ",".join(times), ",".join([*["1.5"] * n, value])
    )  # fmt: skip

    answer = await door.post(body.encode(), sender=mill)

    assert answer.counts == (n + 1, n, 0, 1), answer.body
    assert (answer.body["rejected"][0]["index"], answer.body["rejected"][0]["code"]) == (n, code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"ts": [1, 2], "values": {"a": [1]}}, "bad_columns"),
        ({"ts": [T0], "values": {"a": [1, 2]}}, "bad_columns"),
        ({"ts": [T0], "values": {"a": 1}}, "bad_columns"),
        ({"ts": [T0], "values": {}}, "bad_columns"),
        ({"ts": [T0]}, "bad_columns"),
        ({"ts": [T0], "values": [1]}, "bad_columns"),
        (b'{"ts": [1, "values": {"a": [1]}}', "malformed_json"),
        (b'{"ts": [1], "values": {"a": [tru]}}', "malformed_json"),
        (b'{"ts": [1], "values": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
         "malformed_json"),
    ],
)  # fmt: skip
async def test_columns_that_do_not_fit_are_refused_whole(door: Door, mill: Sender, body, code):
    answer = await door.post(body, sender=mill)

    assert (answer.status, answer.body["code"]) == (400, code)


async def test_too_many_in_columns_are_413(door: Door, mill: Sender):
    body = {"ts": [T0 + i for i in range(10_001)], "values": {"a": [1] * 10_001}}

    assert (await door.post(body, sender=mill)).status == 413


async def test_refused_keys_name_every_index(door: Door, mill: Sender, set_limits):
    await set_limits("mills", distinct_keys_per_device=1)
    body = {"ts": [T0 + i for i in range(20)], "values": {"a": [1] * 20, "b": [2] * 20}}

    answer = await door.post(body, sender=mill)

    assert answer.counts == (20, 0, 0, 20)
    assert [r["index"] for r in answer.body["rejected"]] == list(range(20))


def test_a_list_without_times_is_a_value_of_the_wrong_type():
    body = b'{"values": {"a": [1, 2]}}'

    assert columnar.decode(body, now_us=NOW_US, server_times=ServerTimes()) is None


def test_many_numbers_stay_columns():
    body = json.dumps({"ts": [T0 + i for i in range(16)], "values": {"a": [1.5] * 16}}).encode()

    found = columnar.decode(body, now_us=NOW_US, server_times=ServerTimes())

    assert isinstance(found, columnar.Columnar)
    assert found.values == []
