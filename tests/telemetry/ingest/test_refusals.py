"""What was refused is counted by code, in the transaction of what was stored, and kept."""

# ruff: noqa: UP031  braces of JSON read better with percent

import asyncio

import pytest

from telemetry.ingest.app import IngestApp
from tests.telemetry.ingest.conftest import Door, Plant, Sender

GOOD = '{"ts": %d, "values": {"a": 1}}'


@pytest.fixture
def neighbour(plant: Plant) -> Sender:
    """Another device of the same factory."""
    return plant.device("mills")


async def counted(sql, sender: Sender) -> dict[str, int]:
    rows = await sql.fetch(
        f"SELECT code, n FROM {sender.schema}.refusal_count WHERE device_id = $1", sender.device_id
    )
    return {row["code"]: row["n"] for row in rows}


async def assert_sums(sql, sender: Sender) -> None:
    row = await sql.fetchrow(
        f"SELECT * FROM {sender.schema}.latest WHERE device_id = $1", sender.device_id
    )
    n_refused = sum((await counted(sql, sender)).values())
    assert row["n_received"] == row["n_stored"] + row["n_duplicates"] + n_refused
    assert row["n_rejected"] == n_refused


async def kept(sql, sender: Sender):
    return await sql.fetch(
        f"SELECT code, message, item FROM {sender.schema}.refused_reading WHERE device_id = $1"
        " ORDER BY at DESC, id DESC",
        sender.device_id,
    )


async def test_received_is_stored_and_duplicates_and_what_was_refused_by_code(
    door: Door, mill: Sender, sql
):
    batch = [GOOD % (1_700_000_000_000 + i) for i in range(250)]
    bad = ['{"values": {"a": NaN}}', '{"values": {}}', '{"values": {"a": NaN}}']
    for readings in (batch[:3] + bad, batch[:5] + bad, batch + bad, bad[:1], batch[:1], bad * 100):
        await door.post(f"[{','.join(readings)}]".encode(), sender=mill)

    assert await counted(sql, mill) == {"not_finite": 207, "no_values": 103}
    await assert_sums(sql, mill)


async def test_the_sum_holds_when_many_devices_send_at_once(
    door: Door, mill: Sender, oven: Sender, neighbour: Sender, sql
):
    body = [{"ts": 1_700_000_000_000, "values": {"a": 1}}, {"values": {"": 1}}, {"values": 5}]

    await asyncio.gather(
        *[door.post(body, sender=s) for s in (mill, oven, neighbour) for _ in range(10)]
    )

    for sender in (mill, oven, neighbour):
        assert await counted(sql, sender) == {"bad_key": 10, "wrong_type": 10}
        await assert_sums(sql, sender)


async def test_what_was_sent_is_kept_as_it_was_and_cut(door: Door, mill: Sender, sql):
    hostile = "'); DROP TABLE mills.latest; -- \\u0000 {{ 7*7 }} $1 \\\\ \\ud800"
    body = '[{"values": {"%s": 1}}, {"values": {"a": "%s"}}]' % (hostile, "t" * 900)

    await door.post(body.encode(), sender=mill)

    long, strange = await kept(sql, mill)
    assert strange["item"] == '{"values": {"%s": 1}}' % hostile
    assert (strange["code"], long["code"]) == ("bad_key", "text_too_long")
    assert len(long["item"]) == 300


async def test_raw_bytes_and_refusals_by_limits_are_kept_too(
    door: Door, mill: Sender, sql, set_limits
):
    await set_limits("mills", distinct_keys_per_device=1)

    await door.post(b'[{"values": {"a": "\x00\xff"}}]', sender=mill)
    body = [{"ts": 1_700_000_000_000 + i, "values": {k: 2}} for i, k in enumerate("ab")]
    await door.post(body, sender=mill)
    await door.post(b"m f=NaN", sender=mill, path="/write")

    assert [(row["code"], row["item"]) for row in await kept(sql, mill)] == [
        ("not_finite", "m f=NaN"),
        ("too_many_keys", '{"ts":"2023-11-14T22:13:20.001000Z","values":{"b":2.0}}'),
        ("bad_text", '{"values": {"a": "\ufffd\ufffd"}}'),
    ]
    await assert_sums(sql, mill)


async def test_the_last_hundred_are_kept(door: Door, mill: Sender, oven: Sender, sql):
    await door.post([{"values": {"": 1}}], sender=oven)
    for i in range(3):
        body = [{"values": [i * 60 + j]} for j in range(60)]
        await door.post(body, sender=mill)

    found = await kept(sql, mill)

    assert len(found) == 100
    assert found[0]["item"] == '{"values": [179]}'
    assert found[-1]["item"] == '{"values": [80]}'
    assert len(await kept(sql, oven)) == 1


async def test_whole_requests_are_counted_beside_the_readings(
    ingest: IngestApp, door: Door, mill: Sender, sql
):
    big = {"content-length": "100000000"}
    await door.post({"values": {"a": 1}}, sender=mill)
    for _ in range(3):
        await door.post(b"{", sender=mill)
    await door.post(b"", sender=mill, headers=big)
    await door.post(b"[1", token="takt_dev_unknown")

    await ingest._notes.write()

    rows = await sql.fetch(
        "SELECT code, n, last_message FROM mills.refused_request WHERE device_id = $1"
        " ORDER BY code",
        mill.device_id,
    )
    assert [(row["code"], row["n"]) for row in rows] == [
        ("body_too_large", 1),
        ("malformed_json", 3),
    ]
    assert all(row["last_message"] for row in rows)
    await assert_sums(sql, mill)


async def test_a_flood_of_keys_is_laid_at_its_device_s_door(
    door: Door, mill: Sender, neighbour: Sender, sql, set_limits
):
    """The attacker is named in the answer and by its count; whoever sends known keys goes on."""
    await set_limits("mills", distinct_keys_per_device=5)
    known = {"values": {"key0": 1}}
    assert (await door.post(known, sender=neighbour)).counts == (1, 1, 0, 0)

    for start in range(0, 2_000, 500):
        flood = [{"values": {f"key{i}": 1}} for i in range(start, start + 500)]
        answer = await door.post([known, *flood], sender=mill)

    assert {r["code"] for r in answer.body["rejected"]} == {"too_many_keys"}
    assert str(5) in answer.body["rejected"][0]["message"]
    assert (await door.post(known, sender=mill)).counts == (1, 1, 0, 0)
    assert (await door.post(known, sender=neighbour)).counts == (1, 1, 0, 0)
    assert await counted(sql, mill) == {"too_many_keys": 1_995}
    assert await counted(sql, neighbour) == {}
    n_keys = await sql.fetchval(
        "SELECT count(*) FROM mills.telemetry_signal WHERE device_id = $1", mill.device_id
    )
    assert n_keys == 5


@pytest.mark.slow
@pytest.mark.parametrize("n_good", [0, 1, 300])
async def test_nothing_is_counted_when_nothing_is_committed(
    door: Door, mill: Sender, sql, n_good: int
):
    """Counts and readings share a transaction: while one cannot be written, neither is."""
    readings = [GOOD % (1_700_000_000_000 + i) for i in range(n_good)] + ['{"values": 1}']
    body = f"[{','.join(readings)}]".encode()
    async with sql.transaction():
        await sql.execute("LOCK TABLE mills.refusal_count IN ACCESS EXCLUSIVE MODE")
        answer = await door.post(body, sender=mill)
        n_rows = await sql.fetchval(
            "SELECT count(*) FROM mills.reading_hot WHERE device_id = $1", mill.device_id
        )

    assert (answer.status, n_rows) == (503, 0)
    await asyncio.sleep(2)  # writer.PAUSE_S
    assert (await door.post(body, sender=mill)).counts == (n_good + 1, n_good, 0, 1)
    await assert_sums(sql, mill)
