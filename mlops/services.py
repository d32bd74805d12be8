"""What can happen to models: they are trained, put into service, recorded, and asked."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from mlops import artifacts, datasets, registry, selectors, serving
from mlops.artifacts import Identity
from mlops.datasets import DataSet
from mlops.lives import UnusableLives
from mlops.maintenance import rul
from mlops.maintenance.packing import pack
from mlops.maintenance.reasons import reasons_for
from mlops.models import Kind, ModelVersion, Prediction
from production import selectors as production_selectors
from production.models import Machine, MachineType
from tenants import audit, jobs, names, storage
from tenants.context import current_factory, current_schema
from tenants.models import Job, User

log = structlog.get_logger()

Report = Callable[[float, str], None]

RECORD_AGAIN_AFTER = timedelta(minutes=2)


class NotReady(Exception):
    """The history of a machine type does not support a model yet; says what is missing."""


def request_training(*, machine_type_id: UUID, by: User | None) -> Job:
    """Queue the training of a machine type's model of remaining life.

    A training that is already waiting or running is returned instead of a second one.

    Raises:
        MachineType.DoesNotExist: not in this factory.
        NotReady: too few failures are known.
    """
    machine_type = MachineType.objects.get(pk=machine_type_id)
    readiness = selectors.readiness(machine_type)
    if not readiness.is_ready:
        raise NotReady(readiness.message)
    factory = current_factory()
    with transaction.atomic():
        job = jobs.enqueue(
            task="mlops.train_rul",
            kwargs={"machine_type_id": str(machine_type.pk)},
            factory=factory,
            key=f"train-{machine_type.pk}",
        )
        audit.record(
            action="model.training_requested", actor=by, target=machine_type.code, factory=factory
        )
    return job


def train_rul(*, machine_type_id: UUID, job_id: UUID, report: Report) -> dict[str, Any]:
    """Train, store, put into service and record one model. Repeating a job is harmless.

    Raises:
        MachineType.DoesNotExist: not in this factory.
        NotReady: the history does not support a model; nothing changed.
        StorageUnavailable: the artifact could not be stored; nothing changed.
    """
    machine_type = MachineType.objects.get(pk=machine_type_id)
    version = ModelVersion.objects.filter(job_id=job_id).first()
    if version is None:
        started = timezone.now()
        report(0.01, "Reading history")
        data = datasets.build(machine_type, at=started)
        training = _trained(data, report)
        report(0.95, "Storing the model")
        version = _put_into_service(machine_type, data, training, job_id, started)
    report(0.97, "Recording the run")
    try:
        record_run(version_id=version.pk)
    except registry.RegistryUnavailable as error:
        log.warning("mlops.run.not_recorded", version_id=str(version.pk), reason=str(error))
        jobs.enqueue(
            task="mlops.record_run", kwargs={"version_id": str(version.pk)},
            factory=current_factory(), key=f"record-{version.pk}", delay=RECORD_AGAIN_AFTER,
        )  # fmt: skip
    return {
        "version": version.version,
        "version_id": str(version.pk),
        "metrics": version.metrics,
        "trained_on": version.trained_on,
        "took_s": version.parameters.get("took_s"),
    }


def _trained(data: DataSet, report: Report) -> rul.Training:
    try:
        return rul.train(
            data.lives,
            signals=data.signals,
            step=data.step,
            progress=lambda share, message: report(0.05 + 0.88 * share, message),
        )
    except (rul.NotEnoughLives, UnusableLives) as error:
        raise NotReady(str(error)) from error


def _put_into_service(
    machine_type: MachineType, data: DataSet, training: rul.Training, job_id: UUID, at: datetime
) -> ModelVersion:
    """Store the artifact, then let the version serve: a version without its artifact never does."""
    rows = ModelVersion.objects.filter(kind=Kind.REMAINING_LIFE, machine_type=machine_type)
    newest = rows.order_by("-version").first()
    number = newest.version + 1 if newest else 1
    identity = Identity(current_schema(), Kind.REMAINING_LIFE.value, str(machine_type.pk), number)
    blob = artifacts.seal(pack(training.model), identity=identity, key=settings.ARTIFACT_KEY)
    digest = artifacts.digest(blob)
    key = names.object_key(
        "models", Kind.REMAINING_LIFE.value, str(machine_type.pk), f"{number}-{digest[:12]}.takt"
    )
    storage.put_bytes(key=key, content=blob)
    took_s = round((timezone.now() - at).total_seconds(), 1)
    with transaction.atomic():
        rows.filter(alias=ModelVersion.Alias.CHAMPION).update(alias=ModelVersion.Alias.NONE)
        version = ModelVersion.objects.create(
            kind=Kind.REMAINING_LIFE,
            machine_type=machine_type,
            version=number,
            alias=ModelVersion.Alias.CHAMPION,
            job_id=job_id,
            artifact_key=key,
            digest=digest,
            unit=data.unit,
            parameters={**training.parameters, "took_s": took_s},
            metrics=training.metrics,
            trained_on={
                "digest": training.digest,
                "n_lives": len(data.lives),
                "n_machines": data.n_machines,
                "signals": list(data.signals),
                "until": at.isoformat(),
            },
            created_at=at,
        )
        jobs.enqueue(task="mlops.score", factory=current_factory(), key="score")
    serving.keep(version, blob)
    log.info("mlops.model.in_service", version_id=str(version.pk), took_s=took_s)
    return version


def record_run(*, version_id: UUID) -> str:
    """Write a version into MLflow's book unless it is there; return the run's id.

    Raises:
        ModelVersion.DoesNotExist: not in this factory.
        RegistryUnavailable: MLflow is away.
    """
    version = ModelVersion.objects.select_related("machine_type").get(pk=version_id)
    if version.mlflow_run_id:
        return version.mlflow_run_id
    run_id = registry.record(
        registry.Run(
            kind=version.kind,
            subject=str(version.machine_type_id),
            subject_name=version.machine_type.name,
            version=version.version,
            artifact_key=version.artifact_key,
            digest=version.digest,
            parameters=version.parameters,
            metrics={k: float(v) for k, v in version.metrics.items()},
            data={k: v for k, v in version.trained_on.items() if k != "signals"},
            is_champion=version.alias == ModelVersion.Alias.CHAMPION,
        )
    )
    ModelVersion.objects.filter(pk=version.pk).update(mlflow_run_id=run_id)
    return run_id


def score_machines(*, machine_ids: Sequence[UUID], at: datetime) -> list[Prediction]:
    """Predict what is left of machines, or write down why that cannot be said.

    A machine that did nothing since its last prediction keeps that one.

    Raises:
        Machine.DoesNotExist: one of them is not in this factory.
    """
    machines = {m.pk: m for m in production_selectors.machines().filter(pk__in=machine_ids)}
    if missing := set(machine_ids) - set(machines):
        raise Machine.DoesNotExist(f"{len(missing)} of these machines do not exist.")
    latest = selectors.latest_predictions(list(machines))
    served: dict[UUID, serving.Served | _Unserved] = {}
    result = []
    for machine in machines.values():
        kind_id = machine.machine_type_id
        if kind_id not in served:
            served[kind_id] = _served(machine.machine_type)
        prediction = _predict(machine, served[kind_id], at)
        known = latest.get(machine.pk)
        if known is not None and _says_the_same(known, prediction):
            result.append(known)
            continue
        prediction.save()
        result.append(prediction)
    return result


@dataclass(frozen=True, slots=True)
class _Unserved:
    """Why a machine type has no model to ask."""

    state: Prediction.State
    message: str


def _served(machine_type: MachineType) -> serving.Served | _Unserved:
    candidates = selectors.serving_order(machine_type_id=machine_type.pk)
    if not candidates:
        message = selectors.readiness(machine_type).message
        return _Unserved(Prediction.State.NOT_ENOUGH_DATA, message)
    try:
        return serving.serve(candidates)
    except serving.NoModel as error:
        return _Unserved(Prediction.State.REFUSED, str(error))


def _predict(machine: Machine, served: serving.Served | _Unserved, at: datetime) -> Prediction:
    prediction = Prediction(machine=machine, made_at=at, level=rul.LEVEL)
    if isinstance(served, _Unserved):
        prediction.state, prediction.message = served.state, served.message[:500]
        return prediction
    prediction.version, prediction.unit = served.version, served.version.unit
    model = served.model
    life = datasets.current_life(machine, signals=model.signals, step=model.step, at=at)
    try:
        if life is None:
            raise rul.TooLittleHistory(0, model.min_steps)
        forecast = model.forecast(life, served.onnx)
    except rul.TooLittleHistory as error:
        prediction.state, prediction.message = Prediction.State.NOT_ENOUGH_DATA, str(error)
        return prediction
    low, high = forecast.intervals[rul.LEVEL]
    reasons = reasons_for(
        model=model, life=life, onnx=served.onnx, names=datasets.names_of(machine)
    )
    prediction.state, prediction.message = Prediction.State.OK, served.note[:500]
    prediction.usage_at = float(life.usage[-1])
    prediction.rul, prediction.rul_low, prediction.rul_high = forecast.rul, low, high
    prediction.is_open_ended = forecast.open_ended
    prediction.reasons = [asdict(reason) for reason in reasons]
    return prediction


def _says_the_same(known: Prediction, new: Prediction) -> bool:
    """Tell whether nothing happened since: same model, same use, same words."""
    return (
        known.state == new.state
        and known.version_id == new.version_id
        and known.message == new.message
        and known.usage_at == new.usage_at
    )
