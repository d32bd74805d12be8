from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from tenants import jobs
from tenants.context import current_schema
from tenants.models import Job

SEEN: list[str] = []


@jobs.factory_task("test.where")
def where(*, job: jobs.JobHandle, **_kwargs):
    SEEN.append(current_schema())
    job.report(0.5, "half way")
    return {"schema": current_schema()}


@jobs.factory_task("test.breaks")
def breaks(**_kwargs):
    raise RuntimeError("a wall")


@jobs.factory_task("test.refuses")
def refuses(**_kwargs):
    raise jobs.JobRefused("Needs about 6 more failures of this kind.")


@pytest.fixture(autouse=True)
def hints(monkeypatch):
    """Catch the messages to the broker; the tests play the worker."""
    sent: list[str] = []
    monkeypatch.setattr(jobs, "_send", lambda job_id, *_args: sent.append(job_id))
    SEEN.clear()
    return sent


def test_a_job_runs_inside_its_factory(acme):
    job = jobs.enqueue(task="test.where", factory=acme)

    jobs.run(str(job.pk))

    job.refresh_from_db()
    assert (job.state, job.result, SEEN) == ("done", {"schema": "acme"}, ["acme"])


def test_a_factory_s_task_refuses_to_run_without_one(db):
    with pytest.raises(ValueError, match="needs a factory"):
        jobs.enqueue(task="test.where")
    with pytest.raises(jobs.JobRefused):
        jobs.call("test.where", job=jobs.JobHandle("x"))


def test_an_unknown_task_is_refused_when_it_is_queued(acme):
    with pytest.raises(jobs.UnknownTask):
        jobs.enqueue(task="test.nowhere", factory=acme)


def test_the_same_work_is_not_queued_twice(acme, globex):
    first = jobs.enqueue(task="test.where", factory=acme, key="train")

    again = jobs.enqueue(task="test.where", factory=acme, key="train")
    elsewhere = jobs.enqueue(task="test.where", factory=globex, key="train")

    assert again.pk == first.pk
    assert elsewhere.pk != first.pk


def test_a_message_delivered_twice_runs_once(acme):
    job = jobs.enqueue(task="test.where", factory=acme)

    jobs.run(str(job.pk))
    jobs.run(str(job.pk))

    assert SEEN == ["acme"]


def test_a_job_that_is_being_done_is_left_alone_until_its_lease_ends(acme):
    job = jobs.enqueue(task="test.where", factory=acme)
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(state="running", heartbeat_at=now, n_attempts=1)
    jobs.run(str(job.pk))
    assert SEEN == []

    Job.objects.filter(pk=job.pk).update(heartbeat_at=now - jobs.LEASE - timedelta(seconds=1))
    jobs.run(str(job.pk))

    assert SEEN == ["acme"]


def test_a_refusal_is_told_and_not_repeated(acme):
    job = jobs.enqueue(task="test.refuses", factory=acme)

    jobs.run(str(job.pk))

    job.refresh_from_db()
    assert (job.state, job.message) == ("failed", "Needs about 6 more failures of this kind.")


def test_what_always_breaks_is_put_aside_and_can_be_replayed(acme):
    job = jobs.enqueue(task="test.breaks", factory=acme)
    for _ in range(jobs.MAX_ATTEMPTS):
        Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
        jobs.run(str(job.pk))
    job.refresh_from_db()
    assert (job.state, job.n_attempts) == ("dead", jobs.MAX_ATTEMPTS)
    assert "a wall" in job.error

    jobs.replay(job)

    job.refresh_from_db()
    assert job.state == "queued"


def test_the_sweeper_finds_what_the_broker_lost(acme, hints):
    lost = jobs.enqueue(task="test.where", factory=acme)
    fresh = jobs.enqueue(task="test.where", factory=acme)
    Job.objects.filter(pk=lost.pk).update(not_before=timezone.now() - timedelta(minutes=1))

    n_resent = jobs.sweep(at=timezone.now())

    assert n_resent == 1
    assert hints == [str(lost.pk)]
    assert fresh.state == "queued"


def test_the_database_knows_one_open_job_a_key(acme):
    Job.objects.create(factory=acme, task="test.where", key="k")

    with pytest.raises(IntegrityError):
        Job.objects.create(factory=acme, task="test.where", key="k")
