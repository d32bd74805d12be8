"""Celery entry points of telemetry."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from telemetry import services
from telemetry.services import alarms
from tenants import jobs
from tenants.context import current_schema
from tenants.jobs import JobHandle, JobRefused, factory_task, public_task
from tenants.models import Factory
from tenants.services import for_each_factory

# What one tick seals itself; what is left becomes a job of its factory.
_TICK_S = 40.0
_FACTORY_S = 5.0
_JOB_S = 300.0


def _check(schema: str) -> None:
    """Refuse a message that names another factory."""
    if schema != current_schema():
        raise JobRefused("This work belongs to another factory.")


def _queue(task: str, factory: Factory) -> None:
    schema = factory.schema_name
    jobs.enqueue(task=task, factory=factory, kwargs={"schema": schema}, key=task)


@public_task("telemetry.compact")
def compact(**_kwargs: Any) -> None:
    """Seal the closed hours of every factory and fold its usage."""
    for_each_factory(_compact_until(time.monotonic() + _TICK_S))


def _compact_until(until: float) -> Callable[[Factory], None]:
    def compact_one(factory: Factory) -> None:
        services.fold_usage()
        budget_s = min(_FACTORY_S, until - time.monotonic())
        if budget_s > 0:
            is_complete = services.compact(at=timezone.now(), budget_s=budget_s).is_complete
        else:
            is_complete = not services.waits_for_compaction(at=timezone.now())
        if not is_complete:
            _queue("telemetry.compact_backlog", factory)

    return compact_one


@factory_task("telemetry.compact_backlog")
def compact_backlog(*, schema: str, job: JobHandle, **_kwargs: Any) -> dict[str, Any]:
    """Seal what is too much for a tick; the next tick queues what is left after minutes."""
    _check(schema)
    job.report(0.0, "Packing readings")
    done = services.compact(at=timezone.now(), budget_s=_JOB_S)
    return {"n_readings": done.readings, "n_segments": done.written, "took_s": done.seconds}


@public_task("telemetry.feed_plans")
def feed_plans(**_kwargs: Any) -> None:
    """Tell the maintenance plans of every factory what their meters read."""
    for_each_factory(_feed_plans)


def _feed_plans(_factory: Factory) -> None:
    services.feed_plans(at=timezone.now())


@public_task("telemetry.retain")
def retain(**_kwargs: Any) -> None:
    """Have every factory archive and let go of what its plan says."""
    for_each_factory(lambda factory: _queue("telemetry.retain_history", factory))


@factory_task("telemetry.retain_history")
def retain_history(*, schema: str, job: JobHandle, **_kwargs: Any) -> dict[str, Any]:
    """Let go of history that is too old, and bring to the archive what is old."""
    _check(schema)
    at = timezone.now()
    expired = services.expire(at=at)
    archived = services.archive(at=at, report=job.report)
    n_swept = services.sweep_archive(at=at)
    return {
        "n_devices_expired": expired.devices,
        "n_files": archived.files,
        "n_readings_archived": archived.readings,
        "n_objects_swept": n_swept,
    }


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


@factory_task("telemetry.escalate_alarm")
def escalate_alarm(*, alarm_id: int, step: int, **_kwargs: Any) -> dict[str, Any]:
    """Tell the people of the next step of an alarm that nobody has taken."""
    return {"told": alarms.escalate(alarm_id=alarm_id, step=step, at=timezone.now())}


@factory_task("telemetry.unshelve_alarm")
def unshelve_alarm(*, point_id: int, until: str, **_kwargs: Any) -> dict[str, Any]:
    """End a shelf whose time is over."""
    ended = alarms.end_shelf(
        point_id=point_id, until=datetime.fromisoformat(until), at=timezone.now()
    )
    return {"ended": ended}
