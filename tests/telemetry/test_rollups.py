"""Rollups are what numpy finds in the raw readings, however they came."""

import numpy as np
import pytest

from telemetry import services
from telemetry.models import Keyset, Rollup, Segment, SignalKey
from telemetry.rollups import unpack
from telemetry.times import to_us
from tests.telemetry.history import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    Cells,
    at,
    device,
    each,
    put_hot,
    put_open,
    read,
)

Figures = dict[tuple[int, int, str], tuple[float, ...]]


@pytest.fixture
def press(in_acme) -> int:
    return device()


def stored(device_id: int) -> Figures:
    """The four figures by level, start of the bucket and key."""
    found: Figures = {}
    for row in Rollup.objects.filter(device_id=device_id):
        key_ids = tuple(Keyset.objects.get(pk=row.keyset_id).key_ids)
        names = [SignalKey.objects.get(pk=key_id).key for key_id in key_ids]
        buckets = unpack(bytes(row.payload), key_ids)
        for start, figures in zip(buckets.starts.tolist(), buckets.figures, strict=True):
            for i, name in enumerate(names):
                four = figures[4 * i : 4 * i + 4]
                if not np.isnan(four).all():
                    found[row.level, start, name] = tuple(four.tolist())
    return found


def expected(cells: Cells) -> Figures:
    grouped: dict[tuple[int, int, str], list[float]] = {}
    for time_us, values in sorted(cells.items()):
        for key, value in values.items():
            for level in (60, 3600):
                start = time_us // (level * SECOND) * level * SECOND
                if not isinstance(value, str):
                    grouped.setdefault((level, start, key), []).append(float(value))
    return {
        place: (len(some), min(some), max(some), np.sum(some)) for place, some in grouped.items()
    }


def same(a: Figures, b: Figures) -> None:
    assert a.keys() == b.keys()
    for place, figures in a.items():
        assert figures == pytest.approx(b[place]), place


def shapes(i: int) -> dict:
    some = {"load": i % 97 / 10, "fault": i % 5 == 0, "state": "ACTIVE"}
    return {"load": -3.5} if i % 3 else some


def test_minutes_and_hours_equal_the_readings(press):
    put_open(press, each(T0, SECOND, 4000, lambda i: {"load": i % 7 / 4}))
    put_hot(press, each(T0 + 2 * HOUR, 2 * SECOND, 3000, shapes))
    services.compact(at=at(T0 + 2 * DAY))

    same(stored(press), expected(read(press)))


def test_what_comes_hour_by_hour_and_late_is_corrected(press):
    for hour in range(4):
        put_open(press, each(T0 + hour * HOUR, 5 * SECOND, 720, lambda i: {"load": i * 0.1}))
        services.compact(at=at(T0 + (hour + 1) * HOUR + 10 * MINUTE))
    put_hot(press, {T0 + HOUR: {"load": 1e6, "late": 2}, T0 + 1: {"load": -1e6}})

    services.compact(at=at(T0 + 5 * HOUR))

    same(stored(press), expected(read(press)))
    maintained = stored(press)
    assert services.rebuild_rollups(device_ids=[press]) == 2
    same(stored(press), maintained)


def test_few_readings_have_no_rollup_until_they_are_many(press):
    put_hot(press, each(T0, MINUTE, 60, shapes))
    services.compact(at=at(T0 + 2 * HOUR))
    assert set(Rollup.objects.values_list("level", flat=True)) == {3600}
    put_hot(press, each(T0 + 1, SECOND, 3600, shapes))
    services.compact(at=at(T0 + 2 * HOUR))

    assert Segment.objects.filter(device_id=press).count() == 1
    same(stored(press), expected(read(press)))
    assert {to_us(t0) for t0 in Rollup.objects.values_list("t0", flat=True)} == {T0}


def test_a_device_that_only_says_words_has_no_rollup(press):
    put_hot(press, each(T0, SECOND, 600, lambda i: {"state": "ACTIVE"}))

    services.compact(at=at(T0 + DAY))

    assert not Rollup.objects.exists()
