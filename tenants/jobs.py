"""Durable work: a row in PostgreSQL is the fact, a Celery message only a hint.

`enqueue` writes the row in the caller's transaction and sends the message after the commit. A
worker claims the row, works inside the factory's schema and keeps a heartbeat. What a broker lost
or a killed worker left behind is found by the sweeper and sent again; what breaks too often is
put aside (`dead`) so that the queue flows. So a task may run twice and must be idempotent.
"""

import threading
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from tenants import announcing
from tenants.context import PUBLIC, factory_context
from tenants.models import Factory, Job

log = structlog.get_logger()

LEASE = timedelta(seconds=30)
HEARTBEAT_S = 8.0
MAX_ATTEMPTS = 5
# A message that was lost is sent again after this; younger jobs may still be in the broker.
RESEND_AFTER = timedelta(seconds=20)

Task = TypeVar("Task", bound=Callable[..., Any])


class JobRefused(Exception):
    """The work cannot be done and trying again would not help; the text is for people."""


class JobCancelled(JobRefused):
    """Somebody ended the job while it ran."""

    def __init__(self) -> None:
        super().__init__("It was cancelled.")


class UnknownTask(Exception):
    """A job names a task that this version of the code does not have."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    name: str
    run: Callable[..., Any]
    needs_factory: bool
    queue: str


_TASKS: dict[str, TaskSpec] = {}


@dataclass(frozen=True, slots=True)
class JobHandle:
    """What a running task may do with its own job."""

    id: str

    def report(self, progress: float, message: str = "") -> None:
        """Show how far the work is: 0 to 1, with a few words. Visible at once.

        Raises:
            JobCancelled: somebody ended the job; what was done so far is to be left as it is.
        """
        row = Job.objects.filter(pk=self.id)
        n_running = row.filter(state=Job.State.RUNNING).update(
            progress=min(max(progress, 0.0), 1.0),
            message=message[:500],
            heartbeat_at=timezone.now(),
        )
        if not n_running and row.filter(state=Job.State.FAILED).exists():
            raise JobCancelled
        _tell(self.id)


def topic(job_id: Any) -> str:
    """Name what is announced on the channel of public when a job has come further or ended."""
    return f"job:{job_id}"


def factory_topic(task: str) -> str:
    """Name what is announced on a factory's channel when one of its jobs has ended."""
    return f"jobs:{task}"


def _tell(job_id: Any) -> None:
    announcing.announce(topic(job_id), schema=PUBLIC)


def factory_task(name: str, *, queue: str = "default") -> Callable[[Task], Task]:
    """Register a task that works inside one factory; it is called as `task(job=..., **kwargs)`."""
    return partial(_register, name, True, queue)


def public_task(name: str, *, queue: str = "default") -> Callable[[Task], Task]:
    """Register a task on the public schema; periodic ones are called without a job."""
    return partial(_register, name, False, queue)


def _register(name: str, needs_factory: bool, queue: str, function: Task) -> Task:
    if name in _TASKS and _TASKS[name].run.__qualname__ != function.__qualname__:
        raise ValueError(f"two tasks are called {name}")
    _TASKS[name] = TaskSpec(name, function, needs_factory, queue)
    return function


def registered() -> dict[str, TaskSpec]:
    """Return every task by name (importing config.celery has loaded them all)."""
    return dict(_TASKS)


def enqueue(
    *,
    task: str,
    kwargs: dict[str, Any] | None = None,
    factory: Factory | None = None,
    schema: str | None = None,
    queue: str | None = None,
    key: str | None = None,
    delay: timedelta = timedelta(0),
) -> Job:
    """Write down work to be done, in the caller's transaction.

    With a `key`, the same work is not queued twice: the open job with this key is returned.

    Raises:
        UnknownTask: no task is registered under this name.
        ValueError: a factory's task was queued without a factory, or the other way round.
    """
    spec = _TASKS.get(task)
    if spec is None:
        raise UnknownTask(task)
    if factory is None and schema is not None:
        factory = Factory.objects.get(schema_name=schema)
    if spec.needs_factory != (factory is not None):
        raise ValueError(f"{task} {'needs a' if spec.needs_factory else 'takes no'} factory")
    fields: dict[str, Any] = {
        "factory": factory,
        "task": task,
        "kwargs": kwargs or {},
        "queue": queue or spec.queue,
        "not_before": timezone.now() + delay,
    }
    if key is None:
        job = Job.objects.create(**fields)
    else:
        scoped = f"{factory.schema_name if factory else 'public'}:{key}"
        try:
            with transaction.atomic():
                job = Job.objects.create(key=scoped, **fields)
        except IntegrityError:
            found = Job.objects.filter(key=scoped, state__in=Job.OPEN_STATES).first()
            # It may have ended between the two statements; then this one is new work.
            return found or enqueue(
                task=task, kwargs=kwargs, factory=factory, queue=queue, key=key, delay=delay
            )
    transaction.on_commit(partial(_send, str(job.pk), job.queue, delay.total_seconds()))
    return job


def _send(job_id: str, queue: str, countdown_s: float = 0.0) -> None:
    """Send the hint. A broker that is away is no error: the sweeper sends it again."""
    from tenants.tasks import run_job

    try:
        run_job.apply_async(
            (job_id,), queue=queue, countdown=countdown_s, retry=False, ignore_result=True
        )
    except Exception as error:  # a hint may fail in any way that a broker's client can
        log.warning("jobs.hint.lost", job_id=job_id, error=type(error).__name__)


def _claim(job_id: str, at: datetime) -> Job | None:
    """Take a job that waits, or that its worker left; one worker gets it."""
    claimable = Q(state=Job.State.QUEUED, not_before__lte=at + timedelta(seconds=1)) | Q(
        state=Job.State.RUNNING, heartbeat_at__lt=at - LEASE
    )
    n_claimed = (
        Job.objects.filter(pk=job_id)
        .filter(claimable)
        .update(
            state=Job.State.RUNNING,
            started_at=at,
            heartbeat_at=at,
            n_attempts=F("n_attempts") + 1,
        )
    )
    return Job.objects.select_related("factory").get(pk=job_id) if n_claimed else None


@contextmanager
def _heartbeat(job_id: Any) -> Any:
    """Keep the lease of a job while the block runs."""
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(HEARTBEAT_S):
            try:
                Job.objects.filter(pk=job_id).update(heartbeat_at=timezone.now())
            except Exception as error:  # the database may be away for a while: go on trying
                log.warning("jobs.heartbeat.failed", error=type(error).__name__)
            finally:
                connection.close()

    thread = threading.Thread(target=beat, name="job-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=5)


def run(job_id: str) -> None:
    """Do the work of one job, if nobody else does; record how it ended."""
    job = _claim(job_id, timezone.now())
    if job is None:
        return
    if job.n_attempts > MAX_ATTEMPTS:
        _finish(job, state=Job.State.DEAD, error=job.error or "its worker died each time")
        return
    schema = job.factory.schema_name if job.factory else "public"
    structlog.contextvars.bind_contextvars(schema=schema, job_id=str(job.pk), task=job.task)
    try:
        with _heartbeat(job.pk):
            result = call(job.task, factory=job.factory, job=JobHandle(str(job.pk)), **job.kwargs)
    except JobRefused as refusal:
        _finish(job, state=Job.State.FAILED, message=str(refusal))
    except Exception as error:  # the queue must flow whatever one job does
        log.exception("jobs.failed", attempt=job.n_attempts)
        _retry_or_bury(job, f"{type(error).__name__}: {error}")
    else:
        _finish(job, state=Job.State.DONE, progress=1.0, result=result)
    finally:
        structlog.contextvars.clear_contextvars()


def call(task: str, *, factory: Factory | None = None, **kwargs: Any) -> Any:
    """Run a registered task here and now, inside its factory where it needs one.

    Raises:
        UnknownTask: no task is registered under this name.
        JobRefused: a factory's task was called without a factory.
    """
    spec = _TASKS.get(task)
    if spec is None:
        raise UnknownTask(task)
    if spec.needs_factory and factory is None:
        raise JobRefused(f"{task} works inside a factory and none was named.")
    with factory_context(factory) if factory and spec.needs_factory else nullcontext():
        return spec.run(**kwargs)


def _finish(job: Job, *, state: str, **fields: Any) -> None:
    if "message" in fields:
        fields["message"] = fields["message"][:500]
    rows = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING)
    if rows.update(state=state, finished_at=timezone.now(), **fields):
        _tell(job.pk)
        if job.factory is not None:
            announcing.announce(factory_topic(job.task), schema=job.factory.schema_name)
        log.info("jobs.finished", state=state)


def _retry_or_bury(job: Job, error: str) -> None:
    if job.n_attempts >= MAX_ATTEMPTS:
        _finish(job, state=Job.State.DEAD, error=error[:4000])
        return
    wait = timedelta(seconds=2**job.n_attempts)
    rows = Job.objects.filter(pk=job.pk, state=Job.State.RUNNING)
    if not rows.update(
        state=Job.State.QUEUED, not_before=timezone.now() + wait, error=error[:4000]
    ):
        return
    _send(str(job.pk), job.queue, wait.total_seconds())


def sweep(*, at: datetime) -> int:
    """Send again what was dropped or left behind; return how many jobs that were."""
    lost = Job.objects.filter(
        Q(state=Job.State.QUEUED, not_before__lt=at - RESEND_AFTER)
        | Q(state=Job.State.RUNNING, heartbeat_at__lt=at - LEASE)
    ).order_by("not_before")[:1000]
    for job in lost:
        _send(str(job.pk), job.queue)
    return len(lost)


def open_job(*, factory: Factory | None, key: str) -> Job | None:
    """Return the job of a key that waits or runs."""
    scoped = f"{factory.schema_name if factory else 'public'}:{key}"
    return Job.objects.filter(key=scoped, state__in=Job.OPEN_STATES).first()


def cancel(*, factory: Factory | None, key: str) -> bool:
    """End the open job of a key; say whether there was one.

    One that waits never starts; one that runs stops when it next reports how far it is.
    """
    scoped = f"{factory.schema_name if factory else 'public'}:{key}"
    rows = Job.objects.filter(key=scoped, state__in=Job.OPEN_STATES)
    found = list(rows.values_list("pk", flat=True))
    n_ended = rows.update(
        state=Job.State.FAILED, message=str(JobCancelled()), finished_at=timezone.now()
    )
    for job_id in found:
        transaction.on_commit(partial(_tell, job_id))
    return bool(n_ended)


def replay(job: Job) -> None:
    """Give a job that was put aside another five tries."""
    n_revived = Job.objects.filter(pk=job.pk, state__in=[Job.State.DEAD, Job.State.FAILED]).update(
        state=Job.State.QUEUED, n_attempts=0, not_before=timezone.now(), finished_at=None
    )
    if n_revived:
        transaction.on_commit(partial(_send, str(job.pk), job.queue))
