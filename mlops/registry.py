"""The book of runs and model versions, kept in MLflow: the only module that talks to it.

Its store is a database reached directly; no MLflow server runs, so no factory and no browser
can reach one. Scoring never asks it. Contract:
https://mlflow.org/docs/latest/ml/model-registry/
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Any

from django.conf import settings

from tenants import names

CONNECT_TIMEOUT_S = 3
OPENING_LOCK = 7063
CHAMPION = "champion"
ALIASES = (CHAMPION, "challenger", "standby")
ENVIRONMENT = ("lightgbm", "numpy", "scikit-learn", "onnx", "onnxruntime", "django")


class RegistryUnavailable(Exception):
    """The book could not be written; the run is recorded later."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is written down about one training."""

    kind: str
    subject: str  # the machine type
    subject_name: str
    version: int
    artifact_key: str
    digest: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    data: Mapping[str, Any]
    alias: str = ""  # what the version is now: champion, challenger, standby or nothing


def record(run: Run) -> str:
    """Write a run down, register its model and say what it is now; return the run's id.

    Repeating it finds the run by the digest of its artifact and only completes what is missing.

    Raises:
        RegistryUnavailable: the store is away or not set.
    """
    if not settings.MLFLOW_DATABASE_URL:
        raise RegistryUnavailable("MLFLOW_DATABASE_URL is not set.")
    client, exceptions = _client()
    try:
        with _alone(settings.MLFLOW_DATABASE_URL, run):
            experiment = _experiment(client, names.mlflow_experiment(run.kind))
            run_id = _run(client, experiment, run)
            _register(client, run_id, run)
    except exceptions as error:
        raise RegistryUnavailable(f"MLflow did not record the run: {type(error).__name__}.") from (
            error
        )
    return run_id


def forget(kinds: Iterable[str]) -> int:
    """Remove the models and experiments of some kinds of the factory at work; return how many.

    MLflow only marks an experiment as deleted, and its name stays taken: it gets another first,
    so that a later factory of the same name begins with nothing.

    Raises:
        RegistryUnavailable: the store is away; repeating it goes on.
    """
    if not settings.MLFLOW_DATABASE_URL:
        return 0
    client, exceptions = _client()
    n_removed = 0
    try:
        for kind in kinds:
            model = names.mlflow_model(kind)
            for _found in client.search_registered_models(f"name = '{model}'"):
                client.delete_registered_model(model)
                n_removed += 1
            found = client.get_experiment_by_name(names.mlflow_experiment(kind))
            if found is not None:
                client.rename_experiment(found.experiment_id, f"removed/{found.experiment_id}")
                client.delete_experiment(found.experiment_id)
                n_removed += 1
    except exceptions as error:
        raise RegistryUnavailable(f"MLflow did not forget: {type(error).__name__}.") from error
    return n_removed


def _client() -> tuple[Any, tuple[type[Exception], ...]]:
    """Import MLflow, which takes seconds, only where a run is recorded, and quietly."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    exceptions = (MlflowException, SQLAlchemyError)
    try:
        return _opened(settings.MLFLOW_DATABASE_URL, MlflowClient), exceptions
    except exceptions as error:
        raise RegistryUnavailable(f"MLflow's store is away: {type(error).__name__}.") from error


def _opened(address: str, make: Any) -> Any:
    """Open the store, which makes its tables at first use; one process at a time may do that.

    Connecting by ourselves first also fails soon where the store is away: MLflow would try for
    minutes.
    """
    from sqlalchemy import create_engine, text

    engine = create_engine(address, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT current_schema()")) is None:
                named = connection.scalar(text("SHOW search_path"))
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {named}"))
                connection.commit()
            connection.execute(text("SET lock_timeout = '120s'"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": OPENING_LOCK})
            client = make(tracking_uri=address, registry_uri=address)
            client.search_experiments(max_results=1)
            return client
    finally:
        engine.dispose()


@contextmanager
def _alone(address: str, run: Run) -> Iterator[None]:
    """Let nobody else write the same run meanwhile: a training and the clock may both try."""
    from sqlalchemy import create_engine, text

    engine = create_engine(address, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    try:
        with engine.connect() as connection:
            connection.execute(text("SET lock_timeout = '120s'"))
            # 60 bits of the digest: a chance meeting of two runs only makes one of them wait.
            lock = int(run.digest[:15], 16)
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": lock})
            yield
    finally:
        engine.dispose()


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # What MLflow itself would store there is nothing: artifacts are ours, signed, on S3.
    location = f"s3://{settings.S3_BUCKET}/{names.object_key('mlflow')}"
    return str(client.create_experiment(name, artifact_location=location))


def _run(client: Any, experiment: str, run: Run) -> str:
    known = client.search_runs([experiment], f"tags.`takt.digest` = '{run.digest}'", max_results=1)
    if known and known[0].info.status == "FINISHED":
        return str(known[0].info.run_id)
    tags = {
        "takt.digest": run.digest,
        "takt.artifact_key": run.artifact_key,
        "takt.subject": run.subject,
        "takt.version": str(run.version),
        "takt.python": platform.python_version(),
        **{f"takt.library.{name}": version_of(name) for name in ENVIRONMENT},
        **{f"takt.data.{name}": str(value) for name, value in run.data.items()},
    }
    if known:
        run_id = str(known[0].info.run_id)
    else:
        run_name = f"{run.subject_name} {run.version}"
        run_id = str(client.create_run(experiment, tags=tags, run_name=run_name).info.run_id)
    for name, value in run.parameters.items():
        client.log_param(run_id, name, value)
    for name, figure in run.metrics.items():
        client.log_metric(run_id, name, figure)
    client.set_terminated(run_id)
    return run_id


def _register(client: Any, run_id: str, run: Run) -> None:
    from mlflow.exceptions import MlflowException

    name = names.mlflow_model(run.kind)
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if found:
        number = found[0].version
    else:
        source = f"s3://{settings.S3_BUCKET}/{run.artifact_key}"
        number = client.create_model_version(name, source=source, run_id=run_id).version
    _point(client, name, run, str(number))


def _point(client: Any, name: str, run: Run, number: str) -> None:
    """Let the aliases say what a version is now.

    One name holds the models of every machine type; the bare alias is the newest, the one with
    the type behind it is that of its type.
    """
    pointed = client.get_registered_model(name).aliases
    for alias in ALIASES:
        own = f"{alias}-{run.subject}"
        if alias == run.alias:
            client.set_registered_model_alias(name, own, number)
            client.set_registered_model_alias(name, alias, number)
            continue
        for known in (own, alias):
            if str(pointed.get(known, "")) == number:
                client.delete_registered_model_alias(name, known)
