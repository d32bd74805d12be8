"""Credit notes: by staff, with a reason, never more than is left, once."""

from datetime import UTC, datetime

import pytest
import requests
from django.utils import timezone

from billing import services
from billing.gateways import StripeAway
from billing.models import CreditNote, InboxEvent, Invoice
from billing.services import credits, mirror
from tenants import audit
from tenants.models import AuditEntry, User
from tests.billing.conftest import HOUR, NOV_1

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
pytestmark = pytest.mark.slow


@pytest.fixture
def staff(db):
    return User.objects.create_user("staff@takt.example", "staff-password-1", is_staff=True)


def invoiced(acme, readings, card):
    started = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_1, simulated=True
    )
    services.open_subscription(subscription_id=str(started.pk), simulated=True)
    services.use_card(factory=acme, payment_method=card)
    readings.add("machine:a", OCT_1 + HOUR, 5)
    services.run_clock(factory=acme, until=NOV_1 + 3 * HOUR)
    return Invoice.objects.get(account=services.account_for(acme))


@pytest.fixture
def paid(acme, stripe, readings):
    """October's invoice of acme, 29.00, paid by card."""
    return invoiced(acme, readings, "pm_card_visa")


@pytest.fixture
def unpaid(acme, stripe, readings):
    """October's invoice of acme, 29.00, refused by the bank."""
    return invoiced(acme, readings, "pm_card_chargeCustomerFail")


def give(invoice, amount, staff, *, refund=True):
    return credits.credit(
        invoice=invoice, amount_minor=amount, refund=refund, reason="product_unsatisfactory",
        memo="The gateway was broken for a week.", by=staff, at=timezone.now(),
    )  # fmt: skip


def test_a_refund_goes_to_the_card_and_into_the_audit_log(acme, paid, staff, stripe):
    note = give(paid, 900, staff)

    assert (note.amount_minor, note.refunded_minor, note.status) == (900, 900, "issued")
    assert (note.invoice, note.by, note.memo) == (paid, staff, "The gateway was broken for a week.")
    (there,) = stripe.credit_notes(paid.account.stripe_customer_id)
    assert (there.id, there.refunded) == (note.stripe_id, 900)
    entry = AuditEntry.objects.get(factory=acme, action="billing.credited")
    assert (entry.actor_name, entry.target) == (staff.email, paid.number)
    assert entry.detail["reason"] == "product_unsatisfactory"
    assert audit.verify(factory=acme) is None


def test_a_credit_lowers_the_next_invoice(acme, paid, staff, readings, stripe):
    give(paid, 900, staff, refund=False)
    readings.add("machine:a", NOV_1 + 5 * HOUR, 5)

    services.run_clock(factory=acme, until=datetime(2026, 12, 1, 3, tzinfo=UTC))

    last = Invoice.objects.filter(account=paid.account).latest("created_at")
    assert (last.total_minor, last.paid_minor, last.status) == (2900, 2000, "paid")


def test_an_open_invoice_becomes_smaller_and_a_whole_credit_settles_it(acme, unpaid, staff):
    account_id = str(unpaid.account_id)
    assert services.review_standing(account_id=account_id, at=NOV_1 + 4 * HOUR) == "past_due"
    give(unpaid, 900, staff)
    unpaid.refresh_from_db()
    assert (unpaid.due_minor, unpaid.status) == (2000, "open")

    give(unpaid, 2000, staff)

    unpaid.refresh_from_db()
    assert unpaid.status == "paid"
    assert services.review_standing(account_id=account_id, at=NOV_1 + 5 * HOUR) == "good"


@pytest.mark.parametrize("amount", [-1, 0, 2901])
def test_never_more_than_the_invoice(paid, staff, amount):
    with pytest.raises(credits.NotCreditable):
        give(paid, amount, staff)
    assert not CreditNote.objects.exists()


def test_never_more_than_is_left_of_it(paid, staff):
    give(paid, 2000, staff)

    with pytest.raises(credits.NotCreditable, match="900 of this invoice"):
        give(paid, 901, staff)
    give(paid, 900, staff, refund=False)

    assert credits.left_to_credit(paid) == 0


def test_what_staff_gave_back_in_stripe_s_own_pages_counts(paid, staff, stripe):
    stripe.credit_note(
        key=f"by-hand-{paid.pk}", invoice_id=paid.stripe_id, amount=2500, refund=True,
        reason=None, memo="",
    )  # fmt: skip

    with pytest.raises(credits.NotCreditable, match="400 of this invoice"):
        give(paid, 500, staff)


def test_only_staff_gives_credit(acme, paid):
    owner = User.objects.get(email="owner@acme.example")
    with pytest.raises(PermissionError):
        give(paid, 100, owner)


def test_a_lost_answer_gives_nothing_twice(paid, staff, wire, stripe):
    def lose(method, path):
        if method == "POST" and path == "/v1/credit_notes":
            raise requests.ConnectionError("lost")

    wire.after = lose
    with pytest.raises(StripeAway):
        give(paid, 2900, staff)
    wire.after = lambda _method, _path: None

    with pytest.raises(credits.NotCreditable, match="0 of this invoice"):
        give(paid, 2900, staff)

    (there,) = stripe.credit_notes(paid.account.stripe_customer_id)
    assert there.amount == 2900
    mirror.sync_credit_notes(paid.account, stripe=stripe, at=timezone.now())
    assert CreditNote.objects.get().refunded_minor == 2900


@pytest.mark.parametrize("kind", ["credit_note.created", "credit_note.voided", "charge.refunded"])
def test_a_webhook_brings_credit_notes_up_to_date(paid, stripe, kind):
    made = stripe.credit_note(
        key=f"by-hand-{paid.pk}", invoice_id=paid.stripe_id, amount=500, refund=True,
        reason="duplicate", memo="Twice",
    )  # fmt: skip
    body = {"id": "any", "customer": paid.account.stripe_customer_id}
    InboxEvent.objects.create(
        event_id="evt_cn", kind=kind, payload={"data": {"object": body}}, received_at=NOV_1
    )

    assert services.apply_event(event_id="evt_cn") == "done"
    services.apply_event(event_id="evt_cn")

    note = CreditNote.objects.get()
    assert (note.stripe_id, note.amount_minor, note.by) == (made.id, 500, None)
    assert note.memo == "Twice"
