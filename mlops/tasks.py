"""Celery entry points of models."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from mlops import kinds, leaving, services
from mlops.models import Kind, ModelVersion
from production import selectors as production_selectors
from production.models import Machine
from tenants import jobs
from tenants.jobs import JobHandle, JobRefused, factory_task, public_task
from tenants.models import Factory
from tenants.services import for_each_factory


@factory_task("mlops.train", queue="learn")
def train(
    *, job: JobHandle, subject_id: str = "", machine_type_id: str = "",
    kind: str = Kind.REMAINING_LIFE, reason: str = "", **_kwargs: Any,
) -> dict[str, Any]:  # fmt: skip
    """Train a model of one subject; jobs queued by an older release name a machine type."""
    try:
        trained = services.train(
            subject_id=UUID(subject_id or machine_type_id), job_id=UUID(job.id), report=job.report,
            kind=kind, reason=reason,
        )  # fmt: skip
    except services.NotReady as error:
        raise JobRefused(str(error)) from error
    if kind == Kind.VISION and trained["alias"] == ModelVersion.Alias.CHAMPION:
        services.ask_to_judge_anew(plan_id=UUID(subject_id))
    return trained


@factory_task("mlops.record_run", queue="learn")
def record_run(*, version_id: str, **_kwargs: Any) -> dict[str, Any]:
    """Write a training into MLflow's book that could not be written when it ended."""
    return {"mlflow_run_id": services.record_run(version_id=UUID(version_id))}


@factory_task("mlops.score", queue="learn")
def score(*, machine_ids: Sequence[str] | None = None, **_kwargs: Any) -> dict[str, Any]:
    """Predict for some machines, or for all that are in use, and propose the work it calls for."""
    if machine_ids is None:
        in_use = production_selectors.machines().filter(state=Machine.State.ACTIVE)
        ids = list(in_use.values_list("pk", flat=True))
    else:
        ids = [UUID(machine_id) for machine_id in machine_ids]
    at = timezone.now()
    predictions = [
        prediction
        for kind in kinds.codes_of_machines()
        for prediction in services.score_machines(machine_ids=ids, at=at, kind=kind)
    ]
    services.propose(predictions)
    return {"n_machines": len(ids), "n_ok": sum(p.state == "ok" for p in predictions)}


@factory_task("mlops.watch", queue="learn")
def watch(*, version_id: str, **_kwargs: Any) -> dict[str, int]:
    """See how a version's predictions turned out, what drifts, and what follows from it."""
    return services.watch(version_id=UUID(version_id), at=timezone.now())


def _watch_one(factory: Factory) -> None:
    services.begin_where_ready()
    for version in ModelVersion.objects.filter(alias=ModelVersion.Alias.CHAMPION):
        jobs.enqueue(
            task="mlops.watch", kwargs={"version_id": str(version.pk)}, factory=factory,
            key=f"watch-{version.pk}",
        )  # fmt: skip


@public_task("mlops.watch_all", queue="learn")
def watch_all(**_kwargs: Any) -> None:
    """Have every factory watch its models, and learn the first ones where there is enough."""
    for_each_factory(_watch_one)


def _score_one(factory: Factory) -> None:
    if production_selectors.machines().filter(state=Machine.State.ACTIVE).exists():
        jobs.enqueue(task="mlops.score", factory=factory, key="score")


@public_task("mlops.score_all", queue="learn")
def score_all(**_kwargs: Any) -> None:
    """Have every factory score its machines; without a model each is judged by itself."""
    for_each_factory(_score_one)


@factory_task("mlops.predict_quality", queue="learn")
def predict_quality(*, plan_id: str | None = None, **_kwargs: Any) -> dict[str, int]:
    """Say of the lots in work how likely one inspection plan, or any, is to reject them."""
    chosen = None if plan_id is None else UUID(plan_id)
    return {"n_new": services.predict_quality(at=timezone.now(), plan_id=chosen)}


def _predict_quality_of(factory: Factory) -> None:
    rows = ModelVersion.objects.filter(kind=Kind.QUALITY, alias=ModelVersion.Alias.CHAMPION)
    if rows.exists():
        jobs.enqueue(task="mlops.predict_quality", factory=factory, key="predict_quality")


@public_task("mlops.predict_quality_all", queue="learn")
def predict_quality_all(**_kwargs: Any) -> None:
    """Have every factory look at its lots in work."""
    for_each_factory(_predict_quality_of)


def _record_one(factory: Factory) -> None:
    for version in ModelVersion.objects.filter(mlflow_run_id=""):
        jobs.enqueue(
            task="mlops.record_run",
            kwargs={"version_id": str(version.pk)},
            factory=factory,
            key=f"record-{version.pk}",
        )


@public_task("mlops.forget_models", queue="learn")
def forget_models(*, schema_name: str, **_kwargs: Any) -> dict[str, int]:
    """Remove from MLflow's book what a factory that is gone has left there."""
    return {"n_removed": leaving.forget_models(schema_name=schema_name)}


@public_task("mlops.record_pending", queue="learn")
def record_pending(**_kwargs: Any) -> None:
    """Try again to record what MLflow missed, however long it was away."""
    for_each_factory(_record_one)


@factory_task("mlops.judge_bursts", queue="learn")
def judge_bursts(*, place_id: str, **_kwargs: Any) -> dict[str, int]:
    """Judge the newest bursts anew by what is now known of their place."""
    return {"n_judged": services.judge_newest(place_id=UUID(place_id))}


def _thin_one(_factory: Factory) -> None:
    services.thin_bursts()


@public_task("mlops.thin_bursts", queue="default")
def thin_bursts(**_kwargs: Any) -> None:
    """Have every factory keep only the figures of its older bursts."""
    for_each_factory(_thin_one)


@factory_task("mlops.judge_images", queue="learn")
def judge_images(*, job: JobHandle, image_ids: Sequence[str], **_kwargs: Any) -> dict[str, int]:
    """Judge stored pictures by the version in service."""
    n_judged = services.judge_images(
        image_ids=[UUID(image_id) for image_id in image_ids], at=timezone.now(),
        progress=job.report,
    )  # fmt: skip
    return {"n_judged": n_judged}


@factory_task("mlops.store_pictures")
def store_pictures(*, image_id: str, **_kwargs: Any) -> dict[str, int]:
    """Bring a picture, and all that wait with it, to the object store."""
    return {"n_stored": services.store_pictures(image_id=UUID(image_id))}


def _store_one(_factory: Factory) -> None:
    services.store_waiting()


@public_task("mlops.store_waiting_pictures")
def store_waiting_pictures(**_kwargs: Any) -> None:
    """Try again to store what waits, however long the object store was away."""
    for_each_factory(_store_one)


def _retain_one(_factory: Factory) -> None:
    services.retain_pictures(at=timezone.now())


@public_task("mlops.retain_pictures")
def retain_pictures(**_kwargs: Any) -> None:
    """Have every factory remove the pictures that it need not keep any more."""
    for_each_factory(_retain_one)
