"""The statements of a commit.

One prepared statement per factory does everything a small commit needs, so that a group of
many factories is one message of EXECUTEs, parsed in microseconds and planned never. Its texts
hold numbers only (and Base64, where something was refused).
"""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

from collections.abc import Sequence
from typing import Any

from telemetry.ingest import refusing
from telemetry.ingest.planning import Row, Submission

_EPOCH = "timestamptz '1970-01-01 00:00:00+00'"


def store(schema: str) -> str:
    """SQL of the statement that stores what is new for one factory.

    $1-$6 readings: device, time, keyset, where its values start, how many, all values.
    $7-$16 devices: id, newest time (null: none), its keyset, start, how many; received,
    stored, duplicates, rejected, last time packed now (null: none). $17-$20 usage: device,
    hour, readings, values.

    A reading at or before the last time that is packed, archived or expired may be known
    already: its row would have no values, which the table refuses, and the careful way finds
    out. `latest` is written first, and so locks the device before anything else is looked at.
    """
    s = f'"{schema}"'
    return f"""
WITH seen AS (
    INSERT INTO {s}.latest AS l (device_id, ts, keyset_id, vals, received_at,
        n_received, n_stored, n_duplicates, n_rejected, packed_to)
    SELECT d, {_EPOCH} + t * interval '1 microsecond', k, ($6::float8[])[o + 1 : o + n],
        clock_timestamp(), nr, ns, nd, nx, {_EPOCH} + p * interval '1 microsecond'
    FROM unnest($7::int[], $8::bigint[], $9::int[], $10::int[], $11::int[], $12::bigint[],
        $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[])
        AS r(d, t, k, o, n, nr, ns, nd, nx, p)
    ON CONFLICT (device_id) DO UPDATE SET
        ts = CASE WHEN l.ts > excluded.ts OR excluded.ts IS NULL THEN l.ts
            ELSE excluded.ts END,
        keyset_id = CASE WHEN l.ts > excluded.ts OR excluded.ts IS NULL THEN l.keyset_id
            ELSE excluded.keyset_id END,
        vals = CASE WHEN l.ts > excluded.ts OR excluded.ts IS NULL THEN l.vals
            ELSE excluded.vals END,
        received_at = excluded.received_at,
        n_received = l.n_received + excluded.n_received,
        n_stored = l.n_stored + excluded.n_stored,
        n_duplicates = l.n_duplicates + excluded.n_duplicates,
        n_rejected = l.n_rejected + excluded.n_rejected,
        packed_to = greatest(l.packed_to, excluded.packed_to)
    RETURNING device_id, greatest(packed_to, closed_to) AS known_to
), used AS (
    INSERT INTO {s}.usage_delta (at, device_ids, hours, n_readings, n_values)
    SELECT clock_timestamp(), $17::int[], $18::int[], $19::int[], $20::int[]
    WHERE cardinality($17::int[]) > 0
)
INSERT INTO {s}.reading_hot (device_id, ts, keyset_id, vals)
SELECT d, at, k, CASE WHEN known_to IS NULL OR at > known_to THEN ($6)[o + 1 : o + n] END
FROM (
    SELECT d, {_EPOCH} + t * interval '1 microsecond' AS at, k, o, n
    FROM unnest($1::int[], $2::bigint[], $3::int[], $4::int[], $5::int[]) AS r(d, t, k, o, n)
) AS r JOIN seen ON seen.device_id = d"""


def store_one(schema: str) -> str:
    """SQL that stores one new reading of a factory and nothing else: `store` for $1-$6.

    $1 device, $2 time, $3 keyset, $4 values, $5 hour, $6 how many values. When many factories
    send a reading each, setting up the executor is what a commit costs; here it is half of that.
    """
    s = f'"{schema}"'
    at = f"({_EPOCH} + $2::bigint * interval '1 microsecond')"
    return f"""
WITH seen AS (
    INSERT INTO {s}.latest AS l (device_id, ts, keyset_id, vals, received_at,
        n_received, n_stored, n_duplicates, n_rejected)
    VALUES ($1::int, {at}, $3::int, $4::float8[], clock_timestamp(), 1, 1, 0, 0)
    ON CONFLICT (device_id) DO UPDATE SET
        ts = CASE WHEN l.ts > excluded.ts THEN l.ts ELSE excluded.ts END,
        keyset_id = CASE WHEN l.ts > excluded.ts THEN l.keyset_id ELSE excluded.keyset_id END,
        vals = CASE WHEN l.ts > excluded.ts THEN l.vals ELSE excluded.vals END,
        received_at = excluded.received_at,
        n_received = l.n_received + 1,
        n_stored = l.n_stored + 1
    RETURNING greatest(packed_to, closed_to) AS known_to
), used AS (
    INSERT INTO {s}.usage_delta (at, device_ids, hours, n_readings, n_values)
    VALUES (clock_timestamp(), ARRAY[$1::int], ARRAY[$5::int], ARRAY[1], ARRAY[$6::int])
)
INSERT INTO {s}.reading_hot (device_id, ts, keyset_id, vals)
SELECT $1::int, {at}, $3::int, CASE WHEN known_to IS NULL OR {at} > known_to THEN $4::float8[] END
FROM seen"""


def lock(schema: str) -> str:
    """SQL that locks the rows of some devices ($1, ascending) in `latest`, made if missing."""
    return f"""
INSERT INTO "{schema}".latest AS l (device_id, received_at,
    n_received, n_stored, n_duplicates, n_rejected)
SELECT d, clock_timestamp(), 0, 0, 0, 0 FROM unnest($1::int[]) AS d
ON CONFLICT (device_id) DO UPDATE SET received_at = excluded.received_at
RETURNING device_id, ts, greatest(packed_to, closed_to) AS known_to, packed_to, closed_to"""


def overlaps(schema: str) -> str:
    """SQL that names the devices ($1) which have readings between $2 and $3, row by row."""
    return f"""
SELECT d FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS p(d, a, b)
WHERE EXISTS (
    SELECT FROM "{schema}".reading_hot WHERE device_id = d AND ts >= a AND ts <= b
) OR EXISTS (
    SELECT FROM "{schema}".segment WHERE device_id = d AND t0 <= b AND t1 >= a
)"""


def insert_segments(schema: str) -> str:
    """SQL that writes open segments: device, first, last, digest, readings, keyset, payload."""
    return f"""
INSERT INTO "{schema}".segment (device_id, t0, t1, digest, n, keyset_id, level, codec, payload)
SELECT d, {_EPOCH} + a * interval '1 microsecond', {_EPOCH} + b * interval '1 microsecond',
    g, n, k, 0, get_byte(p, 0), p
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::int[],
    $7::bytea[]) AS s(d, a, b, g, n, k, p)"""


class Totals:
    """What one commit adds to the devices and hours of a factory."""

    __slots__ = ("_devices", "_hours", "_refused")

    def __init__(self) -> None:
        # Device: newest row, received, stored, duplicates, rejected, last time packed now.
        self._devices: dict[int, list[Any]] = {}
        self._hours: dict[tuple[int, int], list[int]] = {}
        self._refused: list[Submission] = []

    def add_new(self, submission: Submission) -> None:
        """Count a submission all of whose readings are new."""
        self.add_counts(submission, n_stored=submission.n_rows, n_duplicates=0)
        self.add_newest(submission.device.id, submission.newest)
        for hour, n_readings, n_values in submission.hours:
            self.add_hour(submission.device.id, hour, n_readings, n_values)

    def add_counts(self, submission: Submission, *, n_stored: int, n_duplicates: int) -> None:
        device = self._devices.get(submission.device.id)
        if device is None:
            device = self._devices[submission.device.id] = [None, 0, 0, 0, 0, None]
        device[1] += submission.n_received
        device[2] += n_stored
        device[3] += n_duplicates
        if submission.rejected:
            device[4] += len(submission.rejected)
            self._refused.append(submission)

    def add_newest(self, device_id: int, row: Row | None) -> None:
        device = self._devices[device_id]
        if row is not None and (device[0] is None or row[0] >= device[0][0]):
            device[0] = row

    def add_packed(self, device_id: int, last_us: int) -> None:
        device = self._devices[device_id]
        if device[5] is None or device[5] < last_us:
            device[5] = last_us

    def add_hour(self, device_id: int, hour: int, n_readings: int, n_values: int) -> None:
        counts = self._hours.get((device_id, hour))
        if counts is None:
            self._hours[device_id, hour] = [n_readings, n_values]
        else:
            counts[0] += n_readings
            counts[1] += n_values

    def arguments(self, rows: Sequence[tuple[int, Row]] = ()) -> list[Sequence[Any]]:
        """The parameters of `store`: these totals, and the rows that go into the hot table."""
        flat: list[float] = []
        readings: list[tuple[int, int, int, int, int]] = []
        # A device's newest reading is mostly one of the rows: its values are sent once.
        places: dict[int, int] = {}
        for device_id, row in rows:
            time, keyset_id, values = row
            places[id(row)] = len(flat)
            readings.append((device_id, time, keyset_id, len(flat), len(values)))
            flat += values
        devices: list[tuple[Any, ...]] = []
        # In order of the device, so that two processes lock rows in the same order.
        for device_id in sorted(self._devices):
            newest, *counts = self._devices[device_id]
            if newest is None:
                devices.append((device_id, None, None, 0, 0, *counts))
                continue
            time, keyset_id, values = newest
            start = places.get(id(newest))
            if start is None:
                start = len(flat)
                flat += values
            devices.append((device_id, time, keyset_id, start, len(values), *counts))
        hours = [(*place, *counts) for place, counts in self._hours.items()]
        return [
            *_columns(readings, 5), flat, *_columns(devices, 10), *_columns(hours, 4)
        ]  # fmt: skip

    def refusals(self) -> str:
        """SQL that writes down what was refused; empty where nothing was.

        Runs in the transaction of the totals, by `Connection.execute`.
        """
        return refusing.statements(self._refused) if self._refused else ""


def execute(name: str, arguments: list[Sequence[Any]]) -> str:
    """The EXECUTE of a prepared `store`, so that those of many factories are one message."""
    return f"EXECUTE {name}({','.join(map(_array, arguments))})"


def execute_one(name: str, submission: Submission) -> str:
    """The EXECUTE of a prepared `store_one`."""
    (time, keyset_id, values), (hour, _, n_values) = submission.rows[0], submission.hours[0]
    return (
        f"EXECUTE {name}({submission.device.id},{time},{keyset_id},{_array(values)},"
        f"{hour},{n_values})"
    )


def is_one(submissions: Sequence[Submission]) -> bool:
    """Say whether `store_one` is enough for what a factory sent."""
    return len(submissions) == 1 and submissions[0].n_received == 1 and submissions[0].n_rows == 1


def _columns(records: list[Any], n_columns: int) -> list[Sequence[Any]]:
    return list(zip(*records, strict=True)) if records else [()] * n_columns


def _array(values: Sequence[Any]) -> str:
    return f"'{{{','.join(['null' if value is None else repr(value) for value in values])}}}'"
