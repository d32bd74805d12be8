"""Staff give money back on a page of the invoice: once, with a reason, never more than is left."""

import pytest
import requests

from billing import services
from billing.models import CreditNote
from tenants.models import AuditEntry, User
from tests.billing import staff_records
from tests.billing.test_credits import invoiced
from tests.conftest import host_of, sign_in
from tests.tenants.staff import EMAIL, desk, staff_person

pytestmark = pytest.mark.slow
MEMO = "The gateway was broken for a week."


@pytest.fixture
def sam(acme):
    return desk(staff_person())


@pytest.fixture
def paid(acme, stripe, readings):
    """October's invoice of acme, 29.00, paid by card."""
    return invoiced(acme, readings, "pm_card_visa")


@pytest.fixture
def unpaid(acme, stripe, readings):
    """October's invoice of acme, 29.00, refused by the bank."""
    return invoiced(acme, readings, "pm_card_chargeCustomerFail")


@pytest.fixture
def billed(acme):
    """An invoice of acme of 1,234.56 that Stripe has never heard of."""
    return staff_records.invoice(services.account_for(acme))


def page_of(invoice):
    return f"/staff/billing/invoice/{invoice.pk}/credit/"


def form(amount="9.00", **values):
    filled = {"to": "card", "kind": "product_unsatisfactory", "memo": MEMO, "n_seen": "0"}
    return {"amount": amount, **filled, **values}


def given():
    return [(note.amount_minor, note.refunded_minor) for note in CreditNote.objects.order_by("pk")]


def test_a_credit_is_given_from_the_page_of_the_invoice(sam, acme, paid, stripe, portal):
    record = sam.get(f"/staff/billing/invoice/{paid.pk}/change/").content.decode()
    assert f'href="{page_of(paid)}"' in record
    page = sam.get(page_of(paid)).content.decode()
    assert "At most 29.00 EUR can be given back, of it 29.00 EUR to the card" in page
    assert "Amount (EUR)" in page

    answer = sam.post(page_of(paid), form("9,50"), follow=True)

    note = CreditNote.objects.get()
    assert (note.amount_minor, note.refunded_minor, note.by) == (950, 950, sam.user)
    assert (note.reason, note.memo) == ("product_unsatisfactory", MEMO)
    shown = answer.content.decode()
    assert f"9.50 EUR of {paid} given back: credit note {note.number}." in shown
    assert MEMO in shown  # among the credit notes of the invoice
    (there,) = stripe.credit_notes(paid.account.stripe_customer_id)
    assert there.refunded == 950
    entry = AuditEntry.objects.get(factory=acme, action="billing.credited")
    assert (entry.actor_name, entry.detail["memo"]) == (EMAIL, MEMO)
    assert "Takt gave money back" in portal("owner").get("/audit/").content.decode()


def test_to_the_balance_nothing_goes_to_the_card(sam, paid):
    sam.post(page_of(paid), form("9", to="balance"))

    assert given() == [(900, 0)]


def test_an_open_invoice_becomes_smaller(sam, unpaid):
    assert 'name="to"' not in sam.get(page_of(unpaid)).content.decode()

    sam.post(page_of(unpaid), form("9", to=""))

    unpaid.refresh_from_db()
    assert (unpaid.due_minor, unpaid.status, given()) == (2000, "open", [(900, 0)])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"amount": "0"}, "Write an amount above zero"),
        ({"amount": "-3"}, "Write an amount above zero"),
        ({"amount": "1,000.00"}, "Write an amount above zero"),
        ({"amount": "9e9"}, "Write an amount above zero"),
        ({"memo": " \n "}, "Say why"),
        ({"kind": ""}, "Say why"),
        ({"kind": "kindness"}, "Say why"),
        ({"to": ""}, "Say where it goes"),
        ({"n_seen": ""}, "Open this page anew"),
    ],
)
def test_what_is_not_understood_is_refused_and_stays_typed(sam, billed, values, words):
    typed = form("29.00") | values

    answer = sam.post(page_of(billed), typed)

    assert answer.status_code == 422
    text = answer.content.decode()
    assert words in text
    assert f'value="{typed["amount"]}"' in text
    assert given() == []
    assert not AuditEntry.objects.filter(action="billing.credited").exists()


def test_too_much_is_refused_with_what_is_left(sam, paid):
    answer = sam.post(page_of(paid), form("29.01"))

    assert answer.status_code == 422
    assert "At most 29.00 EUR of this invoice" in answer.content.decode()
    assert given() == []
    assert not AuditEntry.objects.filter(action="billing.credited").exists()


def test_what_was_given_before_is_not_left(sam, paid):
    sam.post(page_of(paid), form("20"))

    answer = sam.post(page_of(paid), form("9.01", n_seen="1"))

    assert "At most 9.00 EUR of this invoice" in answer.content.decode()
    assert given() == [(2000, 2000)]


def test_an_invoice_of_which_nothing_is_left_offers_no_credit(sam, paid):
    sam.post(page_of(paid), form("29"))

    assert (
        page_of(paid) not in sam.get(f"/staff/billing/invoice/{paid.pk}/change/").content.decode()
    )
    assert "<form method" not in sam.get(page_of(paid)).content.decode().split("errornote")[-1]


def test_the_same_form_sent_twice_gives_once(sam, paid, stripe):
    sam.post(page_of(paid), form())

    again = sam.post(page_of(paid), form(), follow=True)

    assert "This form gave nothing back" in again.content.decode()
    assert given() == [(900, 900)]
    assert len(stripe.credit_notes(paid.account.stripe_customer_id)) == 1
    assert AuditEntry.objects.filter(action="billing.credited").count() == 1


def test_a_form_older_than_a_note_made_at_stripe_gives_nothing(sam, paid, stripe):
    stripe.credit_note(
        key=f"by-hand-{paid.pk}", invoice_id=paid.stripe_id, amount=500, refund=True,
        reason=None, memo="",
    )  # fmt: skip

    answer = sam.post(page_of(paid), form(), follow=True)

    assert "This form gave nothing back" in answer.content.decode()
    assert given() == [(500, 500)]  # and it is known now


def test_stripe_away_gives_nothing_and_the_form_stays(sam, paid, wire):
    def away(_method, _path):
        raise requests.ConnectionError("away")

    wire.before = away
    answer = sam.post(page_of(paid), form())
    wire.before = lambda _method, _path: None

    assert answer.status_code == 503
    text = answer.content.decode()
    assert "Stripe does not answer" in text
    assert MEMO in text
    assert given() == []
    assert not AuditEntry.objects.filter(action="billing.credited").exists()


def test_a_lost_answer_is_found_by_the_same_form_and_given_once(sam, acme, paid, wire, stripe):
    def lose(method, path):
        if method == "POST" and path == "/v1/credit_notes":
            raise requests.ConnectionError("lost")

    wire.after = lose
    assert sam.post(page_of(paid), form()).status_code == 503
    wire.after = lambda _method, _path: None

    assert sam.post(page_of(paid), form()).status_code == 302

    assert len(stripe.credit_notes(paid.account.stripe_customer_id)) == 1
    note = CreditNote.objects.get()
    assert (note.amount_minor, note.by) == (900, sam.user)
    assert AuditEntry.objects.get(factory=acme, action="billing.credited").actor_name == EMAIL


def test_stripe_going_away_after_the_credit_keeps_it_written_down(sam, acme, paid, wire):
    told: list[str] = []

    def go(method, path):
        if told:
            raise requests.ConnectionError("away")
        if method == "POST" and path == "/v1/credit_notes":
            told.append(path)

    wire.before = go
    assert sam.post(page_of(paid), form()).status_code == 302

    assert given() == [(900, 900)]
    assert AuditEntry.objects.filter(factory=acme, action="billing.credited").exists()


def test_what_stripe_refuses_is_said_in_its_words(sam, paid, stripe, api):
    """The card's charge was given back by hand: our figures still say that 29.00 are left."""
    intents = api.get("/v1/payment_intents", customer=paid.account.stripe_customer_id)["data"]
    api.post("/v1/refunds", payment_intent=intents[0]["id"])

    answer = sam.post(page_of(paid), form("9"))

    assert answer.status_code == 422
    assert "Stripe refused, and nothing was given back" in answer.content.decode()
    assert given() == []
    assert not AuditEntry.objects.filter(action="billing.credited").exists()


def test_who_is_no_staff_meets_404(acme, billed):
    owner = User.objects.get(email="owner@acme.example")
    assert desk(owner).get(page_of(billed)).status_code == 404
    assert desk(owner).post(page_of(billed), form()).status_code == 404
    on_their_host = sign_in(staff_person(), acme).post(
        page_of(billed), form(), secure=True, HTTP_HOST=host_of(acme)
    )
    assert on_their_host.status_code == 404
    assert given() == []


def test_after_an_hour_the_password_is_asked_for_first(acme, billed):
    old = desk(staff_person(), signed_in_s_ago=3_700)
    assert old.get(page_of(billed)).status_code == 200

    answer = old.post(page_of(billed), form())

    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert given() == []


def test_an_invoice_that_is_not_there_has_no_page(sam):
    assert sam.get("/staff/billing/invoice/0/credit/").status_code == 404
    # Django's admin leads back to the list with a message.
    assert sam.get("/staff/billing/invoice/x/change/").status_code == 302
