"""Whatever is sealed, the readings stay what they were."""

import random

import numpy as np
import pytest

from telemetry import services
from telemetry.models import ReadingHot, Segment
from telemetry.services import pieces, segments
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
    levels,
    packed_to,
    put_hot,
    put_open,
    read,
    without_repeats,
)

LONG_AFTER = at(T0 + 720 * DAY)


@pytest.fixture
def press(in_acme) -> int:
    return device()


def load(i: int) -> dict:
    return {"load": i % 97 / 10}


def test_a_closed_hour_becomes_one_segment(press):
    put_hot(press, each(T0, SECOND, 50, load))
    put_open(press, each(T0 + MINUTE, SECOND, 500, load))
    before = read(press)

    done = services.compact(at=at(T0 + HOUR + 10 * MINUTE))

    assert read(press) == before
    assert levels(press) == [(Segment.Level.HOUR, 550)]
    assert not ReadingHot.objects.filter(device_id=press).exists()
    assert (done.devices, done.readings, done.written, done.removed) == (1, 550, 1, 1)
    assert packed_to(press) == T0 + MINUTE + 499 * SECOND


def test_an_hour_is_left_alone_until_ten_minutes_after(press):
    put_hot(press, each(T0, SECOND, 50, load))

    done = services.compact(at=at(T0 + HOUR + 10 * MINUTE - 1))

    assert done.devices == 0
    assert ReadingHot.objects.filter(device_id=press).count() == 50


def test_readings_of_many_shapes_keep_them(press):
    hot: Cells = {
        T0: {"load": 1.5, "fault": True, "state": "ACTIVE"},
        T0 + 1: {"load": 2},
        T0 + 2: {"state": "STOPPED"},
        T0 + 3: {"other": -1e308, "fault": False},
    }
    put_hot(press, hot)
    put_open(press, each(T0 + MINUTE, SECOND, 9, lambda i: {"load": i, "state": "ACTIVE"}))
    before = read(press)

    services.compact(at=LONG_AFTER)

    assert read(press) == before
    assert len(levels(press)) == 1


def test_a_hot_row_replaces_a_sealed_reading(press):
    put_open(press, each(T0, SECOND, 100, load))
    services.compact(at=LONG_AFTER)
    put_hot(press, {T0 + 5 * SECOND: {"load": -7.0, "late": 1}})

    services.compact(at=LONG_AFTER)

    assert read(press)[T0 + 5 * SECOND] == {"load": -7.0, "late": 1}
    assert len(read(press)) == 100
    assert without_repeats(press)


def test_an_open_segment_is_cut_at_the_last_closed_hour(press):
    put_open(press, each(T0 + 50 * MINUTE, SECOND, 1200, load))
    before = read(press)

    services.compact(at=at(T0 + HOUR + 10 * MINUTE))

    assert levels(press) == [(Segment.Level.HOUR, 600), (Segment.Level.OPEN, 600)]
    assert read(press) == before


def test_a_day_of_few_readings_is_united_when_it_is_over(press):
    for hour in range(24):
        put_hot(press, each(T0 + hour * HOUR, MINUTE, 60, load))
        services.compact(at=at(T0 + (hour + 1) * HOUR + 10 * MINUTE))
        assert len(levels(press)) == (1 if hour == 23 else hour + 1)

    assert levels(press) == [(Segment.Level.DAY, 1440)]


def test_few_readings_are_united_by_the_month_and_the_year(press):
    put_hot(press, each(T0, 6 * HOUR, 1500, load))

    services.compact(at=at(T0 + 359 * DAY))
    assert sorted({level for level, _n in levels(press)}) == [1, 2, 3]  # the last day is not over
    services.compact(at=at(T0 + 360 * DAY + HOUR))

    assert levels(press)[0] == (Segment.Level.YEAR, 1440)


def test_a_window_that_grew_too_large_is_split(press):
    put_hot(press, each(T0, MINUTE, 1440, load))
    services.compact(at=LONG_AFTER)
    assert levels(press) == [(Segment.Level.YEAR, 1440)]
    put_open(press, each(T0 + 1, SECOND, 3600, load))
    put_hot(press, each(T0 + 20 * DAY, HOUR, 3, load))
    before = read(press)

    services.compact(at=LONG_AFTER)

    assert read(press) == before
    assert levels(press)[0] == (Segment.Level.HOUR, 3660)
    assert len(levels(press)) == 25
    assert without_repeats(press)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_arriving_and_sealing_keeps_every_reading(press, seed):
    chance = random.Random(seed)
    expected: dict = {}
    clock = T0 + DAY
    newest = T0
    for step in range(12):
        shape = chance.choice([["a"], ["a", "b"], ["b", "c", "d"]])
        for _ in range(chance.randint(1, 3)):
            start = T0 + chance.randrange((clock - T0) // MINUTE) * MINUTE
            every = chance.choice([SECOND, 90 * SECOND, HOUR])
            cells = each(
                start, every, chance.randint(1, 80), lambda i, keys=shape: dict.fromkeys(keys, i)
            )
            if start > newest and chance.random() < 0.7:
                put_open(press, cells)
            else:
                put_hot(press, cells)
            newest = max(newest, *cells)
            expected |= cells
        clock += chance.choice([HOUR, 9 * HOUR, 3 * DAY, 40 * DAY])
        services.compact(at=at(clock))
        assert read(press) == expected, step
        assert without_repeats(press)
        assert packed_to(press) >= max(
            to_us(t1) for t1 in Segment.objects.filter(device_id=press).values_list("t1", flat=True)
        )


def test_many_late_readings_are_sealed_in_pieces(press, monkeypatch):
    put_hot(press, each(T0, 10 * SECOND, 5000, load))
    services.compact(at=LONG_AFTER)
    put_hot(press, each(T0 + 1, 60 * SECOND, 800, load))
    before = read(press)
    monkeypatch.setattr(pieces, "MAX_READINGS", 1000)

    services.compact(at=LONG_AFTER)

    assert read(press) == before
    assert not ReadingHot.objects.filter(device_id=press).exists()


@pytest.mark.parametrize("broken", ["remove", "insert", "raise_packed_to"])
def test_killed_between_two_statements_leaves_everything(press, monkeypatch, broken):
    put_hot(press, each(T0, SECOND, 50, load))
    put_open(press, each(T0 + HOUR, SECOND, 500, load))
    before, segments_before = read(press), levels(press)

    def die(*_args):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(segments, broken, die)
        with pytest.raises(RuntimeError):
            services.compact(at=LONG_AFTER)
    assert levels(press) == segments_before
    assert read(press) == before
    services.compact(at=LONG_AFTER)

    assert read(press) == before
    assert levels(press) == [(Segment.Level.YEAR, 550)]


def test_what_arrives_while_packing_is_not_lost(press, monkeypatch):
    put_hot(press, each(T0, SECOND, 50, load))
    seal = pieces.seal
    late = iter([{T0 + 10 * SECOND: {"load": -1.0}, T0 + 1: {"load": 8.0}}])

    def seal_and_hear(piece):
        for cells in late:
            put_hot(press, cells)
        return seal(piece)

    monkeypatch.setattr(pieces, "seal", seal_and_hear)
    services.compact(at=LONG_AFTER)

    found = read(press)
    assert found[T0 + 10 * SECOND] == {"load": -1.0}
    assert (len(found), found[T0 + 1]) == (51, {"load": 8.0})


def test_a_large_hour_is_split_by_what_a_payload_holds(press, monkeypatch):
    from telemetry import packing

    monkeypatch.setattr(packing, "MAX_READINGS", 400)
    put_open(press, each(T0, SECOND, 400, load))
    put_open(press, each(T0 + 400 * SECOND, SECOND, 400, load))
    put_hot(press, {T0 + 1: {"load": 0.0}})
    before = read(press)
    np.testing.assert_equal(len(before), 801)

    services.compact(at=LONG_AFTER)

    assert [n for _level, n in levels(press)] == [400, 400, 1]
    assert read(press) == before
