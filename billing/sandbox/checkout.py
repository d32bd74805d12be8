"""Checkout sessions: what is bought, and what happens when the customer completes the page.

Contract: docs.stripe.com/api/checkout/sessions. Modes `setup`, `subscription` and `payment`. The
page itself is in `checkout_page`.
"""

from billing.sandbox import cards, customers, discounts, payments, pricing, subscriptions, taxes
from billing.sandbox.call import Call, Route, created_filter, listing, merge_metadata
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, new_id

DAY_S = 24 * 3600
MODES = ("setup", "subscription", "payment")
# What of a session's parameters goes to the subscription when the page is completed.
_SUBSCRIPTION_KEYS = (
    "metadata", "billing_mode", "trial_period_days", "trial_end", "trial_settings",
    "billing_cycle_anchor", "billing_cycle_anchor_config", "proration_behavior", "description",
    "default_tax_rates",
)  # fmt: skip


def create(call: Call) -> Object:
    p = call.params
    mode = p.choice("mode", MODES, "payment")
    customer_id = p.text("customer")
    customer = (
        call.get("customer", customer_id, param="customer", status=400) if customer_id else None
    )
    bought = [_line_item(call, entry, mode) for entry in p.children("line_items")]
    if bool(bought) == (mode == "setup"):
        raise ApiError(
            f"You can {'not ' if mode == 'setup' else 'only '}pass `line_items` in `{mode}` mode.",
            param="line_items",
        )
    body = _session(call, p, mode=mode, customer=customer)
    body["_items"] = bought
    body["_subscription"] = p.take("subscription_data", _SUBSCRIPTION_KEYS)
    if body["_subscription"] and mode != "subscription":
        raise ApiError(
            "You can not pass `subscription_data` outside of `subscription` mode.",
            param="subscription_data",
        )
    p.child("setup_intent_data").skip("metadata", "description")
    intent = p.child("payment_intent_data")
    body["_intent_metadata"] = intent.mapping("metadata") or {}
    intent.skip("description", "setup_future_usage", "receipt_email")
    p.child("invoice_creation").skip("enabled", "invoice_data")
    _given_discounts(call, p, body)
    p.done()
    if bought:
        _price(call, body)
    return call.store.insert("checkout.session", body)


def _line_item(call: Call, p: Params, mode: str) -> Object:
    price = call.get("price", p.required("price"), param="line_items[price]", status=400)
    if mode == "payment" and price["recurring"] is not None:
        raise ApiError(
            "You specified `payment` mode but passed a recurring price. Either switch to "
            "`subscription` mode or use only one-time prices.", param="mode",
        )  # fmt: skip
    metered = bool(price["recurring"]) and price["recurring"]["usage_type"] == "metered"
    quantity = p.integer("quantity")
    if metered and quantity is not None:
        raise ApiError(
            "The parameter quantity cannot be passed for a metered price.",
            param="line_items[quantity]",
        )
    if not metered and quantity is None:
        raise ApiError(
            "Quantity is required. Add `quantity` to `line_items`.", param="line_items[quantity]"
        )
    p.child("adjustable_quantity").skip("enabled", "minimum", "maximum")
    return {"price": price["id"], "quantity": quantity}


def _session(call: Call, p: Params, *, mode: str, customer: Object | None) -> Object:
    now, session_id = call.now(), new_id("cs_test", length=40)
    tax_ids, update = p.child("tax_id_collection"), p.child("customer_update")
    collection = p.choice("payment_method_collection", ("always", "if_required"), "always")
    automatic = p.child("automatic_tax").boolean("enabled")
    return {
        "id": session_id, "object": "checkout.session", "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": p.boolean("allow_promotion_codes") or None,
        "amount_subtotal": None, "amount_total": None,
        "automatic_tax": {
            "enabled": automatic, "liability": {"type": "self"} if automatic else None,
            "provider": "stripe" if automatic else None,
            "status": "requires_location_inputs" if automatic else None,
        },
        "billing_address_collection": p.text("billing_address_collection"),
        "cancel_url": p.text("cancel_url"), "client_reference_id": p.text("client_reference_id"),
        "created": now, "currency": p.text("currency"), "custom_fields": [],
        "custom_text": {
            "after_submit": None, "shipping_address": None, "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer["id"] if customer else None,
        "customer_creation": None if customer or mode == "setup" else "always",
        "customer_details": None, "customer_email": p.text("customer_email"), "discounts": [],
        "expires_at": p.integer("expires_at", now + DAY_S), "invoice": None, "livemode": False,
        "locale": p.text("locale"), "metadata": p.mapping("metadata") or {}, "mode": mode,
        "payment_intent": None,
        "payment_method_collection": collection if mode == "subscription" else None,
        "payment_method_types": p.texts("payment_method_types") or ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "phone_number_collection": {"enabled": False}, "setup_intent": None,
        "shipping_options": [], "status": "open", "submit_type": p.text("submit_type"),
        "subscription": None, "success_url": p.required("success_url"),
        "tax_id_collection": {
            "enabled": tax_ids.boolean("enabled"),
            "required": tax_ids.choice("required", ("if_supported", "never"), "never"),
        },
        "total_details": None, "ui_mode": p.choice("ui_mode", ("hosted_page",), "hosted_page"),
        "url": f"{call.base_url}/_pages/checkout/{session_id}",
        "_updates": [k for k in ("address", "name") if update.text(k) == "auto"],
        "_code": None,
    }  # fmt: skip


def _given_discounts(call: Call, p: Params, body: Object) -> None:
    given = p.children("discounts")
    if given and body["allow_promotion_codes"]:
        raise ApiError(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.",
            param="discounts",
        )
    body["discounts"] = [
        {"coupon": entry.text("coupon"), "promotion_code": entry.text("promotion_code")}
        for entry in given
    ]


def _price(call: Call, body: Object) -> None:
    """Write what the page will charge now: computed by making the purchase and undoing it."""
    data = [_item(call, body, entry) for entry in body["_items"]]
    body["currency"] = data[0]["currency"]
    if body["mode"] == "subscription":
        made = preview(call, body)
        subtotal, whole = (made["subtotal"], made["amount_due"]) if made else (0, 0)
        off = sum(d["amount"] for d in made["total_discount_amounts"]) if made else 0
        tax = sum(t["amount"] for t in made["total_taxes"]) if made else 0
    else:
        subtotal = sum(entry["amount_subtotal"] for entry in data)
        off, tax = _one_time_discount(call, body, data), 0
        whole = subtotal - off
    body.update(
        amount_subtotal=subtotal, amount_total=whole,
        total_details={"amount_discount": off, "amount_shipping": 0, "amount_tax": tax},
    )  # fmt: skip


def _one_time_discount(call: Call, body: Object, data: list[Object]) -> int:
    """Return what coupons take off a one-time payment."""
    amounts = [(entry["amount_subtotal"], entry["price"]["product"]) for entry in data]
    return sum(
        sum(discounts.off_by_coupon(call, coupon, amounts, currency=body["currency"]))
        for coupon in _coupons(call, body)
    )


def _coupons(call: Call, body: Object) -> list[str]:
    found = []
    for entry in wanted_discounts(body):
        if entry.get("promotion_code"):
            code = call.get("promotion_code", entry["promotion_code"], status=400)
            found.append(str(code["promotion"]["coupon"]))
        elif entry.get("coupon"):
            found.append(str(entry["coupon"]))
    return found


def wanted_discounts(body: Object) -> list[Object]:
    """Return the discounts of a session: given when it was made, or typed on its page."""
    if body["_code"]:
        return [{"promotion_code": body["_code"]}]
    return [{k: v for k, v in entry.items() if v} for entry in body["discounts"]]


def _item(call: Call, body: Object, entry: Object) -> Object:
    price = call.get("price", entry["price"])
    cost = 0 if entry["quantity"] is None else pricing.amount(price, entry["quantity"])
    return {
        "id": new_id("li"), "object": "item", "amount_discount": 0, "amount_subtotal": cost,
        "amount_tax": 0, "amount_total": cost, "currency": price["currency"],
        "description": call.get("product", price["product"])["name"], "price": price,
        "quantity": entry["quantity"],
    }  # fmt: skip


def preview(call: Call, body: Object) -> Object | None:
    """Return the invoice that completing a subscription's page makes now, None without one."""
    trial = call.as_preview()
    with call.store.undone():
        customer = _customer(trial, body)
        sub = subscriptions.create_for(trial, customer, _subscription_params(body))
        return call.store.find("invoice", sub["_made"] or "")


def _subscription_params(body: Object) -> Params:
    items = {}
    for place, entry in enumerate(body["_items"]):
        item = {"price": entry["price"]}
        if entry["quantity"] is not None:
            item["quantity"] = str(entry["quantity"])
        items[str(place)] = item
    wanted = {str(n): entry for n, entry in enumerate(wanted_discounts(body))}
    return Params({**body["_subscription"], "items": items, "discounts": wanted})


def _customer(call: Call, body: Object) -> Object:
    if body["customer"]:
        return call.get("customer", body["customer"])
    customer = customers.new_customer(call)
    customer["email"] = body["customer_email"]
    return call.store.save(customer)


def needs_card(call: Call, body: Object) -> bool:
    """Say whether the page must ask for a card."""
    if body["mode"] != "subscription" or body["payment_method_collection"] == "always":
        return True
    return bool(body["amount_total"])


def use_code(call: Call, body: Object, typed: str) -> None:
    """Take the promotion code that was typed on the page; an empty text takes it back."""
    if not body["allow_promotion_codes"]:
        raise ApiError("This page takes no promotion codes.")
    body["_code"] = discounts.find_code(call, typed)["id"] if typed.strip() else None
    _price(call, body)
    call.store.save(body)


def complete(call: Call, body: Object, form: dict[str, str]) -> None:
    """Do what the page was made for with the card that was chosen or typed.

    Raises:
        ApiError: the bank refused, or something typed is wrong; the page stays open.
    """
    customer = _customer(call, body)
    _details(call, body, customer, form)
    card = _card(call, body, customer, form)
    if body["mode"] == "subscription":
        _subscribe(call, body, customer, card)
    elif body["mode"] == "payment":
        _charge_once(call, body, customer, card)
    elif card is not None:
        customer = call.get("customer", customer["id"])
        customer["invoice_settings"]["default_payment_method"] = card["id"]
        tell_change(call, "customer.updated", customer)
    customer = call.get("customer", customer["id"])
    body["customer"] = customer["id"]
    body["status"] = "complete"
    body["customer_details"] = {
        "address": customer["address"], "business_name": None, "email": customer["email"],
        "individual_name": None, "name": customer["name"], "phone": customer["phone"],
        "tax_exempt": customer["tax_exempt"],
        "tax_ids": [
            {"type": t["type"], "value": t["value"]} for t in taxes.tax_ids_of(call, customer["id"])
        ],
    }  # fmt: skip
    body["url"] = None
    call.store.save(body)
    emit(call, "checkout.session.completed", body, owner=customer)


def _details(call: Call, body: Object, customer: Object, form: dict[str, str]) -> None:
    """Keep the address, name and tax id that were typed."""
    changed = False
    address = {k.removeprefix("address_"): v for k, v in form.items() if k.startswith("address_")}
    if body["billing_address_collection"] == "required" and not address.get("line1"):
        raise ApiError("Your address is missing.")
    if any(address.values()) and (not body["customer"] or "address" in body["_updates"]):
        customer["address"], changed = customers.address_of(Params(address)), True
    if form.get("name") and (not body["customer"] or "name" in body["_updates"]):
        customer["name"], changed = form["name"], True
    if form.get("email") and not customer["email"]:
        customer["email"], changed = form["email"], True
    if changed:
        tell_change(call, "customer.updated", customer)
    if body["tax_id_collection"]["enabled"] and form.get("tax_id_value"):
        taxes.new_tax_id(
            call, customer, kind=form.get("tax_id_type", "eu_vat"), value=form["tax_id_value"]
        )
    if body["automatic_tax"]["enabled"]:
        taxes.require_location(customer)


def _card(call: Call, body: Object, customer: Object, form: dict[str, str]) -> Object | None:
    name = form.get("card") or ""
    if form.get("number"):
        name = cards.by_number(form["number"])
    if not name:
        if needs_card(call, body):
            raise ApiError("Choose a card or type its number.")
        return None
    return payments.attach_card(call, name, customer)


def _subscribe(call: Call, body: Object, customer: Object, card: Object | None) -> None:
    p = _subscription_params(body)
    if card is not None:
        p.put("default_payment_method", card["id"])
    p.put("payment_behavior", "error_if_incomplete")
    p.put("off_session", "false")
    sub = subscriptions.create_for(call, customer, p)
    invoice = call.store.find("invoice", sub["latest_invoice"] or "")
    paid = bool(invoice and invoice["amount_paid"])
    body.update(
        subscription=sub["id"], invoice=sub["latest_invoice"],
        payment_status="paid" if paid else "no_payment_required",
    )  # fmt: skip


def _charge_once(call: Call, body: Object, customer: Object, card: Object | None) -> None:
    amount = body["amount_total"]
    body["payment_status"] = "paid" if amount else "no_payment_required"
    if not amount or card is None:
        return
    intent = payments.new_intent(
        call, customer, amount=amount, currency=body["currency"], description=None,
        at=call.now(customer),
    )  # fmt: skip
    intent["metadata"] = body["_intent_metadata"]
    refusal = payments.charge(
        call, intent, card, at=call.now(customer), customer=customer, payer_is_present=True
    )
    if refusal is not None:
        raise payments.declined(refusal)
    body["payment_intent"] = intent["id"]


def due_of(body: Object) -> int | None:
    return int(body["expires_at"]) if body["status"] == "open" else None


def expire(call: Call, body: Object) -> Object:
    body.update(status="expired", url=None)
    call.store.save(body)
    emit(call, "checkout.session.expired", body)
    return body


def _get(call: Call) -> Object:
    return call.get("checkout.session", call.path["id"])


def _update(call: Call) -> Object:
    body = _get(call)
    body["metadata"] = merge_metadata(body["metadata"], call.params.mapping("metadata"))
    call.params.done()
    return call.store.save(body)


def _list(call: Call) -> Object:
    p = call.params
    customer, status, sub = p.text("customer"), p.text("status"), p.text("subscription")
    intent, within = p.text("payment_intent"), created_filter(p)
    return call.page_of(
        "checkout.session", url="/v1/checkout/sessions", customer=customer,
        keep=lambda s: status in (None, s["status"]) and sub in (None, s["subscription"])
        and intent in (None, s["payment_intent"]) and within(s),
    )  # fmt: skip


def _expire(call: Call) -> Object:
    body = _get(call)
    call.params.done()
    if body["status"] != "open":
        raise ApiError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of {body['status']}."
        )
    return expire(call, body)


def _line_items(call: Call) -> Object:
    body = _get(call)
    items = [_item(call, body, entry) for entry in body["_items"]]
    call.params.skip("limit")
    call.params.done()
    return listing(items, url=f"/v1/checkout/sessions/{body['id']}/line_items")


ROUTES = [
    Route("POST", "/v1/checkout/sessions", create),
    Route("GET", "/v1/checkout/sessions", _list),
    Route("GET", "/v1/checkout/sessions/{id}", _get),
    Route("POST", "/v1/checkout/sessions/{id}", _update),
    Route("POST", "/v1/checkout/sessions/{id}/expire", _expire),
    Route("GET", "/v1/checkout/sessions/{id}/line_items", _line_items),
]
