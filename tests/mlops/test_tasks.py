import pytest
from django.utils import timezone

from mlops.models import Kind, ModelVersion
from tenants import jobs
from tenants.context import factory_context
from tenants.models import Job
from tests.mlops import plant


def version_of(factory, *, run_id=""):
    with factory_context(factory):
        kind = plant.mill_type()
        plant.mill("Mill 1", kind)
        return ModelVersion.objects.create(
            kind=Kind.REMAINING_LIFE, machine_type=kind, version=1, alias="champion",
            job_id="00000000-0000-0000-0000-000000000001", artifact_key="k", digest="d",
            mlflow_run_id=run_id, unit="cycles", created_at=timezone.now(),
        )  # fmt: skip


def waiting(task):
    return list(Job.objects.filter(task=task).values_list("factory__schema_name", flat=True))


def test_a_training_without_history_is_refused_in_words(acme):
    with factory_context(acme):
        kind = plant.mill_type()

    with pytest.raises(jobs.JobRefused, match="needs about 9 more failures"):
        jobs.call(
            "mlops.train",
            factory=acme,
            job=jobs.JobHandle("00000000-0000-0000-0000-000000000002"),
            machine_type_id=str(kind.pk),
        )


def test_the_clock_scores_factories_that_have_a_model(acme, globex):
    version_of(acme)

    jobs.call("mlops.score_all")
    jobs.call("mlops.score_all")  # the tick before is still waiting: no second job

    assert waiting("mlops.score") == ["acme"]


def test_scoring_without_a_list_takes_every_machine_in_use(acme, shelf):
    version_of(acme)

    result = jobs.call("mlops.score", factory=acme)

    assert result == {"n_machines": 1, "n_ok": 0}  # its artifact is missing, and it says so


def test_runs_that_mlflow_missed_are_tried_again(acme, globex):
    version_of(acme)
    version_of(globex, run_id="known")

    jobs.call("mlops.record_pending")

    assert waiting("mlops.record_run") == ["acme"]
