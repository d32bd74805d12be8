"""What one commit does in the database.

Three ways, chosen by the writer:

- `store_small`: few rows of one or several factories, all in one message, one round trip.
- `store_large`: many rows of one factory by COPY BINARY.
- `store_carefully`: one factory, any rows; the only way that knows repeats, merges and
  revisions. The other two fail with a unique violation when a reading is already there, and
  the group goes again this way.

All take rows in the order factory, reading, device, hour, so that two processes that meet on
the same rows wait for each other in one direction. Large requests will become packed segments
of their own table; the compactor seals closed hours of both (see docs). Then `store_large`
writes segments and this module is the only one to change.
"""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from telemetry.ingest import statements
from telemetry.ingest.interning import intern_keyset
from telemetry.ingest.merging import Cell, Item
from telemetry.ingest.planning import HOUR_US, Row, Submission
from telemetry.ingest.state import Factory
from telemetry.ingest.statements import Totals
from telemetry.times import from_us, to_us

_MAX_PREPARED = 256
_COPY_PIECE_BYTES = 512 * 1024

Place = tuple[int, int]  # device, time in microseconds


class ReadingMoved(Exception):
    """A row that was in the way is gone again: something else rewrites this time. Try again."""


class Store:
    """The statements of one database connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._prepared: dict[int, str] = {}

    async def prepare(self, factory: Factory) -> None:
        """Prepare the factory's statement; fails when its tables are not there."""
        name = self._prepared.pop(factory.id, None)
        if name is None:
            if len(self._prepared) >= _MAX_PREPARED:
                oldest = next(iter(self._prepared))
                await self._connection.execute(f"DEALLOCATE {self._prepared.pop(oldest)}")
            name = f"takt_{factory.id}"
            await self._connection.execute(statements.prepare(name, factory.schema))
        # Back at the end: the least recently used is dropped first.
        self._prepared[factory.id] = name

    async def store_small(self, groups: Sequence[tuple[Factory, list[Submission]]]) -> None:
        """Store all groups in one transaction; every reading must be new."""
        texts = []
        for factory, submissions in groups:
            await self.prepare(factory)
            texts.append(self._execute(factory, submissions))
        # One message without BEGIN is one transaction, committed when it answers.
        await self._connection.execute(";".join(texts))
        _mark_all_stored(groups)

    async def store_large(self, factory: Factory, submissions: list[Submission]) -> None:
        """Store the readings of one factory by COPY; every reading must be new."""
        await self.prepare(factory)
        totals = Totals()
        for submission in submissions:
            totals.add_new(submission)
        await self._connection.execute("BEGIN")
        try:
            await self._connection.copy_to_table(
                "reading_hot",
                schema_name=factory.schema,
                columns=("device_id", "ts", "keyset_id", "vals"),
                source=_images(submissions),
                format="binary",
            )
            await self._connection.execute(f"{totals.execute(self._prepared[factory.id])};COMMIT")
        except BaseException:
            await self._rollback()
            raise
        _mark_all_stored([(factory, submissions)])

    async def store_carefully(self, factory: Factory, submissions: list[Submission]) -> None:
        """Store the readings of one factory, whatever of them is already there."""
        await self.prepare(factory)
        async with self._connection.transaction():
            careful = _CarefulStore(self._connection, factory)
            totals = await careful.store(submissions)
            await self._connection.execute(totals.execute(self._prepared[factory.id]))

    def _execute(self, factory: Factory, submissions: list[Submission]) -> str:
        totals = Totals()
        rows: list[tuple[int, Row]] = []
        for submission in submissions:
            totals.add_new(submission)
            device_id = submission.device.id
            rows += [(device_id, row) for row in submission.ordered_rows()]
        rows.sort(key=_place)
        return totals.execute(self._prepared[factory.id], rows)

    async def _rollback(self) -> None:
        if not self._connection.is_closed():
            await self._connection.execute("ROLLBACK")


def _place(item: tuple[int, Row]) -> Place:
    return (item[0], item[1][0])


async def _images(submissions: list[Submission]) -> AsyncIterator[bytes]:
    """The rows as COPY BINARY has them, in few pieces: each costs a message and a system call."""
    parts = [statements.COPY_HEADER]
    size = 0
    for submission in submissions:
        device_id = submission.device.id
        parts += [statements.row_image(device_id, row) for row in submission.rows]
        for block in submission.columns:
            parts.append(statements.columns_image(device_id, block))
            size += len(parts[-1])
        if size > _COPY_PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    parts.append(statements.COPY_TRAILER)
    yield b"".join(parts)


def _mark_all_stored(groups: Sequence[tuple[Factory, list[Submission]]]) -> None:
    for _, submissions in groups:
        for submission in submissions:
            submission.n_stored = submission.n_rows
            submission.n_duplicates = 0


class _CarefulStore:
    """One transaction that finds out of each reading whether it is new."""

    def __init__(self, connection: Any, factory: Factory) -> None:
        self._connection = connection
        self._factory = factory
        self._schema = f'"{factory.schema}"'
        # Keyset: the ids and names of its keys.
        self._keysets: dict[int, list[tuple[str, int]]] = {}

    async def store(self, submissions: list[Submission]) -> Totals:
        places: dict[Place, list[tuple[Submission, Row]]] = {}
        for submission in submissions:
            submission.n_stored = submission.n_duplicates = 0
            for row in submission.ordered_rows():
                places.setdefault((submission.device.id, row[0]), []).append((submission, row))
        ordered = sorted(places)
        inserted = await self._insert_firsts([(place, places[place][0][1]) for place in ordered])
        taken = [place for place in ordered if place not in inserted]
        await self._load_keysets({row[1] for arrivals in places.values() for _, row in arrivals})
        cells = await self._load_cells(taken)
        if len(cells) != len(taken):
            raise ReadingMoved
        totals = Totals()
        written: dict[Place, Row] = {}
        for place in ordered:
            arrivals = places[place]
            if place in inserted:
                submission, row = arrivals[0]
                cell = cells[place] = Cell()
                self._take(totals, cell, place, submission, row)
                cell.is_changed = False
                written[place] = row
                arrivals = arrivals[1:]
            for submission, row in arrivals:
                self._take(totals, cells[place], place, submission, row)
        written |= await self._write_changes(cells)
        for submission in submissions:
            submission.n_duplicates = submission.n_rows - submission.n_stored
            totals.add_counts(
                submission, n_stored=submission.n_stored, n_duplicates=submission.n_duplicates
            )
        for (device_id, _), row in written.items():
            totals.add_newest(device_id, row)
        return totals

    def _take(
        self, totals: Totals, cell: Cell, place: Place, submission: Submission, row: Row
    ) -> None:
        keys = self._keysets[row[1]]
        items: list[Item] = [
            (key, key_id, value) for (key, key_id), value in zip(keys, row[2], strict=True)
        ]
        n_new = cell.merge(items)
        if n_new:
            submission.n_stored += 1
            totals.add_hour(place[0], place[1] // HOUR_US, 1, n_new)

    async def _insert_firsts(self, firsts: list[tuple[Place, Row]]) -> set[Place]:
        flat = [value for _, row in firsts for value in row[2]]
        offsets: list[int] = []
        position = 0
        for _, row in firsts:
            offsets.append(position)
            position += len(row[2])
        rows = await self._connection.fetch(
            f"""
            INSERT INTO {self._schema}.reading_hot (device_id, ts, keyset_id, vals)
            SELECT d, t, k, ($6::float8[])[o + 1 : o + n]
            FROM unnest($1::int[], $2::timestamptz[], $3::int[], $4::int[], $5::int[])
                WITH ORDINALITY AS r(d, t, k, o, n, i)
            ORDER BY i
            ON CONFLICT DO NOTHING
            RETURNING device_id, ts
            """,
            [place[0] for place, _ in firsts],
            [from_us(place[1]) for place, _ in firsts],
            [row[1] for _, row in firsts],
            offsets,
            [len(row[2]) for _, row in firsts],
            flat,
        )
        return {(row["device_id"], to_us(row["ts"])) for row in rows}

    async def _load_cells(self, places: list[Place]) -> dict[Place, Cell]:
        """Lock and read what is stored at these places, with what was replaced there before."""
        if not places:
            return {}
        arguments = ([place[0] for place in places], [from_us(place[1]) for place in places])
        rows = await self._connection.fetch(
            f"""
            SELECT h.device_id, h.ts, h.keyset_id, h.vals
            FROM {self._schema}.reading_hot h
            JOIN unnest($1::int[], $2::timestamptz[]) AS p(d, t)
                ON h.device_id = p.d AND h.ts = p.t
            ORDER BY h.device_id, h.ts FOR UPDATE OF h
            """,
            *arguments,
        )
        replaced = await self._connection.fetch(
            f"""
            SELECT r.device_id, r.ts, r.keyset_id, r.vals
            FROM {self._schema}.reading_revision r
            JOIN unnest($1::int[], $2::timestamptz[]) AS p(d, t)
                ON r.device_id = p.d AND r.ts = p.t
            """,
            *arguments,
        )
        await self._load_keysets({row["keyset_id"] for row in (*rows, *replaced)})
        cells: dict[Place, Cell] = {}
        for row in rows:
            cell = cells[row["device_id"], to_us(row["ts"])] = Cell()
            for (key, key_id), value in zip(
                self._keysets[row["keyset_id"]], row["vals"], strict=True
            ):
                cell.current[key] = (key_id, value)
        for row in replaced:
            known = cells[row["device_id"], to_us(row["ts"])].known
            for (key, key_id), value in zip(
                self._keysets[row["keyset_id"]], row["vals"], strict=True
            ):
                known.add((key, key_id, value))
        return cells

    async def _load_keysets(self, keyset_ids: set[int]) -> None:
        missing = list(keyset_ids - self._keysets.keys())
        if not missing:
            return
        rows = await self._connection.fetch(
            f"""
            SELECT s.id, array_agg(k.key ORDER BY u.i) AS keys, s.key_ids
            FROM {self._schema}.telemetry_keyset s,
                unnest(s.key_ids) WITH ORDINALITY AS u(key_id, i)
            JOIN {self._schema}.telemetry_signalkey k ON k.id = u.key_id
            WHERE s.id = ANY($1::int[]) GROUP BY s.id
            """,
            missing,
        )
        for row in rows:
            self._keysets[row["id"]] = list(zip(row["keys"], row["key_ids"], strict=True))

    async def _write_changes(self, cells: dict[Place, Cell]) -> dict[Place, Row]:
        """Write what was merged into known places; returns the rows as they are now."""
        written: dict[Place, Row] = {}
        updates: list[tuple[int, datetime, int, list[float]]] = []
        revisions: list[tuple[int, datetime, int, list[float]]] = []
        keyset_ids: dict[tuple[int, ...], int] = {}

        async def id_of(keyset: tuple[int, ...]) -> int:
            if keyset not in keyset_ids:
                keyset_ids[keyset] = await intern_keyset(self._connection, self._factory, keyset)
            return keyset_ids[keyset]

        for place, cell in sorted(cells.items(), key=itemgetter(0)):
            if not cell.is_changed:
                continue
            device_id, at = place[0], from_us(place[1])
            keyset, values = cell.row()
            written[place] = (place[1], await id_of(keyset), values)
            updates.append((device_id, at, written[place][1], values))
            for key_id, value in cell.replaced:
                revisions.append((device_id, at, await id_of((key_id,)), [value]))
        if updates:
            await self._connection.executemany(
                f"UPDATE {self._schema}.reading_hot SET keyset_id = $3, vals = $4"
                " WHERE device_id = $1 AND ts = $2",
                updates,
            )
        if revisions:
            await self._connection.executemany(
                f"INSERT INTO {self._schema}.reading_revision"
                " (device_id, ts, keyset_id, vals, replaced_at)"
                " VALUES ($1, $2, $3, $4, clock_timestamp())",
                revisions,
            )
        return written
