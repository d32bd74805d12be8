"""What models and pictures add to an export of everything, and what goes with a factory."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import structlog
from django.db.models import Q

from mlops import picture_store, registry
from mlops.models import InspectionImage, Kind, ModelVersion
from tenants import export, jobs
from tenants.context import factory_context
from tenants.export_files import ExportFile, bytes_of, json_of
from tenants.models import Factory
from tenants.signals import factory_removed

log = structlog.get_logger()

FORGET_AGAIN_AFTER = timedelta(minutes=10)
PICTURES = "pictures"
MODELS = "models"


def register() -> None:
    """Have pictures and models exported with everything else, and forgotten with their factory."""
    export.contribute(PICTURES, pictures, covers=("mlops_pendingpicture",), count=n_pictures)
    export.contribute(MODELS, cards)
    factory_removed.connect(_queue_forgetting, dispatch_uid="mlops.leaving")


def n_pictures() -> int:
    """Count the pictures that were taken in, including those whose pixels are gone."""
    return InspectionImage.objects.count()


def pictures() -> Iterator[ExportFile]:
    """Yield every picture that is still kept, by its inspection plan."""
    kept = InspectionImage.objects.exclude(Q(object_key="") & Q(pending__isnull=True))
    for image in kept.order_by("plan_id", "received_at", "pk").iterator(chunk_size=500):
        try:
            content = picture_store.content_of(image)
        except picture_store.PictureGone:
            continue  # retention was faster
        yield ExportFile(
            path=f"{PICTURES}/{image.plan_id}/{image.pk}.png",
            about=f"Picture of {image.taken_at:%Y-%m-%d %H:%M} UTC; its labels and verdicts are in"
            " the tables.",
            content=bytes_of(content),
            is_packed=True,
        )


def cards() -> Iterator[ExportFile]:
    """Yield what is known of each version of each model."""
    for version in ModelVersion.objects.order_by("kind", "created_at", "pk").iterator():
        yield ExportFile(
            path=f"{MODELS}/{version.kind}/{version.subject_id}-{version.version}.json",
            about=f"Card of version {version.version} of a model ({version.get_kind_display()}).",
            content=json_of(_card(version)),
        )


def _card(version: ModelVersion) -> dict[str, Any]:
    return {
        "kind": version.kind,
        "subject": str(version.subject_id),
        "version": version.version,
        "standing": version.get_alias_display(),
        "created_at": version.created_at.isoformat(),
        "unit": version.unit,
        "digest": version.digest,
        "parameters": version.parameters,
        "metrics": version.metrics,
        "trained_on": version.trained_on,
        "weaknesses": version.weaknesses,
    }


def _queue_forgetting(*, schema_name: str, **_kwargs: Any) -> None:
    jobs.enqueue(task="mlops.forget_models", kwargs={"schema_name": schema_name})


def forget_models(*, schema_name: str) -> int:
    """Remove a deleted factory's models from MLflow's book; return how many entries that were.

    A store that is away is no error: the same work is queued for later. Where another factory
    has taken the name meanwhile, the book is left to it.
    """
    if Factory.objects.filter(schema_name=schema_name).exists():
        log.warning("mlops.models.left", schema=schema_name)
        return 0
    try:
        with factory_context(Factory(schema_name=schema_name)):
            return registry.forget(Kind.values)
    except registry.RegistryUnavailable as error:
        log.warning("mlops.models.left", schema=schema_name, error=str(error))
        jobs.enqueue(
            task="mlops.forget_models", kwargs={"schema_name": schema_name},
            delay=FORGET_AGAIN_AFTER,
        )  # fmt: skip
        return 0
