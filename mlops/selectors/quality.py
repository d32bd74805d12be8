"""What can be asked about what models say of lots in work."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from mlops.models import QualityPrediction


def newest_quality(
    lot_ids: Collection[UUID], *, plan_id: UUID | None = None
) -> dict[UUID, QualityPrediction]:
    """Return the newest thing that was said of each lot by a version in service. One query."""
    rows = QualityPrediction.objects.filter(lot_id__in=list(lot_ids), is_shadow=False)
    if plan_id is not None:
        rows = rows.filter(plan_id=plan_id)
    rows = rows.select_related("version", "plan__product", "lot")
    newest = rows.order_by("lot_id", "-made_at", "-pk").distinct("lot_id")
    return {row.lot_id: row for row in newest}


def quality_of_lot(lot_id: UUID) -> QuerySet[QualityPrediction]:
    """Return everything that was said of a lot by versions in service, newest first."""
    rows = QualityPrediction.objects.filter(lot_id=lot_id, is_shadow=False)
    return rows.select_related("version", "plan__product").order_by("-made_at", "-pk")


def quality_predictions() -> QuerySet[QualityPrediction]:
    """Return what was said by versions in service, newest first."""
    rows = QualityPrediction.objects.filter(is_shadow=False)
    return rows.select_related("version", "plan__product", "lot").order_by("-made_at", "-pk")
