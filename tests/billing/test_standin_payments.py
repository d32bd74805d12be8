"""Invoices, payments, dunning, credit notes and tax of the stand-in, held against the contract."""

from datetime import datetime, timedelta

import httpx
import pytest

from tests.billing.conftest import HOUR
from tests.billing.contract import Refused
from tests.billing.papers import pdf_pieces, pdf_texts
from tests.billing.world import DAY, NOV_1, OCT_1, World, amounts

pytestmark = pytest.mark.slow


@pytest.fixture
def world(api):
    return World(api)


@pytest.fixture
def paid(world):
    """An invoice of 100.00 that a card paid."""
    world.card()
    world.subscribe({"price": world.price(5000), "quantity": 2})
    return world.invoices()[0]


@pytest.fixture
def owed(world):
    """An invoice of 20.00 that the bank refused at the end of a trial."""
    world.card("pm_card_chargeCustomerFail")
    sub = world.subscribe({"price": world.price(2000)}, trial_end=OCT_1 + DAY)
    world.advance(OCT_1 + DAY + 2 * HOUR)
    invoice = world.invoices()[0]
    assert (invoice["status"], invoice["amount_due"]) == ("open", 2000)
    return sub, invoice


# -- invoice items and one-off invoices ----------------------------------------------------------
def test_an_item_waits_for_the_next_invoice_of_its_subscription(world):
    world.card()
    sub = world.subscribe({"price": world.price(100)})
    other = world.subscribe({"price": world.price(7)})
    period = {"start": OCT_1, "end": OCT_1 + DAY}
    item = world.api.post(
        "/v1/invoiceitems", customer=world.customer, subscription=sub["id"], amount=-30,
        currency="eur", description="Too much in September", period=period, metadata={"a": "b"},
    )  # fmt: skip
    world.advance(NOV_1 + 2 * HOUR)

    by_sub = {i["parent"]["subscription_details"]["subscription"]: i for i in world.invoices()[:2]}
    assert amounts(by_sub[sub["id"]]) == [-30, 100]
    assert amounts(by_sub[other["id"]]) == [7]
    line = by_sub[sub["id"]]["lines"]["data"][0]
    assert line["parent"]["invoice_item_details"]["invoice_item"] == item["id"]
    assert (line["description"], line["metadata"]) == ("Too much in September", {"a": "b"})
    assert line["period"]["end"] == int((OCT_1 + DAY).timestamp())


def test_an_item_can_be_changed_and_deleted_while_it_waits(world):
    make = {"customer": world.customer, "currency": "eur"}
    kept = world.api.post("/v1/invoiceitems", amount=10, **make)["id"]
    gone = world.api.post("/v1/invoiceitems", amount=20, **make)["id"]
    changed = world.api.post(f"/v1/invoiceitems/{kept}", amount=15, description="Less")
    world.api.delete(f"/v1/invoiceitems/{gone}")

    assert (changed["amount"], changed["description"]) == (15, "Less")
    assert [
        i["id"] for i in world.api.get("/v1/invoiceitems", customer=world.customer)["data"]
    ] == [kept]
    with pytest.raises(Refused) as refusal:
        world.api.get(f"/v1/invoiceitems/{gone}")
    assert refusal.value.code == "resource_missing"


def test_a_one_off_invoice_is_drafted_filled_finalised_and_paid(world):
    world.card()
    draft = world.api.post(
        "/v1/invoices", customer=world.customer, currency="eur", description="Setting up",
        auto_advance=False, metadata={"kind": "setup"},
    )  # fmt: skip
    world.api.post("/v1/invoiceitems", invoice=draft["id"], amount=500, currency="eur")
    world.api.post(
        "/v1/invoiceitems", invoice=draft["id"], quantity=3, unit_amount_decimal="33.5",
        currency="eur", customer=world.customer,
    )  # fmt: skip
    opened = world.api.post(f"/v1/invoices/{draft['id']}/finalize")
    done = world.api.post(f"/v1/invoices/{draft['id']}/pay")

    assert (opened["status"], opened["total"]) == ("open", 601)
    assert (done["status"], done["billing_reason"]) == ("paid", "manual")
    assert (done["description"], done["metadata"]) == ("Setting up", {"kind": "setup"})
    with pytest.raises(Refused) as refusal:
        world.api.post("/v1/invoiceitems", invoice=draft["id"], amount=500, currency="eur")
    assert refusal.value.code == "invoice_not_editable"


def test_pending_items_are_included_when_asked_and_freed_with_the_draft(world):
    item = world.api.post("/v1/invoiceitems", customer=world.customer, amount=10, currency="eur")[
        "id"
    ]
    without = world.api.post("/v1/invoices", customer=world.customer)
    draft = world.api.post(
        "/v1/invoices", customer=world.customer, pending_invoice_items_behavior="include"
    )
    world.api.delete(f"/v1/invoices/{draft['id']}")

    assert (amounts(without), amounts(draft)) == ([], [10])
    assert world.api.get(f"/v1/invoiceitems/{item}")["invoice"] is None


def test_an_invoice_that_is_sent_falls_overdue(world):
    sub = world.subscribe(
        {"price": world.price(100)}, collection_method="send_invoice", days_until_due=14
    )
    (invoice,) = world.invoices()
    sent = world.api.post(f"/v1/invoices/{invoice['id']}/send")
    world.advance(OCT_1 + 14 * DAY + HOUR)

    assert (sent["status"], sent["due_date"]) == ("open", int((OCT_1 + 14 * DAY).timestamp()))
    assert world.sub(sub)["status"] == "past_due"
    world.api.post(f"/v1/invoices/{invoice['id']}/pay", paid_out_of_band=True)
    assert world.sub(sub)["status"] == "active"
    assert len(world.events("invoice.overdue")) == 1


def test_an_invoice_can_be_written_off_and_voided(world, owed):
    _, invoice = owed
    off = world.api.post(f"/v1/invoices/{invoice['id']}/mark_uncollectible")
    void = world.api.post(f"/v1/invoices/{invoice['id']}/void")

    assert (off["status"], void["status"]) == ("uncollectible", "void")


# -- payments and dunning ------------------------------------------------------------------------
def test_a_payment_is_an_intent_with_a_charge(world, paid):
    invoice = world.api.get(f"/v1/invoices/{paid['id']}", expand=["payments"])
    (payment,) = invoice["payments"]["data"]
    intent = world.api.get(f"/v1/payment_intents/{payment['payment']['payment_intent']}")
    charge = world.api.get(f"/v1/charges/{intent['latest_charge']}")

    assert (payment["status"], payment["amount_paid"]) == ("paid", 10000)
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 10000)
    assert (charge["paid"], charge["payment_method_details"]["card"]["last4"]) == (True, "4242")
    kinds = {"charge.succeeded", "invoice.paid", "invoice.payment_succeeded"}
    assert all(len(world.events(kind)) == 1 for kind in kinds)


@pytest.mark.parametrize(
    ("name", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ],
)
def test_some_cards_are_refused_when_they_are_saved(world, name, code, decline_code):
    with pytest.raises(Refused) as refusal:
        world.card(name)

    assert (refusal.value.status, refusal.value.code) == (402, code)
    assert refusal.value.error.get("decline_code") == decline_code


def test_a_failed_payment_is_tried_again_and_in_the_end_given_up(world, owed, switch):
    switch(dunning_days="3,5,7", after_dunning="unpaid")
    sub, invoice = owed
    failed_at = OCT_1 + DAY + HOUR
    seen = []
    for days in (0, 3, 5, 7):
        world.advance(failed_at + days * DAY + HOUR + timedelta(minutes=1))
        now = world.api.get(f"/v1/invoices/{invoice['id']}")
        seen.append((now["attempt_count"], now["next_payment_attempt"], world.sub(sub)["status"]))

    at = [int((failed_at + days * DAY).timestamp()) for days in (3, 5, 7)]
    assert seen == [
        (1, at[0], "past_due"), (2, at[1], "past_due"), (3, at[2], "past_due"),
        (4, None, "unpaid"),
    ]  # fmt: skip
    assert len(world.events("invoice.payment_failed")) == 4


@pytest.mark.parametrize(("after", "status"), [("cancel", "canceled"), ("past_due", "past_due")])
def test_what_follows_the_last_attempt_is_a_switch(world, owed, switch, after, status):
    switch(dunning_days="1", after_dunning=after)
    sub, _ = owed
    world.advance(OCT_1 + 10 * DAY)

    assert world.sub(sub)["status"] == status


def test_paying_later_makes_the_subscription_active_again(world, owed):
    sub, invoice = owed
    with pytest.raises(Refused) as refusal:
        world.api.post(f"/v1/invoices/{invoice['id']}/pay")
    delinquent = world.api.get(f"/v1/customers/{world.customer}")["delinquent"]
    world.card()
    done = world.api.post(f"/v1/invoices/{invoice['id']}/pay")

    assert (refusal.value.status, refusal.value.code) == (402, "card_declined")
    assert world.api.get(f"/v1/invoices/{invoice['id']}")["attempt_count"] == 3
    assert (done["status"], world.sub(sub)["status"]) == ("paid", "active")
    customer = world.api.get(f"/v1/customers/{world.customer}")
    assert (delinquent, customer["delinquent"]) == (True, False)


def test_a_card_that_asks_the_payer_needs_the_payer(world):
    world.card("pm_card_authenticationRequired")
    world.subscribe({"price": world.price(100)}, trial_end=OCT_1 + DAY)
    world.advance(OCT_1 + DAY + 2 * HOUR)
    invoice = world.invoices()[0]
    page = httpx.post(invoice["hosted_invoice_url"], data={"pay": "saved"})

    assert len(world.events("invoice.payment_action_required")) == 1
    assert (page.status_code, world.invoices()[0]["status"]) == (303, "paid")


def test_cards_are_added_chosen_and_removed(world):
    first, second = world.card(), world.card("pm_card_mastercard")
    cards = world.api.get(f"/v1/customers/{world.customer}/payment_methods", type="card")["data"]
    world.api.post(f"/v1/payment_methods/{second}/detach")

    assert [(c["id"], c["card"]["brand"]) for c in cards] == [
        (second, "mastercard"), (first, "visa"),
    ]  # fmt: skip
    customer = world.api.get(f"/v1/customers/{world.customer}")
    assert customer["invoice_settings"]["default_payment_method"] is None
    with pytest.raises(Refused, match="not attached"):
        world.api.post(f"/v1/payment_methods/{second}/detach")


# -- refunds and credit notes --------------------------------------------------------------------
def test_a_charge_is_refunded_in_parts_and_no_further(world, paid):
    (charge,) = world.api.get("/v1/charges", customer=world.customer)["data"]
    world.api.post("/v1/refunds", charge=charge["id"], amount=4000, reason="duplicate")
    with pytest.raises(Refused, match="greater than unrefunded"):
        world.api.post("/v1/refunds", charge=charge["id"], amount=6001)
    rest = world.api.post("/v1/refunds", payment_intent=charge["payment_intent"])
    with pytest.raises(Refused) as refusal:
        world.api.post("/v1/refunds", charge=charge["id"])

    assert (rest["amount"], refusal.value.code) == (6000, "charge_already_refunded")
    assert world.api.get(f"/v1/charges/{charge['id']}")["refunded"] is True


def test_a_credit_note_on_a_paid_invoice_refunds_and_credits(world, paid):
    note = world.api.post(
        "/v1/credit_notes", invoice=paid["id"], amount=5000, refund_amount=3000,
        credit_amount=2000, reason="order_change", memo="Half back",
    )  # fmt: skip

    assert (note["type"], note["post_payment_amount"], note["total"]) == (
        "post_payment", 5000, 5000,
    )  # fmt: skip
    assert note["refunds"][0]["amount_refunded"] == 3000
    assert world.api.get(f"/v1/customers/{world.customer}")["balance"] == -2000
    assert world.invoices()[0]["post_payment_credit_notes_amount"] == 5000
    lines = world.api.get(f"/v1/credit_notes/{note['id']}/lines")["data"]
    assert sum(line["amount"] for line in lines) == 5000
    (listed,) = world.api.get("/v1/credit_notes", invoice=paid["id"])["data"]
    assert listed["number"] == f"{paid['number']}-CN-01"


@pytest.mark.parametrize(
    "split",
    [{"amount": 5000}, {"amount": 5000, "refund_amount": 4000}, {"amount": 10001,
     "refund_amount": 10001}],
    ids=["not-split", "split-short", "too-much"],
)  # fmt: skip
def test_a_credit_note_that_does_not_add_up_is_refused(world, paid, split):
    with pytest.raises(Refused):
        world.api.post("/v1/credit_notes", invoice=paid["id"], **split)
    assert world.api.get("/v1/credit_notes", invoice=paid["id"])["data"] == []


def test_a_credit_note_on_an_open_invoice_lowers_what_is_due(world, owed):
    _, invoice = owed
    preview = world.api.get("/v1/credit_notes/preview", invoice=invoice["id"], amount=500)
    note = world.api.post("/v1/credit_notes", invoice=invoice["id"], amount=500)
    lowered = world.api.get(f"/v1/invoices/{invoice['id']}")
    world.api.post(f"/v1/credit_notes/{note['id']}/void")

    assert (preview["total"], note["type"]) == (500, "pre_payment")
    assert (lowered["amount_due"], lowered["amount_remaining"]) == (1500, 1500)
    assert world.api.get(f"/v1/invoices/{invoice['id']}")["amount_due"] == 2000


def test_a_credit_note_names_the_lines_it_credits(world, paid):
    line = paid["lines"]["data"][0]["id"]
    note = world.api.post(
        "/v1/credit_notes", invoice=paid["id"], credit_amount=5000,
        lines=[{"type": "invoice_line_item", "invoice_line_item": line, "quantity": 1}],
    )  # fmt: skip

    assert note["lines"]["data"][0]["invoice_line_item"] == line
    assert note["amount"] == 5000


# -- tax -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("eu_vat", "DE123456789", "DE12345678"),
        ("gb_vat", "GB123456789", "GB12345"),
        ("ch_vat", "CHE-123.456.789 MWST", "CHE-123.456.789"),
        ("us_ein", "12-3456789", "123-456789"),
        ("pl_nip", "1234567890", "PL123"),
    ],
)
def test_a_tax_id_must_have_its_form(world, kind, good, bad):
    path = f"/v1/customers/{world.customer}/tax_ids"
    made = world.api.post(path, type=kind, value=good)
    with pytest.raises(Refused) as refusal:
        world.api.post(path, type=kind, value=bad)

    assert (made["value"], refusal.value.code) == (good, "tax_id_invalid")
    assert [t["id"] for t in world.api.get(path)["data"]] == [made["id"]]
    world.api.delete(f"{path}/{made['id']}")
    assert world.api.get(path)["data"] == []


@pytest.mark.parametrize(
    ("inclusive", "exempt", "expected"),
    [
        (False, "none", (1999, 380, 2379)),
        (True, "none", (1680, 319, 1999)),
        (False, "reverse", (1999, 0, 1999)),
    ],
    ids=["exclusive", "inclusive", "reverse-charge"],
)
def test_tax_rates_are_added_or_included(world, inclusive, exempt, expected):
    world.card()
    world.api.post(f"/v1/customers/{world.customer}", tax_exempt=exempt)
    rate = world.api.post(
        "/v1/tax_rates", display_name="VAT", percentage=19, inclusive=inclusive, country="DE"
    )["id"]
    world.subscribe({"price": world.price(1999)}, default_tax_rates=[rate])

    (invoice,) = world.invoices()
    (tax,) = invoice["total_taxes"]
    assert (invoice["total_excluding_tax"], tax["amount"], invoice["total"]) == expected
    assert tax["taxability_reason"] == (
        "reverse_charge" if exempt == "reverse" else "standard_rated"
    )


def test_automatic_tax_needs_to_know_where_the_customer_is(world):
    world.card()
    wanted = {"automatic_tax": {"enabled": True}}
    with pytest.raises(Refused) as refusal:
        world.subscribe({"price": world.price(1)}, **wanted)
    world.api.post(f"/v1/customers/{world.customer}", address={"country": "DE", "city": "Ulm"})
    sub = world.subscribe({"price": world.price(1)}, **wanted)

    assert refusal.value.code == "customer_tax_location_invalid"
    assert sub["automatic_tax"]["enabled"] is True
    assert world.invoices()[0]["customer_address"]["city"] == "Ulm"


# -- papers --------------------------------------------------------------------------------------
def test_an_invoice_is_a_pdf_with_all_that_it_must_say(world):
    world.card()
    world.api.post(
        f"/v1/customers/{world.customer}", name="Zak\u0142ad (\u0141\u00f3d\u017a)",
        address={"line1": "Weg 1", "postal_code": "89073", "city": "Ulm", "country": "DE"},
    )  # fmt: skip
    path = f"/v1/customers/{world.customer}/tax_ids"
    world.api.post(path, type="eu_vat", value="DE123456789")
    rate = world.api.post("/v1/tax_rates", display_name="VAT", percentage=19, inclusive=False)
    coupon = world.api.post("/v1/coupons", percent_off=10, duration="once", name="Spring")
    world.subscribe(
        {"price": world.price(10000)}, default_tax_rates=[rate["id"]],
        discounts=[{"coupon": coupon["id"]}],
    )  # fmt: skip
    (invoice,) = world.invoices()
    answer = httpx.get(invoice["invoice_pdf"])
    texts = pdf_texts(answer.content)

    assert answer.headers["content-type"] == "application/pdf"
    for said in (
        invoice["number"], "01 Oct 2026", "Zak\u0142ad (\u0141\u00f3d\u017a)", "89073 Ulm",
        "EU VAT DE123456789", "1 unit \u00d7 Desk", "100.00 EUR", "Discount (Spring)",
        "-10.00 EUR", "VAT 19 %", "17.10 EUR", "107.10 EUR", "Amount due", "0.00 EUR",
    ):  # fmt: skip
        assert said in texts


def test_a_long_invoice_has_several_pages(world):
    world.card()
    draft = world.api.post("/v1/invoices", customer=world.customer, currency="eur")["id"]
    for n in range(60):
        world.api.post(
            "/v1/invoiceitems", invoice=draft, amount=n, currency="eur", description=f"Part {n}"
        )
    opened = world.api.post(f"/v1/invoices/{draft}/finalize")
    content = httpx.get(opened["invoice_pdf"]).content

    assert {piece.page for piece in pdf_pieces(content)} == {1, 2}
    assert {f"Part {n}" for n in range(60)} <= set(pdf_texts(content))


def test_receipts_and_credit_notes_are_papers_too(world, paid):
    (charge,) = world.api.get("/v1/charges", customer=world.customer)["data"]
    note = world.api.post(
        "/v1/credit_notes", invoice=paid["id"], amount=500, refund_amount=500, memo="Sorry"
    )

    assert "Visa 4242" in pdf_texts(httpx.get(charge["receipt_url"]).content)
    assert {"Sorry", "5.00 EUR", note["number"]} <= set(pdf_texts(httpx.get(note["pdf"]).content))


def test_the_amounts_of_every_invoice_add_up(world):
    """Whatever happens, total, due, paid, balance and credit notes agree."""
    world.card()
    sub = world.subscribe({"price": world.price(1234), "quantity": 3})
    item = sub["items"]["data"][0]["id"]
    for day, quantity in ((3, 5), (9, 1), (17, 4)):
        world.advance(datetime(2026, 10, day, 7, 31, 5, tzinfo=OCT_1.tzinfo))
        world.change(
            sub, items=[{"id": item, "quantity": quantity}], proration_behavior="always_invoice"
        )
    world.advance(NOV_1 + 2 * HOUR)

    used = 0
    for invoice in world.invoices():
        assert invoice["total"] == sum(amounts(invoice))
        used += invoice["total"] - invoice["amount_paid"]
    assert used == world.api.get(f"/v1/customers/{world.customer}")["balance"]
