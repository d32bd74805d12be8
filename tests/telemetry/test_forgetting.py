"""Hours whose readings are removed for good: what goes, what stays, what comes late."""

import pytest
from django.utils import timezone

from telemetry import selectors, services
from telemetry.models import ForgottenHour, Latest, ReadingHour, ReadingRevision, Rollup
from telemetry.services import locking, segments
from telemetry.times import to_us
from tenants.context import factory_context
from tenants.models import AuditEntry
from tests.telemetry.history import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    at,
    device,
    each,
    keyset,
    put_hot,
    put_open,
    read,
    without_repeats,
)
from tests.telemetry.test_rollups import same, stored

NOW = at(T0 + 60 * DAY)
HELD = [at(T0 + hour * HOUR) for hour in (3, 4, 7)]


@pytest.fixture
def press(in_acme):
    """Two days at 10 s: hot the first, as it arrived the second."""
    found = device()
    put_hot(found, each(T0, 10 * SECOND, 8_640, lambda i: {"load": i % 97, "fault": i % 5 == 0}))
    put_open(found, each(T0 + DAY, 10 * SECOND, 8_640, lambda i: {"load": i % 89, "fault": False}))
    return found


def is_held(time_us):
    return any(to_us(hour) <= time_us < to_us(hour) + HOUR for hour in HELD)


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_readings_of_the_hours_go_and_no_others(press, is_sealed):
    before = read(press)
    if is_sealed:
        services.compact(at=NOW)

    n_removed = services.forget_hours(hours=HELD)

    assert n_removed == 3 * 360
    assert read(press) == {t: v for t, v in before.items() if not is_held(t)}
    assert without_repeats(press)


def test_what_was_made_of_them_stays(press):
    services.compact(at=NOW)
    before = stored(press)
    ReadingHour.objects.create(
        device_id=press, hour=HELD[0], n_readings=360, n_values=720, changed_at=NOW
    )

    services.forget_hours(hours=HELD)

    same(stored(press), before)
    (used,) = selectors.usage_by_hour(start=HELD[0], end=HELD[1])
    assert used.n_readings == 360


def test_a_chart_of_a_long_time_goes_on(press):
    services.compact(at=NOW)
    asked = {
        "device_id": press, "keys": ["load"], "start": at(T0), "end": at(T0 + DAY),
        "n_buckets": 24,
    }  # fmt: skip
    before = selectors.series(**asked)

    services.forget_hours(hours=HELD)

    assert selectors.series(**asked) == before
    raw = selectors.raw(device_id=press, keys=["load"], start=HELD[0], end=HELD[1])
    assert len(raw.times) == 0


def test_again_it_finds_nothing(press):
    services.forget_hours(hours=HELD)

    assert services.forget_hours(hours=[*HELD, *HELD]) == 0
    assert ForgottenHour.objects.count() == 3


def test_it_is_written_down_with_the_reason(press, in_acme):
    services.forget_hours(hours=HELD, reason="cap")

    rows = ForgottenHour.objects.order_by("hour")
    assert [(row.reason, row.n_readings) for row in rows] == [
        ("cap", 720), ("cap", 0), ("cap", 360)
    ]  # fmt: skip
    entry = AuditEntry.objects.get(factory=in_acme, action="readings.forgotten")
    assert (entry.detail["n_hours"], entry.detail["n_readings"]) == (3, 1080)


def test_what_comes_late_leaves_the_figures_of_a_forgotten_hour_alone(press):
    services.compact(at=NOW)
    services.forget_hours(hours=HELD)
    before = stored(press)
    late = {to_us(HELD[0]) + 7 * SECOND: {"load": 1e6}, T0 + 5 * HOUR + 7 * SECOND: {"load": 2e6}}

    put_hot(press, late)
    services.compact(at=NOW)

    after = stored(press)
    assert after.keys() == before.keys()
    changed = {place for place, four in after.items() if four != pytest.approx(before[place])}
    minute, hour = T0 + 5 * HOUR, T0 + 5 * HOUR
    assert changed == {(60, minute, "load"), (3600, hour, "load")}
    assert set(late) <= read(press).keys()
    assert services.forget_hours(hours=HELD) == 1
    same(stored(press), after)


def test_rollups_made_anew_keep_those_that_nothing_is_left_of(press):
    services.compact(at=NOW)
    services.forget_hours(hours=HELD)
    before = stored(press)

    services.rebuild_rollups()

    same(stored(press), before)


def test_a_day_of_which_nothing_is_left_keeps_its_row(press):
    services.compact(at=NOW)
    services.forget_hours(hours=[at(T0 + hour * HOUR) for hour in range(24)])
    before = stored(press)
    put_hot(press, each(T0 + MINUTE, HOUR, 20, lambda i: {"other": i}))

    services.compact(at=NOW)

    left = {place: four for place, four in stored(press).items() if place in before}
    same(left, before)
    assert Rollup.objects.filter(device_id=press, t0=at(T0)).count() == 2


def test_revisions_go_too(press):
    keyset_id, _keys = keyset({"load": 1.0})
    for moment in (HELD[0], at(T0 + 5 * HOUR)):
        ReadingRevision.objects.create(
            device_id=press, ts=moment, keyset_id=keyset_id, vals=[1.0], replaced_at=NOW
        )

    services.forget_hours(hours=HELD)

    assert ReadingRevision.objects.get().ts == at(T0 + 5 * HOUR)


def test_an_hour_that_is_not_over_is_left(press):
    assert services.forget_hours(hours=[timezone.now()]) == 0
    assert not ForgottenHour.objects.exists()


def test_a_device_that_is_locked_is_left_for_the_next_time(press, monkeypatch):
    services.compact(at=NOW)

    def busy(device_id):
        raise locking.DeviceBusy

    with monkeypatch.context() as patched:
        patched.setattr(locking, "locked", busy)
        assert services.forget_hours(hours=HELD) == 0

    assert services.forget_hours(hours=HELD) == 3 * 360


def test_what_is_not_sealed_yet_is_left_for_the_next_time(press, monkeypatch):
    """Nothing goes whose figures are not kept."""
    monkeypatch.setattr("telemetry.services.compaction.compact", lambda **_how: None)

    assert services.forget_hours(hours=HELD) == 0
    assert not segments.is_settled(press, HELD[0], HELD[1])


def test_other_devices_and_factories_keep_theirs(press, globex):
    with factory_context(globex):
        theirs = device()
        put_hot(theirs, each(T0 + 3 * HOUR, SECOND, 60, lambda i: {"load": i}))

    services.forget_hours(hours=HELD)

    with factory_context(globex):
        assert len(read(theirs)) == 60
        assert not ForgottenHour.objects.exists()
    assert Latest.objects.filter(device_id=press).exists()
