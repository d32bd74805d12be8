"""Trial, promotion, rollback: what becomes of versions by what they said and what came true."""

from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest

from mlops import kinds, selectors, services
from mlops.models import Finding, ModelVersion, Outcome, Prediction, VersionEvent
from production import services as production_services
from telemetry.models import Keyset, ReadingHot, SignalKey
from tenants import jobs
from tenants.models import FactoryLimits, Job, User
from tests.mlops import plant
from tests.mlops.wear import SIGNALS, worn_values

KIND = "remaining_life"


def train(kind):
    return services.train(subject_id=kind.pk, job_id=uuid4(), report=lambda _share, _message: None)


def aliases():
    return dict(ModelVersion.objects.order_by("version").values_list("version", "alias"))


def version(number):
    return ModelVersion.objects.get(version=number)


def turned_out(of, machine, losses, *, serving=False, is_right=True):
    """Write down how cases turned out for a version."""
    for i, loss in enumerate(losses):
        Outcome.objects.create(
            version=of, machine=machine, case_key=f"case {i}", known_at=plant.START,
            was_serving=serving, n_predictions=3, loss=loss, is_right=is_right,
        )  # fmt: skip


@pytest.fixture
def two(mills):
    """Two versions: the first in service, the second on trial."""
    kind, machines = mills
    train(kind)
    train(kind)
    return kind, machines


def consider(kind):
    return services.consider(subject_id=kind.pk, kind=KIND, at=plant.START)


def test_the_first_version_serves_because_it_beats_knowing_the_usual_length(mills):
    kind, _machines = mills
    train(kind)

    event = VersionEvent.objects.get(what="promoted")

    assert event.reason.startswith("The first of its type. On 12 cases that it had not seen")
    assert event.evidence["outcome"] == "better"
    assert event.evidence["loss"] < event.evidence["loss_of_other"]


def test_without_evidence_of_skill_no_model_is_served(mills, monkeypatch):
    kind, machines = mills
    # The lives stay; what their signals say is taken away.
    rows = list(ReadingHot.objects.order_by("device_id", "ts"))
    for i, row in enumerate(rows):
        row.vals = [((i * 7919) % 101) / 10.0 if v != row.vals[0] else v for v in row.vals]
    for row in rows:
        ReadingHot.objects.filter(device_id=row.device_id, ts=row.ts).update(vals=row.vals)

    result = train(kind)

    assert result["alias"] == ""
    assert "No evidence of skill" in VersionEvent.objects.get(what="not_promoted").reason
    found = services.score_machines(machine_ids=[machines[0].pk], at=plant.START)
    assert found[0].state == Prediction.State.NOT_ENOUGH_DATA


def test_a_better_challenger_is_promoted_and_the_old_one_stands_by(two):
    kind, machines = two
    turned_out(version(1), machines[0], [0.3] * 6, serving=True)
    turned_out(version(2), machines[0], [0.1] * 6)

    assert consider(kind) == "promoted"

    assert aliases() == {1: "standby", 2: "champion"}
    event = version(2).events.get(what="promoted")
    assert (
        event.reason
        == "On trial beside version 1, over 6 cases, it was better: off by 10% against 30%."
    )


def test_a_worse_challenger_is_not_promoted(two):
    kind, machines = two
    turned_out(version(1), machines[0], [0.1] * 6, serving=True)
    turned_out(version(2), machines[0], [0.3] * 6)

    assert consider(kind) == "not_promoted"

    assert aliases() == {1: "champion", 2: ""}


def test_a_trial_goes_on_while_it_is_not_clear_and_ends_when_it_stays_so(two):
    kind, machines = two
    turned_out(version(1), machines[0], [0.2] * 4, serving=True)
    turned_out(version(2), machines[0], [0.1] * 4)
    assert consider(kind) == ""

    Outcome.objects.all().delete()
    turned_out(version(1), machines[0], [0.2, 0.3] * 10, serving=True)
    turned_out(version(2), machines[0], [0.3, 0.2] * 10)

    assert consider(kind) == "not_promoted"


def test_a_promoted_version_that_degrades_is_rolled_back(two):
    kind, machines = two
    services.promote(version_id=version(2).pk, by=None, at=plant.START)
    turned_out(version(2), machines[0], [0.4] * 5, serving=True)
    turned_out(version(1), machines[0], [0.1] * 5)

    assert consider(kind) == "rolled_back"

    assert aliases() == {1: "champion", 2: ""}
    assert "version 1, which stood by, was better over 5 cases" in (
        version(2).events.get(what="rolled_back").reason
    )


def test_a_version_that_proved_itself_lets_the_old_one_go(two):
    kind, machines = two
    services.promote(version_id=version(2).pk, by=None, at=plant.START)
    turned_out(version(2), machines[0], [0.1] * 5, serving=True)
    turned_out(version(1), machines[0], [0.4] * 5)

    assert consider(kind) == "retired"
    assert aliases() == {1: "", 2: "champion"}


def test_a_person_rolls_back_with_a_reason(two):
    kind, _machines = two
    member = User.objects.create(email="engineer@acme.test")
    services.promote(version_id=version(2).pk, by=member, at=plant.START, reason="Saw the pump.")

    services.roll_back(
        subject_id=kind.pk, kind=KIND, by=member, at=plant.START, reason="Worse on Mill 2."
    )

    assert aliases() == {1: "champion", 2: ""}
    event = version(2).events.get(what="rolled_back")
    assert (event.reason, event.by_id) == ("Worse on Mill 2.", member.pk)
    assert version(2).events.get(what="promoted").reason == "Saw the pump."


def test_what_serves_cannot_be_put_into_service_and_nothing_before_it_brought_back(mills):
    kind, _machines = mills
    train(kind)

    with pytest.raises(services.NotPossible, match="Version 1 is in service"):
        services.promote(version_id=version(1).pk, by=None, at=plant.START)
    with pytest.raises(services.NotPossible, match="No version served before"):
        services.roll_back(subject_id=kind.pk, kind=KIND, by=None, at=plant.START, reason="")


def test_a_failure_shows_how_what_was_said_turned_out(mills):
    kind, machines = mills
    train(kind)
    train(kind)
    mill = machines[1]
    ModelVersion.objects.update(created_at=plant.START)
    services.score_machines(machine_ids=[mill.pk], at=last_reading(mill).ts)
    # It runs on as its wear goes, fails, and is judged by what was said before.
    failed_at = run_on(mill, worn_values(60, 501)[20:])
    services.score_machines(machine_ids=[mill.pk], at=failed_at - timedelta(hours=6))
    production_services.record_failure(
        machine_id=mill.pk, failed_at=failed_at, mode="vibration", component="Spindle"
    )

    found = services.watch(version_id=version(1).pk, at=failed_at + timedelta(hours=1))

    assert found["outcomes"] == 2  # of the one in service and of the one on trial
    mine = version(1).outcomes.get()
    assert (mine.machine_id, mine.n_predictions, mine.was_serving) == (mill.pk, 2, True)
    assert mine.loss < 0.5
    record = selectors.track_record(subject_id=kind.pk)
    assert record.n == 1
    again = services.watch(version_id=version(1).pk, at=failed_at + timedelta(hours=1))
    assert again["outcomes"] == 0


def last_reading(machine):
    rows = ReadingHot.objects.filter(device_id=machine.devices.get().pk)
    return rows.latest("ts")


def run_on(machine, values):
    """Write further hours of a machine after its last reading; return the time of the last one."""
    last = last_reading(machine)
    order = ordered_keys(last.keyset_id)
    meter = last.vals[order.index(plant.METER)]
    for i, row in enumerate(values, start=1):
        by_key = dict(zip(SIGNALS, row, strict=True)) | {plant.METER: meter + i}
        ReadingHot.objects.create(
            device_id=last.device_id, ts=last.ts + timedelta(hours=i), keyset_id=last.keyset_id,
            vals=[float(by_key[key]) for key in order],
        )  # fmt: skip
    return last.ts + timedelta(hours=len(values))


def ordered_keys(keyset_id):
    ids = Keyset.objects.get(pk=keyset_id).key_ids
    keys = SignalKey.objects.in_bulk(ids)
    return [keys[pk].key for pk in ids]


def test_intervals_that_hold_no_longer_are_found_once(two):
    _kind, machines = two
    turned_out(version(1), machines[0], [0.2] * 6, serving=True, is_right=False)

    for _ in range(2):
        services.look(version=version(1), machines=[], at=plant.START)

    finding = Finding.objects.get()
    assert (finding.what, finding.message) == (
        "calibration",
        "Right 0 of 6 times, where 80% was promised.",
    )
    Outcome.objects.all().delete()
    services.look(version=version(1), machines=[], at=plant.START)
    assert not selectors.open_findings().exists()


def test_new_failures_ask_for_a_new_training(mills):
    kind, machines = mills
    train(kind)
    for hours in (1, 2, 3):
        production_services.record_failure(
            machine_id=machines[0].pk, failed_at=plant.START + timedelta(days=40, hours=hours),
            restored_at=plant.START + timedelta(days=40, hours=hours, minutes=30),
            mode="vibration", component="Spindle",
        )  # fmt: skip

    found = services.watch(version_id=version(1).pk, at=plant.START + timedelta(days=41))

    assert found["trainings"] == 1
    job = Job.objects.get(task="mlops.train")
    assert job.kwargs["reason"] == "3 new cases since the last training."


def test_a_training_can_be_cancelled_while_it_waits_and_while_it_runs(mills):
    kind, _machines = mills
    services.request_training(subject_id=kind.pk, by=None)
    assert services.cancel_training(subject_id=kind.pk, by=None)
    assert Job.objects.get(task="mlops.train").state == Job.State.FAILED
    assert not services.cancel_training(subject_id=kind.pk, by=None)

    job = services.request_training(subject_id=kind.pk, by=None)
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
    services.cancel_training(subject_id=kind.pk, by=None)

    with pytest.raises(jobs.JobCancelled):
        jobs.call("mlops.train", factory=job.factory, job=jobs.JobHandle(str(job.pk)), **job.kwargs)
    assert not ModelVersion.objects.exists()


def test_a_factory_that_is_read_only_trains_nothing(mills):
    kind, _machines = mills
    FactoryLimits.objects.filter(factory__schema_name="acme").update(read_only=True)

    with pytest.raises(services.NotReady, match="a payment is missing"):
        services.request_training(subject_id=kind.pk, by=None)

    assert not Job.objects.filter(task="mlops.train").exists()


def test_the_plan_s_number_of_trainings_a_month_is_exact(mills):
    kind, _machines = mills
    limits = FactoryLimits.objects.get(factory__schema_name="acme")
    limits.trainings_per_month = 1
    limits.save()
    first = services.request_training(subject_id=kind.pk, by=None)
    assert services.request_training(subject_id=kind.pk, by=None).pk == first.pk
    Job.objects.filter(pk=first.pk).update(state=Job.State.DONE)

    with pytest.raises(services.NotReady, match="Your plan covers 1 trainings a month"):
        services.request_training(subject_id=kind.pk, by=None)

    Job.objects.filter(pk=first.pk).update(state=Job.State.FAILED)  # refused: it does not count
    assert services.request_training(subject_id=kind.pk, by=None).pk != first.pk


def test_a_sensor_that_drifts_is_a_finding_and_a_product_change_is_none(mills):
    kind, machines = mills
    train(kind)
    drifting, changed = machines[1], machines[2]
    heat = worn_values(200, 7)[:40] + np.array([60.0, 0.0, 0.0])
    ends = [
        run_on(drifting, heat),
        run_on(changed, worn_values(200, 8)[:40] + np.array([60.0, 90.0, 20.0])),
    ]

    services.look(version=version(1), machines=machines, at=max(ends))

    found = {row.machine_id: row for row in Finding.objects.all()}
    assert set(found) == {drifting.pk, changed.pk}
    assert (found[drifting.pk].what, found[drifting.pk].signal) == ("input_drift", "heat_c")
    assert "check the sensor" in found[drifting.pk].message
    assert found[changed.pk].what == "new_regime"
    assert "No signal has drifted" in found[changed.pk].message


def test_a_verdict_is_a_case_of_the_next_data_set(mills):
    kind, machines = mills
    train(kind)
    mill = machines[0]
    at = last_reading(mill).ts + timedelta(hours=1)
    before = kinds.of(KIND).snapshot(kind, at=at)
    order = production_services.propose_work_order(
        machine_id=mill.pk, title="Check the spindle", component="Spindle", dedup_key="w", at=at
    )
    production_services.approve(order=order, by=None, at=at)
    production_services.complete(
        order=order, by=None, at=at + timedelta(hours=1), verdict="real",
        code=production_services.FailureCode(mode="vibration"),
    )  # fmt: skip

    after = kinds.of(KIND).snapshot(kind, at=at + timedelta(hours=2))

    new = {case.key for case in after.cases} - {case.key for case in before.cases}
    assert [key.partition("/")[0] for key in new] == [str(mill.pk)]
    assert after.digest != before.digest


@pytest.mark.parametrize(("n_flagged", "n_found"), [(2, 0), (5, 1)])
def test_many_machines_flagged_at_once_point_to_what_they_share(mills, n_flagged, n_found):
    kind, machines = mills
    train(kind)
    machines += [plant.mill(f"Mill {i}", kind) for i in (4, 5, 6)]
    for i, machine in enumerate(machines):
        Prediction.objects.create(
            machine=machine, version=version(1), made_at=plant.START + timedelta(days=90),
            state="ok", rul=5.0, rul_low=1.0, rul_high=9.0, usage_at=1.0,
            chances={"14": 0.9 if i < n_flagged else 0.01},
        )  # fmt: skip

    services.look(version=version(1), machines=machines, at=plant.START + timedelta(days=90))

    found = Finding.objects.filter(what="prediction_drift")
    assert found.count() == n_found
    assert all(f"{n_flagged} of 6 machines are flagged at once" in f.message for f in found)


def test_proposals_that_nobody_judges_are_a_finding(mills):
    kind, machines = mills
    train(kind)
    for machine in machines:
        production_services.propose_work_order(
            machine_id=machine.pk, title="Check", dedup_key=f"w{machine.pk}", at=plant.START
        )

    services.look(version=version(1), machines=[], at=plant.START + timedelta(days=29))
    assert not Finding.objects.filter(what="labels").exists()
    services.look(version=version(1), machines=[], at=plant.START + timedelta(days=31))

    assert (
        "3 proposed work orders have had no verdict" in Finding.objects.get(what="labels").message
    )
