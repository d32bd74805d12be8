"""What a plan does not keep is let go, what it keeps stays, and usage is folded once."""

from datetime import timedelta

import pytest
from django.db import connection

from telemetry import services
from telemetry.models import ReadingHour, ReadingRevision, Rollup, UsageDelta
from telemetry.times import to_us
from tests.telemetry.history import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    at,
    closed_to,
    device,
    each,
    levels,
    put_hot,
    put_open,
    read,
)

NOW = at(T0 + 60 * DAY + 5 * HOUR)


@pytest.fixture
def press(in_acme) -> int:
    return device()


def keep(factory, days) -> None:
    factory.limits.history_days = days
    factory.limits.save()


def load(i: int) -> dict:
    return {"load": i % 97 / 10}


def test_history_beyond_the_plan_goes_and_nothing_older_is_taken(in_acme, press):
    keep(in_acme, 40)
    put_hot(press, each(T0, HOUR, 40 * 24, load))
    services.compact(at=at(T0 + 59 * DAY))
    put_open(press, each(T0 + 59 * DAY, SECOND, 100, load))
    put_hot(press, each(T0 + 1, DAY, 60, load))
    ReadingRevision.objects.create(
        device_id=press, ts=at(T0), keyset_id=1, vals=[1.0], replaced_at=NOW
    )
    kept = {t: values for t, values in read(press).items() if t >= T0 + 20 * DAY}

    done = services.expire(at=NOW)

    assert (done.devices, done.skipped) == (1, 0)
    assert read(press) == kept
    assert closed_to(press) == T0 + 20 * DAY
    assert not ReadingRevision.objects.exists()
    assert services.expire(at=NOW + timedelta(minutes=1)).devices == 0


def test_rollups_are_cut_with_what_they_sum_up(in_acme, press):
    keep(in_acme, 40)
    put_open(press, each(T0, 5 * SECOND, 20_000, load))
    put_open(press, each(T0 + 20 * DAY, 5 * SECOND, 20_000, load))
    services.compact(at=NOW)
    n_rows = Rollup.objects.count()

    services.expire(at=NOW)

    left = {(row.level, row.t0, bytes(row.payload)) for row in Rollup.objects.all()}
    assert 0 < len(left) < n_rows
    services.rebuild_rollups()
    assert left == {(row.level, row.t0, bytes(row.payload)) for row in Rollup.objects.all()}


@pytest.mark.parametrize("days", [None, 7])
def test_no_limit_keeps_all_and_a_short_one_keeps_what_may_still_come(in_acme, press, days):
    keep(in_acme, days)
    put_hot(press, each(T0 + 26 * DAY, HOUR, 10, load))
    before = read(press)

    services.expire(at=NOW)

    assert read(press) == before


def test_usage_is_folded_once(in_acme):
    now = NOW
    hour = T0 // HOUR
    for _ in range(3):
        UsageDelta.objects.create(
            at=now, device_ids=[7, 7, 8], hours=[hour, hour + 1, hour], n_readings=[5, 1, 2],
            n_values=[10, 2, 4],
        )  # fmt: skip

    assert (services.fold_usage(at_once=2), services.fold_usage()) == (3, 0)

    rows = ReadingHour.objects.order_by("device_id", "hour")
    assert [
        (r.device_id, to_us(r.hour) // HOUR - hour, r.n_readings, r.n_values) for r in rows
    ] == [
        (7, 0, 15, 30),
        (7, 1, 3, 6),
        (8, 0, 6, 12),
    ]
    assert not UsageDelta.objects.exists()


def test_folding_killed_half_way_counts_nothing_twice(in_acme):
    UsageDelta.objects.create(at=NOW, device_ids=[7], hours=[1], n_readings=[5], n_values=[5])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE reading_hour ADD CONSTRAINT broken CHECK (n_values < 5)")

    with pytest.raises(Exception, match="broken"):
        services.fold_usage()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE reading_hour DROP CONSTRAINT broken")
    assert UsageDelta.objects.count() == 1
    services.fold_usage()

    assert ReadingHour.objects.get().n_readings == 5


def test_an_hour_of_a_device_that_is_filled_is_left_as_it_is(in_acme, press):
    keep(in_acme, 40)
    put_hot(press, each(T0 + 30 * DAY, MINUTE, 10, load))
    services.compact(at=NOW)
    before = levels(press)

    services.expire(at=NOW)

    assert levels(press) == before
