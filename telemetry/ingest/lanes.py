"""Two lanes to the database, so that a single reading never waits behind somebody's backlog.

The quick lane takes small requests of readings that are new. Large ones, and those of devices
that send late or again, take the slow lane, a connection of its own. What large requests cost
this process is done one piece at a time (`turn`), with whatever is small in between.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from telemetry.ingest import storing
from telemetry.ingest.planning import Submission
from telemetry.ingest.state import Factory
from telemetry.ingest.writer import MIN_PACKED_READINGS, AfterCommit, Writer

# A body from here on is decoded in turn: about the size of MIN_PACKED_READINGS.
LARGE_BYTES: Final = 4096


class Lanes:
    """The way of every submission into the database."""

    def __init__(self, *, database_url: str, after_commit: AfterCommit) -> None:
        self._quick = Writer(database_url=database_url, after_commit=after_commit)
        self._slow = Writer(database_url=database_url, after_commit=after_commit)
        self._turn = asyncio.Lock()

    def check_room(self, factory: Factory, *, n_bytes: int) -> None:
        """Refuse with 503 where a request of this size would have to wait too long."""
        (self._slow if n_bytes >= LARGE_BYTES else self._quick).check_room(factory)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until no other large request is being worked on, and all small ones have been.

        A few that are on their way into the database go first too: what is decoded meanwhile
        would keep the processor, and the disk soon after, from them.
        """
        async with self._turn:
            await asyncio.sleep(0)
            await self._quick.let_few_pass()
            yield

    async def submit(self, submission: Submission) -> None:
        """Wait until the submission is committed.

        Raises:
            RequestRefused: 503, it is not known to be committed.
        """
        device = submission.device
        is_large = submission.n_rows >= MIN_PACKED_READINGS
        # All of a device goes one way: what it sent must not overtake itself.
        if not is_large and not device.n_slow and device.careful_until <= time.monotonic():
            await self._quick.submit(submission)
            return
        if is_large:
            storing.pack(submission)
        device.n_slow += 1
        try:
            await self._slow.submit(submission)
        finally:
            device.n_slow -= 1

    async def run(self) -> None:
        """Commit until cancelled."""
        async with asyncio.TaskGroup() as running:
            running.create_task(self._quick.run())
            running.create_task(self._slow.run())

    async def wait_ready(self, *, timeout_s: float) -> None:
        """Wait for the first connections, but not for ever."""
        await asyncio.gather(
            self._quick.wait_ready(timeout_s=timeout_s), self._slow.wait_ready(timeout_s=timeout_s)
        )
