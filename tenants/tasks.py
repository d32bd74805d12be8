"""Celery entry points: everything runs through two messages, a job's and a clock's."""

from datetime import datetime
from typing import Any

import structlog
from celery import shared_task
from django.utils import timezone

from tenants import announcing, export, jobs, leaving, services
from tenants.context import current_factory, current_schema
from tenants.jobs import JobCancelled, JobHandle, JobRefused, factory_task, public_task
from tenants.models import Factory, User
from tenants.notifications import delivering, inbox

log = structlog.get_logger()


@shared_task(name="tenants.run_job", acks_late=True, ignore_result=True)
def run_job(job_id: str, **_kwargs: Any) -> None:
    """Do the work of one job (tenants.jobs)."""
    jobs.run(job_id)


@shared_task(name="tenants.tick", acks_late=True, ignore_result=True)
def tick(task: str, **_kwargs: Any) -> None:
    """Run a periodic task of the public schema; the next tick repeats what this one missed."""
    jobs.call(task)


@public_task("tenants.sweep")
def sweep(**_kwargs: Any) -> None:
    """Send again the jobs that a broker lost or a worker left."""
    n_resent = jobs.sweep(at=timezone.now())
    if n_resent:
        log.warning("jobs.resent", n_jobs=n_resent)


@public_task("tenants.tidy")
def tidy(**_kwargs: Any) -> None:
    """Remove what nobody will look at again: used tickets, expired sessions, finished jobs, old
    notifications."""
    services.tidy(at=timezone.now())
    inbox.tidy(at=timezone.now())


@public_task("tenants.build_factory")
def build_factory(*, factory_id: int, job: JobHandle, **_kwargs: Any) -> dict[str, Any]:
    """Create the schema of a factory that was just signed up."""
    return services.build_factory(factory_id=factory_id, report=job.report)


@public_task("tenants.remove_objects")
def remove_objects(*, schema_name: str, stored_before: str, **_kwargs: Any) -> dict[str, int]:
    """Remove from the object store what a factory that is gone has left there."""
    before = datetime.fromisoformat(stored_before)
    return {"n_removed": services.remove_objects(schema_name=schema_name, stored_before=before)}


@factory_task("tenants.deliver")
def deliver(*, delivery_ids: list[str], **_kwargs: Any) -> dict[str, int]:
    """Bring notifications to the people and endpoints they are for."""
    ids = delivering.known(delivery_ids, factory=current_factory())
    # The clock is read for each: one that does not answer takes its time.
    return {"n_sent": sum(delivering.deliver(delivery_id=pk, at=timezone.now()) for pk in ids)}


@public_task("tenants.deliver_due")
def deliver_due(**_kwargs: Any) -> None:
    """Queue the deliveries that are due again, or were held until now."""
    delivering.sweep(at=timezone.now())


@factory_task(export.TASK)
def export_factory(*, schema: str, job: JobHandle, **_kwargs: Any) -> dict[str, Any]:
    """Write everything of a factory into one ZIP."""
    if schema != current_schema():
        raise JobRefused("This work belongs to another factory.")

    def report(progress: float, message: str) -> None:
        if not Factory.objects.filter(schema_name=schema).exists():
            raise JobCancelled  # deleted meanwhile: nothing may be left in the store
        job.report(progress, message)
        announcing.announce(export.TOPIC)

    return export.write(job_id=job.id, at=timezone.now(), report=report)


@public_task("tenants.tidy_exports")
def tidy_exports(**_kwargs: Any) -> None:
    """Remove exports of everything that were kept long enough, in every factory."""
    services.for_each_factory(lambda _factory: _tidied())


def _tidied() -> None:
    export.tidy(at=timezone.now())


@public_task(leaving.REMOVE)
def remove_factory(
    *, factory_id: int, reason: str, actor_id: int | None, **_kwargs: Any
) -> dict[str, Any]:
    """Delete a factory and write its record; one that is gone already is no error."""
    factory = Factory.objects.filter(pk=factory_id).first()
    if factory is None:
        return {}
    actor = User.objects.filter(pk=actor_id).first() if actor_id is not None else None
    departure = leaving.remove(factory=factory, reason=reason, at=timezone.now(), actor=actor)
    return {"departure_id": departure.pk}
