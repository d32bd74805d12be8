"""An alarm reaches the pages that are open, whatever readings they asked for."""

import asyncio

from telemetry.alarms import announcing
from tests.telemetry.ingest.conftest import Plant
from tests.telemetry.ingest.test_live import listen, next_event

__all__ = ["listen"]  # a fixture


async def test_an_open_page_hears_of_an_alarm(plant: Plant, listen):
    stream = await listen("mills", device_ids=frozenset({1}))

    message = announcing.message_of([7])
    await asyncio.to_thread(announcing.publish, "takt:mills:live", message)

    assert await next_event(stream) == b'event: alarm\ndata: {"alarm":{"ids":[7]}}\n\n'
