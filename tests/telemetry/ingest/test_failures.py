"""Who is let in, and what happens when something is away."""

import asyncio
import time
from contextlib import asynccontextmanager

import asyncpg
import pytest

from telemetry.ingest import writer as writer_module
from telemetry.ingest.app import IngestApp
from telemetry.ingest.limits import TokenBucket
from tests.telemetry.ingest.conftest import Door, Plant, Sender
from tests.telemetry.ingest.stored import current

pytestmark = pytest.mark.slow

READING = {"values": {"a": 1.0}}


# -- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_token"),
        ({"authorization": "Basic dGFrdDp0YWt0"}, "missing_token"),
        ({"authorization": "Bearer"}, "missing_token"),
        ({"authorization": "Bearer takt_api_" + "x" * 43}, "not_a_device_token"),
        ({"authorization": "Bearer takt_dev_" + "x" * 43}, "unknown_token"),
        ({"authorization": "Bearer takt_dev_'; --"}, "unknown_token"),
        ({"cookie": "__Host-takt=abc"}, "missing_token"),
    ],
)
async def test_without_a_valid_token_nothing_is_taken(door: Door, headers, code: str):
    answer = await door.post(READING, headers=headers)

    assert (answer.status, answer.body["code"]) == (401, code)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_is_good_at_its_own_factory_s_host_and_at_neutral_ones(
    door: Door, mill: Sender, sql
):
    expected = {
        "localhost:8443": 200, "127.0.0.1:8443": 200, "in.takt.example": 200,
        "mills.localhost:8443": 200, "MILLS.localhost": 200,
        "bakery.localhost:8443": 401, "unheard-of.localhost": 401, "a.mills.localhost": 401,
    }  # fmt: skip

    statuses = {
        host: (await door.post(READING, sender=mill, host=host)).status for host in expected
    }

    assert statuses == expected


async def test_headers_that_name_another_factory_change_nothing(
    door: Door, mill: Sender, oven: Sender, sql
):
    headers = {
        "x-forwarded-host": "bakery.localhost", "x-tenant": "bakery", "x-schema": "bakery",
        "x-factory": str(oven.factory_id), "x-device-id": str(oven.device_id),
    }  # fmt: skip

    answer = await door.post(READING, sender=mill, headers=headers)

    assert answer.status == 200
    rows = "SELECT count(*) FROM {}.reading_hot WHERE device_id = $1"
    assert await sql.fetchval(rows.format("mills"), mill.device_id) == 1
    assert await sql.fetchval(rows.format("bakery"), oven.device_id) == 0


async def test_two_host_headers_are_refused(ingest: IngestApp, mill: Sender):
    async def receive():
        pytest.fail("the body was read")

    sent = []

    async def send(message):
        sent.append(message)

    hosts = [(b"host", b"mills.localhost"), (b"host", b"bakery.localhost")]
    token = (b"authorization", f"Bearer {mill.token}".encode())
    scope = {"type": "http", "method": "POST", "headers": [*hosts, token]}
    await ingest(scope, receive, send)

    assert sent[0]["status"] == 400


async def test_a_revoked_token_is_dead_within_five_seconds_and_the_other_lives(
    door: Door, mill: Sender, plant: Plant, sql
):
    assert (await door.post(READING, sender=mill)).status == 200
    await sql.execute(
        "UPDATE public.tenants_credential SET revoked_at = now(), changed_at = now()"
        " WHERE factory_id = $1 AND device_id = $2",
        mill.factory_id,
        mill.device_id,
    )

    revoked_at = time.monotonic()
    while (await door.post(READING, sender=mill)).status != 401:
        assert time.monotonic() - revoked_at < 5
        await asyncio.sleep(0.1)


async def test_a_token_just_made_works_at_once_even_after_being_guessed(
    door: Door, mill: Sender, sql
):
    digest = "sha256(convert_to($1, 'UTF8'))"
    token = "takt_dev_" + "n" * 43
    await sql.execute(f"DELETE FROM public.tenants_credential WHERE digest = {digest}", token)
    assert (await door.post(READING, token=token)).status == 401
    await sql.execute(
        "INSERT INTO public.tenants_credential"
        " (factory_id, kind, device_id, name, digest, hint, created_at, changed_at)"
        f" VALUES ($2, 'device', $3, 'new', {digest}, 'x', now(), now())",
        token,
        mill.factory_id,
        mill.device_id,
    )

    await asyncio.sleep(1.1)
    assert (await door.post(READING, token=token)).status == 200


async def test_an_expired_token_is_refused(door: Door, mill: Sender, sql):
    await sql.execute(
        "UPDATE public.tenants_credential SET expires_at = now() + interval '0.5 s'"
        " WHERE factory_id = $1 AND device_id = $2",
        mill.factory_id,
        mill.device_id,
    )
    assert (await door.post(READING, sender=mill)).status == 200

    await asyncio.sleep(0.6)

    assert (await door.post(READING, sender=mill)).status == 401


async def test_tokens_are_not_trusted_when_they_cannot_be_renewed(
    door: Door, ingest: IngestApp, mill: Sender
):
    assert (await door.post(READING, sender=mill)).status == 200
    ingest._credentials._renewed_at -= 10

    answer = await door.post(READING, sender=mill)

    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1


async def test_renewal_outlives_what_a_killed_server_leaves_behind(
    ingest: IngestApp, monkeypatch: pytest.MonkeyPatch
):
    """asyncpg calls a connection that was cut in the middle of an answer a fault of its own."""
    renew, tries = ingest._credentials.renew, []

    async def cut_once() -> None:
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise asyncpg.InternalClientError("got result for unknown protocol state 0")
        await renew()

    monkeypatch.setattr(ingest._credentials, "renew", cut_once)
    await asyncio.sleep(2.5)

    assert len(tries) >= 2
    assert ingest._credentials._renewed_at >= tries[1]


# -- limits --------------------------------------------------------------------------------------


async def test_a_blocked_factory_is_told_to_wait_and_others_go_on(
    door: Door, mill: Sender, oven: Sender, set_limits
):
    await set_limits("mills", ingest_blocked=True)

    blocked = await door.post(READING, sender=mill)

    assert (blocked.status, blocked.body["code"]) == (429, "too_fast")
    assert int(blocked.headers["retry-after"]) > 60
    assert (await door.post(READING, sender=oven)).status == 200


async def test_a_changed_limit_is_seen_by_a_running_process(door: Door, mill: Sender, set_limits):
    assert (await door.post(READING, sender=mill)).status == 200

    await set_limits("mills", ingest_blocked=True)
    await asyncio.sleep(1.5)

    assert (await door.post(READING, sender=mill)).status == 429


async def test_who_sends_too_fast_is_told_when_to_come_again(door: Door, mill: Sender, set_limits):
    await set_limits("mills", readings_per_s=1)
    batch = [{"ts": 1_700_000_000_000 + i, "values": {"a": 1}} for i in range(9_000)]

    assert (await door.post(batch, sender=mill)).status == 200
    answer = await door.post(batch, sender=mill)

    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 1000


def test_a_bucket_fills_again_and_lets_one_batch_pass_when_it_is_full():
    bucket = TokenBucket(rate=10, burst=100)

    assert bucket.take(100, 0.0) == 0
    assert bucket.take(50, 0.0) == pytest.approx(5)
    assert bucket.take(50, 5.0) == 0
    assert bucket.take(1_000, 6.0) > 0
    assert bucket.take(1_000, 100.0) == 0


async def test_a_full_queue_is_answered_503(door: Door, mill: Sender, monkeypatch):
    assert (await door.post(READING, sender=mill)).status == 200
    monkeypatch.setattr(writer_module, "MAX_PENDING_READINGS", 0)

    answer = await door.post(READING, sender=mill)

    assert (answer.status, answer.body["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]


async def test_one_factory_may_fill_only_its_share_of_the_queue(
    door: Door, ingest: IngestApp, mill: Sender, oven: Sender
):
    for sender in (mill, oven):
        assert (await door.post(READING, sender=sender)).status == 200
    flooded = ingest._credentials._factories[mill.factory_id]
    flooded.n_pending = writer_module.MAX_PENDING_READINGS // 2

    assert (await door.post(READING, sender=mill)).status == 503
    assert (await door.post(READING, sender=oven)).status == 200


# -- groups of several factories ------------------------------------------------------------------


@asynccontextmanager
async def held_up(ingest: IngestApp, sql, schema: str):
    """Hold a factory's table, so that requests pile up behind the running commit."""
    async with sql.transaction():
        await sql.execute(f"LOCK TABLE {schema}.latest IN ACCESS EXCLUSIVE MODE")
        yield


async def test_many_factories_and_sizes_in_one_group_are_each_stored(
    door: Door, mill: Sender, oven: Sender, sql
):
    def batch(n: int, start: int) -> list:
        return [{"ts": 1_700_000_000_000 + start + i, "values": {"a": 1.0}} for i in range(n)]

    requests = [(mill, 1), (oven, 1), (mill, 3), (oven, 300), (mill, 700), (oven, 2)]

    answers = await asyncio.gather(
        *[
            door.post(batch(n, index * 1000), sender=sender)
            for index, (sender, n) in enumerate(requests)
        ]
    )

    assert [answer.counts[:2] for answer in answers] == [(n, n) for _, n in requests]
    for sender, expected in ((mill, 704), (oven, 303)):
        n_stored = await sql.fetchval(
            f"SELECT n_stored FROM {sender.schema}.latest WHERE device_id = $1", sender.device_id
        )
        assert (n_stored, len(await current(sql, sender))) == (expected, expected)


async def test_a_repeat_in_one_factory_does_not_disturb_another_in_the_same_group(
    door: Door, mill: Sender, oven: Sender
):
    repeat = {"ts": 1_700_000_000_000, "values": {"a": 1.0}}
    await door.post(repeat, sender=mill)

    answers = await asyncio.gather(
        *[door.post(repeat, sender=mill) for _ in range(3)],
        *[door.post(READING, sender=oven) for _ in range(3)],
    )

    assert [answer.counts for answer in answers] == [(1, 0, 1, 0)] * 3 + [(1, 1, 0, 0)] * 3


async def test_a_factory_whose_tables_are_gone_fails_alone(
    door: Door, mill: Sender, oven: Sender, sql
):
    for sender in (mill, oven):
        assert (await door.post(READING, sender=sender)).status == 200
    await sql.execute("ALTER TABLE bakery.reading_hot RENAME TO gone")
    try:
        answers = await asyncio.gather(
            door.post(READING, sender=mill),
            door.post(READING, sender=oven),
            door.post(READING, sender=mill),
        )
    finally:
        await sql.execute("ALTER TABLE bakery.gone RENAME TO reading_hot")

    assert [answer.status for answer in answers] == [200, 503, 200]
    await asyncio.sleep(writer_module.PAUSE_S)
    assert (await door.post(READING, sender=oven)).status == 200


async def test_a_factory_deleted_during_ingest_ends_in_401(
    door: Door, oven: Sender, mill: Sender, sql
):
    assert (await door.post(READING, sender=oven)).status == 200
    await sql.execute(
        "UPDATE public.tenants_factory SET state = 'failed' WHERE id = $1", oven.factory_id
    )
    try:
        await asyncio.sleep(1.5)
        assert (await door.post(READING, sender=oven)).status == 401
        assert (await door.post(READING, sender=mill)).status == 200
    finally:
        await sql.execute(
            "UPDATE public.tenants_factory SET state = 'active' WHERE id = $1", oven.factory_id
        )


async def test_a_lock_held_on_one_factory_holds_up_the_others_only_shortly(
    ingest: IngestApp, door: Door, mill: Sender, oven: Sender, sql
):
    for sender in (mill, oven):
        assert (await door.post(READING, sender=sender)).status == 200

    async with held_up(ingest, sql, "bakery"):
        blocked, free = await asyncio.wait_for(
            asyncio.gather(door.post(READING, sender=oven), door.post(READING, sender=mill)), 4
        )
        started = time.monotonic()
        again = await door.post(READING, sender=mill)
        took_s = time.monotonic() - started

    assert (blocked.status, free.status, again.status) == (503, 200, 200)
    assert took_s < 1


# -- the database is away -------------------------------------------------------------------------


async def test_a_killed_backend_costs_a_503_at_most_and_recovers_by_itself(
    door: Door, mill: Sender, sql
):
    assert (await door.post(READING, sender=mill)).status == 200
    stopped = asyncio.Event()
    statuses = []

    async def send_all_the_time() -> None:
        while not stopped.is_set():
            statuses.append((await door.post(READING, sender=mill)).status)
            await asyncio.sleep(0)

    senders = [asyncio.create_task(send_all_the_time()) for _ in range(8)]
    await asyncio.sleep(0.2)
    n_killed = await sql.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name LIKE 'takt ingest%' AND datname = current_database()"
    )
    await asyncio.sleep(1.5)
    stopped.set()
    await asyncio.gather(*senders)

    assert n_killed >= 1
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200
    n_rows = await sql.fetchval(
        "SELECT count(*) FROM mills.reading_hot WHERE device_id = $1", mill.device_id
    )
    # What was answered 503 may have been committed just before the connection was lost.
    assert statuses.count(200) + 1 <= n_rows <= len(statuses) + 1


async def test_a_database_that_is_not_there_is_answered_503_and_taken_up_when_it_comes(
    mill: Sender, database_url: str, unused_tcp_port: int
):
    async def forward(reader, writer):
        real_reader, real_writer = await asyncio.open_connection(*target)
        try:
            await asyncio.gather(_pump(reader, real_writer), _pump(real_reader, writer))
        finally:
            real_writer.close()
            writer.close()

    at = database_url.rpartition("@")[2].partition("/")[0].split(":")
    target = (at[0], int(at[1]))
    away = database_url.replace(f":{at[1]}/", f":{unused_tcp_port}/")
    app = IngestApp(
        database_url=away, valkey_url="redis://127.0.0.1:1/0", base_url="https://localhost:8443"
    )
    door = Door(app)
    try:
        assert (await door.post(READING, sender=mill)).status == 503
        server = await asyncio.start_server(forward, "127.0.0.1", unused_tcp_port)
        async with asyncio.timeout(10):
            while (await door.post(READING, sender=mill)).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    finally:
        await app.shutdown()
    server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def test_valkey_away_harms_nothing(mill: Sender, database_url: str):
    app = IngestApp(
        database_url=database_url,
        valkey_url="redis://127.0.0.1:1/0",
        base_url="https://localhost:8443",
    )
    try:
        door = Door(app)
        statuses = [(await door.post(READING, sender=mill)).status for _ in range(20)]
    finally:
        await app.shutdown()

    assert statuses == [200] * 20


async def test_an_answer_is_given_only_after_the_commit(door: Door, mill: Sender, sql):
    """Stop the database between the rows and their commit: no request may be answered 200."""
    assert (await door.post(READING, sender=mill)).status == 200
    async with sql.transaction():
        await sql.execute("LOCK TABLE mills.usage_delta IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(door.post(READING, sender=mill), 0.3)
