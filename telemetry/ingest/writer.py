"""A bounded queue and the one connection behind it that commits in groups.

Whatever arrived while the last commit ran goes into the next one; there are no timers. A
request's future resolves after the commit that holds it, and never before. When the connection
is lost the outcome of the running commit is unknown: its requests are told to come again, and
when they do, what was stored counts as duplicates.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import asyncpg
import structlog

from telemetry.ingest import carefully
from telemetry.ingest.errors import RequestRefused, unavailable
from telemetry.ingest.planning import Submission
from telemetry.ingest.state import Factory
from telemetry.ingest.storing import Store

log = structlog.get_logger(__name__)

MAX_PENDING_READINGS = 200_000
MAX_PENDING_REQUESTS = 10_000
# One factory's flood leaves this share of the queue to the others.
FACTORY_SHARE = 0.5
MAX_GROUP_READINGS = 20_000
MAX_GROUP_FACTORIES = 128
# From here on a segment is cheaper than a row a reading.
MIN_PACKED_READINGS = 32
STATEMENT_TIMEOUT_S = 10.0
# What a large request lets pass, and for how long: about a commit.
FEW_READINGS = 32
PATIENCE_S = 0.003
CAREFUL_S = 5.0
PAUSE_S = 2.0
_TRIES = 4
# A group takes at most half of what is under way, but never less than this: see _take_group.
_MIN_GROUP_READINGS = 80

_SESSION = {
    "application_name": "takt ingest",
    "synchronous_commit": "on",
    "statement_timeout": "10s",
    "lock_timeout": "500ms",
    "idle_in_transaction_session_timeout": "15s",
    # The statement of a factory is the same for one row and for a thousand.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}

# The connection or the server is gone, or does not answer: nothing is known and nothing more
# can be done with this connection.
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalClientError,
)
# The factory's schema is gone or not complete.
_NO_TABLES = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)

AfterCommit = Callable[[list[Submission]], None]


class Writer:
    """Commits submissions in groups, in the order in which they came."""

    def __init__(self, *, database_url: str, after_commit: AfterCommit) -> None:
        self._database_url = database_url
        self._after_commit = after_commit
        self._queue: deque[Submission] = deque()
        self._n_pending = 0
        self._arrived = asyncio.Event()
        # Nothing is pending.
        self._idle = asyncio.Event()
        self._idle.set()
        self._connected = asyncio.Event()
        self._connection: Any = None
        self._store: Store | None = None

    @property
    def is_ready(self) -> bool:
        return self._store is not None

    def check_room(self, factory: Factory) -> None:
        """Refuse with 503 where a submission would have to wait too long."""
        if self._store is None:
            raise unavailable("The database is away; send again in a moment.")
        if (
            self._n_pending >= MAX_PENDING_READINGS
            or len(self._queue) >= MAX_PENDING_REQUESTS
            or factory.n_pending >= MAX_PENDING_READINGS * FACTORY_SHARE
            or factory.paused_until > time.monotonic()
        ):
            raise unavailable("More is arriving than can be stored; send again in a moment.")

    async def submit(self, submission: Submission) -> None:
        """Wait until the submission is committed.

        Raises:
            RequestRefused: 503, it is not known to be committed.
        """
        factory = submission.device.factory
        self.check_room(factory)
        # A request without a reading to store still counts for the queue and its device.
        n = submission.n_rows + 1
        self._n_pending += n
        factory.n_pending += n
        done = submission.done = asyncio.get_running_loop().create_future()
        self._queue.append(submission)
        self._arrived.set()
        self._idle.clear()
        try:
            await done
        finally:
            self._n_pending -= n
            factory.n_pending -= n
            if not self._n_pending:
                self._idle.set()

    async def let_few_pass(self) -> None:
        """Wait until what is pending is committed, if it is little; `PATIENCE_S` at most."""
        if 0 < self._n_pending <= FEW_READINGS:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), PATIENCE_S)

    async def run(self) -> None:
        """Connect, commit, reconnect, until cancelled."""
        delay_s = 0.05
        while True:
            try:
                await self._connect()
                delay_s = 0.05
                await self._commit_until_lost()
            except asyncio.CancelledError:
                self._fail(list(self._queue), unavailable("The server is stopping; send again."))
                self._disconnect()
                raise
            except _LOST as error:
                log.warning("telemetry.writer.lost", error=type(error).__name__)
            except asyncpg.PostgresError as error:
                log.error("telemetry.writer.refused", error=type(error).__name__, text=str(error))
            self._disconnect()
            self._fail(list(self._queue), unavailable("The database is away; send again."))
            self._queue.clear()
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311
            delay_s = min(1.0, delay_s * 2)

    async def wait_ready(self, *, timeout_s: float) -> None:
        """Wait for the first connection, but not for ever."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), timeout_s)

    async def _connect(self) -> None:
        self._connection = await asyncpg.connect(
            self._database_url,
            timeout=5,
            command_timeout=STATEMENT_TIMEOUT_S + 2,
            server_settings=_SESSION,
        )
        self._store = Store(self._connection)
        self._connected.set()

    def _disconnect(self) -> None:
        self._store = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_LOST):
                connection.terminate()

    async def _commit_until_lost(self) -> None:
        while True:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            group = self._take_group()
            try:
                await self._commit(group)
            except BaseException:
                self._fail(group, unavailable("The database was lost; send again."))
                raise

    def _take_group(self) -> list[Submission]:
        """Take what has arrived, but leave a half of the senders to the next group.

        Senders that wait for their answers come back together. If all were in one group, the
        database would rest while they are read and this process while they are committed; in
        two groups one is read while the other is committed.
        """
        group: list[Submission] = []
        n_readings = 0
        # Pending are also those of the last group, whose senders have not been answered yet.
        n_most = min(MAX_GROUP_READINGS, max(_MIN_GROUP_READINGS, self._n_pending // 2))
        while self._queue and n_readings < n_most:
            submission = self._queue.popleft()
            n_readings += submission.n_rows + 1
            group.append(submission)
        return group

    async def _commit(self, group: list[Submission]) -> None:
        by_factory: dict[Factory, list[Submission]] = {}
        for submission in group:
            by_factory.setdefault(submission.device.factory, []).append(submission)
        small: list[tuple[Factory, list[Submission]]] = []
        for factory, submissions in by_factory.items():
            if plain := await self._commit_doubtful(factory, submissions):
                small.append((factory, plain))
        # Sorted, so that two processes lock the factories in the same order.
        small.sort(key=lambda item: item[0].schema)
        for start in range(0, len(small), MAX_GROUP_FACTORIES):
            await self._commit_small(small[start : start + MAX_GROUP_FACTORIES])

    async def _commit_doubtful(
        self, factory: Factory, submissions: list[Submission]
    ) -> list[Submission]:
        """Commit what is large or expected to repeat; return the rest.

        All of a device goes one way: what it sent must not overtake itself.
        """
        now = time.monotonic()
        large = {s.device.id for s in submissions if s.n_rows >= MIN_PACKED_READINGS}
        careful: list[Submission] = []
        packed: list[Submission] = []
        plain: list[Submission] = []
        for submission in submissions:
            if submission.device.careful_until > now:
                careful.append(submission)
            elif submission.device.id in large:
                packed.append(submission)
            else:
                plain.append(submission)
        if packed:
            careful += await self._commit_packed(factory, packed)
        if careful:
            await self._commit_carefully(factory, careful)
        return plain

    async def _commit_small(self, groups: list[tuple[Factory, list[Submission]]]) -> None:
        store = self._live_store()
        while groups:
            try:
                await store.store_small(groups)
            except _LOST:
                raise
            except asyncpg.PostgresError as error:
                # Repeats are the usual reason. Where the answer names the factory, only that
                # one is taken out and the others go again together; otherwise each goes alone.
                suspects = [g for g in groups if g[0].schema == error.schema_name] or groups
                for factory, submissions in suspects:
                    await self._commit_carefully(factory, submissions)
                groups = [g for g in groups if g not in suspects]
            else:
                self._resolve([s for _, submissions in groups for s in submissions])
                return

    async def _commit_packed(
        self, factory: Factory, submissions: list[Submission]
    ) -> list[Submission]:
        """Commit large requests; return those that the careful way has to look at."""
        try:
            doubtful = await self._live_store().store_packed(factory, submissions)
        except _LOST:
            raise
        except asyncpg.PostgresError:
            # Whatever its code says: the careful way finds out.
            return submissions
        unclear = set(map(id, doubtful))
        self._resolve([s for s in submissions if id(s) not in unclear])
        return doubtful

    async def _commit_carefully(self, factory: Factory, submissions: list[Submission]) -> None:
        """Commit one factory alone; if that fails, only its own requests do."""
        for attempt in range(_TRIES):
            try:
                await carefully.store(self._live_store(), factory, submissions)
            except _LOST:
                raise
            except asyncpg.PostgresError as error:
                failure: Exception = error
                if isinstance(error, (*_NO_TABLES, asyncpg.LockNotAvailableError)):
                    break
                await asyncio.sleep(0.01 * attempt)
            else:
                for submission in submissions:
                    # A device that sends its backlog, late or again, goes on doing so.
                    if submission.n_duplicates or submission.is_late:
                        submission.device.careful_until = time.monotonic() + CAREFUL_S
                self._resolve(submissions)
                return
        log.warning(
            "telemetry.writer.factory_failed",
            schema=factory.schema,
            error=type(failure).__name__,
            text=str(failure),
        )
        # What one factory waits for (a lock, its tables) must not hold up the others each time.
        factory.paused_until = time.monotonic() + PAUSE_S
        self._fail(submissions, unavailable("The factory's tables cannot be written now."))

    def _live_store(self) -> Store:
        if self._store is None:
            raise asyncpg.InterfaceError("not connected")
        return self._store

    def _resolve(self, submissions: list[Submission]) -> None:
        self._after_commit(submissions)
        for submission in submissions:
            done = submission.done
            if done is not None and not done.done():
                done.set_result(None)

    @staticmethod
    def _fail(submissions: list[Submission], error: RequestRefused) -> None:
        for submission in submissions:
            done = submission.done
            if done is not None and not done.done():
                done.set_exception(error)
                # The client may have gone; then nobody asks for the outcome.
                done.exception()
