"""The customer portal: its configurations and sessions, and what its page can do.

Contract: docs.stripe.com/api/customer_portal
"""

from billing.sandbox import changes, customers, lifecycle, payments, taxes
from billing.sandbox.call import Call, Route, merge_metadata
from billing.sandbox.cards import by_number
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, new_id

UPDATES = ("address", "email", "name", "phone", "shipping", "tax_id")
FLOWS = ("payment_method_update", "subscription_cancel")


def _configuration(call: Call, *, is_default: bool) -> Object:
    now = call.now()
    return {
        "id": new_id("bpc"), "object": "billing_portal.configuration", "active": True,
        "application": None,
        "business_profile": {
            "headline": None, "privacy_policy_url": None, "terms_of_service_url": None,
        },
        "created": now, "default_return_url": None,
        "features": {
            "customer_update": {
                "allowed_updates": ["name", "email", "address", "tax_id"], "enabled": True,
            },
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True, "payment_method_configuration": None},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": False, "options": []}, "enabled": True,
                "mode": "at_period_end", "proration_behavior": "none",
            },
            "subscription_update": {
                "default_allowed_updates": [], "enabled": False, "products": None,
                "proration_behavior": "none", "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial", "billing_cycle_anchor": None,
            },
        },
        "is_default": is_default, "livemode": False,
        "login_page": {"enabled": False, "url": None}, "metadata": {}, "name": None,
        "updated": now,
    }  # fmt: skip


def _default(call: Call) -> Object:
    for body in call.store.scan("billing_portal.configuration"):
        if body["is_default"]:
            return body
    return call.store.insert("billing_portal.configuration", _configuration(call, is_default=True))


def _change(p: Params, body: Object) -> None:
    features, wanted = body["features"], p.child("features")
    update = wanted.child("customer_update")
    kept = features["customer_update"]
    kept["enabled"] = update.boolean("enabled", kept["enabled"])
    if "allowed_updates" in update:
        kept["allowed_updates"] = [k for k in update.texts("allowed_updates") if k in UPDATES]
    for name in ("invoice_history", "payment_method_update"):
        features[name]["enabled"] = wanted.child(name).boolean("enabled", features[name]["enabled"])
    cancel, kept = wanted.child("subscription_cancel"), features["subscription_cancel"]
    kept["enabled"] = cancel.boolean("enabled", kept["enabled"])
    kept["mode"] = cancel.choice("mode", ("at_period_end", "immediately"), kept["mode"])
    kept["proration_behavior"] = cancel.choice(
        "proration_behavior", changes.PRORATIONS, kept["proration_behavior"]
    )
    cancel.skip("cancellation_reason")
    if wanted.child("subscription_update").boolean("enabled"):
        raise ApiError(
            "This stand-in's portal does not change prices or quantities.",
            param="features[subscription_update]",
        )
    profile = p.child("business_profile")
    for key in ("headline", "privacy_policy_url", "terms_of_service_url"):
        if key in profile:
            body["business_profile"][key] = profile.text(key) or None
    for key in ("default_return_url", "name"):
        if key in p:
            body[key] = p.text(key) or None
    body["active"] = p.boolean("active", body["active"])
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.child("login_page").boolean("enabled")
    p.done()


def _create_configuration(call: Call) -> Object:
    body = _configuration(call, is_default=False)
    for feature in body["features"].values():
        feature["enabled"] = False
    body["features"]["customer_update"]["allowed_updates"] = []
    _change(call.params, body)
    call.store.insert(body["object"], body)
    emit(call, "billing_portal.configuration.created", body)
    return body


def _get_configuration(call: Call) -> Object:
    return call.get("billing_portal.configuration", call.path["id"])


def _update_configuration(call: Call) -> Object:
    body = _get_configuration(call)
    _change(call.params, body)
    body["updated"] = call.now()
    tell_change(call, "billing_portal.configuration.updated", body)
    return body


def _list_configurations(call: Call) -> Object:
    _default(call)
    p = call.params
    active = p.boolean("active") if "active" in p else None
    is_default = p.boolean("is_default") if "is_default" in p else None
    return call.page_of(
        "billing_portal.configuration", url="/v1/billing_portal/configurations",
        keep=lambda c: active in (None, c["active"]) and is_default in (None, c["is_default"]),
    )  # fmt: skip


def create(call: Call) -> Object:
    """Open the page on which a customer looks after invoices and cards."""
    p, customer = call.params, call.named("customer", "customer")
    session_id, chosen = new_id("bps"), p.text("configuration")
    config = (
        call.get("billing_portal.configuration", chosen, param="configuration", status=400)
        if chosen
        else _default(call)
    )
    body: Object = {
        "id": session_id, "object": "billing_portal.session", "configuration": config["id"],
        "created": call.now(), "customer": customer["id"], "customer_account": None,
        "flow": _flow(call, p, customer), "livemode": False, "locale": p.text("locale"),
        "on_behalf_of": None, "return_url": p.text("return_url") or config["default_return_url"],
        "url": f"{call.base_url}/_pages/portal/{session_id}",
    }  # fmt: skip
    p.done()
    call.store.insert("billing_portal.session", body)
    emit(call, "billing_portal.session.created", body)
    return body


def _flow(call: Call, p: Params, customer: Object) -> Object | None:
    if "flow_data" not in p:
        return None
    data = p.child("flow_data")
    kind = data.choice("type", FLOWS, "")
    after = data.child("after_completion")
    ending = after.choice(
        "type", ("portal_homepage", "redirect", "hosted_confirmation"), "portal_homepage"
    )
    url = after.child("redirect").text("return_url")
    message = after.child("hosted_confirmation").text("custom_message")
    body: Object = {
        "after_completion": {
            "type": ending, "redirect": {"return_url": url} if url else None,
            "hosted_confirmation": {"custom_message": message} if message else None,
        },
        "subscription_cancel": None, "subscription_update": None,
        "subscription_update_confirm": None, "type": kind,
    }  # fmt: skip
    if kind == "subscription_cancel":
        sub_id = data.child("subscription_cancel").required("subscription")
        sub = call.get("subscription", sub_id, param="flow_data[subscription_cancel]", status=400)
        if sub["customer"] != customer["id"]:
            raise missing("subscription", sub_id, param="flow_data", status=400)
        body["subscription_cancel"] = {"subscription": sub_id, "retention": None}
    return body


def features_of(call: Call, session: Object) -> Object:
    config = call.get("billing_portal.configuration", session["configuration"])
    found: Object = config["features"]
    return found


def ends_on(sub: Object) -> int:
    return int(sub["trial_end"]) if sub["status"] == "trialing" else lifecycle.period_end(sub)


def act(call: Call, session: Object, form: dict[str, str]) -> None:
    """Do what a button of the page says.

    Raises:
        ApiError: a refusal, shown on the page.
    """
    customer, wish = call.get("customer", session["customer"]), form.get("act", "")
    if wish == "card":
        name = by_number(form["number"]) if form.get("number") else form.get("card", "")
        card = payments.attach_card(call, name, customer)
        _make_default(call, customer["id"], card["id"])
    elif wish == "default":
        _make_default(call, customer["id"], customers.own_card(call, customer, form["id"])["id"])
    elif wish == "remove":
        card = customers.own_card(call, customer, form["id"])
        payments.detach_card(call, card)
    elif wish in ("cancel", "renew"):
        _cancel(call, customer, form["subscription"], wanted=wish == "cancel")
    elif wish == "who":
        _change_who(call, customer, form)
    elif wish == "tax":
        taxes.new_tax_id(call, customer, kind=form["tax_id_type"], value=form["tax_id_value"])
    elif wish == "untax":
        taxes.remove_tax_id(call, customer, form["id"])
    else:
        raise ApiError("This page has no such button.")


def _make_default(call: Call, customer_id: str, card_id: str) -> None:
    customer = call.get("customer", customer_id)
    customer["invoice_settings"]["default_payment_method"] = card_id
    tell_change(call, "customer.updated", customer)


def _cancel(call: Call, customer: Object, sub_id: str, *, wanted: bool) -> None:
    sub = call.get("subscription", sub_id)
    if sub["customer"] != customer["id"]:
        raise missing("subscription", sub_id)
    text = "true" if wanted else "false"
    changes.apply(call, sub, Params({"cancel_at_period_end": text}))


def _change_who(call: Call, customer: Object, form: dict[str, str]) -> None:
    address = {k.removeprefix("address_"): v for k, v in form.items() if k.startswith("address_")}
    for key in ("name", "email"):
        if key in form:
            customer[key] = form[key] or None
    if address:
        customer["address"] = customers.address_of(Params(address))
    tell_change(call, "customer.updated", customer)


ROUTES = [
    Route("POST", "/v1/billing_portal/sessions", create),
    Route("POST", "/v1/billing_portal/configurations", _create_configuration),
    Route("GET", "/v1/billing_portal/configurations", _list_configurations),
    Route("GET", "/v1/billing_portal/configurations/{id}", _get_configuration),
    Route("POST", "/v1/billing_portal/configurations/{id}", _update_configuration),
]
