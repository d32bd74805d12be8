"""Live readings reach the pages of their factory, and only those."""

import asyncio
import json
import re
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError, connection
from django.test import RequestFactory
from redis import asyncio as valkey

from telemetry import live, missed
from telemetry.ingest.publishing import Publisher
from tenants.models import Membership
from tests.telemetry.ingest.conftest import Door, Sender


async def next_event(stream):
    """Return what comes next without its id, which is a time."""
    return re.sub(rb"^id: \d+\n", b"", await asyncio.wait_for(anext(stream), 5))


async def next_reading(stream):
    while True:
        event = await next_event(stream)
        if event.startswith(b"event: reading\n"):
            return json.loads(event.partition(b"data: ")[2])


@pytest.fixture
async def listen():
    """Open streams as pages do, connected before the test goes on."""
    opened = []

    async def open_stream(schema: str, **kwargs):
        stream = live.events(f"takt:{schema}:live", **kwargs)
        opened.append(stream)
        assert await next_event(stream) == live.CONNECTED
        assert await next_event(stream) == live.LISTENING
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
    assert all(re.fullmatch(rb"id: \d+\n: beat\n\n", event) for event in rest)


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

    assert await next_event(stream) == (
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

    assert await next_event(stream) == b'event: change\ndata: {"topic":"exports"}\n\n'


async def test_a_page_can_follow_one_topic_only(post, listen):
    await listen("mills")  # brings the hub, and takes it away at the end
    stream = live.topic_events("takt:mills:live", topic="job:1")
    assert await next_event(stream) == live.CONNECTED
    assert await next_event(stream) == live.LISTENING

    await post("mills", b'{"topic":"job:12"}', b'{"device_id":1,"ts":"a"}')
    await asyncio.sleep(2 * live.PACE_S)
    await post("mills", b'{"topic":"job:1"}')

    assert await next_event(stream) == b'event: change\ndata: {"topic":"job:1"}\n\n'
    await stream.aclose()


@pytest.fixture
async def open_page(plant, listen):
    """Open the stream of a page as its script does, up to where Valkey has been asked."""
    await listen("mills")  # brings the hub, and takes it away at the end
    opened = []

    def ask(schema, query, headers):
        request = RequestFactory().get(f"/live/stream?{query}", headers=headers)
        request.membership = Membership(role="viewer")  # type: ignore[attr-defined]
        with plant.inside(schema):
            return live.stream(request)

    async def open_stream(schema="mills", *, query="", headers=None):
        answer = await sync_to_async(ask)(schema, query, headers)
        opened.append(answer._iterator)
        assert await next_event(opened[-1]) == live.CONNECTED
        return opened[-1]

    with plant.unblock():
        yield open_stream
        for stream in opened:
            await stream.aclose()


def drawn_now() -> str:
    return f"since={time.time_ns() // 1_000_000}"


def told_in(event: bytes) -> list:
    return [json.loads(line[6:]) for line in event.splitlines() if line.startswith(b'data: {"d')]


@pytest.fixture
def unheard(monkeypatch):
    """As if nobody had listened when the readings were announced."""

    async def send(self, client):
        self._newest.clear()

    monkeypatch.setattr(Publisher, "_send", send)


async def test_what_came_since_the_page_was_drawn_is_told_first(
    unheard, door: Door, mill: Sender, open_page
):
    drawn = drawn_now()
    await door.post({"ts": 1_700_000_000_000, "values": {"a": 1.5, "s": "ON"}}, sender=mill)

    event = await next_event(await open_page(query=drawn))

    [told] = [one for one in told_in(event) if one["device_id"] == mill.device_id]
    assert event.startswith(live.LISTENING)
    assert 0 <= told.pop("age_s") < 10
    assert told == {
        "device_id": mill.device_id,
        "ts": "2023-11-14T22:13:20Z",
        "values": {"a": 1.5, "s": "ON"},
        "n": 0,
    }


async def test_what_was_refused_since_the_page_was_drawn_is_told_as_such(
    unheard, door: Door, mill: Sender, open_page
):
    drawn = drawn_now()
    await door.post({"ts": 4_102_444_800_000, "values": {"a": 1}}, sender=mill)

    event = await next_event(await open_page(query=f"{drawn}&device={mill.device_id}"))

    [told] = told_in(event)
    assert told["values"] == {}


async def test_what_comes_between_subscription_and_question_is_told_and_counted_once(
    door: Door, mill: Sender, open_page, monkeypatch
):
    ask, asking, answered = missed.lines, threading.Event(), threading.Event()

    def lines(*args, **kwargs):
        asking.set()
        assert answered.wait(5)
        return ask(*args, **kwargs)

    monkeypatch.setattr(missed, "lines", lines)
    stream = await open_page(query=f"device={mill.device_id}")
    first = asyncio.create_task(next_event(stream))
    await asyncio.to_thread(asking.wait, 5)

    await door.post({"values": {"a": 7}}, sender=mill)
    answered.set()

    told = told_in(await first) + told_in(await next_event(stream))
    assert [one["values"] for one in told] == [{"a": 7}, {"a": 7}]
    assert sum(one["n"] for one in told) == 1


async def test_what_valkey_lost_is_told_when_it_is_back(
    unheard, door: Door, mill: Sender, open_page
):
    stream = await open_page(query=f"device={mill.device_id}")
    assert await next_event(stream) == live.LISTENING
    await door.post({"values": {"a": 3}}, sender=mill)
    client = valkey.Redis.from_url(settings.VALKEY_URL)

    await client.client_kill_filter(_type="pubsub")
    await client.aclose()

    [told] = told_in(await next_event(stream))
    assert told["values"] == {"a": 3}


async def test_a_page_that_connects_again_goes_on_from_what_it_heard_last(
    unheard, door: Door, mill: Sender, open_page, sql
):
    query = f"since=0&device={mill.device_id}"
    await door.post({"values": {"a": 3}}, sender=mill)
    await sql.execute("UPDATE mills.latest SET received_at = now() - interval '1 minute'")

    event = await anext(await open_page(query=query))
    heard = event.partition(b"\n")[0].removeprefix(b"id: ").decode()
    again = await open_page(query=query, headers={"Last-Event-ID": heard})

    assert len(told_in(event)) == 1
    assert await next_event(again) == live.LISTENING


async def test_a_page_is_told_of_its_own_factory_and_devices_only(
    unheard, door: Door, mill: Sender, oven: Sender, plant_devices, open_page
):
    for sender in (mill, *plant_devices):
        await door.post({"values": {"of the mills": 1}}, sender=sender)
    await door.post({"values": {"of the bakery": 1}}, sender=oven)
    second = plant_devices[1].device_id

    bakery = told_in(await next_event(await open_page("bakery", query="since=0")))
    one = told_in(await next_event(await open_page(query=f"since=0&device={second}")))

    assert {"of the bakery": 1} in [told["values"] for told in bakery]
    assert {"of the mills": 1} not in [told["values"] for told in bakery]
    assert [told["device_id"] for told in one] == [second]


async def test_a_stream_that_is_up_to_date_holds_no_connection(open_page):
    await next_event(await open_page(query="since=0"))

    assert await sync_to_async(lambda: connection.connection)() is None


async def test_without_the_database_the_stream_ends_for_the_page_to_come_again(
    open_page, monkeypatch
):
    def away(*_args, **_kwargs):
        raise OperationalError

    monkeypatch.setattr(missed, "lines", away)

    with pytest.raises(StopAsyncIteration):
        await next_event(await open_page())


async def test_a_page_that_comes_while_the_hub_connects_is_subscribed_too(listen, monkeypatch):
    subscribe = valkey.client.PubSub.subscribe

    async def slowly(self, *channels):
        await asyncio.sleep(0.2)
        await subscribe(self, *channels)

    monkeypatch.setattr(valkey.client.PubSub, "subscribe", slowly)
    first = asyncio.create_task(listen("mills"))
    await asyncio.sleep(0.1)

    await listen("bakery")
    await first
