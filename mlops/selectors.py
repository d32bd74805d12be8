"""What can be asked about models and what they predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from mlops import datasets
from mlops.maintenance import rul
from mlops.models import Kind, ModelVersion, Prediction
from production.models import MachineType


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a machine type has enough history for a model, in figures and in words."""

    is_ready: bool
    n_failures: int
    n_needed: int
    message: str


def model_versions(kind: str = Kind.REMAINING_LIFE) -> QuerySet[ModelVersion]:
    """Return the versions of a kind, newest first, with their machine type at hand."""
    rows = ModelVersion.objects.filter(kind=kind).select_related("machine_type")
    return rows.order_by("-created_at", "-version", "pk")


def champion(*, machine_type_id: UUID, kind: str = Kind.REMAINING_LIFE) -> ModelVersion | None:
    """Return the version in service, or None."""
    return (
        model_versions(kind)
        .filter(machine_type_id=machine_type_id, alias=ModelVersion.Alias.CHAMPION)
        .first()
    )


def serving_order(*, machine_type_id: UUID, kind: str = Kind.REMAINING_LIFE) -> list[ModelVersion]:
    """Return the champion, then older versions to fall back on, newest first."""
    rows = list(
        ModelVersion.objects.filter(kind=kind, machine_type_id=machine_type_id).order_by(
            "-version"
        )[:10]
    )
    best = next((row for row in rows if row.alias == ModelVersion.Alias.CHAMPION), None)
    if best is None:
        return []
    return [best, *(row for row in rows if row.version < best.version)]


def latest_predictions(machine_ids: Sequence[UUID]) -> dict[UUID, Prediction]:
    """Return the newest prediction of each machine that has one. One query."""
    rows = (
        Prediction.objects.filter(machine_id__in=list(machine_ids))
        .select_related("version", "machine")
        .order_by("machine_id", "-made_at", "-id")
        .distinct("machine_id")
    )
    return {row.machine_id: row for row in rows}


def predictions_of(machine_id: UUID) -> QuerySet[Prediction]:
    """Return everything predicted for a machine, newest first."""
    rows = Prediction.objects.filter(machine_id=machine_id).select_related("version", "machine")
    return rows.order_by("-made_at", "-id")


def readiness(machine_type: MachineType) -> Readiness:
    """Say whether a model of remaining life can be trained, or what is missing."""
    n_failures = len(datasets.counted_failures(machine_type))
    needed = rul.MIN_LIVES
    if n_failures < needed:
        message = str(rul.NotEnoughLives(n_failures))
    else:
        message = f"{n_failures} failures are known: a model can be trained."
    return Readiness(n_failures >= needed, n_failures, needed, message)
