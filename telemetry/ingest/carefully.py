"""The careful way: finds out of each reading whether it is new, known, or says otherwise.

Knows what lies in the hot table and in segments. What is new goes into either; what is merged
or revised becomes a hot row with everything that is known of its time, which holds before the
segment that it came from until the compactor has united them.
"""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np

from telemetry import packing
from telemetry.ingest.decoding import MANY, Rejection
from telemetry.ingest.interning import intern_keyset
from telemetry.ingest.merging import Cell, Item
from telemetry.ingest.planning import HOUR_US, Columns, Row, Segment, Submission
from telemetry.ingest.state import Factory
from telemetry.ingest.statements import Totals
from telemetry.ingest.storing import Store, insert_segments, lock_devices, segments_of
from telemetry.times import from_us, iso_utc, to_us

Place = tuple[int, int]  # device, time in microseconds
Arrivals = dict[Place, list[tuple[Submission, Row]]]
# From one place to the next of a device less than this: one span to look up.
_SPAN_GAP_US = HOUR_US
_MAX_SPANS = 200


async def store(store: Store, factory: Factory, submissions: list[Submission]) -> None:
    """Store the readings of one factory, whatever of them is already there."""
    prepared = await store.prepare(factory)
    async with store.connection.transaction():
        totals = await _Careful(store.connection, factory).store(submissions)
        await store.write(prepared, totals)


class _Careful:
    """One transaction. All of its devices are locked from its first statement on."""

    def __init__(self, connection: Any, factory: Factory) -> None:
        self._connection = connection
        self._factory = factory
        self._schema = f'"{factory.schema}"'
        # Keyset: the names and ids of its keys.
        self._keysets: dict[int, list[tuple[str, int]]] = {}
        self._keyset_ids: dict[tuple[int, ...], int] = {}

    async def store(self, submissions: list[Submission]) -> Totals:
        locked = await lock_devices(
            self._connection, self._factory, {s.device.id for s in submissions}
        )
        places = _arrivals(submissions, locked)
        cells = await self._load_cells(sorted(places), locked)
        await self._load_keysets({row[1] for arrivals in places.values() for _, row in arrivals})
        totals = Totals()
        fresh: list[tuple[Place, Row]] = []
        changed: dict[Place, Cell] = {}
        for place in sorted(places):
            arrivals, cell = places[place], cells.get(place)
            if cell is None:
                submission, row = arrivals[0]
                submission.n_stored += 1
                totals.add_hour(place[0], place[1] // HOUR_US, 1, len(row[2]))
                if len(arrivals) == 1:
                    fresh.append((place, row))
                    continue
                cell = Cell()
                cell.merge(self._items(row))
                cell.is_changed, arrivals = True, arrivals[1:]
            for submission, row in arrivals:
                n_new = cell.merge(self._items(row))
                if n_new:
                    submission.n_stored += 1
                    totals.add_hour(place[0], place[1] // HOUR_US, 1, n_new)
            if cell.is_changed:
                changed[place] = cell
        await self._write(totals, submissions, fresh, changed)
        return totals

    def _items(self, row: Row) -> list[Item]:
        keys = self._keysets[row[1]]
        return [(key, key_id, value) for (key, key_id), value in zip(keys, row[2], strict=True)]

    async def _write(
        self,
        totals: Totals,
        submissions: list[Submission],
        fresh: list[tuple[Place, Row]],
        changed: dict[Place, Cell],
    ) -> None:
        for submission in submissions:
            n_late = sum(rejection.code == _TOO_OLD for rejection in submission.rejected)
            submission.n_duplicates = submission.n_rows - submission.n_stored - n_late
            totals.add_counts(
                submission, n_stored=submission.n_stored, n_duplicates=submission.n_duplicates
            )
        hot = await self._write_revisions(changed)
        segments, rows = _packed_and_hot(fresh)
        await insert_segments(self._connection, self._factory, segments)
        await self._write_hot([*rows, *hot])
        for device_id, _, last, *_ in segments:
            totals.add_packed(device_id, last)
        for (device_id, _), row in (*fresh, *hot):
            totals.add_newest(device_id, row)

    # -- what is there --------------------------------------------------------------------------

    async def _load_cells(self, places: list[Place], locked: dict[int, Any]) -> dict[Place, Cell]:
        """Read what is stored at these places, with what was replaced there before."""
        if not places:
            return {}
        arguments = ([place[0] for place in places], [from_us(place[1]) for place in places])
        rows = await self._at("reading_hot", arguments)
        replaced = await self._at("reading_revision", arguments)
        found = {(row["device_id"], to_us(row["ts"])): row for row in rows}
        packed = await self._load_packed([p for p in places if p not in found], locked)
        await self._load_keysets({row["keyset_id"] for row in (*rows, *replaced)})
        cells = {place: self._cell(row["keyset_id"], row["vals"]) for place, row in found.items()}
        cells |= {place: self._cell(*row) for place, row in packed.items()}
        for row in replaced:
            cell = cells.get((row["device_id"], to_us(row["ts"])))
            keys = self._keysets[row["keyset_id"]]
            for (key, key_id), value in zip(keys, row["vals"], strict=True):
                if cell is not None:
                    cell.known.add((key, key_id, value))
        return cells

    async def _at(self, table: str, arguments: tuple[list[int], list[datetime]]) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(
            f"""
            SELECT r.device_id, r.ts, r.keyset_id, r.vals FROM {self._schema}.{table} r
            JOIN unnest($1::int[], $2::timestamptz[]) AS p(d, t)
                ON r.device_id = p.d AND r.ts = p.t
            """,
            *arguments,
        )
        return rows

    def _cell(self, keyset_id: int, values: Iterable[float]) -> Cell:
        cell = Cell()
        for (key, key_id), value in zip(self._keysets[keyset_id], values, strict=True):
            if value == value:  # NaN: a segment's reading that has no value for this key
                cell.current[key] = (key_id, value)
        return cell

    async def _load_packed(
        self, places: list[Place], locked: dict[int, Any]
    ) -> dict[Place, tuple[int, list[float]]]:
        """Find what segments hold of these places: keyset and values of each found."""
        times: dict[int, list[int]] = {}
        for device_id, time in places:
            packed_to = locked[device_id]["packed_to"]
            if packed_to is not None and time <= to_us(packed_to):
                times.setdefault(device_id, []).append(time)
        found: dict[Place, tuple[int, list[float]]] = {}
        for row in await self._segments_over(_spans(times)):
            wanted = np.array(times[row["device_id"]], np.int64)
            stored, values = packing.unpack(row["payload"])
            at = np.searchsorted(stored, wanted)
            at[at == len(stored)] = 0
            for i in np.flatnonzero(stored[at] == wanted).tolist():
                place = (row["device_id"], int(wanted[i]))
                found[place] = (row["keyset_id"], values[at[i]].tolist())
        await self._load_keysets({keyset_id for keyset_id, _ in found.values()})
        return found

    async def _segments_over(self, spans: list[tuple[int, int, int]]) -> list[Any]:
        if not spans:
            return []
        rows: list[Any] = await self._connection.fetch(
            f"""
            SELECT DISTINCT ON (s.device_id, s.t0, s.t1, s.digest)
                s.device_id, s.keyset_id, s.payload
            FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS p(d, a, b)
            JOIN {self._schema}.segment s ON s.device_id = d AND s.t0 <= b AND s.t1 >= a
            """,
            [device_id for device_id, _, _ in spans],
            [from_us(first) for _, first, _ in spans],
            [from_us(last) for _, _, last in spans],
        )
        return rows

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

    # -- what is written ------------------------------------------------------------------------

    async def _id_of(self, keyset: tuple[int, ...]) -> int:
        if keyset not in self._keyset_ids:
            self._keyset_ids[keyset] = await intern_keyset(self._connection, self._factory, keyset)
        return self._keyset_ids[keyset]

    async def _write_revisions(self, changed: dict[Place, Cell]) -> list[tuple[Place, Row]]:
        """Write down what was replaced; return the rows of the places as they are now."""
        rows: list[tuple[Place, Row]] = []
        revisions: list[tuple[int, datetime, int, list[float]]] = []
        for place, cell in changed.items():
            keyset, values = cell.row()
            rows.append((place, (place[1], await self._id_of(keyset), values)))
            for key_id, value in cell.replaced:
                revisions.append(
                    (place[0], from_us(place[1]), await self._id_of((key_id,)), [value])
                )
        if revisions:
            await self._connection.executemany(
                f"INSERT INTO {self._schema}.reading_revision"
                " (device_id, ts, keyset_id, vals, replaced_at)"
                " VALUES ($1, $2, $3, $4, clock_timestamp())",
                revisions,
            )
        return rows

    async def _write_hot(self, rows: list[tuple[Place, Row]]) -> None:
        if not rows:
            return
        starts: list[int] = []
        flat: list[float] = []
        for _, row in rows:
            starts.append(len(flat))
            flat += row[2]
        await self._connection.execute(
            f"""
            INSERT INTO {self._schema}.reading_hot (device_id, ts, keyset_id, vals)
            SELECT d, t, k, ($6::float8[])[o + 1 : o + n]
            FROM unnest($1::int[], $2::timestamptz[], $3::int[], $4::int[], $5::int[])
                AS r(d, t, k, o, n)
            ON CONFLICT (device_id, ts) DO UPDATE
            SET keyset_id = excluded.keyset_id, vals = excluded.vals
            """,
            [place[0] for place, _ in rows],
            [from_us(place[1]) for place, _ in rows],
            [row[1] for _, row in rows],
            starts,
            [len(row[2]) for _, row in rows],
            flat,
        )


_TOO_OLD = "too_old"


def _arrivals(submissions: list[Submission], locked: dict[int, Any]) -> Arrivals:
    """Sort the readings by place; those before what is closed are rejected, by name."""
    places: Arrivals = {}
    for submission in submissions:
        submission.n_stored = submission.n_duplicates = 0
        # From the try before, if there was one.
        submission.rejected = [r for r in submission.rejected if r.code != _TOO_OLD]
        device = locked[submission.device.id]
        closed_us = -1 if device["closed_to"] is None else to_us(device["closed_to"])
        known_us = -1 if device["known_to"] is None else to_us(device["known_to"])
        for index, row in zip(submission.indexes, submission.ordered_rows(), strict=True):
            if row[0] < closed_us:
                submission.rejected.append(_too_old(index, closed_us))
                continue
            submission.is_late = submission.is_late or row[0] <= known_us
            places.setdefault((submission.device.id, row[0]), []).append((submission, row))
        submission.rejected.sort(key=lambda rejection: rejection.index)
    return places


def _too_old(index: int, closed_us: int) -> Rejection:
    return Rejection(
        index,
        _TOO_OLD,
        f"The history of this device before {iso_utc(closed_us)} is archived or has expired; "
        "have it restored before sending readings of that time.",
    )


def _spans(times: dict[int, list[int]]) -> list[tuple[int, int, int]]:
    """Unite ascending times of devices to spans worth looking up one by one."""
    spans: list[tuple[int, int, int]] = []
    for device_id, ordered in times.items():
        first = last = ordered[0]
        own: list[tuple[int, int, int]] = []
        for time in ordered[1:]:
            if time - last > _SPAN_GAP_US:
                own.append((device_id, first, last))
                first = time
            last = time
        own.append((device_id, first, last))
        spans += own if len(own) <= _MAX_SPANS else [(device_id, ordered[0], ordered[-1])]
    return spans


def _packed_and_hot(
    fresh: list[tuple[Place, Row]],
) -> tuple[list[Segment], list[tuple[Place, Row]]]:
    """Divide new readings: many of one device and keyset become a segment, few stay rows."""
    groups: dict[tuple[int, int], list[Row]] = {}
    for place, row in fresh:
        groups.setdefault((place[0], row[1]), []).append(row)
    segments: list[Segment] = []
    rows: list[tuple[Place, Row]] = []
    for (device_id, keyset_id), group in groups.items():
        if len(group) < MANY:
            rows += [((device_id, row[0]), row) for row in group]
            continue
        times = np.array([row[0] for row in group], np.int64)
        values = np.array([row[2] for row in group], np.float64)
        segments += segments_of(device_id, [Columns(keyset_id, times, values, ())])
    return segments, rows
