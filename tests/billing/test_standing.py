"""An account falls behind step by step; one payment leads back from each of them."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import dunning, services
from billing.models import BillingAccount, Invoice, Subscription
from tenants.models import AuditEntry, FactoryLimits, Membership, Notification

DAY = timedelta(days=1)
NOV_2 = datetime(2026, 11, 2, 1, tzinfo=UTC)
Standing, Cause = BillingAccount.Standing, BillingAccount.Cause


@pytest.fixture
def account(acme):
    account = services.account_for(acme)
    Subscription.objects.create(
        account=account, plan="workshop", version=2, status="active", stripe_id="sub_1",
        started_at=NOV_2 - 60 * DAY, metered_from=NOV_2 - 60 * DAY,
    )  # fmt: skip
    return account


@pytest.fixture
def unpaid(account):
    return Invoice.objects.create(
        account=account, stripe_id="in_1", number="A-1", status="open", currency="EUR",
        total_minor=2900, due_minor=2900, paid_minor=0, period_start=NOV_2 - 30 * DAY,
        period_end=NOV_2, created_at=NOV_2, finalized_at=NOV_2, synced_at=NOV_2, n_attempts=1,
    )  # fmt: skip


def review(account, at):
    return services.review_standing(account_id=str(account.pk), at=at)


# By hand: 14 days of grace, 14 of reading only, 30 to take the data along.
STEPS = [
    (0, "past_due"), (13.9, "past_due"), (14, "read_only"), (27.9, "read_only"),
    (28, "suspended"), (57.9, "suspended"), (58, "deleted"),
]  # fmt: skip


@pytest.mark.parametrize(("days", "standing"), STEPS)
@pytest.mark.parametrize("cause", [Cause.UNPAID, Cause.NO_PLAN])
def test_what_is_unpaid_leads_on_by_the_days(cause, days, standing):
    assert dunning.step(cause, NOV_2, NOV_2 + days * DAY).standing == standing


@pytest.mark.parametrize(
    ("days", "standing"), [(0, "suspended"), (29.9, "suspended"), (30, "deleted")]
)
def test_what_was_cancelled_is_kept_for_the_export_window(days, standing):
    assert dunning.step(Cause.CANCELLED, NOV_2, NOV_2 + days * DAY).standing == standing


def test_each_step_says_until_when_it_lasts():
    assert dunning.step(Cause.UNPAID, NOV_2, NOV_2).until == NOV_2 + 14 * DAY
    assert dunning.step(Cause.UNPAID, NOV_2, NOV_2 + 20 * DAY).until == NOV_2 + 28 * DAY
    assert dunning.step("", None, NOV_2) == dunning.Step(Standing.GOOD, None)


@pytest.mark.parametrize(
    ("days", "read_only", "blocked"),
    [(1, False, False), (15, True, False), (30, True, True)],
)
def test_each_step_closes_its_doors_and_a_payment_opens_all(
    acme, account, unpaid, days, read_only, blocked
):
    at = NOV_2 + days * DAY
    review(account, at)
    limits = FactoryLimits.objects.get(factory=acme)
    assert (limits.read_only, limits.ingest_blocked) == (read_only, blocked)

    Invoice.objects.update(status="paid", paid_minor=2900)
    assert review(account, at + timedelta(minutes=1)) == Standing.GOOD

    limits.refresh_from_db()
    assert (limits.standing, limits.read_only, limits.ingest_blocked) == ("good", False, False)
    assert limits.standing_until is None
    account.refresh_from_db()
    assert (account.cause, account.overdue_since) == ("", None)


def test_owners_and_admins_hear_of_each_step_once_and_are_reminded(acme, account, unpaid):
    for hours in range(0, 60 * 24, 7):
        review(account, NOV_2 + timedelta(hours=hours))

    subjects = list(
        Notification.objects.filter(factory=acme, topic="billing")
        .order_by("at").values_list("subject", flat=True)
    )  # fmt: skip
    assert len(subjects) == len(dunning.REMINDER_DAYS) + 3
    assert "read only" in subjects[4]
    assert "kept until 30 December 2026" in subjects[5]
    assert AuditEntry.objects.filter(factory=acme, action="factory.standing_set").count() == 3


def test_an_invoice_that_was_never_tried_makes_nobody_late(account, unpaid):
    Invoice.objects.update(n_attempts=0)

    assert review(account, NOV_2 + 3 * DAY) == Standing.GOOD


def test_the_days_count_from_the_oldest_unpaid_invoice(account, unpaid):
    review(account, NOV_2)
    Invoice.objects.create(
        account=account, stripe_id="in_2", number="A-2", status="open", currency="EUR",
        total_minor=5, due_minor=5, paid_minor=0, period_start=NOV_2, period_end=NOV_2 + 13 * DAY,
        created_at=NOV_2 + 13 * DAY, finalized_at=NOV_2 + 13 * DAY, synced_at=NOV_2, n_attempts=1,
    )  # fmt: skip

    assert review(account, NOV_2 + 14 * DAY) == Standing.READ_ONLY


def test_without_a_plan_what_fits_start_is_in_order_and_the_rest_is_not(acme, account):
    Subscription.objects.update(ended_at=NOV_2, status="canceled")
    assert Membership.objects.filter(factory=acme).count() > 3

    assert review(account, NOV_2 + DAY) == Standing.PAST_DUE
    account.refresh_from_db()
    assert account.cause == Cause.NO_PLAN
    Membership.objects.filter(factory=acme).exclude(role="owner").delete()
    assert review(account, NOV_2 + 2 * DAY) == Standing.GOOD


def test_a_cancelled_factory_is_suspended_at_its_end_and_opened_by_any_plan(acme, account):
    Subscription.objects.update(ended_at=NOV_2, status="canceled", closes_factory=True)
    assert review(account, NOV_2 + DAY) == Standing.SUSPENDED

    services.start_subscription(factory=acme, plan="workshop", by=None, at=NOV_2 + 2 * DAY)

    assert review(account, NOV_2 + 2 * DAY) == Standing.GOOD
    assert not FactoryLimits.objects.get(factory=acme).ingest_blocked


def test_an_account_that_never_had_a_plan_is_in_order(acme):
    assert review(services.account_for(acme), NOV_2) == Standing.GOOD
