"""The gateway to MLflow against its own store."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection as db_connection
from django.utils import timezone

from mlops import leaving, registry
from tenants.context import NoFactory, factory_context
from tenants.models import Job

pytestmark = [
    pytest.mark.slow,
    # MLflow and its dependencies warn about themselves.
    pytest.mark.filterwarnings("ignore"),
]

RUN = registry.Run(
    kind="remaining_life",
    subject="5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11",
    subject_name="Mill",
    version=1,
    artifact_key="acme/models/remaining_life/mill/1-abc.takt",
    digest="a" * 64,
    parameters={"cap": 125.0, "objective": "regression"},
    metrics={"rmse_capped": 9.5},
    data={"digest": "d" * 64, "n_lives": 12},
    alias="champion",
)


@pytest.fixture
def book(settings):
    settings.MLFLOW_DATABASE_URL = os.environ["MLFLOW_DATABASE_URL"]


def client():
    found, _exceptions = registry._client()
    return found


def test_a_run_is_recorded_once_under_the_factory_s_name(book, acme, globex):
    with factory_context(acme):
        first = registry.record(RUN)
        again = registry.record(RUN)
        second = registry.record(replace(RUN, version=2, digest="b" * 64))
    with factory_context(globex):
        theirs = registry.record(RUN)

    assert first == again
    assert len({first, second, theirs}) == 3
    run = client().get_run(first)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["rmse_capped"] == 9.5
    assert run.data.params["cap"] == "125.0"
    assert run.data.tags["takt.data.digest"] == "d" * 64
    assert "takt.library.lightgbm" in run.data.tags
    for schema, newest in (("acme", second), ("globex", theirs)):
        champion = client().get_model_version_by_alias(f"{schema}.remaining_life", "champion")
        assert champion.run_id == newest
        experiment = client().get_experiment_by_name(f"{schema}/remaining_life")
        assert client().get_run(newest).info.experiment_id == experiment.experiment_id


def test_a_run_that_two_record_at_once_is_recorded_once(book, acme):
    run = replace(RUN, version=7, digest="7" * 64)
    with factory_context(acme):
        registry.record(RUN)  # the experiment and the name are there

    def record(_n):
        try:
            with factory_context(acme):
                return registry.record(run)
        finally:
            db_connection.close()

    with ThreadPoolExecutor(4) as several:
        found = set(several.map(record, range(4)))

    assert len(found) == 1
    versions = client().search_model_versions("name = 'acme.remaining_life'")
    assert [v.run_id for v in versions if v.run_id in found] == list(found)


def test_the_schema_that_the_address_names_is_made(book, in_acme, settings):
    settings.MLFLOW_DATABASE_URL += "?options=-csearch_path%3Dbook_of_runs"

    assert registry.record(RUN)


def test_nothing_is_recorded_without_a_factory(book, db):
    with pytest.raises(NoFactory):
        registry.record(RUN)


def test_a_store_of_runs_that_is_not_set_is_said_so(in_acme, settings):
    settings.MLFLOW_DATABASE_URL = ""

    with pytest.raises(registry.RegistryUnavailable):
        registry.record(RUN)


def test_a_store_of_runs_that_is_away_is_said_so_soon(in_acme, settings):
    settings.MLFLOW_DATABASE_URL = "postgresql+psycopg://takt:takt@127.0.0.1:9/mlflow"

    with pytest.raises(registry.RegistryUnavailable):
        registry.record(RUN)


def test_a_factory_that_is_gone_leaves_nothing_in_the_book(book, acme):
    """And a later one of the same name begins with nothing. A kind of its own: others stay."""
    run, name = replace(RUN, kind="left"), "acme/left"
    with factory_context(acme):
        registry.record(run)
        before = client().get_experiment_by_name(name).experiment_id

        assert registry.forget(["left", "never"]) == 2

        assert client().get_experiment_by_name(name) is None
        assert client().get_experiment(before).lifecycle_stage == "deleted"
        assert not client().search_registered_models("name = 'acme.left'")
        assert registry.forget(["left"]) == 0
        registry.record(run)
        assert client().get_experiment_by_name(name).experiment_id != before
        registry.forget(["left"])


def test_a_book_that_is_away_is_asked_to_forget_later(db, settings):
    settings.MLFLOW_DATABASE_URL = "postgresql+psycopg://takt:takt@127.0.0.1:9/mlflow"

    assert leaving.forget_models(schema_name="gone") == 0

    job = Job.objects.get(task="mlops.forget_models")
    assert job.kwargs == {"schema_name": "gone"}
    assert job.not_before > timezone.now() + timedelta(minutes=5)


def test_a_name_that_is_taken_again_keeps_its_book(book, acme, monkeypatch):
    monkeypatch.setattr(registry, "forget", lambda _kinds: pytest.fail("it was forgotten"))

    assert leaving.forget_models(schema_name="acme") == 0
