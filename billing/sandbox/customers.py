"""The calls on customers (docs.stripe.com/api/customers)."""

from billing.sandbox import lifecycle, payments, taxes
from billing.sandbox.call import Call, Route, created_filter, merge_metadata
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, new_id


def create(call: Call) -> Object:
    p = call.params
    clock_id, card = p.text("test_clock"), p.text("payment_method")
    if clock_id:
        call.get("test_helpers.test_clock", clock_id, param="test_clock", status=400)
    tax_ids = p.children("tax_id_data")
    body = new_customer(call, clock_id)
    if card:
        payments.attach_card(call, card, body)
    _change(call, p, body)
    p.done()
    call.store.save(body)
    emit(call, "customer.created", body, owner=body)
    for entry in tax_ids:
        taxes.new_tax_id(call, body, kind=entry.required("type"), value=entry.required("value"))
    return body


def new_customer(call: Call, clock_id: str | None = None) -> Object:
    """Keep a customer of whom nothing is known yet."""
    body: Object = {
        "id": new_id("cus", length=14), "object": "customer", "address": None, "balance": 0,
        "created": 0, "currency": None, "default_source": None, "delinquent": False,
        "description": None, "discount": None, "email": None,
        "invoice_prefix": new_id("x", length=8)[2:].upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None,
            "rendering_options": None,
        },
        "livemode": False, "metadata": {}, "name": None, "next_invoice_sequence": 1,
        "phone": None, "preferred_locales": [], "shipping": None, "tax_exempt": "none",
        "test_clock": clock_id or None,
    }  # fmt: skip
    body["created"] = call.now(body)
    return call.store.insert("customer", body)


def _change(call: Call, p: Params, body: Object) -> None:
    for key in ("name", "email", "description", "phone"):
        if key in p:
            body[key] = p.text(key) or None
    body["tax_exempt"] = p.choice("tax_exempt", ("none", "exempt", "reverse"), body["tax_exempt"])
    if "address" in p:
        body["address"] = address_of(p.child("address"))
    if "preferred_locales" in p:
        body["preferred_locales"] = p.texts("preferred_locales")
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    settings = p.child("invoice_settings")
    if "default_payment_method" in settings:
        card_id = settings.text("default_payment_method")
        body["invoice_settings"]["default_payment_method"] = (
            own_card(call, body, card_id)["id"] if card_id else None
        )
    if "footer" in settings:
        body["invoice_settings"]["footer"] = settings.text("footer")


def own_card(call: Call, customer: Object, card_id: str) -> Object:
    """Return a card that is attached to this customer."""
    card = call.get(
        "payment_method", card_id,
        param="invoice_settings[default_payment_method]", status=400,
    )  # fmt: skip
    if card["customer"] != customer["id"]:
        raise ApiError(
            f"The customer does not have a payment method with the ID {card_id}. The payment "
            "method must be attached to the customer.", code="resource_missing",
            param="invoice_settings[default_payment_method]",
        )  # fmt: skip
    return card


def address_of(p: Params) -> Object | None:
    """Read an address; an empty one takes it away."""
    keys = ("city", "country", "line1", "line2", "postal_code", "state")
    found = {key: p.text(key) or None for key in keys}
    country = found["country"]
    if country is not None and (len(country) != 2 or not country.isalpha()):
        raise ApiError(
            f"Country '{country}' is unknown. Try using a 2-character alphanumeric country code "
            "instead, such as 'US', 'EG', or 'GB'.", code="country_code_invalid",
            param="address[country]",
        )  # fmt: skip
    if country is not None:
        found["country"] = country.upper()
    return found if any(found.values()) else None


def get(call: Call) -> Object:
    return call.get("customer", call.path["id"])


def update(call: Call) -> Object:
    body = call.get("customer", call.path["id"])
    _change(call, call.params, body)
    call.params.done()
    tell_change(call, "customer.updated", body)
    return body


def delete(call: Call) -> Object:
    """Delete a customer; what he is subscribed to ends at once."""
    body = call.get("customer", call.path["id"])
    call.params.done()
    for sub in call.store.all("subscription", customer=body["id"]):
        if sub["status"] not in ("canceled", "incomplete_expired"):
            lifecycle.end_subscription(call, sub, at=call.now(sub))
    call.store.delete(body["id"])
    emit(call, "customer.deleted", body, owner=body)
    return {"id": body["id"], "object": "customer", "deleted": True}


def list_(call: Call) -> Object:
    p = call.params
    email, clock, within = p.text("email"), p.text("test_clock"), created_filter(p)
    return call.page_of(
        "customer", url="/v1/customers",
        keep=lambda c: email in (None, c["email"]) and clock in (None, c["test_clock"])
        and within(c),
    )  # fmt: skip


ROUTES = [
    Route("POST", "/v1/customers", create),
    Route("GET", "/v1/customers", list_),
    Route("GET", "/v1/customers/{id}", get),
    Route("POST", "/v1/customers/{id}", update),
    Route("DELETE", "/v1/customers/{id}", delete),
]
