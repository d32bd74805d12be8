"""The work that runs by itself."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import services
from billing.models import LedgerEntry, Subscription
from tenants import jobs
from tenants.models import Job
from tests.billing.conftest import HOUR, Facts
from tests.billing.test_chain import away

NO_JOB = jobs.JobHandle("00000000-0000-0000-0000-000000000000")


@pytest.fixture
def last_hour():
    return timezone.now().replace(minute=0, second=0, microsecond=0) - HOUR


def test_every_factory_s_usage_is_counted_in_its_own_job(acme, globex, readings: Facts, last_hour):
    readings.add("machine:a", last_hour, 60, at=timezone.now())
    readings.add("machine:g", last_hour, 7, schema="globex", at=timezone.now())

    jobs.call("billing.count_all")
    for job in Job.objects.filter(task="billing.count_usage"):
        jobs.run(str(job.pk))

    counted = dict(
        LedgerEntry.objects.filter(meter="readings").values_list(
            "account__factory__schema_name", "quantity"
        )
    )
    assert counted == {"acme": 60, "globex": 7}


def test_counting_does_not_touch_another_factory_s_account(acme, globex):
    account = services.account_for(acme)

    with pytest.raises(type(account).DoesNotExist):
        jobs.call("billing.count_usage", factory=globex, job=NO_JOB, account_id=str(account.pk))


def test_a_subscription_that_stripe_never_heard_of_is_queued_again(acme, wire, stripe):
    wire.before = away
    old = timezone.now() - timedelta(hours=1)
    subscription = services.start_subscription(factory=acme, plan="workshop", by=None, at=old)
    Job.objects.filter(task="billing.open_subscription").update(state="dead")

    jobs.call("billing.reconcile")
    wire.before = lambda _method, _path: None
    for job in Job.objects.filter(task="billing.open_subscription", state="queued"):
        jobs.run(str(job.pk))

    assert Subscription.objects.get(pk=subscription.pk).status == "active"


def test_every_task_of_the_schedule_exists():
    from billing.schedule import BEAT

    assert {entry["task"] for entry in BEAT.values()} <= set(jobs.registered())
