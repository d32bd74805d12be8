"""The statements and row images of the hot table.

One prepared statement per factory does everything a small commit needs, so that a group of
many factories is one message of EXECUTEs, parsed in microseconds and planned never. Its texts
hold numbers only (and Base64, where something was refused).
"""

# ruff: noqa: S608  the schema's name, from an allow-list, is all that is put into statements

import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from telemetry.ingest import refusing
from telemetry.ingest.planning import Columns, Row, Submission

_EPOCH = "timestamptz '1970-01-01 00:00:00+00'"
_FLOAT8_OID = 701
# PostgreSQL counts from 2000-01-01.
_PG_EPOCH_US = 946_684_800_000_000

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"


def prepare(name: str, schema: str) -> str:
    """SQL that prepares the statement of one factory under `name`.

    $1-$6 readings: device, time, keyset, where its values start, how many, all values.
    $7-$15 devices: id, newest time (null: none), its keyset, start, how many; received,
    stored, duplicates, rejected. $16-$19 hours: device, hour, readings, values.
    """
    s = f'"{schema}"'
    return f"""
PREPARE {name} (int[], bigint[], int[], int[], int[], float8[],
    int[], bigint[], int[], int[], int[], bigint[], bigint[], bigint[], bigint[],
    int[], bigint[], bigint[], bigint[]) AS
WITH stored AS (
    INSERT INTO {s}.reading_hot (device_id, ts, keyset_id, vals)
    SELECT d, {_EPOCH} + t * interval '1 microsecond', k, ($6)[o + 1 : o + n]
    FROM unnest($1, $2, $3, $4, $5) AS r(d, t, k, o, n)
), seen AS (
    INSERT INTO {s}.latest AS l (device_id, ts, keyset_id, vals, received_at,
        n_received, n_stored, n_duplicates, n_rejected)
    SELECT d, {_EPOCH} + t * interval '1 microsecond', k, ($6)[o + 1 : o + n],
        clock_timestamp(), nr, ns, nd, nx
    FROM unnest($7, $8, $9, $10, $11, $12, $13, $14, $15) AS r(d, t, k, o, n, nr, ns, nd, nx)
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
        n_rejected = l.n_rejected + excluded.n_rejected
)
INSERT INTO {s}.reading_hour AS h (device_id, hour, n_readings, n_values, changed_at)
SELECT d, {_EPOCH} + t * interval '1 hour', nr, nv, clock_timestamp()
FROM unnest($16, $17, $18, $19) AS r(d, t, nr, nv)
ON CONFLICT (device_id, hour) DO UPDATE SET
    n_readings = h.n_readings + excluded.n_readings,
    n_values = h.n_values + excluded.n_values,
    changed_at = excluded.changed_at"""


class Totals:
    """What one commit adds to the devices and hours of a factory."""

    __slots__ = ("_devices", "_hours", "_refused")

    def __init__(self) -> None:
        # Device: newest row, received, stored, duplicates, rejected.
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
            device = self._devices[submission.device.id] = [None, 0, 0, 0, 0]
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

    def add_hour(self, device_id: int, hour: int, n_readings: int, n_values: int) -> None:
        counts = self._hours.get((device_id, hour))
        if counts is None:
            self._hours[device_id, hour] = [n_readings, n_values]
        else:
            counts[0] += n_readings
            counts[1] += n_values

    def execute(self, name: str, rows: Iterable[tuple[int, Row]] = ()) -> str:
        """The EXECUTE that writes these totals, and the rows that were not copied before.

        What was refused follows it in statements of its own, in the same transaction.
        """
        flat: list[float] = []
        readings: list[tuple[int, int, int, int, int]] = []
        for device_id, (time, keyset_id, values) in rows:
            readings.append((device_id, time, keyset_id, len(flat), len(values)))
            flat += values
        devices: list[tuple[Any, ...]] = []
        # In order of device and hour, so that two processes lock rows in the same order.
        for device_id in sorted(self._devices):
            newest, *counts = self._devices[device_id]
            if newest is None:
                devices.append((device_id, "null", "null", 0, 0, *counts))
            else:
                time, keyset_id, values = newest
                devices.append((device_id, time, keyset_id, len(flat), len(values), *counts))
                flat += values
        hours = [(*key, *self._hours[key]) for key in sorted(self._hours)]
        return (
            f"EXECUTE {name}({_arrays(readings, 5)},'{{{','.join(map(repr, flat))}}}',"
            f"{_arrays(devices, 9)},{_arrays(hours, 4)})"
            f"{refusing.statements(self._refused) if self._refused else ''}"
        )


def _arrays(records: list[Any], n_columns: int) -> str:
    if not records:
        return ",".join(["'{}'"] * n_columns)
    return ",".join(f"'{{{','.join(map(str, column))}}}'" for column in zip(*records, strict=True))


# -- row images for COPY BINARY ----------------------------------------------------------------


@lru_cache(maxsize=256)
def _row_type(n_keys: int) -> np.dtype[Any]:
    value = np.dtype([("length", ">i4"), ("value", ">f8")])
    return np.dtype(
        [
            ("n_fields", ">i2"),
            ("device_length", ">i4"), ("device", ">i4"),
            ("time_length", ">i4"), ("time", ">i8"),
            ("keyset_length", ">i4"), ("keyset", ">i4"),
            ("vals_length", ">i4"),
            ("n_dimensions", ">i4"), ("has_null", ">i4"), ("oid", ">i4"),
            ("n", ">i4"), ("lower", ">i4"),
            ("values", value, (n_keys,)),
        ]
    )  # fmt: skip


@lru_cache(maxsize=256)
def _row_template(n_keys: int) -> Any:
    row = np.zeros(1, _row_type(n_keys))
    row["n_fields"] = 4
    row["device_length"], row["time_length"], row["keyset_length"] = 4, 8, 4
    row["vals_length"] = 20 + 12 * n_keys
    row["n_dimensions"], row["oid"], row["n"], row["lower"] = 1, _FLOAT8_OID, n_keys, 1
    row["values"]["length"] = 8
    return row


def columns_image(device_id: int, block: Columns) -> bytes:
    """The rows of a block as COPY BINARY has them."""
    n_rows, n_keys = block.values.shape
    rows = np.repeat(_row_template(n_keys), n_rows)
    rows["device"] = device_id
    rows["time"] = block.times - _PG_EPOCH_US
    rows["keyset"] = block.keyset_id
    rows["values"]["value"] = block.values
    return rows.tobytes()


@lru_cache(maxsize=256)
def _pack_of(n_keys: int) -> Any:
    return struct.Struct(">h ii iq ii i iiiii" + "id" * n_keys).pack


def row_image(device_id: int, row: Row) -> bytes:
    """One row as COPY BINARY has it; for a single row cheaper than numpy."""
    time, keyset_id, values = row
    n = len(values)
    items: list[Any] = [8] * (2 * n)
    items[1::2] = values
    image: bytes = _pack_of(n)(
        4, 4, device_id, 8, time - _PG_EPOCH_US, 4, keyset_id,
        20 + 12 * n, 1, 0, _FLOAT8_OID, n, 1, *items,
    )  # fmt: skip
    return image
