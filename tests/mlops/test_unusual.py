"""Unusual behaviour: judged by itself from the first hour, by a model after a day."""

from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest

from mlops import selectors, services, tasks
from mlops.models import ModelVersion, Prediction
from production import selectors as production_selectors
from production import services as production_services
from production.models import WorkOrder
from tenants.context import factory_context
from tenants.models import Job
from tests.mlops import plant

KIND = "anomaly"
N_ROWS = 330  # hours


def steady(n, seed, *, heat=0.0, vibration=0.0):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, 1.0, (n, 3))
    return np.column_stack(
        [40.0 + heat + 0.8 * noise[:, 0], 55.0 + 3.0 * noise[:, 1],
         1.5 + vibration + 0.15 * noise[:, 2]]
    )  # fmt: skip


@pytest.fixture
def fleet(in_acme, shelf, book):
    """Three mills that run as usual; the second one is warmer by build."""
    kind = plant.mill_type()
    mills = [plant.mill(f"Mill {i}", kind) for i in (1, 2, 3)]
    for i, machine in enumerate(mills):
        plant.write_run(machine, start=plant.START, values=steady(N_ROWS, i, heat=9.0 * (i == 1)))
    return kind, mills


END = plant.START + timedelta(hours=N_ROWS)


def train(kind):
    return services.train(subject_id=kind.pk, job_id=uuid4(), report=lambda _s, _m: None, kind=KIND)


def score(machine, at):
    (found,) = services.score_machines(machine_ids=[machine.pk], at=at, kind=KIND)
    return found


def go_on(machine, values):
    """Let a machine run on; return the time after its last reading."""
    return plant.write_run(machine, start=END, values=values) + timedelta(minutes=1)


def test_from_the_first_hours_each_signal_is_judged_by_itself(in_acme):
    machine = plant.mill("Mill 1", plant.mill_type())
    values = np.vstack([steady(60, 1), steady(20, 2, vibration=1.5)])
    at = plant.write_run(machine, start=plant.START, values=values) + timedelta(minutes=1)

    found = score(machine, at)

    assert (found.state, found.version) == (Prediction.State.OK, None)
    assert found.health < 30
    assert found.reasons[0]["signal"] == "vib_mm_s"
    assert found.reasons[0]["sentence"].startswith("vib_mm_s 2.1x its usual level")


def test_before_the_first_hour_nothing_is_claimed(in_acme):
    machine = plant.mill("Mill 1", plant.mill_type())
    plant.write_run(machine, start=plant.START, values=steady(20, 1))

    found = score(machine, plant.START + timedelta(hours=20))

    assert found.state == Prediction.State.NOT_ENOUGH_DATA


def test_a_model_serves_when_it_keeps_quiet_on_usual_running(fleet, monkeypatch):
    kind, machines = fleet
    monkeypatch.setattr("mlops.services.training.timezone.now", lambda: END)

    result = train(kind)

    assert result["alias"] == "champion"
    assert result["metrics"]["false_alarm_share"] < 0.05
    assert result["metrics"]["n_machines"] == 3
    for machine in machines:  # the one that is warmer by build too
        found = score(machine, END)
        assert found.since is None, found.reasons
        assert found.health > 80


@pytest.fixture
def served(fleet, monkeypatch):
    kind, machines = fleet
    monkeypatch.setattr("mlops.services.training.timezone.now", lambda: END)
    train(kind)
    return kind, machines


def test_what_deviates_is_named_with_its_time(served):
    _kind, machines = served
    at = go_on(machines[0], np.vstack([steady(5, 7), steady(25, 8, vibration=1.2)]))

    found = score(machines[0], at)

    assert found.score > 1
    assert END <= found.since <= END + timedelta(hours=6)
    assert found.reasons[0]["signal"] == "vib_mm_s"
    assert "its usual level" in found.reasons[0]["sentence"]
    assert sum(reason["share"] for reason in found.reasons) == pytest.approx(1.0)


def test_a_lasting_deviation_proposes_one_order_and_a_verdict_becomes_an_outcome(served):
    kind, machines = served
    version = ModelVersion.objects.get(kind=KIND)
    mill = machines[0]
    at = go_on(mill, steady(30, 8, vibration=1.2))
    found = score(mill, at)

    (order,) = services.propose([found])
    again = services.propose([found])

    assert [one.pk for one in again] == [order.pk]
    assert order.state == WorkOrder.State.PROPOSED
    assert found.reasons[0]["sentence"] in order.reason
    production_services.approve(order=order, by=None, at=at)
    production_services.start(order=order, by=None, at=at)
    production_services.complete(
        order=order, by=None, at=at + timedelta(hours=1), verdict="real",
        code=production_services.FailureCode(mode="vibration"),
    )  # fmt: skip
    services.watch(version_id=version.pk, at=at + timedelta(hours=2))
    outcome = version.outcomes.get(case_key=f"order-{order.pk}")
    assert (outcome.is_right, outcome.loss, outcome.was_serving) == (True, 0.0, True)
    record = selectors.track_record(subject_id=kind.pk, kind=KIND)
    assert (record.n_right, record.n) == (1, 1)


def test_the_clock_begins_the_first_model_of_each_kind_once(fleet, acme):
    tasks.watch_all()
    tasks.watch_all()

    asked = Job.objects.filter(task="mlops.train").values_list("kwargs__kind", flat=True)
    assert list(asked) == [KIND]  # no failure is known, so remaining life has to wait


def test_another_factory_s_machines_are_not_judged(served, globex):
    _kind, machines = served
    with factory_context(globex), pytest.raises(type(machines[0]).DoesNotExist):
        services.score_machines(machine_ids=[machines[0].pk], at=END, kind=KIND)


def test_a_chance_of_failure_proposes_work_before_it(in_acme):
    machine = plant.mill("Mill 1", plant.mill_type())
    type(machine).objects.filter(pk=machine.pk).update(cost_per_hour_minor=9_000)
    machine.refresh_from_db()
    reasons = [{"signal": "vib", "share": 1.0, "sentence": "Vibration is rising.", "value": 3.0,
                "usual": [1.0, 2.0]}]  # fmt: skip
    said = Prediction(
        pk=1, machine=machine, made_at=END, state="ok", rul=30.0, rul_low=12.0, rul_high=50.0,
        unit="h", usage_at=100.0, usage_per_day=8.0, chances={"7": 0.6, "14": 0.8, "30": 0.9},
        reasons=reasons,
    )  # fmt: skip

    (order,) = services.propose([said])

    assert (order.priority, order.component) == (1, "Spindle")
    assert order.due_by == END + timedelta(days=1.5)
    assert "Failure within 14 days: 80%" in order.reason
    assert order.waiting_cost_minor_per_day == round(9_000 * 4.0 * 0.8 / 14)
    assert production_selectors.open_orders().count() == 1


def test_a_small_chance_and_a_chance_that_is_not_known_propose_nothing(in_acme):
    machine = plant.mill("Mill 1", plant.mill_type())
    for chances in ({"14": 0.1}, {"14": None}, {}):
        said = Prediction(machine=machine, made_at=END, state="ok", chances=chances)
        assert services.propose([said]) == []
