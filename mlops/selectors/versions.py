"""What can be asked about models and what they predicted."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from mlops import kinds
from mlops.kinds import Readiness, Subject
from mlops.models import (
    Finding,
    Kind,
    ModelVersion,
    Outcome,
    Prediction,
    VersionEvent,
)

Alias = ModelVersion.Alias


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """How often what was said came true: "right 41 of 47 times"."""

    n_right: int
    n: int


def model_versions(kind: str = Kind.REMAINING_LIFE) -> QuerySet[ModelVersion]:
    """Return the versions of a kind, newest first, with their machine type at hand."""
    rows = ModelVersion.objects.filter(kind=kind)
    rows = rows.select_related("machine_type", "inspection_plan__product")
    return rows.order_by("-created_at", "-version", "pk")


def versions_of(*, subject_id: UUID, kind: str) -> QuerySet[ModelVersion]:
    """Return the versions of one subject (machine type, inspection plan), newest first."""
    return model_versions(kind).filter(**{kinds.of(kind).subject_field: subject_id})


def champion(*, subject_id: UUID, kind: str = Kind.REMAINING_LIFE) -> ModelVersion | None:
    """Return the version in service, or None."""
    return versions_of(subject_id=subject_id, kind=kind).filter(alias=Alias.CHAMPION).first()


def serving_order(*, subject_id: UUID, kind: str = Kind.REMAINING_LIFE) -> list[ModelVersion]:
    """Return the champion, then older versions that served once, newest first."""
    best = champion(subject_id=subject_id, kind=kind)
    if best is None:
        return []
    return [best, *_served(subject_id, kind).filter(version__lt=best.version)[:10]]


def served_before(*, subject_id: UUID, kind: str) -> ModelVersion | None:
    """Return the version that served before the one in service, or None."""
    rows = _served(subject_id, kind).exclude(alias=Alias.CHAMPION)
    return rows.filter(alias=Alias.STANDBY).first() or rows.first()


def _served(subject_id: UUID, kind: str) -> QuerySet[ModelVersion]:
    """Versions that were in service; of those made before events were kept all were."""
    events = VersionEvent.objects.filter(version=OuterRef("pk"))
    was_promoted = Exists(events.filter(what=VersionEvent.What.PROMOTED))
    rows = versions_of(subject_id=subject_id, kind=kind)
    return rows.filter(was_promoted | ~Exists(events)).order_by("-version")


def beside(*, subject_id: UUID, kind: str) -> list[ModelVersion]:
    """Return the versions that are asked beside the one in service: on trial, standing by."""
    rows = versions_of(subject_id=subject_id, kind=kind)
    return list(rows.filter(alias__in=[Alias.CHALLENGER, Alias.STANDBY]).order_by("-version"))


def newest_version(*, subject_id: UUID, kind: str) -> ModelVersion | None:
    """Return the version that was trained last, or None."""
    return versions_of(subject_id=subject_id, kind=kind).order_by("-version").first()


def events_of(*, subject_id: UUID, kind: str) -> QuerySet[VersionEvent]:
    """Return everything that happened to the versions of a subject, newest first."""
    of_subject = {f"version__{kinds.of(kind).subject_field}": subject_id}
    rows = VersionEvent.objects.filter(version__kind=kind, **of_subject)
    return rows.select_related("version", "by").order_by("-at", "-id")


def open_findings(*, subject_id: UUID | None = None) -> QuerySet[Finding]:
    """Return what the watch has found and still holds, newest first; of all, or of a subject."""
    rows = Finding.objects.filter(ended_at=None).select_related("version", "machine")
    if subject_id is not None:
        rows = rows.filter(
            Q(version__machine_type_id=subject_id) | Q(version__inspection_plan_id=subject_id)
        )
    return rows.order_by("-found_at", "-id")


def track_record(
    *, subject_id: UUID | None = None, machine_id: UUID | None = None,
    kind: str = Kind.REMAINING_LIFE,
) -> TrackRecord:  # fmt: skip
    """Count how often what people were shown came true."""
    rows = Outcome.objects.filter(version__kind=kind, was_serving=True)
    if subject_id is not None:
        rows = rows.filter(**{f"version__{kinds.of(kind).subject_field}": subject_id})
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


def readiness(subject: Subject, *, kind: str = Kind.REMAINING_LIFE) -> Readiness:
    """Say whether a model can be trained, or what is missing."""
    return kinds.of(kind).readiness(subject)
