"""What a page is told that may have missed something."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from telemetry import missed
from telemetry.models import AlarmEvent, Latest
from tests.isolation.objects import alarm_id
from tests.telemetry.stored import device, store

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def heard(in_acme):
    """Return `heard(age)`: a device that was heard so long before noon."""

    def make(age: timedelta):
        made = device(f"Mill {Latest.objects.count()}")
        store(made, "load", [58.2], at=NOON - age, every=SECOND)
        return made

    return make


def told(factory, **kwargs):
    lines = missed.lines(NOON, NOON + SECOND, factory=factory, **kwargs)
    return [json.loads(line) for line in lines]


def test_a_device_heard_since_is_told_with_its_newest_reading_and_its_age(heard, acme):
    mill = heard(-SECOND / 2)

    [line] = told(acme)

    assert line == {
        "device_id": mill.pk,
        "ts": "2026-11-17T12:00:00.500000Z",
        "values": {"load": 58.2},
        "n": 0,
        "age_s": 0.5,
    }


def test_what_was_heard_shortly_before_is_told_again_and_what_is_older_is_not(heard, acme):
    shortly = heard(missed.OVERLAP - SECOND)
    heard(missed.OVERLAP + SECOND)

    assert [line["device_id"] for line in told(acme)] == [shortly.pk]


def test_of_too_many_devices_those_heard_last_are_told(heard, acme, monkeypatch):
    monkeypatch.setattr(missed, "MAX_DEVICES", 2)
    _, second, third = heard(3 * SECOND), heard(2 * SECOND), heard(SECOND)

    assert [line["device_id"] for line in told(acme)] == [third.pk, second.pk]


def test_that_something_happened_to_an_alarm_is_told(in_acme, acme):
    AlarmEvent.objects.create(alarm_id=alarm_id(acme), at=NOON, kind="raised")

    assert told(acme) == [{"alarm": {"ids": []}}]


def test_an_alarm_of_yesterday_is_no_news(in_acme, acme):
    AlarmEvent.objects.create(alarm_id=alarm_id(acme), at=NOON - 86_400 * SECOND, kind="raised")

    assert told(acme) == []


def test_the_number_of_queries_does_not_grow_with_the_devices(heard, acme):
    def n_queries() -> int:
        with CaptureQueriesContext(connection) as queries:
            told(acme)
        return len([query for query in queries if "search_path" not in query["sql"]])

    none = n_queries()
    heard(SECOND)
    one = n_queries()
    for _ in range(5):
        heard(SECOND)

    assert (none, one, n_queries()) == (2, 4, 4)
