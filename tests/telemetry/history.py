"""Readings put where ingest would put them, and a reader that is a dictionary."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import connection

from telemetry import packing
from telemetry import services as telemetry_services
from telemetry.models import Keyset, Latest, ReadingHot, Segment, SignalKey, Word
from telemetry.services import segments
from telemetry.times import from_us, to_us

SECOND, MINUTE, HOUR, DAY = 10**6, 60 * 10**6, 3600 * 10**6, 86400 * 10**6
# The start of a year of 360 days, and so of a month of 30.
T0 = 56 * 360 * DAY
Cells = dict[int, dict[str, Any]]


def at(time_us: int) -> datetime:
    return from_us(time_us)


def device(name: str = "press") -> int:
    made, _ = telemetry_services.create_device(name=name)
    Latest.objects.create(device_id=made.pk, received_at=datetime.now(UTC))
    return made.pk


def keyset(values: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The keyset of a reading and its keys in order, interned."""
    ids = {}
    for key, value in values.items():
        kind = "b" if isinstance(value, bool) else "s" if isinstance(value, str) else "n"
        ids[SignalKey.objects.get_or_create(key=key, kind=kind)[0].pk] = key
    found, _ = Keyset.objects.get_or_create(key_ids=sorted(ids))
    return found.pk, [ids[key_id] for key_id in sorted(ids)]


def code(value: Any, words: dict[str, int]) -> float:
    """A value as it is stored; `words` are those that are known already."""
    if not isinstance(value, str):
        return float(value)
    if value not in words:
        words[value] = Word.objects.get_or_create(text=value)[0].pk
    return float(words[value])


def put_hot(device_id: int, cells: Cells) -> None:
    """Write single readings, in the place of those that are hot already."""
    rows = []
    words: dict[str, int] = {}
    known: dict[tuple[str, ...], tuple[int, list[str]]] = {}
    for time_us, values in cells.items():
        shape = tuple(f"{key} {type(value)}" for key, value in values.items())
        keyset_id, keys = known.get(shape) or known.setdefault(shape, keyset(values))
        row = (device_id, from_us(time_us), keyset_id, [code(values[key], words) for key in keys])
        rows.append(row)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO reading_hot VALUES (%s, %s, %s, %s) ON CONFLICT (device_id, ts)"
            " DO UPDATE SET keyset_id = excluded.keyset_id, vals = excluded.vals",
            rows,
        )


def put_open(device_id: int, cells: Cells) -> None:
    """Write one large request whose readings have the same keys; none is stored yet."""
    keyset_id, keys = keyset(next(iter(cells.values())))
    times = np.array(sorted(cells))
    words: dict[str, int] = {}
    values = np.array([[code(cells[t][key], words) for key in keys] for t in times.tolist()])
    put_block(device_id, keyset_id, times, values)


def put_block(device_id: int, keyset_id: int, times: Any, values: Any) -> None:
    made = segments.packed(times, values, keyset_id=keyset_id, level=Segment.Level.OPEN)
    segments.insert(device_id, list(made))
    segments.raise_packed_to(device_id, int(times[-1]))


def read(device_id: int) -> Cells:
    """Every reading of a device: hot rows before open segments before sealed ones."""
    found: Cells = {}
    keys_of = keysets()
    words = dict(Word.objects.values_list("pk", "text"))

    def put(time_us: int, keyset_id: int, values: Sequence[float]) -> None:
        if time_us not in found:
            found[time_us] = {
                key: words[int(value)] if kind == "s" else bool(value) if kind == "b" else value
                for (key, kind), value in zip(keys_of[keyset_id], values, strict=True)
                if not np.isnan(value)
            }

    for row in ReadingHot.objects.filter(device_id=device_id):
        put(to_us(row.ts), row.keyset_id, row.vals)
    for segment in Segment.objects.filter(device_id=device_id).order_by("level", "t0"):
        times, values = packing.unpack(bytes(segment.payload))
        for time_us, row_values in zip(times.tolist(), values.tolist(), strict=True):
            put(time_us, segment.keyset_id, row_values)
    return found


def keysets() -> dict[int, list[tuple[str, str]]]:
    """Key and kind of each key, by keyset."""
    keys = {key.pk: (key.key, key.kind) for key in SignalKey.objects.all()}
    return {k.pk: [keys[key_id] for key_id in k.key_ids] for k in Keyset.objects.all()}


def levels(device_id: int) -> list[tuple[int, int]]:
    """Level and number of readings of each segment, oldest first."""
    found = Segment.objects.filter(device_id=device_id).order_by("t0", "t1")
    return list(found.values_list("level", "n"))


def packed_to(device_id: int) -> int:
    """Time after which no reading of a device lies in a segment."""
    found = Latest.objects.get(device_id=device_id).packed_to
    assert found is not None
    return to_us(found)


def closed_to(device_id: int) -> int:
    """Time before which nothing of a device is taken any more."""
    found = Latest.objects.get(device_id=device_id).closed_to
    assert found is not None
    return to_us(found)


def each(start: int, step: int, n: int, values: Any) -> Cells:
    """`n` readings from `start`; `values` makes a reading of its number."""
    return {start + i * step: values(i) for i in range(n)}


def without_repeats(device_id: int) -> bool:
    """Whether every cell lies in one segment at most."""
    times: Iterable[int] = [
        t
        for s in Segment.objects.filter(device_id=device_id)
        for t in packing.unpack(bytes(s.payload))[0].tolist()
    ]
    seen = list(times)
    return len(seen) == len(set(seen))
