"""Small requests do not wait behind large ones; what a device sends stays in order."""

import asyncio

import pytest

from telemetry.ingest import statements, writer
from telemetry.ingest.app import IngestApp
from telemetry.ingest.lanes import LARGE_BYTES
from telemetry.ingest.planning import Submission
from tests.telemetry.ingest.conftest import Door, Sender, until

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
    await until(lambda: slow._n_pending)
    n_large = slow._n_pending
    await send("small", {"values": {"b": 1}}, oven)
    # The same device's small one stays behind its large one.
    behind = asyncio.create_task(send("behind", {"ts": FIRST_MS + 500, "values": {"a": 1}}, mill))
    await until(lambda: slow._n_pending > n_large)
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


async def test_a_large_request_lets_a_few_small_ones_pass_but_not_for_ever(
    door: Door, ingest: IngestApp, mill: Sender, oven: Sender, monkeypatch: pytest.MonkeyPatch
):
    quick, held = ingest._lanes._quick, asyncio.Event()
    commit = quick._commit

    async def later(group):
        await held.wait()
        await commit(group)

    monkeypatch.setattr(quick, "_commit", later)
    monkeypatch.setattr(writer, "PATIENCE_S", 60.0)
    small = [asyncio.create_task(door.post({"values": {"b": 1}}, sender=oven))]
    await until(lambda: quick._n_pending)
    large = asyncio.create_task(_take_turn(ingest))
    await asyncio.sleep(0.05)
    assert not large.done()
    held.set()
    await asyncio.wait_for(asyncio.gather(*small, large), 10)

    # Not where many small ones come all the time, nor those whose time is up.
    monkeypatch.setattr(writer, "FEW_READINGS", 1)
    held.clear()
    small = [asyncio.create_task(door.post({"values": {"b": i}}, sender=oven)) for i in range(3)]
    await until(lambda: quick._n_pending == 6)
    await asyncio.wait_for(_take_turn(ingest), 1)

    monkeypatch.setattr(writer, "FEW_READINGS", 32)
    monkeypatch.setattr(writer, "PATIENCE_S", 0.01)
    await asyncio.wait_for(_take_turn(ingest), 1)

    held.set()
    assert [answer.status for answer in await asyncio.gather(*small)] == [200] * 3


async def _take_turn(ingest: IngestApp) -> None:
    async with ingest._lanes.turn():
        pass


def test_a_large_body_is_about_what_is_packed():
    smallest = len('{"ts":"2026-11-26T08:00:00.000Z","values":{"load":1.25}},')

    assert writer.MIN_PACKED_READINGS * smallest < LARGE_BYTES


async def test_factories_that_send_a_reading_each_share_a_commit(
    door: Door, mill: Sender, oven: Sender, monkeypatch: pytest.MonkeyPatch
):
    texts: list[str] = []
    execute_one = statements.execute_one

    def recorded(name: str, submission: Submission) -> str:
        texts.append(name)
        return execute_one(name, submission)

    monkeypatch.setattr(statements, "execute_one", recorded)

    async def both(ts: int, value: float) -> list[tuple[int, int]]:
        body = {"ts": ts, "values": {"shared": value}}
        answers = await asyncio.gather(*(door.post(body, sender=one) for one in (mill, oven)))
        assert [answer.status for answer in answers] == [200, 200]
        return [(answer.body["stored"], answer.body["duplicates"]) for answer in answers]

    # Known shapes first, and something packed that later ones may meet.
    for one in (mill, oven):
        await door.post(
            [{"ts": FIRST_MS + i, "values": {"shared": i}} for i in range(40)], sender=one
        )
        one_more = {"ts": FIRST_MS + 90, "values": {"shared": 1}}
        await door.post(one_more, sender=one)

    assert await both(FIRST_MS + 100, 1.5) == [(1, 0), (1, 0)]
    assert len(texts) == 2
    assert await both(FIRST_MS + 100, 1.5) == [(0, 1), (0, 1)]


async def test_a_single_reading_that_is_packed_already_is_a_repeat(
    door: Door, mill: Sender, oven: Sender
):
    for one in (mill, oven):
        await door.post(
            [{"ts": FIRST_MS + i, "values": {"shared": i}} for i in range(40)], sender=one
        )

    body = {"ts": FIRST_MS + 7, "values": {"shared": 7}}
    answers = await asyncio.gather(*(door.post(body, sender=one) for one in (mill, oven)))

    assert [answer.body["duplicates"] for answer in answers] == [1, 1]
