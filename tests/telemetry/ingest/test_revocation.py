"""A token that was revoked is dead everywhere within 5 s, whatever this process remembers."""

import asyncio
import time

import pytest
import redis
from django.conf import settings

from telemetry import services as telemetry_services
from telemetry.models import Device
from tests.telemetry.ingest.conftest import Door, Plant, Sender

pytestmark = pytest.mark.slow

READING = {"values": {"a": 1.0}}
REVOKE = (
    "UPDATE public.tenants_credential SET revoked_at = now(), changed_at = now()"
    " WHERE digest = sha256(convert_to($1, 'UTF8'))"
)


async def seconds_until_refused(door: Door, token: str) -> float:
    """Send all the time until the first answer that is no 2xx."""
    started = time.monotonic()
    while (await door.post(READING, token=token)).status == 200:
        assert time.monotonic() - started < 10
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def test_revoked_while_it_is_in_use(door: Door, mill: Sender, sql):
    assert (await door.post(READING, sender=mill)).status == 200
    await sql.execute(REVOKE, mill.token)

    assert await seconds_until_refused(door, mill.token) < 5
    answer = await door.post(READING, sender=mill)
    assert (answer.status, answer.body["code"]) == (401, "unknown_token")


async def test_revoked_while_nobody_can_be_asked(door: Door, mill: Sender, sql):
    """The poll fails for real: its table is locked by the transaction that revokes."""
    assert (await door.post(READING, sender=mill)).status == 200
    async with sql.transaction():
        await sql.execute("LOCK TABLE public.tenants_credential IN ACCESS EXCLUSIVE MODE")
        await sql.execute(REVOKE, mill.token)

        assert await seconds_until_refused(door, mill.token) < 5
        assert (await door.post(READING, sender=mill)).status == 503

    async with asyncio.timeout(5):
        while (await door.post(READING, sender=mill)).status != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_what_cannot_be_asked_for_a_while_is_believed_again_afterwards(
    door: Door, mill: Sender, sql
):
    assert (await door.post(READING, sender=mill)).status == 200
    async with sql.transaction():
        await sql.execute("LOCK TABLE public.tenants_credential IN ACCESS EXCLUSIVE MODE")
        assert 3 < await seconds_until_refused(door, mill.token) < 5

    async with asyncio.timeout(5):
        while (await door.post(READING, sender=mill)).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_valkey_emptied_brings_no_token_back(door: Door, mill: Sender, sql):
    assert (await door.post(READING, sender=mill)).status == 200
    await sql.execute(REVOKE, mill.token)
    assert await seconds_until_refused(door, mill.token) < 5

    # All that ingest keeps there; the rest belongs to the tests beside this one.
    client = redis.Redis.from_url(settings.VALKEY_URL)
    if keys := client.keys("takt:mills:*"):
        client.delete(*keys)
    client.close()

    assert (await door.post(READING, sender=mill)).status == 401


@pytest.fixture
def second_token(plant: Plant, mill: Sender) -> str:
    with plant.inside("mills"):
        return telemetry_services.rotate_token(device=Device.objects.get(pk=mill.device_id))


async def test_of_two_tokens_each_can_be_ended_alone(
    door: Door, mill: Sender, second_token: str, sql
):
    assert (await door.post(READING, sender=mill)).status == 200
    assert (await door.post(READING, token=second_token)).status == 200
    await sql.execute(REVOKE, mill.token)

    assert await seconds_until_refused(door, mill.token) < 5
    assert (await door.post(READING, token=second_token)).status == 200
    n = await sql.fetchval("SELECT n_stored FROM mills.latest WHERE device_id = $1", mill.device_id)
    assert n >= 3


@pytest.mark.parametrize("path", ["/api/v2/write", "/api/v1/{token}/telemetry"])
async def test_every_way_in_refuses_it(door: Door, mill: Sender, sql, path: str):
    body = b"m f=1" if "write" in path else b'{"a": 1}'
    path = path.format(token=mill.token)
    assert (await door.post(body, sender=mill, path=path)).status in (200, 204)
    await sql.execute(REVOKE, mill.token)

    await seconds_until_refused(door, mill.token)

    assert (await door.post(body, sender=mill, path=path)).status == 401
