"""Statements about the readings of one device: hot rows, segments, keysets."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from telemetry import columns, packing, windows
from telemetry.models import Keyset, ReadingHot, Segment, SignalKey
from telemetry.tables import Floats, Int64s, KeyIds, Part
from telemetry.times import from_us, to_us

# A hot row's image by its keyset.
Images = dict[int, bytes]


@dataclass(frozen=True, slots=True, order=True)
class Header:
    """A segment without its payload; t0 and t1 in microseconds since 1970."""

    t0: int
    t1: int
    digest: int
    n: int
    level: int
    keyset_id: int


class Changed(Exception):
    """What was read without a lock is no longer what lies there."""


def hot_images(device_id: int, *, end: datetime) -> Images:
    """Copy the hot rows before `end`, by keyset, as they are: equal images are equal rows."""
    found: Images = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT keyset_id FROM reading_hot WHERE device_id = %s AND ts < %s"
            " ORDER BY keyset_id",
            [device_id, end],
        )
        for (keyset_id,) in cursor.fetchall():
            copied = cursor.copy(
                "COPY (SELECT ts, vals FROM reading_hot WHERE device_id = %s AND keyset_id = %s"
                " AND ts < %s ORDER BY ts) TO STDOUT (FORMAT BINARY)",
                [device_id, keyset_id, end],
            )
            with copied as copy:
                found[keyset_id] = b"".join(bytes(piece) for piece in copy)
    return found


def hot_parts(images: Images, key_ids: dict[int, KeyIds]) -> list[Part]:
    """Read copied hot rows."""
    return [
        Part(keyset_id, *columns.rows(image, n_keys=len(key_ids[keyset_id])))
        for keyset_id, image in images.items()
    ]


def headers(device_id: int, *, condition: str, values: Sequence[Any] = ()) -> list[Header]:
    """Return the segments of a device that meet a condition, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t0, t1, digest, n, level, keyset_id FROM segment"  # noqa: S608
            f" WHERE device_id = %s AND {condition} ORDER BY t0, t1, digest",
            [device_id, *values],
        )
        return [Header(to_us(row[0]), to_us(row[1]), *row[2:]) for row in cursor.fetchall()]


def sealed_headers(device_id: int, *, start_us: int, end_us: int) -> list[Header]:
    """Return the sealed segments that meet [start, end), oldest first."""
    # None is longer than a year of 360 days: without that bound the index would be read from
    # the device's first segment on.
    earliest = start_us - windows.YEAR_US
    return headers(
        device_id,
        condition="level > 0 AND t0 >= %s AND t0 < %s AND t1 >= %s",
        values=[from_us(earliest), from_us(end_us), from_us(start_us)],
    )


def is_settled(device_id: int, start: datetime, end: datetime) -> bool:
    """Say whether all that a device has in [start, end) is sealed."""
    is_hot = ReadingHot.objects.filter(device_id=device_id, ts__gte=start, ts__lt=end).exists()
    opened = Segment.objects.filter(device_id=device_id, level=0, t0__lt=end, t1__gte=start)
    return not is_hot and not opened.exists()


_NAMED = "unnest(%s::timestamptz[], %s::timestamptz[], %s::bigint[]) AS d (t0, t1, digest)"


def _names(found: Sequence[Header]) -> list[Any]:
    return [
        [from_us(one.t0) for one in found],
        [from_us(one.t1) for one in found],
        [one.digest for one in found],
    ]


def parts(device_id: int, found: Sequence[Header]) -> list[Part]:
    """Return the readings of some segments, oldest first.

    Raises:
        Changed: one of them is no longer there.
    """
    if not found:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.keyset_id, s.payload FROM segment s"  # noqa: S608
            f" JOIN {_NAMED} USING (t0, t1, digest)"
            " WHERE s.device_id = %s ORDER BY s.t0, s.t1, s.digest",
            [*_names(found), device_id],
        )
        rows = cursor.fetchall()
    if len(rows) != len(found):
        raise Changed
    return [Part(keyset_id, *packing.unpack(bytes(payload))) for keyset_id, payload in rows]


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment to be written."""

    keyset_id: int
    level: int
    t0: int
    t1: int
    n: int
    payload: bytes


def packed(times: Int64s, values: Floats, *, keyset_id: int, level: int) -> Iterable[NewSegment]:
    """Pack readings in order of time into a segment, or into several where one is too small."""
    for i in range(0, len(times), packing.MAX_READINGS):
        some, of_them = times[i : i + packing.MAX_READINGS], values[i : i + packing.MAX_READINGS]
        how = packing.FAST if level == Segment.Level.OPEN else packing.SMALL
        payload = packing.pack(some, of_them, level=how)
        yield NewSegment(keyset_id, level, int(some[0]), int(some[-1]), len(some), payload)


def insert(device_id: int, made: Sequence[NewSegment]) -> None:
    """Write segments; one that is there already, byte for byte, stays as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO segment (device_id, t0, t1, digest, n, keyset_id, level, codec, payload)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    device_id, from_us(one.t0), from_us(one.t1), digest(one.payload), one.n,
                    one.keyset_id, one.level, packing.CODEC, one.payload,
                )
                for one in made
            ],
        )  # fmt: skip


def remove(device_id: int, found: Sequence[Header]) -> None:
    """Remove segments.

    Raises:
        Changed: one of them is no longer there.
    """
    if not found:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM segment s USING {_NAMED} WHERE s.device_id = %s"  # noqa: S608
            " AND (s.t0, s.t1, s.digest) = (d.t0, d.t1, d.digest)",
            [*_names(found), device_id],
        )
        if cursor.rowcount != len(found):
            raise Changed


def remove_hot(device_id: int, *, end: datetime) -> int:
    """Remove the hot rows before a time; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM reading_hot WHERE device_id = %s AND ts < %s", [device_id, end])
        n: int = cursor.rowcount
        return n


def raise_packed_to(device_id: int, t1_us: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE latest SET packed_to = %s WHERE device_id = %s"
            " AND (packed_to IS NULL OR packed_to < %s)",
            [from_us(t1_us), device_id, from_us(t1_us)],
        )


def digest(payload: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big", signed=True)


def key_ids_of(keyset_ids: Iterable[int]) -> dict[int, KeyIds]:
    found = Keyset.objects.filter(pk__in=set(keyset_ids)).values_list("pk", "key_ids")
    return {pk: tuple(key_ids) for pk, key_ids in found}


def keyset_of(key_ids: KeyIds) -> int:
    """Find or make the keyset of some keys; safe beside others who do the same."""
    known = Keyset.objects.filter(key_ids=list(key_ids)).values_list("pk", flat=True).first()
    if known is not None:
        return known
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_keyset (key_ids) VALUES (%s) ON CONFLICT DO NOTHING",
            [list(key_ids)],
        )
    return Keyset.objects.values_list("pk", flat=True).get(key_ids=list(key_ids))


def text_keys(key_ids: Iterable[int]) -> set[int]:
    kind = SignalKey.Kind.TEXT
    found = SignalKey.objects.filter(pk__in=set(key_ids), kind=kind)
    return set(found.values_list("pk", flat=True))
