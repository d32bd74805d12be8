"""Small requests do not wait behind large ones; what a device sends stays in order."""

import asyncio

from telemetry.ingest import writer
from telemetry.ingest.app import IngestApp
from telemetry.ingest.lanes import LARGE_BYTES
from tests.telemetry.ingest.conftest import Door, Sender

FIRST_MS = 1_700_000_000_000


def batch(n: int, *, start: int = 0) -> list[dict[str, object]]:
    return [{"ts": FIRST_MS + start + i, "values": {"a": i}} for i in range(n)]


async def test_a_small_request_overtakes_another_devices_large_ones(
    door: Door, ingest: IngestApp, mill: Sender, oven: Sender
):
    done = []

    async def send(name: str, body: object, sender: Sender) -> None:
        assert (await door.post(body, sender=sender)).status == 200
        done.append(name)

    held = asyncio.Lock()
    await held.acquire()
    slow = ingest._lanes._slow
    store = slow._commit

    async def commit(group):
        async with held:
            await store(group)

    slow._commit = commit  # type: ignore[method-assign]
    large = asyncio.create_task(send("large", batch(200), mill))
    await asyncio.sleep(0.05)
    await send("small", {"values": {"b": 1}}, oven)
    # The same device's small one stays behind its large one.
    behind = asyncio.create_task(send("behind", {"ts": FIRST_MS + 500, "values": {"a": 1}}, mill))
    await asyncio.sleep(0.1)
    assert done == ["small"]

    held.release()
    await asyncio.gather(large, behind)

    assert done == ["small", "large", "behind"]


async def test_large_requests_are_worked_on_one_at_a_time(ingest: IngestApp):
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with ingest._lanes.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))

    assert most == 1


def test_a_large_body_is_about_what_is_packed():
    smallest = len('{"ts":"2026-11-26T08:00:00.000Z","values":{"load":1.25}},')

    assert writer.MIN_PACKED_READINGS * smallest < LARGE_BYTES
