"""What one commit does in the database.

Three ways, chosen by the writer:

- `store_small`: few rows of one or several factories, all in one message, one round trip.
- `store_packed`: large requests of one factory; each becomes a segment (docs/adr/0008).
- `carefully.store`: one factory, any rows; the only way that knows repeats, merges and
  revisions. `store_small` fails where a reading may be there already, `store_packed` says
  which requests may overlap with what is there, and these go again this way.

Whoever writes readings of a device locks its row of `latest` first, in the order factory,
device: so two processes that meet on the same device wait for each other in one direction, and
what one has found out about a device holds until it has committed.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from telemetry import packing
from telemetry.ingest import statements
from telemetry.ingest.planning import Columns, Row, Segment, Submission
from telemetry.ingest.state import Factory
from telemetry.ingest.statements import Totals
from telemetry.times import from_us, to_us

_MAX_PREPARED = 512


class Store:
    """The statements of one database connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._prepared: dict[str, Any] = {}

    async def prepare(self, factory: Factory) -> Any:
        """Return the factory's `statements.store`, prepared.

        Fails when the factory's tables are not there.
        """
        return await self._prepare(f"takt_{factory.id}", statements.store, factory)

    async def _prepare(self, name: str, sql: Callable[[str], str], factory: Factory) -> Any:
        prepared = self._prepared.pop(name, None)
        if prepared is None:
            if len(self._prepared) >= _MAX_PREPARED:
                # The driver closes what nobody refers to.
                del self._prepared[next(iter(self._prepared))]
            prepared = await self.connection.prepare(sql(factory.schema), name=name)
        # Back at the end: the least recently used is dropped first.
        self._prepared[name] = prepared
        return prepared

    async def store_small(self, groups: Sequence[tuple[Factory, list[Submission]]]) -> None:
        """Store all groups in one transaction; every reading must be new."""
        if len(groups) == 1:
            prepared, arguments, refusals = await self._small(*groups[0])
            if not refusals:
                await prepared.fetch(*arguments)
                _mark_stored(groups[0][1])
                return
        texts, refused = [], []
        for factory, submissions in groups:
            if statements.is_one(submissions):
                name = f"takt_one_{factory.id}"
                await self._prepare(name, statements.store_one, factory)
                texts.append(statements.execute_one(name, submissions[0]))
                continue
            prepared, arguments, refusals = await self._small(factory, submissions)
            texts.append(statements.execute(prepared.get_name(), arguments))
            refused += [refusals] if refusals else []
        # One message without BEGIN is one transaction, committed when it answers.
        await self.connection.execute(";".join(texts + refused))
        for _, submissions in groups:
            _mark_stored(submissions)

    async def _small(
        self, factory: Factory, submissions: list[Submission]
    ) -> tuple[Any, list[Sequence[Any]], str]:
        """Return a prepared `store`, its parameters, and what else is to be written."""
        totals = Totals()
        rows: list[tuple[int, Row]] = []
        for submission in submissions:
            totals.add_new(submission)
            device_id = submission.device.id
            rows += [(device_id, row) for row in submission.ordered_rows()]
        rows.sort(key=_place)
        return await self.prepare(factory), totals.arguments(rows), totals.refusals()

    async def store_packed(
        self, factory: Factory, submissions: list[Submission]
    ) -> list[Submission]:
        """Store requests of one factory as segments; return those that need the careful way.

        These are all of a device that sent one time twice, or a span in which readings are
        already there; nothing of them is stored.
        """
        by_device: dict[int, list[Submission]] = {}
        for submission in submissions:
            by_device.setdefault(submission.device.id, []).append(submission)
        prepared = await self.prepare(factory)
        async with self.connection.transaction():
            doubtful = await self._doubtful(factory, by_device)
            totals, segments = Totals(), []
            stored: list[Submission] = []
            for device_id, sent in sorted(by_device.items()):
                if device_id in doubtful:
                    continue
                for submission in sent:
                    totals.add_new(submission)
                    segments += submission.segments or pack(submission)
                stored += sent
                if any(submission.n_rows for submission in sent):
                    totals.add_packed(device_id, max(s.newest[0] for s in sent if s.newest))
            await insert_segments(self.connection, factory, segments)
            if stored:
                await self.write(prepared, totals)
        _mark_stored(stored)
        return [s for device_id in doubtful for s in by_device[device_id]]

    async def write(self, prepared: Any, totals: Totals) -> None:
        """Write the totals of one factory inside a transaction."""
        await prepared.fetch(*totals.arguments())
        if refusals := totals.refusals():
            await self.connection.execute(refusals)

    async def _doubtful(self, factory: Factory, by_device: dict[int, list[Submission]]) -> set[int]:
        """Lock the devices and say which of them may know some of these readings."""
        known = await lock_devices(self.connection, factory, by_device)
        doubtful: set[int] = set()
        asked: list[tuple[int, int, int]] = []
        for device_id, sent in by_device.items():
            blocks = [block.times for s in sent for block in s.blocks()]
            if not blocks:
                continue
            times = np.sort(np.concatenate(blocks))
            if (times[1:] == times[:-1]).any():
                doubtful.add(device_id)
                continue
            row = known[device_id]
            newest = max(
                (to_us(at) for at in (row["ts"], row["known_to"]) if at is not None), default=-1
            )
            if times[0] <= newest:
                asked.append((device_id, int(times[0]), int(times[-1])))
                if row["closed_to"] is not None and times[0] < to_us(row["closed_to"]):
                    doubtful.add(device_id)
        if asked:
            found = await self.connection.fetch(
                statements.overlaps(factory.schema),
                [device_id for device_id, _, _ in asked],
                [from_us(first) for _, first, _ in asked],
                [from_us(last) for _, _, last in asked],
            )
            doubtful |= {row["d"] for row in found}
        return doubtful


async def lock_devices(
    connection: Any, factory: Factory, device_ids: Iterable[int]
) -> dict[int, Any]:
    """Lock the devices until the end of the transaction and return what `latest` says of them."""
    rows = await connection.fetch(statements.lock(factory.schema), sorted(device_ids))
    return {row["device_id"]: row for row in rows}


def pack(submission: Submission) -> list[Segment]:
    """Pack a large request before it waits, so that a commit has little left to compute."""
    submission.segments = segments_of(submission.device.id, submission.blocks())
    return submission.segments


def segments_of(device_id: int, blocks: Iterable[Columns]) -> list[Segment]:
    """Pack blocks of readings; their times are distinct."""
    found: list[Segment] = []
    for block in blocks:
        times, values = block.times, block.values
        if (times[1:] < times[:-1]).any():
            order = np.argsort(times)
            times, values = times[order], values[order]
        payload = packing.pack(times, values, level=packing.FAST)
        digest = int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), signed=True)
        first, last = int(times[0]), int(times[-1])
        found.append((device_id, first, last, digest, len(times), block.keyset_id, payload))
    return found


async def insert_segments(connection: Any, factory: Factory, segments: list[Segment]) -> None:
    if segments:
        columns = [list(column) for column in zip(*segments, strict=True)]
        await connection.execute(statements.insert_segments(factory.schema), *columns)


def _place(item: tuple[int, Row]) -> tuple[int, int]:
    return (item[0], item[1][0])


def _mark_stored(submissions: Sequence[Submission]) -> None:
    for submission in submissions:
        submission.n_stored = submission.n_rows
        submission.n_duplicates = 0
