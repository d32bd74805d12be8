"""A factory is deleted while its plan goes on: billed to its end, and no further."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import services
from billing.models import LedgerDelivery, YearlyMachines
from billing.services import add_ons, gone, telling, yearly
from tenants.signals import factory_leaving
from tests.billing.conftest import HOUR, NOV_1, on_workshop

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
OCT_12 = datetime(2026, 10, 12, 13, tzinfo=UTC)
DEC_1 = datetime(2026, 12, 1, tzinfo=UTC)
FIXED = timedelta(hours=2)
pytestmark = pytest.mark.slow


@pytest.fixture
def account(acme, stripe, readings):
    """acme on Workshop with a card since 1 October; on the 12th, its last reading an hour old."""
    account = on_workshop(acme, since=OCT_1)
    stripe.advance_clock(clock_id=account.test_clock_id, to=OCT_12)
    readings.add("machine:a", OCT_12 - HOUR, 5)
    return account


def delete(acme, account, *, at):
    """Do to billing what the deletion of a factory does."""
    factory_leaving.send(sender=type(acme), factory=acme, at=at)
    account.factory = None
    account.save(update_fields=["factory"])


def sync(account, at):
    """Do what `billing.sync_account` does every half hour."""
    services.sync_account(account_id=str(account.pk), at=at)
    was_live = gone.settle(account_id=str(account.pk), at=at)
    services.tell_end(account_id=str(account.pk), at=at)
    telling.tell_rest(account_id=str(account.pk), at=at)
    return was_live


def totals(account, stripe):
    found = stripe.invoices(account.stripe_customer_id)
    return sorted((i.total, i.status) for i in found if i.total)


def test_its_last_usage_is_billed_and_the_next_month_is_not_begun(acme, account, stripe):
    delete(acme, account, at=OCT_12)

    assert sync(account, OCT_12)
    assert not sync(account, OCT_12)
    stripe.advance_clock(clock_id=account.test_clock_id, to=NOV_1 + FIXED)

    sync(account, NOV_1 + FIXED)
    assert account.subscriptions.get().ended_at == NOV_1
    assert totals(account, stripe) == [(2_900, "paid")]
    assert not LedgerDelivery.objects.filter(state=LedgerDelivery.State.PENDING).exists()


def test_a_paid_year_and_an_add_on_end_too(acme, account, stripe):
    yearly.set_yearly(factory=acme, n_machines=2, by=None, at=OCT_12)
    add_ons.book_add_on(factory=acme, key="fast_answer", by=None, at=OCT_12)
    telling.tell_rest(account_id=str(account.pk), at=OCT_12)

    delete(acme, account, at=OCT_12)
    sync(account, OCT_12)
    stripe.advance_clock(clock_id=account.test_clock_id, to=NOV_1 + FIXED)
    sync(account, NOV_1 + FIXED)
    before = totals(account, stripe)
    stripe.advance_clock(clock_id=account.test_clock_id, to=DEC_1 + FIXED)

    assert totals(account, stripe) == before
    row = YearlyMachines.objects.get(account=account)
    assert stripe.subscription(row.stripe_id).cancel_at_period_end


def test_a_factory_that_is_there_goes_on(account):
    assert not gone.settle(account_id=str(account.pk), at=OCT_12)
    assert account.subscriptions.get().ends_at is None
