"""Readings over a range of time, whatever table they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

from telemetry import columns
from telemetry.models import ReadingRevision, SignalKey
from telemetry.selectors import dictionary

MAX_BUCKETS = 5_000


@dataclass(frozen=True, slots=True)
class KeySeries:
    """One key in buckets; buckets without a reading are absent, never made up."""

    t: list[int]  # start of the bucket, milliseconds since 1970
    min: list[float]
    avg: list[float]
    max: list[float]
    n: list[int]


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """Several keys of one device over [start, end) in buckets of `bucket_ms`."""

    device_id: int
    start: datetime
    end: datetime
    bucket_ms: float
    keys: dict[str, KeySeries]


@dataclass(frozen=True, slots=True)
class RawResult:
    """Readings as columns: times (n,) in ms since 1970, ascending; NaN where a key is absent.

    Booleans are 0 and 1; texts are codes, decoded by `texts`.
    """

    times: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[np.float64]]
    kinds: dict[str, str]

    def texts(self, key: str) -> list[str | None]:
        """The texts of a column, None where the key is absent."""
        codes = self.columns[key]
        words = dictionary.words({int(code) for code in codes[~np.isnan(codes)]})
        return [None if np.isnan(code) else words[int(code)] for code in codes]


def series(
    *, device_id: int, keys: Sequence[str], start: datetime, end: datetime, n_buckets: int
) -> SeriesResult:
    """Return min, average, max and count of numeric keys in at most `n_buckets` buckets.

    Raises:
        ValueError: `n_buckets` is not between 1 and MAX_BUCKETS, or the range is empty.
    """
    if not 1 <= n_buckets <= MAX_BUCKETS:
        raise ValueError(f"n_buckets must be between 1 and {MAX_BUCKETS}")
    if start >= end:
        raise ValueError("the range is empty")
    width = -(-(end - start) // n_buckets)  # rounded up to a microsecond
    found: dict[str, KeySeries] = {key: KeySeries([], [], [], [], []) for key in keys}
    places = _places(keys, kinds=("n", "b"))
    if places:
        for row in _bucket_rows(device_id, len(keys), places, start, end, width):
            at = int(row[0])
            for i, key in enumerate(keys):
                low, mean, high, n = row[1 + 4 * i : 5 + 4 * i]
                if n:
                    one = found[key]
                    one.t.append(at)
                    one.min.append(low)
                    one.avg.append(mean)
                    one.max.append(high)
                    one.n.append(n)
    return SeriesResult(device_id, start, end, width / timedelta(milliseconds=1), found)


# A keyset, and for each key asked for its position in it (None: not in it).
Places = dict[int, list[int | None]]


def _places(keys: Sequence[str], *, kinds: Sequence[str]) -> Places:
    """Find in which keysets the keys stand, and where."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id, k.key, array_position(s.key_ids, k.id)
            FROM telemetry_signalkey k JOIN telemetry_keyset s ON s.key_ids @> ARRAY[k.id]
            WHERE k.key = ANY(%s) AND k.kind = ANY(%s)
            """,
            [list(keys), list(kinds)],
        )
        places: Places = {}
        for keyset_id, key, position in cursor.fetchall():
            places.setdefault(keyset_id, [None] * len(keys))[keys.index(key)] = position
    return places


def _bucket_rows(
    device_id: int,
    n_keys: int,
    places: Places,
    start: datetime,
    end: datetime,
    width: Any,
) -> list[tuple[Any, ...]]:
    named = ", ".join(f"p{i}" for i in range(n_keys))
    one = "(%s" + ", %s::int" * n_keys + ")"
    figures = ", ".join(
        f"min(vals[p{i}]), avg(vals[p{i}]), max(vals[p{i}]), count(vals[p{i}])"
        for i in range(n_keys)
    )
    # Only names and placeholders are put in; every value is a parameter.
    statement = f"""
        WITH place (keyset_id, {named}) AS (VALUES {", ".join([one] * len(places))})
        SELECT extract(epoch FROM date_bin(%s, ts, %s)) * 1000, {figures}
        FROM reading_hot JOIN place USING (keyset_id)
        WHERE device_id = %s AND ts >= %s AND ts < %s
        GROUP BY date_bin(%s, ts, %s) ORDER BY 1
    """  # noqa: S608
    values: list[Any] = []
    for keyset_id, positions in places.items():
        values += [keyset_id, *positions]
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, width, start, device_id, start, end, width, start])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def raw(*, device_id: int, keys: Sequence[str], start: datetime, end: datetime) -> RawResult:
    """Return the readings of a device in [start, end) that have any of the keys."""
    places = _places(keys, kinds=("n", "b", "s"))
    parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
    for keyset_id, n_in_set in _keysets_used(device_id, places, start, end):
        times, values = _copy_keyset(device_id, keyset_id, n_in_set, start, end)
        picked = np.full((len(times), len(keys)), np.nan)
        for i, position in enumerate(places[keyset_id]):
            if position is not None:
                picked[:, i] = values[:, position - 1]
        parts.append((times, picked))
    times = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.int64)
    table = np.concatenate([part[1] for part in parts]) if parts else np.empty((0, len(keys)))
    order = np.argsort(times, kind="stable")
    kinds = dict(SignalKey.objects.filter(key__in=keys).values_list("key", "kind"))
    return RawResult(
        times=times[order] // 1000,
        columns={key: table[order, i] for i, key in enumerate(keys)},
        kinds={key: kinds.get(key, "n") for key in keys},
    )


def _keysets_used(
    device_id: int, places: Places, start: datetime, end: datetime
) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT h.keyset_id, cardinality(s.key_ids)
            FROM (
                SELECT DISTINCT keyset_id FROM reading_hot
                WHERE device_id = %s AND ts >= %s AND ts < %s AND keyset_id = ANY(%s)
            ) h JOIN telemetry_keyset s ON s.id = h.keyset_id
            """,
            [device_id, start, end, list(places)],
        )
        rows: list[tuple[int, int]] = cursor.fetchall()
        return rows


def _copy_keyset(
    device_id: int, keyset_id: int, n_keys: int, start: datetime, end: datetime
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    statement = (
        "COPY (SELECT ts, vals FROM reading_hot WHERE device_id = %s AND keyset_id = %s"
        " AND ts >= %s AND ts < %s ORDER BY ts) TO STDOUT (FORMAT BINARY)"
    )
    with connection.cursor() as cursor:
        copied = cursor.copy(statement, [device_id, keyset_id, start, end])
        with copied as copy:
            image = b"".join(bytes(piece) for piece in copy)
    return columns.parse(image, n_keys=n_keys)


def revisions(*, device_id: int, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return the values that were replaced by different ones, oldest first."""
    rows = list(
        ReadingRevision.objects.filter(device_id=device_id, ts__gte=start, ts__lt=end).order_by(
            "ts", "pk"
        )
    )
    keysets = dictionary.keysets({row.keyset_id for row in rows})
    words = dictionary.words(
        {
            int(value)
            for row in rows
            for key, value in zip(keysets[row.keyset_id], row.vals, strict=True)
            if key.kind == SignalKey.Kind.TEXT
        }
    )
    return [
        {
            "ts": row.ts,
            "key": key.key,
            "value": dictionary.decoded(key.kind, value, words),
            "replaced_at": row.replaced_at,
        }
        for row in rows
        for key, value in zip(keysets[row.keyset_id], row.vals, strict=True)
    ]
