"""What was sent is what is read: in buckets, as columns, by the hour, as the latest."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from telemetry import selectors
from telemetry.guessing import guess
from telemetry.ingest.app import IngestApp
from tests.telemetry.ingest.conftest import Door, Plant, Sender

START = datetime(2026, 11, 17, 10, tzinfo=UTC)
T0 = int(START.timestamp() * 1000)


def send(database_url: str, sender: Sender, *bodies: object) -> None:
    async def post_all() -> None:
        app = IngestApp(
            database_url=database_url,
            valkey_url="redis://127.0.0.1:1/0",
            base_url="https://localhost:8443",
        )
        try:
            for body in bodies:
                answer = await Door(app).post(body, sender=sender)
                assert answer.status == 200, answer.body
        finally:
            await app.shutdown()

    asyncio.run(post_all())


def machine_readings(seed: int, n: int) -> list[dict]:
    """Readings with gaps, in no order, of changing shape."""
    chance = random.Random(seed)
    found = []
    for i in range(n):
        values: dict[str, object] = {}
        if chance.random() < 0.8:
            values["load"] = round(chance.uniform(0, 100), 2)
        if chance.random() < 0.5:
            values["fault"] = chance.random() < 0.1
        if chance.random() < 0.3 or not values:
            values["execution"] = chance.choice(["ACTIVE", "STOPPED", "READY"])
        if not 200 <= i < 300:
            found.append({"ts": T0 + i * 1000, "values": values})
    chance.shuffle(found)
    return found


@pytest.mark.parametrize("n_buckets", [1, 7, 60, 5000])
def test_a_series_equals_what_a_loop_finds(plant: Plant, mill: Sender, database_url, n_buckets):
    sent = machine_readings(1, 600)
    send(database_url, mill, sent[:250], sent[250:255], sent[255:])
    end = START + timedelta(seconds=541)

    with plant.inside():
        found = selectors.series(
            device_id=mill.device_id, keys=["load", "fault", "execution"],
            start=START, end=end, n_buckets=n_buckets,
        )  # fmt: skip

    for key in ("load", "fault"):
        buckets: dict[int, list[float]] = {}
        for reading in sent:
            if key in reading["values"] and reading["ts"] < T0 + 541_000:
                index = int((reading["ts"] - T0) / found.bucket_ms + 1e-9)
                buckets.setdefault(index, []).append(float(reading["values"][key]))
        one = found.keys[key]
        assert one.n == [len(buckets[i]) for i in sorted(buckets)]
        assert one.min == [min(buckets[i]) for i in sorted(buckets)]
        assert one.max == [max(buckets[i]) for i in sorted(buckets)]
        means = [sum(buckets[i]) / len(buckets[i]) for i in sorted(buckets)]
        assert one.avg == pytest.approx(means)
        assert one.t == [int(T0 + i * found.bucket_ms) for i in sorted(buckets)]
    assert found.keys["execution"].t == []


def test_columns_hold_every_value_in_order_and_nan_where_there_is_none(
    plant: Plant, mill: Sender, database_url
):
    sent = machine_readings(2, 500)
    send(database_url, mill, sent)
    keys = ["execution", "load", "fault", "never sent"]

    with plant.inside():
        raw = selectors.raw(
            device_id=mill.device_id, keys=keys, start=START, end=START + timedelta(hours=1)
        )
        texts = raw.texts("execution")

    sent.sort(key=lambda reading: reading["ts"])
    assert raw.times.tolist() == [reading["ts"] for reading in sent]
    assert raw.times.dtype == np.int64
    for key in ("load", "fault"):
        expected = [float(reading["values"].get(key, "nan")) for reading in sent]
        np.testing.assert_array_equal(raw.columns[key], expected)
    assert texts == [reading["values"].get("execution") for reading in sent]
    assert np.isnan(raw.columns["never sent"]).all()
    assert raw.kinds == {"execution": "s", "load": "n", "fault": "b", "never sent": "n"}


def test_a_range_without_readings_is_empty_columns(plant: Plant, mill: Sender):
    with plant.inside():
        raw = selectors.raw(
            device_id=mill.device_id, keys=["a"], start=START, end=START + timedelta(days=1)
        )

    assert (len(raw.times), len(raw.columns["a"])) == (0, 0)


def test_usage_is_counted_by_the_hour_of_measuring(plant: Plant, mill: Sender, database_url):
    before = datetime.now(UTC)
    body = [
        {"ts": T0 + minutes * 60_000, "values": {"a": 1, "b": 2}} for minutes in (0, 59, 60, 61)
    ]
    send(database_url, mill, body, body, [{"ts": T0, "values": {"c": 1}}])

    with plant.inside():
        hours = selectors.usage_by_hour(start=START, end=START + timedelta(hours=2))
        changed = selectors.usage_changed_since(before - timedelta(seconds=5))

    own = [hour for hour in hours if hour.device_id == mill.device_id]
    assert [(hour.hour, hour.n_readings, hour.n_values) for hour in own] == [
        (START, 3, 5),
        (START + timedelta(hours=1), 2, 4),
    ]
    assert [hour for hour in changed if hour.device_id == mill.device_id] == own


def test_latest_is_the_newest_by_measured_time(plant: Plant, mill: Sender, database_url):
    send(
        database_url, mill,
        [{"ts": T0 + 5, "values": {"a": 5, "s": "on"}}, {"ts": T0, "values": {"a": 0}}],
        b'[{"ts": %d, "values": {"a": 3}}, {"values": {"a": null}}]' % (T0 + 3),
    )  # fmt: skip

    with plant.inside():
        found = selectors.latest_values([mill.device_id, 999_999])

    latest = found.pop(mill.device_id)
    assert not found
    assert latest.values == {"a": 5.0, "s": "on"}
    assert latest.ts == START + timedelta(milliseconds=5)
    counts = (latest.n_received, latest.n_stored, latest.n_duplicates, latest.n_rejected)
    assert counts == (4, 3, 0, 1)


def test_signals_are_known_with_a_guess_from_the_first_reading(
    plant: Plant, mill: Sender, database_url
):
    values = {"spindle_load_pct": 58.2, "vib_rms": 3.1, "part_count": 1204, "execution": "ACTIVE"}
    send(database_url, mill, {"values": values})

    with plant.inside():
        signals = selectors.signals_of([mill.device_id])
        found = [(s.key.key, s.label, s.unit, s.role) for s in signals]

    assert found == [
        ("spindle_load_pct", "Spindle load", "%", ""),
        ("vib_rms", "Vibration", "mm/s", ""),
        ("part_count", "Parts made", "parts", "count"),
        ("execution", "State", "", "state"),
    ]


@pytest.mark.parametrize(
    ("key", "kind", "label", "unit", "role", "is_sure"),
    [
        ("spindle_temp_c", "n", "Spindle temperature", "°C", "", True),
        ("power_kw", "n", "Power", "kW", "power", True),
        ("energy_kwh", "n", "Energy", "kWh", "energy", True),
        ("spindleSpeed", "n", "Speed", "rpm", "speed", True),
        ("fault", "b", "Fault", "", "fault", True),
        ("cycle", "n", "Cycle", "cycles", "life", True),
        ("t1", "n", "Temperature", "°C", "", False),
        ("x17", "n", "X17", "", "", False),
        ("'; --", "n", "'; --", "", "", False),
    ],
)
def test_guesses(key, kind, label, unit, role, is_sure):
    found = guess(key=key, kind=kind)

    assert (found.label, found.unit, found.role, found.is_sure) == (label, unit, role, is_sure)
