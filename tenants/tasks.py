"""Celery entry points: everything runs through two messages, a job's and a clock's."""

from typing import Any

import structlog
from celery import shared_task
from django.utils import timezone

from tenants import jobs, services
from tenants.jobs import JobHandle, public_task

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
    """Remove used tickets, expired sessions and finished jobs that nobody will look at again."""
    services.tidy(at=timezone.now())


@public_task("tenants.build_factory")
def build_factory(*, factory_id: int, job: JobHandle, **_kwargs: Any) -> dict[str, Any]:
    """Create the schema of a factory that was just signed up."""
    return services.build_factory(factory_id=factory_id, report=job.report)
