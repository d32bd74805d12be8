"""Tells the live pages what was committed, through Valkey, without ever waiting for it.

Per device only the newest reading of each interval is sent: a page shows the current value, and
a device at 1,000 readings a second must not become 1,000 messages a second. All of a factory
are one message, a line a device. What cannot be sent is dropped; the pages' stream asks the
database for it when it begins (`telemetry.missed`).
"""

import asyncio
import contextlib
import time
from typing import Any

import msgspec
import structlog
from redis import asyncio as valkey
from redis.exceptions import RedisError

from telemetry.ingest.planning import Submission
from telemetry.times import iso_utc

log = structlog.get_logger(__name__)

INTERVAL_S = 0.2
MAX_DEVICES = 20_000
_ENCODE = msgspec.json.Encoder().encode


def channel(schema: str) -> str:
    """The channel of a factory's live readings, as `tenants.names.channel` makes it."""
    return f"takt:{schema}:live"


class Publisher:
    """Collects the newest reading of each device and sends them a few times a second."""

    def __init__(self, *, valkey_url: str, interval_s: float = INTERVAL_S) -> None:
        self._url = valkey_url
        self._interval_s = interval_s
        self._newest: dict[tuple[str, int], tuple[int, dict[str, Any]]] = {}
        self._counts: dict[tuple[str, int], int] = {}
        # Devices of which everything was refused: whoever connects one is waiting for a word.
        self._refused: set[tuple[str, int]] = set()
        self._arrived = asyncio.Event()

    def announce(self, submissions: list[Submission]) -> None:
        """Remember what to send; called after each commit, costs next to nothing."""
        if len(self._newest) > MAX_DEVICES:
            return
        for submission in submissions:
            newest = submission.newest
            key = (submission.device.factory.schema, submission.device.id)
            if newest is None or not submission.n_stored:
                if submission.rejected:
                    self._refused.add(key)
                continue
            before = self._newest.get(key)
            if before is None or newest[0] >= before[0]:
                self._newest[key] = (newest[0], submission.newest_values)
            self._counts[key] = self._counts.get(key, 0) + submission.n_stored
        self._arrived.set()

    async def run(self) -> None:
        """Send until cancelled; Valkey may be away for as long as it likes."""
        delay_s = 0.1
        client = valkey.Redis.from_url(
            self._url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=None
        )
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                try:
                    await self._send(client)
                    delay_s = 0.1
                except (RedisError, OSError, TimeoutError) as error:
                    log.warning("telemetry.publisher.away", error=type(error).__name__)
                    await asyncio.sleep(delay_s)
                    delay_s = min(5.0, delay_s * 2)
                await asyncio.sleep(self._interval_s)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    async def _send(self, client: Any) -> None:
        newest, self._newest = self._newest, {}
        counts, self._counts = self._counts, {}
        refused, self._refused = self._refused - newest.keys(), set()
        now = iso_utc(time.time_ns() // 1000)
        lines: dict[str, list[bytes]] = {}
        for schema, device_id in refused:
            nothing = {"device_id": device_id, "ts": now, "values": {}, "n": 0}
            lines.setdefault(schema, []).append(_ENCODE(nothing))
        for (schema, device_id), (time_us, values) in newest.items():
            reading = {
                "device_id": device_id,
                "ts": iso_utc(time_us),
                "values": values,
                "n": counts[schema, device_id],
            }
            lines.setdefault(schema, []).append(_ENCODE(reading))
        pipeline = client.pipeline(transaction=False)
        for schema, own in lines.items():
            pipeline.publish(channel(schema), b"\n".join(own))
        await pipeline.execute()
