"""What scoring asks of the database: little for many machines, nothing for silent ones."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mlops import datasets, kinds, serving
from mlops.models import Kind, ModelVersion, Prediction
from production import services as production_services
from production.models import Failure, Machine
from telemetry import selectors as telemetry_selectors
from telemetry.models import Latest
from tests.mlops.test_services import score, take_over, train

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)


@pytest.fixture
def reads(monkeypatch):
    """Collect the devices whose readings are read."""
    found: list[int] = []
    real = telemetry_selectors.raw

    def raw(*, device_id, **kwargs):
        found.append(device_id)
        return real(device_id=device_id, **kwargs)

    monkeypatch.setattr(telemetry_selectors, "raw", raw)
    return found


@pytest.fixture
def scored(mills):
    """Mills that sent their last reading an hour before they were scored."""
    kind, machines = mills
    train(kind)
    Failure.objects.update(recorded_at=NOW - timedelta(days=1))
    for machine in machines:
        sent_at = NOW - timedelta(hours=1)
        Latest.objects.create(device_id=machine.devices.get().pk, received_at=sent_at)
    score(machines)
    return kind, machines


def test_a_silent_machine_is_not_read_again(scored, reads):
    _kind, machines = scored

    again = score(machines, LATER)

    assert reads == []
    assert {p.made_at for p in again.values()} == {NOW}


def test_a_machine_that_has_sent_something_is_read(scored, reads):
    _kind, machines = scored
    device = machines[1].devices.get()
    Latest.objects.filter(device_id=device.pk).update(received_at=NOW + timedelta(minutes=1))

    score(machines, LATER)

    assert reads == [device.pk]


def test_what_was_on_its_way_when_it_was_scored_is_read_next_time(scored, reads):
    _kind, machines = scored
    device = machines[1].devices.get()
    Latest.objects.filter(device_id=device.pk).update(received_at=NOW - timedelta(seconds=5))

    score(machines, LATER)

    assert reads == [device.pk]


def test_a_failure_recorded_meanwhile_is_seen(scored):
    _kind, machines = scored
    production_services.record_failure(
        machine_id=machines[0].pk, failed_at=NOW, mode="vibration", component="Spindle"
    )

    assert score(machines, LATER)[machines[0].pk].state == Prediction.State.NOT_ENOUGH_DATA


def test_another_version_in_service_is_asked_about_silent_machines(scored):
    kind, machines = scored

    newest = take_over(kind)

    assert score(machines, LATER)[machines[0].pk].version == newest


def test_the_answer_is_the_same_for_one_and_for_many(mills):
    kind, machines = mills
    train(kind)
    (version,) = ModelVersion.objects.all()
    model, model_kind = serving.load(version), kinds.of_machines(Kind.REMAINING_LIFE)

    together = score(machines)

    for machine in Machine.objects.filter(pk__in=together):
        alone, said = model_kind.predict(model, machine, at=NOW), together[machine.pk]
        for name in ("state", "rul", "rul_low", "rul_high", "usage_at", "chances", "reasons"):
            assert getattr(alone, name) == getattr(said, name), name


def test_what_is_known_of_many_machines_is_asked_for_once(mills):
    _kind, machines = mills
    several = list(Machine.objects.filter(pk__in=[m.pk for m in machines]))
    alone = [
        (datasets.failures_of(m), datasets.devices_of(m), datasets.names_of(m)) for m in several
    ]

    with CaptureQueriesContext(
        connection,
    ) as asked:
        datasets.look_up(several)
        together = [
            (datasets.failures_of(m), datasets.devices_of(m), datasets.names_of(m)) for m in several
        ]

    assert together == alone
    assert len([q for q in asked if "SELECT" in q["sql"]]) == 3
