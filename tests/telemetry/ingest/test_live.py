"""Live readings reach the pages of their factory, and only those."""

import asyncio
import json

import pytest
from django.conf import settings
from redis import asyncio as valkey

from telemetry import live
from tests.telemetry.ingest.conftest import Door, Sender


async def next_reading(stream):
    async for event in stream:
        if event.startswith(b"event: reading\n"):
            return json.loads(event.partition(b"data: ")[2])
    raise AssertionError("the stream ended")


@pytest.fixture
async def listen():
    """Open streams as pages do, connected before the test goes on."""
    opened = []

    async def open_stream(schema: str, **kwargs):
        stream = live.events(f"takt:{schema}:live", **kwargs)
        assert b": connected" in await anext(stream)
        opened.append(stream)
        await asyncio.sleep(0.2)  # the subscription itself
        return stream

    yield open_stream
    for stream in opened:
        await stream.aclose()
    hub = live._hubs.pop(asyncio.get_running_loop(), None)
    if hub is not None and hub._task is not None:
        hub._task.cancel()
        await asyncio.gather(hub._task, return_exceptions=True)
        await hub._client.aclose()


async def test_a_committed_reading_reaches_an_open_page(door: Door, mill: Sender, listen):
    stream = await listen("mills")

    await door.post({"ts": 1_700_000_000_000, "values": {"a": 1.5, "s": "ACTIVE"}}, sender=mill)

    assert await asyncio.wait_for(next_reading(stream), 5) == {
        "device_id": mill.device_id,
        "ts": "2023-11-14T22:13:20Z",
        "values": {"a": 1.5, "s": "ACTIVE"},
        "n": 1,
    }


async def test_another_factory_hears_nothing(door: Door, mill: Sender, oven: Sender, listen):
    bakery = await listen("bakery")

    await door.post({"values": {"a": 1}}, sender=mill)
    await asyncio.sleep(0.5)
    await door.post({"values": {"b": 2}}, sender=oven)

    assert (await asyncio.wait_for(next_reading(bakery), 5))["values"] == {"b": 2}


async def test_a_page_can_ask_for_one_device(door: Door, plant_devices, listen):
    first, second = plant_devices
    stream = await listen("mills", device_ids=frozenset([second.device_id]))

    await door.post({"values": {"a": 1}}, sender=first)
    await door.post({"values": {"a": 2}}, sender=second)

    heard = await asyncio.wait_for(next_reading(stream), 5)
    assert heard["device_id"] == second.device_id


@pytest.fixture
def plant_devices(plant):
    return plant.device("mills"), plant.device("mills")


async def test_a_silent_stream_beats_and_ends(listen, monkeypatch):
    monkeypatch.setattr(live, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(live, "LIFETIME_S", 0.6)
    stream = await listen("mills")

    rest = [event async for event in stream]

    assert rest
    assert set(rest) == {b": beat\n\n"}


async def test_a_page_that_does_not_read_costs_a_bounded_queue(listen):
    hub = live._hub()
    async with hub.listen("takt:mills:live") as queue:
        for i in range(live.QUEUE_SIZE + 50):
            hub._hand_on("takt:mills:live", b"%d" % i)

        assert queue.qsize() == live.QUEUE_SIZE
        assert queue.get_nowait() == b"50"
    assert hub._task is not None
    hub._task.cancel()
    await asyncio.gather(hub._task, return_exceptions=True)


async def test_many_pages_share_one_subscription(listen, door: Door, mill: Sender):
    streams = [await listen("mills") for _ in range(5)]
    client = valkey.Redis.from_url(settings.VALKEY_URL)
    [(_, n_subscribers)] = await client.pubsub_numsub("takt:mills:live")
    await client.aclose()

    await door.post({"values": {"a": 1}}, sender=mill)

    assert n_subscribers == 1
    heard = await asyncio.wait_for(asyncio.gather(*map(next_reading, streams)), 5)
    assert len(heard) == 5


@pytest.fixture
async def post():
    """Send messages on a factory's channel as publishers do."""
    client = valkey.Redis.from_url(settings.VALKEY_URL)

    async def send(schema: str, *lines: bytes) -> None:
        await client.publish(f"takt:{schema}:live", b"\n".join(lines))

    yield send
    await client.aclose()


async def test_several_readings_in_a_message_come_as_one_event(listen, post):
    stream = await listen("mills")

    await post("mills", b'{"device_id":1,"ts":"a"}', b'{"device_id":2,"ts":"b"}')

    assert await asyncio.wait_for(anext(stream), 5) == (
        b'event: reading\ndata: {"device_id":1,"ts":"a"}\ndata: {"device_id":2,"ts":"b"}\n\n'
    )


async def test_readings_come_in_a_few_bundles_however_many_arrive(listen, post):
    stream = await listen("mills")
    for i in range(300):
        await post("mills", b'{"device_id":%d,"ts":"a"}' % i, b'{"device_id":%d,"ts":"b"}' % i)

    n_lines, n_events = 0, 0
    while n_lines < 2 * live.QUEUE_SIZE:
        event = await asyncio.wait_for(anext(stream), 5)
        n_events, n_lines = n_events + 1, n_lines + event.count(b"\ndata: ")

    assert n_events <= 5


async def test_what_changed_is_told_once_and_apart_from_readings(listen, post):
    stream = await listen("mills", device_ids=frozenset([7]))

    await post("mills", b'{"topic":"exports"}', b'{"device_id":1,"ts":"a"}', b'{"topic":"exports"}')

    assert await asyncio.wait_for(anext(stream), 5) == (
        b'event: change\ndata: {"topic":"exports"}\n\n'
    )


async def test_a_page_can_follow_one_topic_only(post, listen):
    await listen("mills")  # brings the hub, and takes it away at the end
    stream = live.topic_events("takt:mills:live", topic="job:1")
    assert b": connected" in await anext(stream)

    await post("mills", b'{"topic":"job:12"}', b'{"device_id":1,"ts":"a"}')
    await asyncio.sleep(2 * live.PACE_S)
    await post("mills", b'{"topic":"job:1"}')

    assert await asyncio.wait_for(anext(stream), 5) == b'event: change\ndata: {"topic":"job:1"}\n\n'
    await stream.aclose()
