"""A reading is stored once, however often and however late it is sent; nothing is overwritten."""

import asyncio
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telemetry.ingest.merging import Cell
from tests.telemetry.ingest.conftest import Door, Sender
from tests.telemetry.ingest.reference import Reference
from tests.telemetry.ingest.stored import current, stored

T0 = 1_700_000_000_000  # milliseconds


async def assert_equal(sql, sender: Sender, reference: Reference) -> None:
    found = await current(sql, sender)
    assert {(ts, key): value for ts, key, value in found} == reference.current
    assert len(found) == len(reference.current)
    revisions: dict[tuple[int, str], list[object]] = {}
    for ts, key, value in await stored(sql, sender, "reading_revision"):
        revisions.setdefault((ts, key), []).append(value)
    assert revisions == reference.replaced
    latest = await sql.fetchrow(
        f"SELECT *, (extract(epoch FROM ts) * 1000)::bigint AS ms"
        f" FROM {sender.schema}.latest WHERE device_id = $1",
        sender.device_id,
    )
    counted = [latest["n_received"], latest["n_stored"], latest["n_duplicates"]]
    assert counted == reference.counts
    newest = max(ts for ts, _ in reference.current)
    assert latest["ms"] == newest
    assert len(latest["vals"]) == sum(ts == newest for ts, _ in reference.current)
    hours = await sql.fetch(
        f"SELECT u.h, sum(u.r) AS n_readings, sum(u.v) AS n_values FROM"
        f" {sender.schema}.usage_delta, unnest(device_ids, hours, n_readings, n_values)"
        f" AS u(d, h, r, v) WHERE u.d = $1 GROUP BY u.h",
        sender.device_id,
    )
    assert {row["h"]: [row["n_readings"], row["n_values"]] for row in hours} == reference.hours


async def test_a_repeat_is_a_duplicate(door: Door, mill: Sender):
    body = [{"ts": T0 + i, "values": {"a": float(i), "b": "x"}} for i in range(3)]
    await door.post(body, sender=mill)

    again = await door.post(body, sender=mill)

    assert (again.status, again.counts) == (200, (3, 0, 3, 0))


async def test_a_large_batch_sent_again_with_one_new_reading_stores_one(door: Door, mill: Sender):
    body = [{"ts": T0 + i, "values": {"a": float(i)}} for i in range(600)]
    await door.post(body, sender=mill)

    again = await door.post([*body, {"ts": T0 + 600, "values": {"a": 1.0}}], sender=mill)

    assert again.counts == (601, 1, 600, 0)


async def test_a_different_value_is_a_visible_revision(door: Door, mill: Sender, sql):
    for value in (1.0, 2.0):
        await door.post({"ts": T0, "values": {"a": value}}, sender=mill)

    late = await door.post({"ts": T0, "values": {"a": 1.0}}, sender=mill)

    assert late.counts == (1, 0, 1, 0)
    assert await current(sql, mill) == [(T0, "a", 2.0)]
    assert await stored(sql, mill, "reading_revision") == [(T0, "a", 1.0)]


async def test_new_keys_at_a_known_time_are_added(door: Door, mill: Sender, sql):
    await door.post({"ts": T0, "values": {"b": 2.0}}, sender=mill)

    added = await door.post({"ts": T0, "values": {"a": 1.0}}, sender=mill)

    assert added.counts == (1, 1, 0, 0)
    assert sorted(await current(sql, mill)) == [(T0, "a", 1.0), (T0, "b", 2.0)]


async def test_one_key_in_two_kinds_is_one_identity(door: Door, mill: Sender, sql):
    await door.post({"ts": T0, "values": {"a": 2.0}}, sender=mill)

    await door.post({"ts": T0, "values": {"a": "two"}}, sender=mill)

    assert await current(sql, mill) == [(T0, "a", "two")]
    assert await stored(sql, mill, "reading_revision") == [(T0, "a", 2.0)]


async def test_late_data_is_stored_and_does_not_become_the_latest(door: Door, mill: Sender, sql):
    await door.post({"ts": T0, "values": {"a": 1.0}}, sender=mill)

    late = await door.post({"ts": T0 - 35 * 86_400_000, "values": {"a": 9.0}}, sender=mill)

    assert late.counts == (1, 1, 0, 0)
    latest = await sql.fetchrow(
        "SELECT vals, n_stored FROM mills.latest WHERE device_id = $1", mill.device_id
    )
    assert (latest["vals"], latest["n_stored"]) == ([1.0], 2)


async def test_what_is_refused_is_counted_for_the_device(door: Door, mill: Sender, sql):
    await door.post(b'[{"values":{"a":NaN}},{"values":{"a":1}}]', sender=mill)
    await door.post(b'{"values":{"a":NaN}}', sender=mill)

    row = await sql.fetchrow("SELECT * FROM mills.latest WHERE device_id = $1", mill.device_id)
    assert (row["n_received"], row["n_stored"], row["n_rejected"]) == (3, 1, 2)


async def test_one_reading_sent_on_twenty_connections_at_once_is_stored_once(
    door: Door, mill: Sender, oven: Sender, sql
):
    body = {"ts": T0, "values": {"a": 1.0}}

    answers = await asyncio.gather(
        *[door.post(body, sender=mill) for _ in range(20)],
        *[door.post({"ts": T0 + i, "values": {"a": 1.0}}, sender=oven) for i in range(20)],
    )

    assert sum(answer.body["stored"] for answer in answers[:20]) == 1
    assert all(answer.counts == (1, 1, 0, 0) for answer in answers[20:])
    assert await current(sql, mill) == [(T0, "a", 1.0)]


async def test_two_processes_with_the_same_new_keys_and_readings_agree(
    ingest, door: Door, mill: Sender, sql, database_url: str
):
    from telemetry.ingest.app import IngestApp

    other = IngestApp(
        database_url=database_url,
        valkey_url="redis://127.0.0.1:1/0",
        base_url="https://localhost:8443",
    )
    await other.startup()
    try:
        body = [{"ts": T0 + i, "values": {f"k{i % 7}": 1.0, "w": f"t{i}"}} for i in range(40)]
        doors = [door, Door(other)]
        answers = await asyncio.gather(*[doors[i % 2].post(body, sender=mill) for i in range(10)])
    finally:
        await other.shutdown()

    assert [answer.status for answer in answers] == [200] * 10
    assert sum(answer.body["stored"] for answer in answers) == 40
    assert len(await current(sql, mill)) == 80


values = st.one_of(
    st.sampled_from([0.0, 1.0, 2.5, -1.0]), st.booleans(), st.sampled_from(["run", "stop", "1"])
)
readings = st.tuples(
    st.integers(0, 5), st.dictionaries(st.sampled_from("abc"), values, min_size=1, max_size=3)
)
batches = st.lists(st.lists(readings, min_size=1, max_size=24), min_size=1, max_size=5)


@given(upload=batches)
def test_merging_equals_a_dictionary(upload):
    """The rule by itself, without a database, for many more examples."""
    reference = Reference()
    kinds = {float: 0, bool: 100, str: 200}
    cells: dict[int, Cell] = {}
    for batch in upload:
        for ts, items in batch:
            stored_it = reference.take(ts, items)
            coded = [
                (key, ord(key) + kinds[type(value)], float(hash(value) % 1000))
                for key, value in items.items()
            ]
            assert bool(cells.setdefault(ts, Cell()).merge(coded)) == stored_it
    assert sum(len(cell.current) for cell in cells.values()) == len(reference.current)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(upload=batches, seed=st.integers(0, 99))
@pytest.mark.slow
def test_any_uploads_leave_what_a_dictionary_would_hold(plant, database_url, upload, seed):
    sender = plant.device("mills")
    asyncio.run(_upload_and_compare(database_url, sender, upload, random.Random(seed)))


async def _upload_and_compare(database_url, sender, upload, chance):
    import asyncpg

    from telemetry.ingest.app import IngestApp

    app = IngestApp(
        database_url=database_url,
        valkey_url="redis://127.0.0.1:1/0",
        base_url="https://localhost:8443",
    )
    await app.startup()
    sql = await asyncpg.connect(database_url)
    try:
        door = Door(app)
        reference = Reference()
        for batch in upload:
            # Sometimes long enough for the path of large batches.
            wide = batch * (10 if chance.random() < 0.2 else 1)
            body = [{"ts": T0 + ts * 1_800_000, "values": items} for ts, items in wide]
            before = list(reference.counts)
            for reading in body:
                reference.take(reading["ts"], reading["values"])
            answer = await door.post(json.dumps(body).encode(), sender=sender)
            counted = [n - b for n, b in zip(reference.counts, before, strict=True)]
            assert answer.status == 200
            assert list(answer.counts) == [*counted, 0]
        await assert_equal(sql, sender, reference)
    finally:
        await sql.close()
        await app.shutdown()
