"""Finding devices, and what became of what they sent."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telemetry import selectors, services
from telemetry.models import Latest, ReadingHour, ReadingRevision, RefusalCount, RefusedReading
from telemetry.selectors import FleetQuery

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def fleet(in_acme):
    """Five devices, one in each state."""
    ages = {"Live": 10, "Fast clock": 20, "Silent": 600, "Never": None, "Retired": 10}
    made = {}
    for name, age in ages.items():
        device, _ = services.create_device(name=name, group="Hall 1", tags=[name.split()[0]])
        made[name] = device
        if age is not None:
            Latest.objects.create(device_id=device.pk, received_at=NOON - age * SECOND)
    Latest.objects.filter(device_id=made["Fast clock"].pk).update(clock_offset_s=93.0)
    services.retire_device(device=made["Retired"], at=NOON)
    return made


def names(**query):
    return [device.name for device in selectors.fleet(at=NOON, query=FleetQuery(**query))]


def test_a_fleet_is_found_by_state(fleet):
    assert names() == ["Fast clock", "Live", "Never", "Silent"]
    assert names(state="live") == ["Fast clock", "Live"]
    assert names(state="silent") == ["Silent"]
    assert names(state="never") == ["Never"]
    assert names(state="clock_off") == ["Fast clock"]
    assert names(state="retired") == ["Retired"]


def test_a_fleet_is_found_by_group_tag_and_name(fleet):
    services.change_device(device=fleet["Live"], changes={"group": "Hall 2", "tags": ["A", "b"]})

    assert names(group="Hall 2") == ["Live"]
    assert names(tag="a") == ["Live"]
    assert names(q="ever") == ["Never"]
    assert selectors.groups() == ["Hall 1", "Hall 2"]
    assert selectors.tags() == ["a", "b", "fast", "never", "retired", "silent"]


def test_each_filter_says_how_many_it_would_show(fleet):
    assert selectors.n_by_state(at=NOON, query=FleetQuery(state="live")) == {
        "live": 2, "silent": 1, "never": 1, "retired": 1, "clock_off": 1,
    }  # fmt: skip


def test_the_list_costs_one_query(fleet):
    with CaptureQueriesContext(connection) as asked:
        found = [selectors.health(device) for device in selectors.fleet(at=NOON)]

    assert len([query for query in asked if query["sql"].startswith("SELECT")]) == 1

    assert [one.is_clock_off for one in found] == [True, False, False, False]


def test_the_rate_is_of_the_last_hour(fleet):
    device_id = fleet["Live"].pk
    at = NOON + timedelta(minutes=15)
    for hour, n in ((NOON, 900), (NOON - HOUR, 3_600), (NOON - 2 * HOUR, 99_999)):
        ReadingHour.objects.create(
            device_id=device_id, hour=hour, n_readings=n, n_values=n, changed_at=hour
        )

    # 900 of this hour and three quarters of the 3,600 before: 3,600 in 60 minutes.
    assert selectors.readings_per_min([device_id], at=at) == {device_id: 60.0}


def test_the_api_filters_as_the_page_does(api, in_acme):
    services.create_device(name="A", group="Hall 2", tags=["x"])
    services.create_device(name="B")

    found = api("get", "devices", {"group": "Hall 2", "tag": "x", "state": "never"}).json()

    (row,) = found["results"]
    assert (row["name"], row["state"], row["last_seen_at"]) == ("A", "never", None)
    assert api("get", "devices", {"state": "asleep"}).status_code == 400
    assert api("get", "devices", {"q": "a\x00"}).status_code == 400


def test_group_and_tags_are_changed_and_normalised(api, in_acme):
    device = services.create_device(name="A")[0]

    changed = api("patch", f"devices/{device.pk}", {"group": " Hall 3 ", "tags": ["B", "a", "b"]})

    assert (changed.json()["group"], changed.json()["tags"]) == ("Hall 3", ["a", "b"])
    refused = api("patch", f"devices/{device.pk}", {"tags": ["good", "no good"]})
    assert list(refused.json()["detail"]["tags"]) == ["1"]
    assert api("patch", f"devices/{device.pk}", {"tags": list("abcdefghijklm")}).status_code == 400


def test_a_range_of_a_signal_is_set_and_taken_away(api, fleet, keep):
    device = fleet["Live"]
    keep(device, {NOON: {"t": 1.0}})
    path = f"devices/{device.pk}/signals/{selectors.signals_of([device.pk])[0].pk}"

    assert api("patch", path, {"range_low": 0, "range_high": 90}).json()["range_high"] == 90
    assert api("patch", path, {"range_high": -1}).json()["code"] == "range_empty"
    assert api("patch", path, {"range_high": None}).json()["range_low"] == 0


def test_a_stream_shows_the_newest_readings_among_the_refusals(fleet, keep):
    device = fleet["Live"]
    keep(
        device,
        {
            NOON - 9 * DAY: {"load": 1.0, "state": "READY"},
            NOON - 2 * SECOND: {"load": 2.0, "fault": True},
        },
    )
    RefusedReading.objects.create(
        device_id=device.pk, at=NOON - SECOND, code="not_finite", message="Why", item='{"x": NaN}'
    )

    found = selectors.stream(device_id=device.pk)

    assert [item.code for item in found] == ["not_finite", "", ""]
    assert [item.values for item in found] == [
        {},
        {"load": 2.0, "fault": True},
        {"load": 1.0, "state": "READY"},
    ]
    assert found[2].at == NOON - 9 * DAY


def test_a_stream_is_as_long_as_asked_for(api, fleet, keep):
    device = fleet["Live"]
    keep(device, {NOON - n * SECOND: {"load": float(n)} for n in range(80)})

    found = api("get", f"devices/{device.pk}/stream", {"n": 3}).json()

    assert [item["values"] for item in found] == [{"load": 0.0}, {"load": 1.0}, {"load": 2.0}]
    assert len(api("get", f"devices/{device.pk}/stream").json()) == 50
    assert api("get", f"devices/{device.pk}/stream", {"n": 201}).status_code == 400


def test_the_counters_add_up_and_say_why(api, fleet, keep):
    device = fleet["Live"]
    now = timezone.now()
    counts = {"n_received": 7, "n_stored": 4, "n_duplicates": 1, "n_rejected": 2}
    keep(device, {now - n * SECOND: {"load": 1.0} for n in (1, 2, 90)}, **counts)
    RefusalCount.objects.create(
        device_id=device.pk, code="bad_time", n=2, last_at=now, last_message="Too old"
    )

    found = api("get", f"devices/{device.pk}/counters").json()

    assert {name: found[name] for name in counts} == counts
    assert found["readings_last_minute"] == 2
    assert [(row["code"], row["n"]) for row in found["rejected"]] == [("bad_time", 2)]


def test_a_device_that_sent_nothing_has_zeros_and_no_clock(api, fleet):
    found = api("get", f"devices/{fleet['Never'].pk}/counters").json()

    assert (found["n_received"], found["clock_offset_s"], found["rejected"]) == (0, None, [])
    assert api("get", f"devices/{fleet['Never'].pk}/stream").json() == []


def minutes(start, n, value):
    return {start + i * timedelta(minutes=1): {"temp_c": value(i)} for i in range(n)}


def test_quality_is_judged_from_what_is_stored(api, fleet, keep):
    device = fleet["Live"]
    now = timezone.now().replace(second=0, microsecond=0)
    waves = [50 + 10 * np.sin(i / 7) for i in range(5_000)]
    # Four hours of each of three earlier days, and the last four hours with one of them missing.
    for day in (1, 2, 3):
        keep(device, minutes(now - day * DAY - 4 * HOUR, 240, lambda i: waves[i]))
    last = minutes(now - 4 * HOUR, 240, lambda i: waves[i])
    keep(device, {at: row for at, row in last.items() if not 60 <= (now - at) / SECOND / 60 < 120})

    found = api("get", f"devices/{device.pk}/quality", {"hours": 4}).json()

    (signal,) = found["signals"]
    checks = {check["check"]: check for check in signal["checks"]}
    assert 73 <= checks["gaps"]["score"] <= 75
    assert "longest 1 h" in checks["gaps"]["reason"]
    assert checks["stuck"]["score"] == 100
    assert checks["drift"]["score"] > 90
    assert "on 3 earlier days" in checks["drift"]["reason"]
    assert signal["score"] == checks["gaps"]["score"]


def test_a_day_is_compared_with_the_seven_before_it(fleet, keep):
    device = fleet["Live"]
    hours = range(9 * 24)
    keep(device, {NOON - (n + 0.5) * HOUR: {"temp_c": float(n % 5)} for n in hours})

    found = selectors.device_quality(device_id=device.pk, at=NOON, zone=UTC)

    drift = found.signals[0].quality.checks[3]
    assert "on 7 earlier days" in drift.reason


def test_a_signal_that_just_began_has_no_gap_before(fleet, keep):
    device = fleet["Live"]
    keep(device, minutes(NOON - HOUR, 60, float))

    found = selectors.device_quality(device_id=device.pk, at=NOON, zone=UTC)

    (one,) = found.signals
    assert one.quality.checks[0].score == 100


def test_a_fast_device_is_judged_over_the_hours_that_can_be_read(fleet, keep, monkeypatch):
    from telemetry.selectors import quality

    device = fleet["Live"]
    monkeypatch.setattr(quality, "MAX_READINGS", 100)
    for hours in range(3):
        ReadingHour.objects.create(
            device_id=device.pk, hour=NOON - hours * HOUR, n_readings=60, n_values=60,
            changed_at=NOON,
        )  # fmt: skip

    found = selectors.device_quality(device_id=device.pk, at=NOON, zone=UTC)

    assert found.end - found.start == HOUR


def test_revisions_of_another_day_are_not_shown(api, fleet, keep):
    device = fleet["Live"]
    keep(device, {NOON: {"load": 2.0}})
    ReadingRevision.objects.create(
        device_id=device.pk, ts=NOON, keyset_id=_keyset(), vals=[1.0], replaced_at=NOON
    )
    asked = {"start": NOON.isoformat(), "end": (NOON + SECOND).isoformat()}

    assert api("get", f"devices/{device.pk}/revisions", asked).json()[0]["value"] == 1.0


def _keyset():
    from telemetry.models import Keyset

    return Keyset.objects.latest("pk").pk
