"""How the visual inspection of each plan stands, and what was last said of some pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from mlops.models import ImageVerdict, InspectionImage, Kind, ModelVersion, VersionEvent

Label = InspectionImage.Label
_IS_THERE = ~Q(object_key="")


@dataclass(frozen=True, slots=True)
class VisionStanding:
    """Numbers of pictures of one plan.

    Attributes:
        n_good: that a model may learn from: labelled, still there, not in the regression set.
        n_waiting: that nobody has labelled.
        n_doubtful: of these, that a look is worth most.
        n_rejected: taken since the day began and last judged defective.
    """

    n: int = 0
    n_today: int = 0
    n_rejected: int = 0
    n_good: int = 0
    n_defects: int = 0
    n_waiting: int = 0
    n_doubtful: int = 0
    n_kept: int = 0


def vision_standings(
    *, day_began_at: datetime, plan_ids: Iterable[UUID] | None = None
) -> dict[UUID, VisionStanding]:
    """Return how each plan that has pictures stands."""
    rows = InspectionImage.objects.all()
    if plan_ids is not None:
        rows = rows.filter(plan_id__in=list(plan_ids))
    waits = Q(label=Label.NONE) & _IS_THERE
    counted = (
        rows.values("plan_id")
        .order_by()
        .annotate(
            n=Count("pk"),
            n_today=Count("pk", filter=Q(taken_at__gte=day_began_at)),
            n_good=Count("pk", filter=Q(label=Label.GOOD, is_kept=False) & _IS_THERE),
            n_defects=Count("pk", filter=Q(label=Label.DEFECT) & _IS_THERE),
            n_waiting=Count("pk", filter=waits),
            n_doubtful=Count("pk", filter=waits & Q(doubt__gt=0.0)),
            n_kept=Count("pk", filter=Q(is_kept=True)),
        )
    )
    rejected = _rejected_since(rows, day_began_at)
    figures: dict[UUID, dict[str, int]] = {}
    for row in counted:
        told: dict[str, Any] = dict(row)
        figures[told.pop("plan_id")] = told
    return {
        plan_id: VisionStanding(n_rejected=rejected.get(plan_id, 0), **told)
        for plan_id, told in figures.items()
    }


def _rejected_since(images: QuerySet[InspectionImage], since: datetime) -> dict[UUID, int]:
    newest = _newest(ImageVerdict.objects.filter(image__in=images.filter(taken_at__gte=since)))
    failed = ImageVerdict.objects.filter(pk__in=newest.values("pk"), verdict="fail")
    counted = failed.values("image__plan_id").annotate(n=Count("pk")).order_by()
    return {row["image__plan_id"]: row["n"] for row in counted}


def _newest(rows: QuerySet[ImageVerdict]) -> QuerySet[ImageVerdict]:
    """Return the newest verdict of each picture by a version in service, without heat."""
    said = rows.filter(is_shadow=False).order_by("image_id", "-made_at", "-pk")
    return said.distinct("image_id").defer("heat")


def newest_verdicts(image_ids: Iterable[UUID]) -> dict[UUID, ImageVerdict]:
    """Return picture -> what was last said of it by a version in service, without heat."""
    rows = _newest(ImageVerdict.objects.filter(image_id__in=list(image_ids)))
    return {row.image_id: row for row in rows.select_related("version")}


def verdicts_by(version: ModelVersion, image_ids: Iterable[UUID]) -> dict[UUID, ImageVerdict]:
    """Return picture -> what one version said of it, without heat."""
    rows = ImageVerdict.objects.filter(version=version, image_id__in=list(image_ids))
    return {row.image_id: row for row in rows.defer("heat")}


def vision_champions() -> dict[UUID, ModelVersion]:
    """Return plan -> the version that judges its pictures."""
    rows = ModelVersion.objects.filter(kind=Kind.VISION, alias=ModelVersion.Alias.CHAMPION)
    return {row.inspection_plan_id: row for row in rows if row.inspection_plan_id}


def newest_proof(plan_id: UUID) -> VersionEvent | None:
    """Return the last decision on a version that rested on the regression set."""
    rows = VersionEvent.objects.filter(
        version__inspection_plan_id=plan_id, version__kind=Kind.VISION, evidence__has_key="n_kept"
    )
    return rows.select_related("version").order_by("-at", "-pk").first()


def images_of_lot(lot_id: UUID) -> QuerySet[InspectionImage]:
    """Return the pictures of a lot's inspections, newest first."""
    rows = InspectionImage.objects.filter(inspection__lot_id=lot_id)
    return rows.select_related("inspection").order_by("-taken_at", "-pk")


def images_of_inspection(inspection_id: UUID) -> QuerySet[InspectionImage]:
    """Return the pictures of one inspection, newest first."""
    rows = InspectionImage.objects.filter(inspection_id=inspection_id)
    return rows.select_related("inspection").order_by("-taken_at", "-pk")
