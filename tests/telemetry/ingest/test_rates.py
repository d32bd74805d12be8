"""Readings a second, counted for all web processes together, exactly."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings

from telemetry.ingest.app import IngestApp
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.rates import Rate, Rates
from tests.telemetry.ingest.conftest import Door, Plant, Sender
from tests.telemetry.ingest.test_failures import _pump

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
async def doors(database_url: str) -> AsyncIterator[list[Door]]:
    """The doors of two web processes."""
    apps = [
        IngestApp(
            database_url=database_url,
            valkey_url=settings.VALKEY_URL,
            base_url="https://localhost:8443",
        )
        for _ in range(2)
    ]
    yield [Door(app) for app in apps]
    for app in apps:
        await app.shutdown()


def batch(i: int, n: int) -> bytes:
    start = 1_700_000_000_000 + i * 10_000
    return json.dumps({"ts": list(range(start, start + n)), "values": {"a": [1] * n}}).encode()


@pytest.mark.parametrize(("rate", "n", "n_passing"), [(1, 500, 20), (20, 1_000, 12), (1, 7, 50)])
async def test_fifty_at_once_over_two_processes_pass_exactly_the_limit(
    doors: list[Door], mill: Sender, set_limits, rate: int, n: int, n_passing: int
):
    await set_limits("mills", readings_per_s=rate)
    bodies = [batch(i, n) for i in range(50)]

    answers = await asyncio.gather(
        *[doors[i % 2].post(body, sender=mill) for i, body in enumerate(bodies)]
    )

    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == n_passing
    assert set(statuses) <= {200, 429}
    assert all(int(a.headers["retry-after"]) >= 1 for a in answers if a.status == 429)


async def test_hundreds_of_factories_may_ask_at_once():
    """Each is counted together with the other processes, rather than alone for lack of a line."""
    rates = Rates(valkey_url=settings.VALKEY_URL)
    limits = [
        Rate(whose="factory", key=f"takt:many{i}:rate", rate=1.0, burst=5.0) for i in range(400)
    ]

    await asyncio.gather(*[rates.take(limit, 1) for limit in limits])

    assert not rates.is_away
    client = redis.Redis.from_url(settings.VALKEY_URL)
    assert client.delete(*[limit.key for limit in limits]) == len(limits)
    client.close()
    await rates.close()


async def test_a_device_has_a_limit_of_its_own(
    doors: list[Door], mill: Sender, plant, set_limits, neighbour: Sender
):
    await set_limits("mills", device_readings_per_s=1)

    answers = [await doors[i % 2].post(batch(i, 6_000), sender=mill) for i in range(2)]

    assert [answer.status for answer in answers] == [200, 429]
    assert "device" in answers[1].body["message"]
    assert (await doors[0].post(batch(0, 6_000), sender=neighbour)).status == 200


@pytest.fixture
def neighbour(plant: Plant) -> Sender:
    return plant.device("mills")


async def test_the_numbers_stand_in_the_answer_s_headers(door: Door, mill: Sender, set_limits):
    await set_limits("mills", readings_per_s=1)

    answers = [await door.post(batch(i, 9_000), sender=mill) for i in range(2)]

    assert [answer.status for answer in answers] == [200, 429]
    for answer in answers:
        assert answer.headers["ratelimit-policy"] == '"factory";q=10000;w=10000'
        assert answer.headers["ratelimit"].startswith('"factory";r=100')
    assert int(answers[1].headers["retry-after"]) == pytest.approx(8_000, abs=10)


async def test_valkey_away_is_no_outage_and_the_limit_holds_in_each_process(
    mill: Sender, database_url: str, set_limits
):
    await set_limits("mills", readings_per_s=1)
    app = IngestApp(database_url=database_url, valkey_url=AWAY, base_url="https://localhost:8443")
    door = Door(app)
    try:
        answers = [await door.post(batch(i, 500), sender=mill) for i in range(25)]
    finally:
        await app.shutdown()

    assert [answer.status for answer in answers] == [200] * 20 + [429] * 5


def rate_of(key: str, *, rate: float = 1_000, burst: float = 100_000) -> Rate:
    return Rate(whose="factory", key=f"takt:test:{key}:{time.time_ns()}", rate=rate, burst=burst)


async def drain(rates: Rates, limit: Rate, n: int) -> int:
    """Take `n` at a time until refused; returns how much that was."""
    taken = 0
    while True:
        try:
            if not limit.take(n):
                await rates.take(limit, n)
        except RequestRefused:
            return taken
        taken += n


async def test_single_readings_ask_once_a_block():
    rates, limit = Rates(valkey_url=settings.VALKEY_URL), rate_of("blocks")
    client = redis.Redis.from_url(settings.VALKEY_URL)
    before = client.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)

    for _ in range(5_000):
        if not limit.take(1):
            await rates.take(limit, 1)

    n_asked = client.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    await rates.close()
    client.close()
    assert 1 <= n_asked <= 20


async def test_a_bucket_empties_exactly_and_fills_again():
    rates, limit = Rates(valkey_url=settings.VALKEY_URL), rate_of("level", rate=100, burst=5_000)

    started = time.monotonic()
    taken = await drain(rates, limit, 10)
    await asyncio.sleep(1)
    again = await drain(rates, limit, 10)
    took_s = time.monotonic() - started
    await rates.close()

    assert 5_000 <= taken + again <= 5_000 + 100 * took_s + 1
    assert again >= 50


async def test_when_valkey_goes_the_count_goes_on_from_where_it_was():
    rates, limit = Rates(valkey_url=settings.VALKEY_URL), rate_of("gone", rate=1, burst=10_000)
    await rates.take(limit, 9_000)
    gone = Rates(valkey_url=AWAY)

    await gone.take(limit, 900)
    with pytest.raises(RequestRefused):
        await gone.take(limit, 900)
    await gone.close()
    await rates.close()


async def test_valkey_is_asked_again_when_it_is_back(unused_tcp_port: int):
    at = urlsplit(settings.VALKEY_URL)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        real_reader, real_writer = await asyncio.open_connection(at.hostname, at.port)
        await asyncio.gather(_pump(reader, real_writer), _pump(real_reader, writer))

    url = settings.VALKEY_URL.replace(f":{at.port}", f":{unused_tcp_port}")
    rates, limit = Rates(valkey_url=url), rate_of("back", rate=1, burst=10_000)
    await rates.take(limit, 6_000)
    was_away = rates.is_away

    server = await asyncio.start_server(forward, "127.0.0.1", unused_tcp_port)
    async with asyncio.timeout(20):
        while rates.is_away:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    # What Valkey has not heard of is full.
    await rates.take(limit, 6_000)
    await rates.close()
    server.close()
    assert was_away


async def test_what_valkey_forgot_is_full():
    rates, limit = Rates(valkey_url=settings.VALKEY_URL), rate_of("empty", rate=1, burst=10_000)
    await rates.take(limit, 10_000)
    client = redis.Redis.from_url(settings.VALKEY_URL)
    client.delete(limit.key)
    client.close()

    await rates.take(limit, 10_000)
    await rates.close()
