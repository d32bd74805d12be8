"""What can be asked about models and what they predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from mlops import kinds
from mlops.kinds import Readiness
from mlops.models import Finding, Kind, ModelVersion, Outcome, Prediction, VersionEvent
from production.models import MachineType

Alias = ModelVersion.Alias


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How often what was said came true: "right 41 of 47 times"."""

    n_right: int
    n: int


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
    """Return the champion, then older versions that served once, newest first."""
    best = champion(machine_type_id=machine_type_id, kind=kind)
    if best is None:
        return []
    return [best, *_served(machine_type_id, kind).filter(version__lt=best.version)[:10]]


def served_before(*, machine_type_id: UUID, kind: str) -> ModelVersion | None:
    """Return the version that served before the one in service, or None."""
    rows = _served(machine_type_id, kind).exclude(alias=Alias.CHAMPION)
    return rows.filter(alias=Alias.STANDBY).first() or rows.first()


def _served(machine_type_id: UUID, kind: str) -> QuerySet[ModelVersion]:
    """Versions that were in service; of those made before events were kept all were."""
    events = VersionEvent.objects.filter(version=OuterRef("pk"))
    was_promoted = Exists(events.filter(what=VersionEvent.What.PROMOTED))
    rows = ModelVersion.objects.filter(kind=kind, machine_type_id=machine_type_id)
    return rows.filter(was_promoted | ~Exists(events)).order_by("-version")


def beside(*, machine_type_id: UUID, kind: str) -> list[ModelVersion]:
    """Return the versions that are asked beside the one in service: on trial, standing by."""
    rows = ModelVersion.objects.filter(kind=kind, machine_type_id=machine_type_id)
    wanted = rows.filter(alias__in=[Alias.CHALLENGER, Alias.STANDBY])
    return list(wanted.select_related("machine_type").order_by("-version"))


def newest_version(*, machine_type_id: UUID, kind: str) -> ModelVersion | None:
    """Return the version that was trained last, or None."""
    rows = ModelVersion.objects.filter(kind=kind, machine_type_id=machine_type_id)
    return rows.order_by("-version").first()


def events_of(*, machine_type_id: UUID, kind: str) -> QuerySet[VersionEvent]:
    """Return everything that happened to the versions of a type, newest first."""
    rows = VersionEvent.objects.filter(version__kind=kind, version__machine_type_id=machine_type_id)
    return rows.select_related("version", "by").order_by("-at", "-id")


def open_findings(*, machine_type_id: UUID | None = None) -> QuerySet[Finding]:
    """Return what the watch has found and still holds, newest first."""
    rows = Finding.objects.filter(ended_at=None).select_related("version", "machine")
    if machine_type_id is not None:
        rows = rows.filter(version__machine_type_id=machine_type_id)
    return rows.order_by("-found_at", "-id")


def track_record(
    *, machine_type_id: UUID | None = None, machine_id: UUID | None = None,
    kind: str = Kind.REMAINING_LIFE,
) -> TrackRecord:  # fmt: skip
    """Count how often what people were shown came true."""
    rows = Outcome.objects.filter(version__kind=kind, was_serving=True)
    if machine_type_id is not None:
        rows = rows.filter(version__machine_type_id=machine_type_id)
    if machine_id is not None:
        rows = rows.filter(machine_id=machine_id)
    counted = rows.aggregate(n=Count("pk"), n_right=Count("pk", filter=Q(is_right=True)))
    return TrackRecord(counted["n_right"], counted["n"])


def latest_predictions(
    machine_ids: Sequence[UUID], *, kind: str = Kind.REMAINING_LIFE
) -> dict[UUID, Prediction]:
    """Return the newest prediction of each machine that has one. One query."""
    rows = (
        Prediction.objects.filter(machine_id__in=list(machine_ids), kind=kind, is_shadow=False)
        .select_related("version", "machine")
        .order_by("machine_id", "-made_at", "-id")
        .distinct("machine_id")
    )
    return {row.machine_id: row for row in rows}


def predictions_of(machine_id: UUID, *, kind: str = Kind.REMAINING_LIFE) -> QuerySet[Prediction]:
    """Return everything of a kind that was predicted for a machine, newest first."""
    rows = Prediction.objects.filter(machine_id=machine_id, kind=kind, is_shadow=False)
    return rows.select_related("version", "machine").order_by("-made_at", "-id")


def readiness(machine_type: MachineType, *, kind: str = Kind.REMAINING_LIFE) -> Readiness:
    """Say whether a model can be trained, or what is missing."""
    return kinds.of(kind).readiness(machine_type)
