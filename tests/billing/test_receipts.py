"""Receipts: who paid whom what, when and how, and what went back since."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import requests

from billing import receipts, services
from billing.answers import StripePaid, StripePayment
from billing.gateways import StripeAway
from billing.models import Invoice
from tests.billing.papers import pdf_pieces, pdf_texts
from tests.billing.test_credits import give, invoiced
from tests.tenants.staff import staff_person

BERLIN = ZoneInfo("Europe/Berlin")
# In Berlin this is the first of December.
LATE = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
VISA = StripePayment(amount=4640, refunded=0, brand="visa", last4="4242")
PAID = StripePaid(
    seller="Takt", payer="M\u00fcller (Ulm) GmbH", payer_address=("Weg 1", "89073 Ulm", "DE"),
    payer_email="bills@ulm.example", payer_tax_ids=("DE123456789",), payments=(VISA,),
)  # fmt: skip


@pytest.fixture
def invoice(acme):
    return Invoice.objects.create(
        account=services.account_for(acme), stripe_id="in_1", number="ABC-0001", status="paid",
        currency="EUR", total_minor=4640, due_minor=4640, paid_minor=4640, period_start=LATE,
        period_end=LATE, created_at=LATE, finalized_at=LATE, paid_at=LATE, synced_at=LATE,
    )  # fmt: skip


def note(invoice, amount, *, refunded=0, number="ABC-0001-CN-01", days=1, status="issued"):
    return invoice.credit_notes.create(
        account=invoice.account, stripe_id=f"cn_{number}", number=number, amount_minor=amount,
        refunded_minor=refunded, reason="duplicate", status=status,
        created_at=LATE + timedelta(days=days),
    )  # fmt: skip


def said(invoice, paid=PAID):
    return pdf_texts(receipts.written(invoice, paid, zone=BERLIN))


def test_it_names_both_sides_the_day_there_the_amount_and_the_card(invoice):
    assert said(invoice) == [
        "Receipt", "Invoice number", "ABC-0001",
        "Date paid", "1 December 2026 (Europe/Berlin)",
        "Payment method", "Visa ending 4242",
        "Paid to", "Takt", "Paid by", "M\u00fcller (Ulm) GmbH",
        "Weg 1", "89073 Ulm", "DE", "bills@ulm.example", "DE123456789",
        "Invoice total", "46.40 EUR", "Amount paid", "46.40 EUR",
    ]  # fmt: skip


# By hand, in DejaVu Sans: four digits of 1303, a point and a space of 651, E of 1294, U of 1499,
# R of 1423, each a 2048th of 9 points.
def test_an_amount_ends_where_the_line_above_it_ends(invoice):
    content = receipts.written(invoice, PAID, zone=BERLIN)

    (amount, _bold) = [piece for piece in pdf_pieces(content) if piece.text == "46.40 EUR"]

    assert amount.x == pytest.approx(545 - 47.15, abs=0.01)


def test_what_went_back_since_is_on_it(invoice):
    note(invoice, 1000, refunded=1000)
    note(invoice, 500, number="ABC-0001-CN-02", days=2)
    note(invoice, 300, number="ABC-0001-CN-03", days=3, status="void")
    by_hand = replace(PAID, payments=(replace(VISA, refunded=1200),))

    texts = said(invoice, by_hand)

    assert texts[texts.index("Given back since") :] == [
        "Given back since",
        "ABC-0001-CN-01, 2 December 2026, to the card", "-10.00 EUR",
        "ABC-0001-CN-02, 3 December 2026, to the balance", "-5.00 EUR",
        "Refunded without a credit note", "-2.00 EUR",
    ]  # fmt: skip


def test_what_was_credited_before_the_payment_lowered_it(invoice):
    note(invoice, 640, days=-1)
    Invoice.objects.filter(pk=invoice.pk).update(paid_minor=4000)
    invoice.refresh_from_db()

    texts = said(invoice)

    assert texts[-6:] == [
        "Invoice total", "46.40 EUR", "Credits and balance used before", "-6.40 EUR",
        "Amount paid", "40.00 EUR",
    ]  # fmt: skip


def test_what_was_paid_outside_of_stripe_says_so(invoice):
    assert "Outside of Stripe" in said(invoice, replace(PAID, payments=()))


def test_names_keep_their_letters(invoice):
    paid = replace(PAID, payer="Zak\u0142ad", payer_address=("\u0391\u03b8\u03ae\u03bd\u03b1",))

    assert {paid.payer, *paid.payer_address} <= set(said(invoice, paid))


@pytest.mark.parametrize(
    "values",
    [{"status": "open"}, {"status": "draft"}, {"status": "void"}, {"paid_minor": 0}],
)
def test_without_a_payment_there_is_none(invoice, values):
    for name, value in values.items():
        setattr(invoice, name, value)

    with pytest.raises(receipts.NoReceipt):
        receipts.receipt(invoice, zone=BERLIN)


@pytest.mark.slow
def test_it_says_what_stripe_has_of_the_payment(acme, stripe, readings):
    paid = invoiced(acme, readings, "pm_card_visa")
    texts = pdf_texts(receipts.receipt(paid, zone=BERLIN))
    assert {str(paid), "1 November 2026 (Europe/Berlin)", "Visa ending 4242"} <= set(texts)
    assert texts[-4:] == ["Invoice total", "29.00 EUR", "Amount paid", "29.00 EUR"]
    assert "Given back since" not in texts

    given = give(paid, 900, staff_person())
    texts = pdf_texts(receipts.receipt(paid, zone=BERLIN))

    assert texts[-2].startswith(f"{given}, ")
    assert texts[-2].endswith(", to the card")
    assert texts[-1] == "-9.00 EUR"


@pytest.mark.slow
def test_a_card_that_was_refused_first_is_not_the_one_that_paid(acme, stripe, readings):
    owed = invoiced(acme, readings, "pm_card_chargeCustomerFail")
    with pytest.raises(receipts.NoReceipt):
        receipts.receipt(owed, zone=BERLIN)
    services.use_card(factory=acme, payment_method="pm_card_mastercard")
    stripe.pay_invoice(key=f"pay-{owed.pk}", invoice_id=owed.stripe_id)
    services.sync_account(account_id=str(owed.account_id))
    owed.refresh_from_db()

    texts = pdf_texts(receipts.receipt(owed, zone=BERLIN))

    assert texts[texts.index("Payment method") + 1].startswith("Mastercard ending ")
    assert texts.count("Payment method") == 1


def test_stripe_away_is_told_apart_from_no_receipt(invoice, wire, stripe):
    def away(_method, _path):
        raise requests.ConnectionError("away")

    wire.before = away
    with pytest.raises(StripeAway):
        receipts.receipt(invoice, zone=BERLIN)
    wire.before = lambda _method, _path: None

    with pytest.raises(receipts.NoReceipt):  # Stripe has no in_1
        receipts.receipt(invoice, zone=BERLIN)
