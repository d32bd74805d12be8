"""Every call that the gateway makes for plans, credits and cards, made against the stand-in."""

from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from billing.answers import StripeTaxId
from billing.gateways import StripeRefused
from tests.billing.conftest import HOUR
from tests.billing.world import DAY, NOV_1, OCT_1, World

pytestmark = pytest.mark.slow


@pytest.fixture
def world(api):
    return World(api)


@pytest.fixture
def monthly(stripe, world):
    """A subscription to a metered price, with a card."""
    world.card()
    return stripe.create_subscription(
        key=f"{world.clock}-sub", customer_id=world.customer,
        price_ids=[world.price(100, metered=True)], started_at=None, metadata={},
    )  # fmt: skip


def test_who_is_billed_is_written(stripe, world):
    stripe.update_customer(
        key=f"{world.clock}-who", customer_id=world.customer, name="Acme AG", email="a@b.example",
        address={"line1": "Weg 1", "city": "Ulm", "country": "DE"}, locale="de",
    )  # fmt: skip
    body = world.api.get(f"/v1/customers/{world.customer}")

    assert (body["name"], body["address"]["city"], body["preferred_locales"]) == (
        "Acme AG", "Ulm", ["de"],
    )  # fmt: skip


def test_tax_ids_come_and_go(stripe, world):
    made = stripe.add_tax_id(
        key=f"{world.clock}-tax", customer_id=world.customer, type="eu_vat", value="DE123456789"
    )
    known = stripe.tax_ids(world.customer)
    stripe.remove_tax_id(key=f"{world.clock}-no", customer_id=world.customer, tax_id=made.id)

    assert known == [made] == [StripeTaxId(made.id, "eu_vat", "DE123456789")]
    assert stripe.tax_ids(world.customer) == []
    with pytest.raises(StripeRefused) as refusal:
        stripe.add_tax_id(
            key=f"{world.clock}-bad", customer_id=world.customer, type="eu_vat", value="DE1"
        )
    assert refusal.value.code == "tax_id_invalid"


def test_cards_are_listed_chosen_and_forgotten(stripe, world):
    for name in ("visa", "mastercard"):
        stripe.use_card(
            key=f"{world.clock}-{name}", customer_id=world.customer,
            payment_method=f"pm_card_{name}",
        )  # fmt: skip
    newest, oldest = stripe.payment_methods(world.customer)
    stripe.set_default_card(
        key=f"{world.clock}-default", customer_id=world.customer, card_id=oldest.id
    )
    stripe.detach_card(key=f"{world.clock}-detach", card_id=newest.id)
    (left,) = stripe.payment_methods(world.customer)

    assert (newest.brand, newest.last4, newest.is_default) == ("mastercard", "4444", True)
    assert (left.id, left.is_default, left.exp_year) == (oldest.id, True, 2034)


def test_a_trial_without_a_card_ends_without_a_bill(stripe, world):
    made = stripe.create_subscription(
        key=f"{world.clock}-trial", customer_id=world.customer,
        price_ids=[world.price(100, metered=True)], started_at=None, metadata={}, trial_end=NOV_1,
    )  # fmt: skip
    world.use(9, OCT_1)
    world.advance(NOV_1 + 2 * HOUR)
    after = stripe.subscription(made.id)

    assert (made.status, made.trial_end, made.has_card) == ("trialing", NOV_1, False)
    assert (made.period_start, made.period_end) == (OCT_1, NOV_1)
    assert (after.status, after.ended_at) == ("canceled", NOV_1)
    assert not any(i.total for i in stripe.invoices(world.customer))


def test_an_add_on_is_bought_with_the_subscription(stripe, world):
    world.card()
    world.advance(OCT_1 + timedelta(days=15, hours=12))
    made = stripe.create_subscription(
        key=f"{world.clock}-more", customer_id=world.customer,
        price_ids=[world.price(100, metered=True)], started_at=None, metadata={},
        extra_items=[(world.price(3100), 2)],
    )  # fmt: skip
    (invoice,) = stripe.invoices(world.customer)

    assert [item.quantity for item in made.items] == [None, 2]
    assert (invoice.total, invoice.billing_reason) == (3100, "subscription_create")
    assert invoice.subscription_id == made.id
    assert invoice.lines[0].price_id == made.items[1].price_id


def test_a_yearly_plan_is_previewed_changed_and_charged_alike(stripe, world):
    world.card()
    small, large = world.price(12000, interval="year"), world.price(60000, interval="year")
    quote = stripe.preview_new(customer_id=world.customer, items=[{"price": small, "quantity": 3}])
    made = stripe.create_yearly(
        key=f"{world.clock}-year", customer_id=world.customer, price_id=small, quantity=3,
        metadata={"a": "b"},
    )  # fmt: skip
    at = OCT_1 + timedelta(days=77, seconds=4321)
    world.advance(OCT_1 + 77 * DAY)
    world.advance(at)
    (item,) = made.items
    preview = stripe.preview_change(
        subscription_id=made.id, items=[{"id": item.id, "price": large, "quantity": 4}], at=at,
        behavior="always_invoice",
    )  # fmt: skip
    changed = stripe.change_quantity(
        key=f"{world.clock}-grow", subscription_id=made.id, item_id=item.id, price_id=large,
        quantity=4, at=at,
    )  # fmt: skip
    upgrade, first = stripe.invoices(world.customer)

    assert (quote.total, first.total, first.status) == (36000, 36000, "paid")
    assert (changed.items[0].quantity, changed.items[0].price_id) == (4, large)
    assert preview.total == upgrade.total == upgrade.amount_paid
    assert [line.amount for line in preview.lines] == [line.amount for line in upgrade.lines]
    assert all(line.is_proration for line in upgrade.lines)


def test_a_yearly_plan_needs_a_card_that_pays(stripe, world):
    world.card("pm_card_chargeCustomerFail")

    with pytest.raises(StripeRefused) as refusal:
        stripe.create_yearly(
            key=f"{world.clock}-no", customer_id=world.customer,
            price_id=world.price(1, interval="year"), quantity=1, metadata={},
        )  # fmt: skip
    assert refusal.value.code == "card_declined"
    assert world.api.get("/v1/subscriptions", customer=world.customer)["data"] == []


def test_an_add_on_comes_changes_and_goes(stripe, world, monthly):
    at, price = OCT_1 + timedelta(days=15, hours=12), world.price(3100)
    world.advance(at)

    def put(quantity, item_id=None):
        return stripe.set_licensed_item(
            key=f"{world.clock}-{quantity}", subscription_id=monthly.id, price_id=price,
            quantity=quantity, item_id=item_id, at=None,
        )  # fmt: skip

    added = put(1)
    item = next(i for i in added.items if i.price_id == price)
    put(2, item.id)
    waiting = stripe.pending_items(world.customer)
    gone = put(0, item.id)

    assert sorted(i.amount for i in waiting) == [-1550, 1550, 3100]
    assert {i.subscription_id for i in waiting} == {monthly.id}
    assert [i.price_id for i in gone.items] == [i.price_id for i in monthly.items]
    assert sum(i.amount for i in stripe.pending_items(world.customer)) == 0


def test_an_item_is_added_to_the_next_invoice(stripe, world, monthly):
    item = stripe.add_invoice_item(
        key=f"{world.clock}-late", customer_id=world.customer, subscription_id=monthly.id,
        amount=250, currency="EUR", description="Late usage of September",
        period=(OCT_1 - 30 * DAY, OCT_1), metadata={"month": "2026-09"},
    )  # fmt: skip
    (waiting,) = stripe.pending_items(world.customer)
    preview = stripe.preview(monthly.id)

    assert (waiting.id, waiting.amount, waiting.metadata) == (item, 250, {"month": "2026-09"})
    assert (waiting.period_end, waiting.is_proration) == (OCT_1, False)
    assert preview.total == 250
    assert preview.lines[0].description == "Late usage of September"


def test_a_promotion_code_lowers_a_subscription(stripe, world, monthly):
    coupon = stripe.create_coupon(
        key=f"{world.clock}-coupon", name="Spring", percent_off=Decimal("12.5"),
        duration="repeating", months=3,
    )  # fmt: skip
    code = stripe.create_promotion_code(
        key=f"{world.clock}-code", coupon_id=coupon.id, code=f"S{world.clock[-8:]}"
    )
    found = stripe.promotion_code(code.code.lower())
    lowered = stripe.apply_promotion_code(
        key=f"{world.clock}-use", subscription_id=monthly.id, promotion_code_id=code.id
    )
    cleared = stripe.apply_promotion_code(
        key=f"{world.clock}-clear", subscription_id=monthly.id, promotion_code_id=None
    )

    assert found == code
    assert (code.percent_off, code.duration, code.months) == (Decimal("12.5"), "repeating", 3)
    assert lowered.discount is not None
    assert (lowered.discount.code, lowered.discount.percent_off) == (code.code, Decimal("12.5"))
    assert lowered.discount.ends_at == OCT_1.replace(year=2027, month=1)
    assert cleared.discount is None
    assert coupon in stripe.coupons()
    assert stripe.promotion_code("none-such") is None


def test_a_code_is_used_from_the_start(stripe, world):
    world.card()
    coupon = stripe.create_coupon(
        key=f"{world.clock}-coupon", name="Fair", amount_off=150, currency="EUR"
    )
    code = stripe.create_promotion_code(
        key=f"{world.clock}-code", coupon_id=coupon.id, code=f"F{world.clock[-8:]}",
        max_redemptions=1,
    )  # fmt: skip
    stripe.create_subscription(
        key=f"{world.clock}-sub", customer_id=world.customer,
        price_ids=[world.price(100, metered=True)], started_at=None, metadata={},
        promotion_code=code.id,
    )  # fmt: skip
    world.use(4, OCT_1)
    world.advance(NOV_1 + 2 * HOUR)
    (invoice,) = stripe.invoices(world.customer)

    assert (invoice.subtotal, invoice.discount, invoice.tax, invoice.total) == (400, 150, 0, 250)
    assert stripe.promotion_code(code.code).active is False


def test_products_and_prices_are_kept_up_to_date(stripe, world):
    product = stripe.create_product(
        key=f"{world.clock}-product", name="Plant", description="For plants", unit_label="machine",
        metadata={"plan": "plant"},
    )  # fmt: skip
    stripe.update_product(
        key=f"{world.clock}-update", product_id=product, name="Plant 2", active=False
    )
    price = stripe.create_price(
        lookup_key=f"{world.clock}-price", product="", unit_label="", currency="EUR",
        unit_amount=Decimal(9900), interval="year", licensed=True, product_id=product,
    )  # fmt: skip
    body = world.api.get(f"/v1/prices/{price}")
    stripe.deactivate_price(key=f"{world.clock}-off", price_id=price)
    known = next(p for p in stripe.products() if p.id == product)

    assert (known.name, known.unit_label, known.active) == ("Plant 2", "machine", False)
    assert (known.description, known.metadata) == ("For plants", {"plan": "plant"})
    assert (body["product"], body["recurring"]["interval"]) == (product, "year")
    assert stripe.prices([f"{world.clock}-price"]) == {}


@pytest.fixture
def invoice(stripe, world, monthly):
    """A paid invoice of 30.00."""
    world.use(30, OCT_1)
    world.advance(NOV_1 + 2 * HOUR)
    (made,) = stripe.invoices(world.customer)
    assert (made.status, made.total) == ("paid", 3000)
    return made


@pytest.mark.parametrize(("refund", "balance"), [(True, 0), (False, -1000)])
def test_a_paid_invoice_is_credited_in_part(stripe, world, invoice, refund, balance):
    note = stripe.credit_note(
        key=f"{world.clock}-note", invoice_id=invoice.id, amount=1000, refund=refund,
        reason="order_change", memo="One machine too many",
    )  # fmt: skip

    assert (note.amount, note.refunded, note.credited) == (
        1000, 1000 if refund else 0, 0 if refund else 1000,
    )  # fmt: skip
    assert (note.reason, note.memo, note.status) == (
        "order_change", "One machine too many", "issued",
    )  # fmt: skip
    assert world.api.get(f"/v1/customers/{world.customer}")["balance"] == balance
    assert stripe.credit_notes(world.customer) == [note]
    assert httpx.get(note.pdf_url).content.startswith(b"%PDF")


def test_an_open_invoice_is_credited_and_paid(stripe, world, monthly):
    world.card("pm_card_chargeCustomerFail")
    world.use(30, OCT_1)
    world.advance(NOV_1 + 2 * HOUR)
    (open_,) = stripe.invoices(world.customer)
    note = stripe.credit_note(
        key=f"{world.clock}-note", invoice_id=open_.id, amount=500, refund=True, reason=None,
        memo="Sorry",
    )  # fmt: skip
    with pytest.raises(StripeRefused) as refusal:
        stripe.pay_invoice(key=f"{world.clock}-pay1", invoice_id=open_.id)
    world.card()
    paid = stripe.pay_invoice(key=f"{world.clock}-pay2", invoice_id=open_.id)

    assert (open_.attempt_count, open_.next_attempt_at) == (1, NOV_1 + HOUR + 3 * DAY)
    assert (note.refunded, note.credited) == (0, 0)
    assert refusal.value.code == "card_declined"
    assert (paid.status, paid.amount_paid) == ("paid", 2500)


def test_the_papers_of_an_invoice_can_be_fetched(invoice):
    assert httpx.get(invoice.pdf_url).content.startswith(b"%PDF")


@pytest.mark.parametrize(("invoice_now", "totals"), [(True, [300]), (False, [])])
def test_a_subscription_is_ended_at_once(stripe, world, monthly, invoice_now, totals):
    world.use(3, OCT_1)
    world.advance(OCT_1 + DAY)
    stripe.cancel_now(key=f"{world.clock}-end", subscription_id=monthly.id, invoice_now=invoice_now)
    ended = stripe.subscription(monthly.id)

    assert (ended.status, ended.ended_at, ended.canceled_at) == (
        "canceled", OCT_1 + DAY, OCT_1 + DAY,
    )  # fmt: skip
    assert [i.total for i in stripe.invoices(world.customer)] == totals


def test_events_are_read_by_time_and_kind(stripe, world, invoice):
    kinds = ["invoice.paid", "customer.subscription.created"]
    found = [e for e in stripe.events(since=OCT_1, kinds=kinds) if world.customer in str(e.payload)]
    late = [e for e in stripe.events(since=NOV_1, kinds=kinds) if world.customer in str(e.payload)]

    assert [e.kind for e in found] == kinds
    assert [e.kind for e in late] == kinds[:1]


def test_usage_is_taken_back(stripe, world, monthly):
    for n in "12":
        stripe.report_usage(
            identifier=f"{world.clock}-{n}", event_name="subscription_tests",
            customer_id=world.customer, quantity=4, at=OCT_1,
        )  # fmt: skip
    stripe.cancel_usage(identifier=f"{world.clock}-1", event_name="subscription_tests")

    assert stripe.preview(monthly.id).total == 400
