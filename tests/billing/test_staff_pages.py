"""Money on the staff pages: read, and mended by named acts with a trace."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import plans
from billing.models import BillingAccount, InboxEvent, LedgerDelivery
from tenants.models import AuditEntry, Factory, Job
from tests.billing import staff_records as records
from tests.tenants.staff import EMAIL, Desk, desk, staff_person


@pytest.fixture
def sam(acme: Factory) -> Desk:
    return desk(staff_person())


@pytest.fixture
def account(acme: Factory) -> BillingAccount:
    return records.make_all(acme)


def test_a_dead_letter_is_replayed_by_the_button(sam, account, acme):
    page = sam.get("/staff/billing/inboxevent/evt_5Fstaff/change/").content.decode()
    assert "Apply again" in page
    assert "cus_staff" in page  # the payload

    sam.act("/staff/billing/inboxevent/", "replay", "evt_staff")

    found = InboxEvent.objects.get(pk="evt_staff")
    assert (found.state, found.n_attempts) == (InboxEvent.State.RECEIVED, 0)
    assert Job.objects.filter(task="billing.apply_event", state="queued").exists()
    entry = AuditEntry.objects.get(factory=acme, action="staff.event_replayed")
    assert (entry.actor_name, entry.detail) == (EMAIL, {"event": "evt_staff"})


def test_many_dead_letters_at_once_and_no_other(sam, account):
    records.event("evt_2", customer="cus_of_nobody")
    records.event("evt_3", state="done")

    sam.act("/staff/billing/inboxevent/", "replay", "evt_staff", "evt_2", "evt_3")

    states = dict(InboxEvent.objects.values_list("pk", "state"))
    assert states == {"evt_staff": "received", "evt_2": "received", "evt_3": "done"}
    assert AuditEntry.objects.filter(factory=None, action="staff.event_replayed").count() == 1


def test_usage_that_stripe_refused_is_sent_again(sam, account, acme):
    row = LedgerDelivery.objects.get(account=account)

    sam.act("/staff/billing/ledgerdelivery/", "send_again", row.pk)

    row.refresh_from_db()
    assert row.state == LedgerDelivery.State.PENDING
    entry = AuditEntry.objects.get(factory=acme, action="staff.usage_sent_again")
    assert entry.target == row.entry.identifier


def test_usage_that_was_sent_is_left(sam, account):
    LedgerDelivery.objects.filter(account=account).update(state="sent")
    row = LedgerDelivery.objects.get(account=account)

    sam.act("/staff/billing/ledgerdelivery/", "send_again", row.pk)

    row.refresh_from_db()
    assert row.state == LedgerDelivery.State.SENT
    assert not AuditEntry.objects.filter(action="staff.usage_sent_again").exists()


def test_the_ledger_adds_up_what_is_listed(sam, account):
    for hours in range(1, 61):
        records.entry(account, hour=records.NOON + timedelta(hours=hours), quantity=hours)
    december = records.NOON + timedelta(days=20)
    records.entry(account, hour=december, quantity=5_000)

    def listed(query: str) -> list[dict[str, object]]:
        return list(sam.get(f"/staff/billing/ledgerentry/{query}").context_data["sums"])

    n_november = 3 + sum(range(1, 61))
    assert listed("") == [{"meter": "readings", "sum": n_november + 5_000}]
    november = f"?account__id__exact={account.pk}&billed_hour__year=2026&billed_hour__month=11"
    assert listed(november) == [{"meter": "readings", "sum": n_november}]
    assert listed("?meter__exact=images") == []
    assert listed("?q=globex") == []


def test_every_version_of_the_prices_is_shown(sam):
    text = sam.get("/staff/billing/subscription/prices/").content.decode()

    for version in plans.BOOKS:
        assert f"Version {version}," in text
    workshop = plans.BOOK.plan("workshop")
    assert f"{workshop.machine_prices['EUR'] / 100:,.2f} EUR" in text


def test_amounts_are_read_in_their_currency(sam, account):
    assert "1,234.56 EUR" in sam.get("/staff/billing/invoice/").content.decode()


@pytest.mark.parametrize("name", ["ledgerentry", "ledgerdelivery", "inboxevent", "invoice"])
def test_a_longer_list_asks_no_more_of_the_database(sam, account, name, django_assert_num_queries):
    with CaptureQueriesContext(connection) as few:
        sam.get(f"/staff/billing/{name}/")
    for n in range(1, 21):
        counted = records.entry(account, hour=records.NOON + timedelta(hours=n))
        LedgerDelivery.objects.create(entry=counted, account=account)
        records.event(f"evt_{n}")
        records.invoice(account, f"in_{n}")

    with django_assert_num_queries(len(few)):
        sam.get(f"/staff/billing/{name}/")
