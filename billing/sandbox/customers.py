"""Customers and their cards. Cards are Stripe's test cards, by name (`pm_card_visa`)."""

from billing.sandbox.call import Call, Route, merge_metadata
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, new_id

# Name of the test card -> brand, last four digits, whether charges succeed
# (docs.stripe.com/testing).
TEST_CARDS = {
    "pm_card_visa": ("visa", "4242", True),
    "pm_card_mastercard": ("mastercard", "4444", True),
    "pm_card_chargeCustomerFail": ("visa", "0341", False),
}


def create_customer(call: Call) -> Object:
    p = call.params
    body: Object = {
        "id": new_id("cus", length=14), "object": "customer", "address": None, "balance": 0,
        "created": 0, "currency": None, "default_source": None, "delinquent": False,
        "description": None, "email": None, "invoice_prefix": new_id("x", length=8)[2:].upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None,
            "rendering_options": None,
        },
        "livemode": False, "metadata": {}, "name": None, "next_invoice_sequence": 1,
        "phone": None, "preferred_locales": [], "shipping": None, "tax_exempt": "none",
        "test_clock": None,
    }  # fmt: skip
    clock_id = p.text("test_clock")
    if clock_id:
        clock = call.get("test_helpers.test_clock", clock_id, param="test_clock", status=400)
        body["test_clock"] = clock["id"]
    body["created"] = call.now(body)
    call.store.insert("customer", body)
    payment_method = p.text("payment_method")
    if payment_method:
        _attach(call, payment_method, body)
    _change(call, p, body)
    p.done()
    call.store.save(body)
    emit(call, "customer.created", body, owner=body)
    return body


def _change(call: Call, p: Params, body: Object) -> None:
    for key in ("name", "email", "description", "phone", "tax_exempt"):
        if key in p:
            body[key] = p.text(key) or None
    if "address" in p:
        address = p.child("address")
        keys = ("city", "country", "line1", "line2", "postal_code", "state")
        body["address"] = {key: address.text(key) for key in keys}
    if "preferred_locales" in p:
        body["preferred_locales"] = p.texts("preferred_locales")
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    settings = p.child("invoice_settings")
    if "default_payment_method" in settings:
        card = call.get(
            "payment_method", settings.required("default_payment_method"),
            param="invoice_settings[default_payment_method]", status=400,
        )  # fmt: skip
        if card["customer"] != body["id"]:
            raise ApiError("The customer does not have a payment method with that ID.")
        body["invoice_settings"]["default_payment_method"] = card["id"]


def get_customer(call: Call) -> Object:
    return call.get("customer", call.path["id"])


def update_customer(call: Call) -> Object:
    body = call.get("customer", call.path["id"])
    _change(call, call.params, body)
    call.params.done()
    call.store.save(body)
    emit(call, "customer.updated", body, owner=body)
    return body


def list_customers(call: Call) -> Object:
    p, found = call.params, call.store.all("customer")
    email, clock = p.text("email"), p.text("test_clock")
    found = [
        o for o in found if email in (None, o["email"]) and clock in (None, o["test_clock"])
    ]  # fmt: skip
    return call.page(found, url="/v1/customers")


def new_card(call: Call, name: str) -> Object:
    """Return a fresh card of one of the test cards."""
    if name not in TEST_CARDS:
        raise ApiError(
            f"No such PaymentMethod: '{name}'", code="resource_missing", param="payment_method"
        )
    brand, last4, good = TEST_CARDS[name]
    body: Object = {
        "id": new_id("pm"), "object": "payment_method", "allow_redisplay": "unspecified",
        "billing_details": {
            "address": None, "email": None, "name": None, "phone": None, "tax_id": None,
        },
        "card": {
            "brand": brand, "checks": None, "country": "DE", "display_brand": brand,
            "exp_month": 12, "exp_year": 2034, "fingerprint": None, "funding": "credit",
            "generated_from": None, "last4": last4, "networks": None,
            "three_d_secure_usage": None, "wallet": None,
        },
        "created": call.now(), "customer": None, "livemode": False, "metadata": {},
        "type": "card", "_good": good,
    }  # fmt: skip
    return call.store.insert("payment_method", body)


def _attach(call: Call, name: str, customer: Object) -> Object:
    card = call.store.find("payment_method", name) or new_card(call, name)
    card["customer"] = customer["id"]
    call.store.save(card)
    emit(call, "payment_method.attached", card, owner=customer)
    return card


def attach(call: Call) -> Object:
    customer = call.named("customer", "customer")
    call.params.done()
    return _attach(call, call.path["id"], customer)


def detach(call: Call) -> Object:
    card = call.get("payment_method", call.path["id"])
    call.params.done()
    card["customer"] = None
    call.store.save(card)
    emit(call, "payment_method.detached", card)
    return card


def get_payment_method(call: Call) -> Object:
    return call.get("payment_method", call.path["id"])


def list_payment_methods(call: Call) -> Object:
    customer = call.get("customer", call.path["id"])
    call.params.skip("type")
    cards = call.store.all("payment_method", customer=customer["id"])
    return call.page(cards, url=f"/v1/customers/{customer['id']}/payment_methods")


ROUTES = [
    Route("POST", "/v1/customers", create_customer),
    Route("GET", "/v1/customers", list_customers),
    Route("GET", "/v1/customers/{id}", get_customer),
    Route("POST", "/v1/customers/{id}", update_customer),
    Route("GET", "/v1/customers/{id}/payment_methods", list_payment_methods),
    Route("GET", "/v1/payment_methods/{id}", get_payment_method),
    Route("POST", "/v1/payment_methods/{id}/attach", attach),
    Route("POST", "/v1/payment_methods/{id}/detach", detach),
]
