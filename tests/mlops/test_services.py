from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mlops import selectors, services, serving
from mlops.models import ModelVersion, Prediction
from production import services as production_services
from tenants import storage
from tenants.context import factory_context
from tenants.models import AuditEntry, Job
from tests.mlops import plant

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def quiet(_share, _message):
    """Nobody watches the progress."""


def train(kind, job_id=None):
    return services.train(subject_id=kind.pk, job_id=job_id or uuid4(), report=quiet)


def in_service(kind):
    version = selectors.champion(subject_id=kind.pk)
    assert version is not None
    return version


def take_over(kind):
    """Train a second version and put it into service by hand; return it."""
    train(kind)
    train(kind)
    newest = ModelVersion.objects.get(version=2)
    return services.promote(version_id=newest.pk, by=None, at=NOW)


def aliases():
    return dict(ModelVersion.objects.order_by("version").values_list("version", "alias"))


def score(mills, at=NOW):
    found = services.score_machines(machine_ids=[m.pk for m in mills], at=at)
    return {prediction.machine_id: prediction for prediction in found}


def test_a_worn_machine_is_told_from_a_fresh_one(mills):
    kind, machines = mills
    train(kind)

    worn, middle, _fresh = (score(machines)[m.pk] for m in machines)

    assert worn.state == middle.state == Prediction.State.OK
    assert worn.rul < 15 < middle.rul
    assert worn.rul_low <= worn.rul <= worn.rul_high
    assert (worn.unit, worn.usage_at) == ("cycles", 55.0)
    assert worn.reasons[0]["signal"] in {"vib_mm_s", "heat_c"}
    assert sum(reason["share"] for reason in worn.reasons) == pytest.approx(1.0)


def test_a_machine_just_put_right_has_too_little_history(mills):
    kind, machines = mills
    train(kind)

    fresh = score(machines)[machines[2].pk]

    assert fresh.state == Prediction.State.NOT_ENOUGH_DATA
    assert "steps of history" in fresh.message


def test_a_training_is_a_version_in_service_with_its_run(mills, shelf, book):
    kind, _machines = mills

    result = train(kind)

    version = in_service(kind)
    assert (version.version, version.mlflow_run_id) == (1, "run-1")
    assert list(shelf) == [version.artifact_key]
    assert version.artifact_key.startswith(f"acme/models/remaining_life/{kind.pk}/")
    assert result["trained_on"]["n_lives"] == 12
    assert book.runs[0].data["digest"] == version.trained_on["digest"]


def test_a_job_that_runs_again_makes_no_second_version(mills, book):
    kind, _machines = mills
    job_id = uuid4()
    train(kind, job_id)

    train(kind, job_id)

    assert ModelVersion.objects.count() == 1
    assert len(book.runs) == 1


def test_a_later_training_that_learned_nothing_new_is_tried_beside_the_first(mills):
    kind, machines = mills
    train(kind)
    train(kind)

    shown = score(machines)[machines[0].pk]

    assert shown.version.version == 1
    assert aliases() == {1: "champion", 2: "challenger"}
    beside = Prediction.objects.get(machine=machines[0], is_shadow=True)
    assert beside.version is not None
    assert (beside.version.version, beside.usage_at) == (2, shown.usage_at)
    assert selectors.latest_predictions([machines[0].pk])[machines[0].pk] == shown


def test_mlflow_away_delays_the_book_and_nothing_else(mills, book):
    kind, machines = mills
    book.away = True

    train(kind)

    assert score(machines)[machines[0].pk].state == Prediction.State.OK
    version = in_service(kind)
    assert version.mlflow_run_id == ""
    assert Job.objects.filter(task="mlops.record_run", state="queued").count() == 1
    book.away = False
    services.record_run(version_id=version.pk)
    version.refresh_from_db()
    assert version.mlflow_run_id == "run-1"


def test_a_store_that_is_away_during_training_changes_nothing(mills, monkeypatch):
    kind, _machines = mills

    def away(**_kwargs):
        raise storage.StorageUnavailable("The object store did not do it: EndpointConnectionError.")

    monkeypatch.setattr(storage, "put_bytes", away)
    with pytest.raises(storage.StorageUnavailable):
        train(kind)

    assert not ModelVersion.objects.exists()


def test_what_an_attempt_stored_before_it_was_killed_is_removed(mills, shelf):
    """It may have been trained on other data than the attempt that ends."""
    kind, _machines = mills
    train(kind)
    (version,) = ModelVersion.objects.all()
    left = version.artifact_key.replace("/1-", "/1-of-before-")
    other = version.artifact_key.replace("/1-", "/11-")
    shelf |= {left: b"", other: b""}

    train(kind, version.job_id)

    assert set(shelf) == {version.artifact_key, other}


def test_a_store_that_is_away_does_not_stop_scoring(mills, monkeypatch):
    kind, machines = mills
    train(kind)
    serving.forget()  # as in a worker that has just started

    def away(**_kwargs):
        raise storage.StorageUnavailable("away")

    monkeypatch.setattr(storage, "get_bytes", away)

    assert score(machines)[machines[0].pk].state == Prediction.State.OK


def lose_copies(settings):
    serving.forget()
    for path in settings.VAR_DIR.rglob("*.takt"):
        path.unlink()


def test_a_missing_artifact_is_said_in_plain_words(mills, shelf, settings):
    kind, machines = mills
    train(kind)
    shelf.clear()
    lose_copies(settings)

    prediction = score(machines)[machines[0].pk]

    assert prediction.state == Prediction.State.REFUSED
    assert prediction.message == "Version 1 is not used. The stored model is missing."


def test_a_tampered_artifact_is_refused_and_the_last_good_one_serves(mills, shelf, settings):
    kind, machines = mills
    newest = take_over(kind)
    shelf[newest.artifact_key] = shelf[newest.artifact_key][:-1] + b"\0"
    lose_copies(settings)

    prediction = score(machines)[machines[0].pk]

    assert (prediction.state, prediction.version.version) == (Prediction.State.OK, 1)
    assert "it was altered or replaced" in prediction.message
    assert "Version 1 serves." in prediction.message


def test_a_copy_on_disk_that_was_tampered_with_is_not_used(mills, settings):
    kind, machines = mills
    train(kind)
    serving.forget()
    (copy,) = settings.VAR_DIR.rglob("*.takt")
    copy.write_bytes(b"\x80\x05pickle")

    assert score(machines)[machines[0].pk].state == Prediction.State.OK


def test_an_artifact_of_another_version_in_its_place_is_refused(mills, shelf, settings):
    """Even with the digest changed to fit: the signature names the version."""
    kind, machines = mills
    take_over(kind)
    old, new = ModelVersion.objects.order_by("version")
    shelf[new.artifact_key] = shelf[old.artifact_key]
    ModelVersion.objects.filter(pk=new.pk).update(digest=old.digest)
    lose_copies(settings)

    prediction = score(machines)[machines[0].pk]

    assert prediction.version.version == 1
    assert "another factory, subject or version" in prediction.message


def test_a_machine_that_did_nothing_keeps_its_prediction(mills):
    kind, machines = mills
    train(kind)

    first = score(machines)
    again = score(machines)

    assert {p.pk for p in again.values()} == {p.pk for p in first.values()}
    assert selectors.latest_predictions([machines[0].pk])[machines[0].pk].pk == (
        first[machines[0].pk].pk
    )


def test_a_machine_that_is_down_is_not_predicted(mills):
    kind, machines = mills
    train(kind)
    production_services.record_failure(
        machine_id=machines[0].pk, failed_at=NOW, mode="vibration", component="Spindle"
    )

    assert score(machines)[machines[0].pk].state == Prediction.State.NOT_ENOUGH_DATA


def test_without_a_model_the_missing_failures_are_counted(in_acme, shelf):
    kind = plant.mill_type()
    machine = plant.mill("Mill 1", kind)
    plant.worn_out(machine, lives=2)

    prediction = score([machine])[machine.pk]

    assert prediction.state == Prediction.State.NOT_ENOUGH_DATA
    assert prediction.message == (
        "Not enough data: needs about 7 more failures of this kind (2 of 9 known)."
    )


def test_failures_of_another_component_do_not_count(in_acme):
    kind = plant.mill_type()
    machine = plant.mill("Mill 1", kind)
    plant.worn_out(machine, lives=2, component="Coolant pump")

    assert selectors.readiness(kind).n_known == 0


def test_training_is_not_queued_before_its_time(in_acme):
    with pytest.raises(services.NotReady, match="needs about 9 more failures"):
        services.request_training(subject_id=plant.mill_type().pk, by=None)


def test_training_is_queued_once_and_audited(mills):
    kind, _machines = mills

    first = services.request_training(subject_id=kind.pk, by=None)
    second = services.request_training(subject_id=kind.pk, by=None)

    assert first.pk == second.pk
    assert first.queue == "learn"
    assert AuditEntry.objects.filter(action="model.training_requested").exists()


def test_another_factory_finds_nothing(mills, globex):
    kind, machines = mills
    train(kind)

    with factory_context(globex):
        assert selectors.latest_predictions([m.pk for m in machines]) == {}
        assert not selectors.model_versions().exists()
        with pytest.raises(type(machines[0]).DoesNotExist):
            services.score_machines(machine_ids=[machines[0].pk], at=NOW)


def test_an_artifact_carried_to_another_factory_is_refused(mills, globex, shelf):
    kind, _machines = mills
    train(kind)
    theirs = in_service(kind)
    with factory_context(globex):
        stolen = plant.mill_type()
        copy = ModelVersion(
            kind=theirs.kind, machine_type=stolen, version=theirs.version, digest=theirs.digest,
            artifact_key=theirs.artifact_key,
        )  # fmt: skip

        with pytest.raises(serving.NoModel, match="another factory"):
            serving.serve([copy])
