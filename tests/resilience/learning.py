"""A factory that learns, asked and looked at from outside its worker.

A process of its own, because the tests' own Django belongs to another installation. Run as
`python -m tests.resilience.learning`: a line in names what is asked and its arguments, a line
out answers.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tests.bench.installation import ROOT

KIND = "remaining_life"


class Learner:
    """Asks the process; its methods are the functions of this module."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.resilience.learning"],
            env={**environment, "DJANGO_SETTINGS_MODULE": "config.settings", "TAKT_DB_POOL": "0"},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have one of the functions below called; return its answer.

        Raises:
            RuntimeError: it failed, or the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "it has ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["said"]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


# -- inside ----------------------------------------------------------------------------------------


def found(*, schema: str) -> str:
    """Make a factory with three mills and a history of worn-out spindles; return its type's id."""
    from tenants import services, storage
    from tenants.context import factory_context
    from tenants.models import FactoryLimits, User
    from tests.mlops import plant

    storage.ensure_bucket()
    owner = User.objects.create_user(f"owner@{schema}.example")
    factory = services.create_factory(name=schema, owner=owner, stem=schema)
    limits = FactoryLimits.objects.filter(factory=factory)
    limits.update(max_machines=None, trainings_per_month=None)
    with factory_context(factory):
        kind, _mills = plant.mills_with_history()
    return str(kind.pk)


def train(*, schema: str, machine_type_id: str) -> str:
    """Ask for a training as an engineer does; return its job's id."""
    from uuid import UUID

    from mlops import services
    from tenants.context import factory_context

    with factory_context(schema):
        return str(services.request_training(subject_id=UUID(machine_type_id), by=None).pk)


def score(*, schema: str) -> str:
    """Write one more reading of the worn mill and ask for predictions; return the job's id."""
    from production.models import Machine
    from telemetry.models import ReadingHot
    from tenants import jobs
    from tenants.context import factory_context

    with factory_context(schema) as factory:
        device_id = Machine.objects.get(name="Mill 2").devices.get().pk
        newest = ReadingHot.objects.filter(device_id=device_id).order_by("-ts")[0]
        # The keys stand in the order in which `plant` makes them: the meter is the first.
        ReadingHot.objects.create(
            device_id=device_id, ts=newest.ts + timedelta(hours=1), keyset_id=newest.keyset_id,
            vals=[newest.vals[0] + 1.0, *newest.vals[1:]],
        )  # fmt: skip
        return str(jobs.enqueue(task="mlops.score", factory=factory).pk)


def newest_prediction(*, schema: str) -> dict[str, Any]:
    """Return what was said last of the mill that `score` has moved on."""
    from mlops import selectors
    from production.models import Machine
    from tenants.context import factory_context

    with factory_context(schema):
        machine = Machine.objects.get(name="Mill 2")
        said = selectors.latest_predictions([machine.pk])[machine.pk]
        version = said.version.version if said.version else None
        return {"state": said.state, "usage": said.usage_at, "version": version}


def sweep() -> int:
    """Send again what was left behind, as the clock does every 20 s."""
    from django.utils import timezone

    from tenants import jobs

    return jobs.sweep(at=timezone.now())


def versions(*, schema: str) -> list[dict[str, Any]]:
    """Return every version there is, oldest first."""
    from mlops.models import ModelVersion
    from tenants.context import factory_context

    fields = ("version", "job_id", "artifact_key", "digest", "mlflow_run_id", "alias")
    with factory_context(schema):
        rows = ModelVersion.objects.order_by("version").values(*fields)
        return [{**row, "job_id": str(row["job_id"])} for row in rows]


def objects(*, schema: str) -> dict[str, str]:
    """Return the digest of each model that lies in the store, by its key."""
    from mlops import artifacts
    from tenants import names, storage
    from tenants.context import factory_context

    with factory_context(schema):
        kept = storage.objects(prefix=names.object_key("models"))
        return {o.key: artifacts.digest(storage.get_bytes(key=o.key)) for o in kept}


def book(*, schema: str) -> dict[str, Any]:
    """Return what MLflow knows: the status of each run by its id, and the registered runs."""
    from mlops import registry
    from tenants import names
    from tenants.context import factory_context

    with factory_context(schema):
        client, _ = registry._client()
        experiment = client.get_experiment_by_name(names.mlflow_experiment(KIND))
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        registered = client.search_model_versions(f"name = '{names.mlflow_model(KIND)}'")
    return {
        "runs": {run.info.run_id: run.info.status for run in runs},
        "digests": {run.info.run_id: run.data.tags["takt.digest"] for run in runs},
        "registered": sorted(version.run_id for version in registered),
    }


def turn_out(*, schema: str, version: int, cases: str, losses: list[float]) -> None:
    """Let cases turn out so for a version, as if their truth had become known."""
    from django.utils import timezone

    from mlops.models import ModelVersion, Outcome
    from production.models import Machine
    from tenants.context import factory_context

    with factory_context(schema):
        one = ModelVersion.objects.get(version=version, kind=KIND)
        machine = Machine.objects.get(name="Mill 1")
        for i, loss in enumerate(losses):
            Outcome.objects.create(
                version=one, machine=machine, case_key=f"{cases} {i}", known_at=timezone.now(),
                was_serving=one.alias == "champion", n_predictions=1, loss=loss, is_right=True,
            )  # fmt: skip


def watch(*, schema: str) -> str:
    """Have the worker watch the version in service, as the clock does; return the job's id."""
    from mlops.models import ModelVersion
    from tenants import jobs
    from tenants.context import factory_context

    with factory_context(schema) as factory:
        champion = ModelVersion.objects.get(alias="champion", kind=KIND)
        kwargs = {"version_id": str(champion.pk)}
        return str(jobs.enqueue(task="mlops.watch", kwargs=kwargs, factory=factory).pk)


def forget_copies(*, schema: str) -> int:
    """Remove the copies of models on this machine's disk; return how many there were."""
    from django.conf import settings

    copies = list((settings.VAR_DIR / "models" / schema).glob("*.takt"))
    for copy in copies:
        copy.unlink()
    return len(copies)


def in_book(*, schema: str, machine_type_id: str) -> dict[str, str]:
    """Return the run that each alias of a type points to in MLflow's book."""
    from mlops import registry
    from tenants import names
    from tenants.context import factory_context

    with factory_context(schema):
        client, _ = registry._client()
        name = names.mlflow_model(KIND)
        pointed = client.get_registered_model(name).aliases
        return {
            alias.removesuffix(f"-{machine_type_id}"): client.get_model_version(name, number).run_id
            for alias, number in pointed.items()
            if alias.endswith(machine_type_id)
        }


def _serve() -> None:
    import django

    django.setup()
    from django.db import connections

    # What services log must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    known = (
        found, train, score, newest_prediction, sweep, versions, objects, book, turn_out, watch,
        forget_copies, in_book,
    )  # fmt: skip
    for line in sys.stdin:
        what, arguments = json.loads(line)
        try:
            called = next(one for one in known if one.__name__ == what)
            answer = {"said": called(**arguments)}
        except Exception as error:  # the test is told, whatever it was
            answer = {"error": f"{what}: {type(error).__name__}: {error}"}
        # The next question may come after a database was started anew.
        connections.close_all()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
