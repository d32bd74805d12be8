"""The readings of a device as one ascending table, wherever they lie.

Nothing is locked, and the compactor moves readings meanwhile: from the hot table and open
segments to sealed ones, each time in one transaction. So what is moved from is read first and
what is moved to afterwards; what is then seen twice counts once. A hot row holds before a
segment (docs/adr/0008).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
from django.db import connection

from telemetry import columns, packing
from telemetry.models import ArchiveFile, Segment
from telemetry.times import from_us

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Span = tuple[int, int]  # [start, end) in microseconds since 1970


@dataclass(frozen=True, slots=True)
class Cells:
    """Times (n,) in microseconds, and values (n, n_keys); NaN where a key has no value."""

    times: Int64s
    values: Floats


@dataclass(frozen=True, slots=True)
class Asked:
    """Some keys of a device: `places` has, for each keyset that holds any of them, where.

    `kinds` has the kind of each key that is known at all.
    """

    device_id: int
    keys: tuple[str, ...]
    places: dict[int, list[int | None]]
    kinds: dict[str, str]

    def pick(self, keyset_id: int, times: Int64s, payload: bytes | Floats) -> Cells:
        """Put the columns of one keyset where the keys asked for have them."""
        places = self.places[keyset_id]
        wanted = [i for i, place in enumerate(places) if place is not None]
        positions = [place - 1 for place in places if place is not None]
        if isinstance(payload, bytes):
            times, found = packing.unpack(payload, positions)
        else:
            found = payload[:, positions]
        if wanted == list(range(len(places))):
            return Cells(times, found)
        values = np.full((len(times), len(places)), np.nan)
        values[:, wanted] = found
        return Cells(times, values)


_NOWHERE = np.empty(0, np.int64)


def asked(*, device_id: int, keys: Sequence[str], kinds: Sequence[str]) -> Asked:
    """Find in which keysets the keys stand, and where (from 1)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT s.id, k.key, k.kind, array_position(s.key_ids, k.id)
            FROM telemetry_signalkey k LEFT JOIN telemetry_keyset s ON s.key_ids @> ARRAY[k.id]
            WHERE k.key = ANY(%s) AND k.kind = ANY(%s)
            """,
            [list(keys), list(kinds)],
        )
        places: dict[int, list[int | None]] = {}
        known: dict[str, str] = {}
        for keyset_id, key, kind, position in cursor.fetchall():
            known[key] = kind
            if keyset_id is not None:
                places.setdefault(keyset_id, [None] * len(keys))[keys.index(key)] = position
    return Asked(device_id, tuple(keys), places, known)


def cells(of: Asked, span: Span) -> Cells:
    """Return the readings in [start, end) that have any of the keys."""
    if not of.places:
        return united([], of)
    found = [hot(of, span)]
    files = _archive_files(of, span)
    found += segments(of, [span], levels=Segment.Level.values)
    found += archived(of, span, files)
    return united(found, of, span)


def hot(of: Asked, span: Span) -> Cells:
    """Return what lies in the hot table."""
    found = [
        of.pick(keyset_id, *columns.rows(_hot_image(of, keyset_id, span), n_keys=n_keys))
        for keyset_id, n_keys in _hot_keysets(of, span)
    ]
    return united(found, of)


def segments(of: Asked, spans: Sequence[Span], *, levels: Iterable[int]) -> list[Cells]:
    """Return what lies in segments of some levels that touch any of the spans, each as it is."""
    if not spans:
        return []
    image = columns.copied(
        """
        SELECT s.t0, s.keyset_id, s.payload FROM segment s
        WHERE s.device_id = %s AND s.level = ANY(%s) AND s.keyset_id = ANY(%s)
            AND s.t0 < %s AND s.t1 >= %s
            AND EXISTS (
                SELECT FROM unnest(%s::timestamptz[], %s::timestamptz[]) AS p(a, b)
                WHERE s.t0 < b AND s.t1 >= a
            )
        """,
        [
            of.device_id, list(levels), list(of.places),
            from_us(spans[-1][1]), from_us(spans[0][0]),
            [from_us(start) for start, _ in spans], [from_us(end) for _, end in spans],
        ],
    )  # fmt: skip
    return [
        of.pick(keyset_id, _NOWHERE, payload) for _, keyset_id, payload in columns.payloads(image)
    ]


def archived(of: Asked, span: Span, files: Iterable[ArchiveFile]) -> list[Cells]:
    """Return what lies in archive files: those listed before, and those made meanwhile.

    Raises:
        telemetry.archive.ArchiveAway: a file cannot be read now.
    """
    wanted = {file.pk: file for file in (*files, *_archive_files(of, span))}
    if not wanted:
        return []
    from telemetry import archive  # pyarrow takes a second to import

    return [
        Cells(*archive.read(file, keys=of.keys, start=from_us(span[0]), end=from_us(span[1])))
        for file in wanted.values()
    ]


def united(found: Sequence[Cells], of: Asked, span: Span | None = None) -> Cells:
    """Unite parts in ascending order of time; the first part that has a time holds."""
    if not found:
        return Cells(_NOWHERE, np.empty((0, len(of.keys))))
    times = np.concatenate([part.times for part in found])
    values = np.concatenate([part.values for part in found])
    if (times[1:] <= times[:-1]).any():
        # Stable: of equal times the one from the earlier part stays first.
        order = np.argsort(times, kind="stable")
        order = order[np.concatenate([[True], times[order][1:] != times[order][:-1]])]
        times, values = times[order], values[order]
    if span is not None:
        first, last = np.searchsorted(times, span)
        times, values = times[first:last], values[first:last]
    some = ~np.isnan(values).all(axis=1)
    return Cells(times, values) if some.all() else Cells(times[some], values[some])


def _archive_files(of: Asked, span: Span) -> list[ArchiveFile]:
    start, end = _moments(span)
    return list(ArchiveFile.objects.filter(device_id=of.device_id, t0__lt=end, t1__gte=start))


def _hot_keysets(of: Asked, span: Span) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT h.keyset_id, cardinality(s.key_ids)
            FROM (
                SELECT DISTINCT keyset_id FROM reading_hot
                WHERE device_id = %s AND ts >= %s AND ts < %s AND keyset_id = ANY(%s)
            ) h JOIN telemetry_keyset s ON s.id = h.keyset_id
            """,
            [of.device_id, *_moments(span), list(of.places)],
        )
        rows: list[tuple[int, int]] = cursor.fetchall()
        return rows


def _hot_image(of: Asked, keyset_id: int, span: Span) -> bytes:
    return columns.copied(
        "SELECT ts, vals FROM reading_hot WHERE device_id = %s AND keyset_id = %s"
        " AND ts >= %s AND ts < %s ORDER BY ts",
        [of.device_id, keyset_id, *_moments(span)],
    )


def _moments(span: Span) -> tuple[datetime, datetime]:
    return from_us(span[0]), from_us(span[1])
