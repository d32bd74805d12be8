"""What is worth writing down and no request waits for: clock offsets, refused requests.

Collected in memory and written every few seconds, each factory in a transaction of its own. A
factory that cannot be written now loses its notes, as a killed process does: they are marks
for people, no counters that anything is reckoned from.
"""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

import asyncio
from typing import Any

import structlog

from telemetry.ingest import refusing
from telemetry.ingest.errors import AWAY, RequestRefused
from telemetry.ingest.state import Device

log = structlog.get_logger(__name__)

INTERVAL_S = 2.0


class _Factory:
    __slots__ = ("offsets", "refused")

    def __init__(self) -> None:
        self.offsets: dict[int, float] = {}
        # (device, code): how often, and why it was the last time.
        self.refused: dict[tuple[int, str], tuple[int, str]] = {}


class Notes:
    """The notes of one process. `pool` is an asyncpg pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._of: dict[str, _Factory] = {}

    def clock(self, device: Device, offset_s: float) -> None:
        self._notes_of(device).offsets[device.id] = offset_s

    def refused(self, device: Device, refusal: RequestRefused) -> None:
        """Count a whole request; what is our fault (5xx) is not laid at the device's door."""
        if refusal.status < 500:
            refused = self._notes_of(device).refused
            n, _ = refused.get((device.id, refusal.code), (0, ""))
            refused[device.id, refusal.code] = (n + 1, refusal.message)

    def _notes_of(self, device: Device) -> _Factory:
        return self._of.setdefault(device.factory.schema, _Factory())

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.write()

    async def write(self) -> None:
        collected, self._of = self._of, {}
        for schema, notes in collected.items():
            try:
                await self._write(f'"{schema}"', notes)
            except AWAY as error:
                log.warning(
                    "telemetry.notes.not_written", schema=schema, error=type(error).__name__
                )

    async def _write(self, schema: str, notes: _Factory) -> None:
        async with self._pool.acquire() as connection:
            if notes.offsets:
                ids = sorted(notes.offsets)
                # Locked in the order in which the writer locks them.
                await connection.execute(
                    f"""
                    WITH l AS MATERIALIZED (
                        SELECT device_id FROM {schema}.latest
                        WHERE device_id = ANY($1::int[]) ORDER BY device_id FOR UPDATE
                    )
                    UPDATE {schema}.latest SET clock_offset_s = o, clock_seen_at = now()
                    FROM l, unnest($1::int[], $2::float8[]) AS r(d, o)
                    WHERE latest.device_id = l.device_id AND d = l.device_id
                    """,
                    ids,
                    [notes.offsets[device_id] for device_id in ids],
                )
            if notes.refused:
                counts = [
                    {"d": device_id, "c": code, "n": n, "m": message}
                    for (device_id, code), (n, message) in sorted(notes.refused.items())
                ]
                await connection.execute(
                    refusing.count_statement(f"{schema}.refused_request", counts)
                )
