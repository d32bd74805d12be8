"""The stand-in's checkout and portal, clicked through as a person does."""

import httpx
import pytest

from tests.billing.contract import Refused
from tests.billing.world import OCT_1, World

DONE = "https://takt.example/done?session={CHECKOUT_SESSION_ID}"
ADDRESS = {"address_line1": "Weg 1", "address_city": "Ulm", "address_country": "DE"}
pytestmark = pytest.mark.slow


@pytest.fixture
def world(api):
    return World(api)


def checkout(world, *items, mode="subscription", **values):
    return world.api.post(
        "/v1/checkout/sessions", mode=mode, success_url=DONE, cancel_url="https://takt.example/no",
        line_items=list(items), **values,
    )  # fmt: skip


def session_of(world, page):
    return world.api.get(f"/v1/checkout/sessions/{page['id']}")


def test_a_subscription_is_bought_with_a_typed_card(world):
    page = checkout(
        world, {"price": world.price(1900), "quantity": 2}, customer=world.customer,
        subscription_data={"metadata": {"factory": "acme"}},
    )  # fmt: skip
    shown = httpx.get(page["url"]).text
    answer = httpx.post(page["url"], data={"number": "4242 4242 4242 4242"})
    done = session_of(world, page)
    sub = world.api.get(f"/v1/subscriptions/{done['subscription']}")

    assert "38.00 EUR" in shown
    assert (answer.status_code, answer.headers["location"]) == (
        303, f"https://takt.example/done?session={page['id']}",
    )  # fmt: skip
    assert (done["status"], done["payment_status"], done["amount_total"]) == (
        "complete", "paid", 3800,
    )  # fmt: skip
    assert (sub["status"], sub["metadata"]) == ("active", {"factory": "acme"})
    assert world.invoices()[0]["status"] == "paid"


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"number": "4000000000009995"}, "insufficient funds"),
        ({"card": "pm_card_chargeCustomerFail"}, "declined"),
        ({"number": "4242424242424241"}, "card number is incorrect"),
        ({}, "Choose a card"),
    ],
)
def test_a_refusal_is_said_on_the_page_which_stays(world, form, message):
    page = checkout(world, {"price": world.price(1900), "quantity": 1}, customer=world.customer)
    refused = httpx.post(page["url"], data=form)
    unchanged = (session_of(world, page)["status"], world.invoices())
    again = httpx.post(page["url"], data={"card": "pm_card_visa"})

    assert refused.status_code in (400, 402)
    assert message in refused.text.replace("&#x27;", "'")
    assert unchanged == ("open", [])
    assert again.status_code == 303


def test_a_trial_can_begin_without_a_card(world):
    page = checkout(
        world, {"price": world.price(1900), "quantity": 1}, {"price": world.price(3, metered=True)},
        customer=world.customer, payment_method_collection="if_required",
        subscription_data={
            "trial_period_days": 30, "billing_mode": {"type": "flexible"},
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        },
    )  # fmt: skip
    httpx.post(page["url"], data={"pay": "nothing"})
    done = session_of(world, page)
    sub = world.api.get(f"/v1/subscriptions/{done['subscription']}")

    assert (done["payment_status"], done["amount_total"]) == ("no_payment_required", 0)
    assert sub["status"] == "trialing"
    assert sub["trial_settings"]["end_behavior"]["missing_payment_method"] == "pause"


def test_promotion_code_address_and_tax_id_are_typed_on_the_page(world):
    coupon = world.api.post("/v1/coupons", percent_off=50, duration="once")["id"]
    code = world.api.post("/v1/promotion_codes", promotion={"type": "coupon", "coupon": coupon})
    page = checkout(
        world, {"price": world.price(1000), "quantity": 1}, customer=world.customer,
        allow_promotion_codes=True, billing_address_collection="required",
        tax_id_collection={"enabled": True}, customer_update={"address": "auto", "name": "auto"},
    )  # fmt: skip
    wrong = httpx.post(page["url"], data={"apply": "code", "promotion_code": "NOPE"})
    used = httpx.post(
        page["url"], data={"apply": "code", "promotion_code": code["code"].lower()},
        follow_redirects=True,
    )  # fmt: skip
    missing = httpx.post(page["url"], data={"card": "pm_card_visa"})
    form = {"card": "pm_card_visa", "name": "Acme GmbH", "tax_id_type": "eu_vat", **ADDRESS}
    invalid = httpx.post(page["url"], data={**form, "tax_id_value": "DE1"})
    httpx.post(page["url"], data={**form, "tax_id_value": "DE123456789"})
    done, (invoice,) = session_of(world, page), world.invoices()

    assert ("invalid" in wrong.text, "5.00 EUR" in used.text) == (True, True)
    assert (missing.status_code, invalid.status_code) == (400, 400)
    assert done["total_details"]["amount_discount"] == 500
    assert done["customer_details"]["tax_ids"] == [{"type": "eu_vat", "value": "DE123456789"}]
    assert (invoice["total"], invoice["customer_name"]) == (500, "Acme GmbH")
    assert invoice["customer_address"]["city"] == "Ulm"


def test_a_one_time_payment_makes_a_customer(world):
    price = world.api.post(
        "/v1/prices", currency="eur", unit_amount=4200, product_data={"name": "Sensor"}
    )["id"]
    page = checkout(world, {"price": price, "quantity": 2}, mode="payment")
    httpx.post(page["url"], data={"card": "pm_card_amex", "email": "a@b.example", "name": "B"})
    done = session_of(world, page)

    assert (done["payment_status"], done["amount_total"]) == ("paid", 8400)
    assert done["customer_details"]["email"] == "a@b.example"
    intent = world.api.get(f"/v1/payment_intents/{done['payment_intent']}")
    assert intent["status"] == "succeeded"
    items = world.api.get(f"/v1/checkout/sessions/{page['id']}/line_items")["data"]
    assert [i["amount_total"] for i in items] == [8400]


def test_a_page_can_be_expired(world):
    page = checkout(world, {"price": world.price(1), "quantity": 1}, customer=world.customer)
    expired = world.api.post(f"/v1/checkout/sessions/{page['id']}/expire")
    answer = httpx.post(page["url"], data={"card": "pm_card_visa"})

    assert (expired["status"], expired["url"]) == ("expired", None)
    assert (answer.status_code, world.invoices()) == (400, [])
    with pytest.raises(Refused, match="expired"):
        world.api.post(f"/v1/checkout/sessions/{page['id']}/expire")


def portal(world, **values):
    return world.api.post(
        "/v1/billing_portal/sessions", customer=world.customer,
        return_url="https://takt.example/account", **values,
    )["url"]  # fmt: skip


def press(url, **form):
    answer = httpx.post(url, data=form)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_the_portal_looks_after_cards(world):
    first, url = world.card(), portal(world)
    press(url, act="card", number="5555 5555 5555 4444")
    customer = world.api.get(f"/v1/customers/{world.customer}")
    second = customer["invoice_settings"]["default_payment_method"]
    press(url, act="default", id=first)
    press(url, act="remove", id=second)
    cards = world.api.get(f"/v1/customers/{world.customer}/payment_methods")["data"]
    refused = httpx.post(url, data={"act": "card", "number": "4000000000000002"})

    assert second != first
    assert [c["id"] for c in cards] == [first]
    assert (refused.status_code, "Your card was declined." in refused.text) == (402, True)


def test_the_portal_cancels_and_renews(world):
    world.card()
    sub, url = world.subscribe({"price": world.price(100)}), portal(world)
    press(url, act="cancel", subscription=sub["id"])
    cancelled = world.sub(sub)
    press(url, act="renew", subscription=sub["id"])

    assert (cancelled["cancel_at_period_end"], cancelled["status"]) == (True, "active")
    assert world.sub(sub)["cancel_at_period_end"] is False


def test_the_portal_changes_who_is_billed(world):
    url = portal(world)
    press(url, act="who", name="Acme AG", email="o@acme.example", **ADDRESS)
    press(url, act="tax", tax_id_type="ch_vat", tax_id_value="CHE-123.456.789 MWST")
    refused = httpx.post(url, data={"act": "tax", "tax_id_type": "ch_vat", "tax_id_value": "CHE-1"})
    customer = world.api.get(f"/v1/customers/{world.customer}")

    assert (customer["name"], customer["address"]["line1"]) == ("Acme AG", "Weg 1")
    assert "CHE-123.456.789 MWST" in httpx.get(url).text
    assert refused.status_code == 400


def test_a_flow_leads_straight_to_one_thing_and_back(world):
    world.card()
    sub = world.subscribe({"price": world.price(100)})
    back = "https://takt.example/cancelled"
    url = portal(
        world,
        flow_data={
            "type": "subscription_cancel", "subscription_cancel": {"subscription": sub["id"]},
            "after_completion": {"type": "redirect", "redirect": {"return_url": back}},
        },
    )  # fmt: skip
    location = press(url, act="cancel", subscription=sub["id"])
    card_page = httpx.get(portal(world, flow_data={"type": "payment_method_update"})).text

    assert (location, world.sub(sub)["cancel_at_period_end"]) == (back, True)
    assert "Card number" in card_page


def test_a_configuration_hides_what_it_switches_off(world):
    world.card()
    world.subscribe({"price": world.price(100)})
    config = world.api.post(
        "/v1/billing_portal/configurations",
        features={"invoice_history": {"enabled": True}},
        business_profile={"headline": "Takt"},
    )  # fmt: skip
    text = httpx.get(portal(world, configuration=config["id"])).text

    assert ("PDF" in text, "Cancel" in text, "Add a card" in text) == (True, False, False)
    listed = world.api.get("/v1/billing_portal/configurations")["data"]
    assert config["id"] in {c["id"] for c in listed}


def test_nobody_acts_for_another_customer(api, world):
    other = World(api, at=OCT_1)
    other.card()
    sub, url = other.subscribe({"price": other.price(100)}), portal(world)
    answers = [
        httpx.post(url, data={"act": "cancel", "subscription": sub["id"]}),
        httpx.post(
            url, data={"act": "remove", "id": sub["default_payment_method"] or other.card()}
        ),
    ]

    assert [a.status_code for a in answers] == [404, 400]
    assert other.sub(sub)["cancel_at_period_end"] is False
