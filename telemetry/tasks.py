"""Celery entry points of telemetry."""

from typing import Any
from uuid import UUID

from django.utils import timezone

from telemetry import services
from tenants.jobs import JobHandle, factory_task, public_task
from tenants.models import Factory
from tenants.services import for_each_factory


@factory_task("telemetry.write_export")
def write_export(*, export_id: str, job: JobHandle, **_kwargs: Any) -> dict[str, int]:
    """Write the file of one export."""
    return services.write_export(export_id=UUID(export_id), report=job.report)


def _tidy_one(_factory: Factory) -> None:
    services.tidy_exports(at=timezone.now())


@public_task("telemetry.tidy_exports")
def tidy_exports(**_kwargs: Any) -> None:
    """Remove files that nobody fetched in time, in every factory."""
    for_each_factory(_tidy_one)
