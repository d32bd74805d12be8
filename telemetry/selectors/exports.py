"""What can be asked about exports."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from telemetry.models import Export


def exports() -> QuerySet[Export]:
    """Return the exports of the factory, newest first."""
    return Export.objects.order_by("-created_at", "pk")


def export(export_id: UUID) -> Export:
    """Return one export.

    Raises:
        Export.DoesNotExist: not in this factory.
    """
    return Export.objects.get(pk=export_id)


def open_exports() -> Sequence[Export]:
    """Return those that wait or are being written."""
    return list(Export.objects.filter(state__in=Export.OPEN_STATES))
