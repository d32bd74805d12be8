"""Signals of several devices together: found by words, drawn as lines."""

from datetime import UTC, datetime, timedelta

import pytest

from telemetry import selectors
from telemetry.models import Signal
from tests.telemetry.stored import device, store

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def plant(in_acme):
    load = store(device("Mill 1"), "load", [1.0, 2.0, 4.0], at=NOON, every=SECOND)
    oil = store(device("Press 2"), "t1", [float(i) for i in range(600)], at=NOON, every=SECOND)
    Signal.objects.filter(pk=load.pk).update(label="Spindle load", unit="%", role="power")
    Signal.objects.filter(pk=oil.pk).update(label="Oil", unit="°C", scale=0.1)
    return load, oil


@pytest.mark.parametrize(
    ("words", "n_found"),
    [("spindle", 1), ("mill load", 1), ("°C", 1), ("power", 1), ("press load", 0), ("", 2)],
)
def test_a_signal_is_found_by_any_of_its_words(plant, words, n_found):
    assert selectors.signals(words=words).count() == n_found


def draw(plant, n_buckets):
    signals = list(selectors.signals(ids=[signal.pk for signal in plant]))
    return selectors.lines(
        signals=signals, start=NOON, end=NOON + timedelta(minutes=10), n_buckets=n_buckets
    )


def test_few_readings_come_as_they_are_and_many_in_buckets(plant):
    load, oil = plant

    found = draw(plant, 60)

    assert found[load.pk].is_raw
    assert found[load.pk].avg == [1.0, 2.0, 4.0]
    assert not found[oil.pk].is_raw
    assert found[oil.pk].n == [10] * 60
    assert (found[oil.pk].min[1], found[oil.pk].max[1]) == pytest.approx((1.0, 1.9))


def test_readings_are_scaled_too_when_they_come_as_they_are(plant):
    _load, oil = plant

    found = draw(plant, 500)

    assert found[oil.pk].is_raw
    assert found[oil.pk].avg[:3] == pytest.approx([0.0, 0.1, 0.2])


def test_a_negative_scale_keeps_the_least_below_the_most(plant):
    _load, oil = plant
    Signal.objects.filter(pk=oil.pk).update(scale=-1.0)

    one = draw(plant, 60)[oil.pk]

    assert all(
        low <= mean <= high for low, mean, high in zip(one.min, one.avg, one.max, strict=True)
    )


def test_the_api_answers_several_signals_in_the_order_asked(plant, portal):
    load, oil = plant
    query = f"start={NOON:%Y-%m-%dT%H:%M:%SZ}&end=2026-11-17T12:10:00Z&n=60"

    answer = portal("viewer").get(f"/api/v1/series?signal={oil.pk}&signal={load.pk}&{query}")
    missing = portal("viewer").get(f"/api/v1/series?signal=999999&{query}")

    assert [line["signal"] for line in answer.json()["lines"]] == [oil.pk, load.pk]
    assert missing.status_code == 404
