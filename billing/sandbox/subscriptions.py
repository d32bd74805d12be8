"""The calls on subscriptions and their items.

Contract: docs.stripe.com/api/subscriptions, .../subscription_items. Flexible billing mode is the
default, as at Stripe since 2025-09-30; classic mode exists.
"""

from billing.sandbox import (
    calendar,
    changes,
    discounts,
    invoices,
    lifecycle,
    lines,
    prorations,
    taxes,
)
from billing.sandbox.call import Call, Route, created_filter
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.payments import NO_CARD
from billing.sandbox.store import Object, new_id

DAY_S = 24 * 3600
PAYMENT_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete")


def create(call: Call) -> Object:
    customer = call.named("customer", "customer")
    body = create_for(call, customer, call.params)
    call.params.done()
    return body


def create_for(
    call: Call, customer: Object, p: Params, wanted: list[Params] | None = None
) -> Object:
    """Create a subscription from the parameters of a call, a preview or a checkout page.

    `wanted` are discounts that stand elsewhere in the call.
    """
    now = call.now(customer)
    behavior = p.choice("payment_behavior", PAYMENT_BEHAVIORS, "allow_incomplete")
    proration = p.choice("proration_behavior", changes.PRORATIONS, "create_prorations")
    start = p.integer("backdate_start_date", now) or now
    if start > now:
        raise ApiError(
            "Invalid backdate_start_date: must be in the past.", param="backdate_start_date"
        )
    entries = [changes.read_item(call, item) for item in p.children("items")]
    if not entries:
        raise ApiError("Missing required param: items.", code="parameter_missing", param="items")
    body = _empty(call, p, customer, start=start, now=now)
    body["currency"] = _currency(entries, customer)
    _begin(p, body, now=now)
    first = body["trial_end"] if body["status"] == "trialing" else None
    for entry in entries:
        item = changes.new_item(body, entry, now=now)
        body["items"]["data"].append(item)
        lifecycle.start_periods(body, [item], at=start if first is None else now)
        if first is not None:
            item["current_period_end"] = first
        elif start < now:
            _reach_now(body, item, now=now)
    _check_intervals(body)
    call.store.insert("subscription", body)
    body["discounts"] = discounts.replace(
        call, wanted or p.children("discounts"), customer=customer, sub=body, at=now
    )
    if customer["currency"] is None:
        call.store.save({**call.get("customer", customer["id"]), "currency": body["currency"]})
    changes.add_one_time_items(call, body, p.children("add_invoice_items"), at=now)
    p.skip("off_session", "payment_settings", "currency", "invoice_settings")
    invoice = lifecycle.bill_in_advance(
        call, body, at=now, reason="subscription_create", since=start, proration=proration
    )
    emit(call, "customer.subscription.created", body, owner=body)
    call.store.save(body)
    if body["status"] == "trialing" and body["trial_end"] - lifecycle.WARN_S <= now:
        lifecycle.warn_of_trial_end(call, body)
    if invoice is not None and not call.is_preview:
        _first_payment(call, body, invoice, behavior=behavior, at=now)
    return call.get("subscription", body["id"])


def _currency(entries: list[changes.Entry], customer: Object) -> str:
    currencies = {entry.price["currency"] for entry in entries}
    if len(currencies) > 1:
        raise ApiError("All prices on a subscription must use the same currency.", param="items")
    currency = str(currencies.pop())
    if customer["currency"] not in (None, currency):
        raise ApiError(
            "You cannot combine currencies on a single customer. This customer has an active "
            f"subscription, subscription schedule, discount, quote, or invoice item with currency "
            f"{customer['currency']}", param="currency",
        )  # fmt: skip
    return currency


def _check_intervals(sub: Object) -> None:
    recurring = [item["price"]["recurring"] for item in sub["items"]["data"]]
    intervals = {(r["interval"], r["interval_count"]) for r in recurring}
    if sub["billing_mode"]["type"] == "classic" and len(intervals) > 1:
        raise ApiError(
            "All prices on a subscription in classic billing mode must have the same interval.",
            param="items",
        )


def _reach_now(sub: Object, item: Object, *, now: int) -> None:
    """Let the first period of a backdated subscription reach to the first boundary from now."""
    recurring = item["price"]["recurring"]
    item["current_period_end"] = calendar.next_boundary(
        sub["billing_cycle_anchor"], now,
        interval=recurring["interval"], count=recurring["interval_count"],
    )  # fmt: skip


def _begin(p: Params, body: Object, *, now: int) -> None:
    """Set trial and anchor: the anchor is the trial's end, the moment given, or now."""
    trial_end = changes.trial_end(p, now=now)
    days = p.integer("trial_period_days")
    if days:
        trial_end = now + days * DAY_S
    settings = p.child("trial_settings").child("end_behavior")
    behavior = settings.choice(
        "missing_payment_method", ("create_invoice", "cancel", "pause"), "create_invoice"
    )
    body["trial_settings"] = {"end_behavior": {"missing_payment_method": behavior}}
    first = now
    if trial_end is not None and trial_end > now:
        body.update(status="trialing", trial_start=now, trial_end=trial_end)
        first = trial_end
    config = p.child("billing_cycle_anchor_config")
    if "day_of_month" in config:
        wanted = {key: config.integer(key) for key in ("day_of_month", "hour", "minute", "second")}
        body["billing_cycle_anchor_config"] = {**wanted, "month": None}
        # A trial that ends on the anchor's own moment goes over into a whole period.
        body["billing_cycle_anchor"] = calendar.first_anchor(
            first - 1 if first > now else now, day=wanted["day_of_month"] or 1,
            hour=wanted["hour"], minute=wanted["minute"], second=wanted["second"],
        )  # fmt: skip
    else:
        body["billing_cycle_anchor"] = p.integer("billing_cycle_anchor", first)


def _empty(call: Call, p: Params, customer: Object, *, start: int, now: int) -> Object:
    sub_id = new_id("sub")
    mode = p.child("billing_mode")
    kind = mode.choice("type", ("flexible", "classic"), "flexible")
    included = mode.child("flexible").choice(
        "proration_discounts", ("included", "itemized"), "included"
    )
    flexible = {"proration_discounts": included} if kind == "flexible" else None
    method = p.choice(
        "collection_method", ("charge_automatically", "send_invoice"), "charge_automatically"
    )
    days = p.integer("days_until_due")
    if method == "send_invoice" and days is None:
        raise ApiError(
            "If `collection_method` is `send_invoice`, then `days_until_due` must be provided.",
            param="days_until_due",
        )
    body: Object = {
        "id": sub_id, "object": "subscription", "application": None,
        "automatic_tax": changes.automatic_tax(p, customer),
        "billing_cycle_anchor": now, "billing_cycle_anchor_config": None,
        "billing_mode": {"type": kind, "flexible": flexible},
        "billing_schedules": [], "billing_thresholds": None, "cancel_at": None,
        "cancel_at_period_end": p.boolean("cancel_at_period_end"), "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": method, "created": now, "currency": "",
        "customer": customer["id"], "days_until_due": days,
        "default_payment_method": p.text("default_payment_method"), "default_source": None,
        "default_tax_rates": taxes.rates(call, p.texts("default_tax_rates")),
        "description": p.text("description"), "discounts": [], "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list", "data": [], "has_more": False,
            "url": f"/v1/subscription_items?subscription={sub_id}",
        },
        "latest_invoice": None, "livemode": False, "metadata": p.mapping("metadata") or {},
        "next_pending_invoice_item_invoice": None, "pause_collection": None,
        "payment_settings": None, "pending_invoice_item_interval": None,
        "pending_setup_intent": None, "pending_update": None, "schedule": None,
        "start_date": start, "status": "active", "test_clock": customer["test_clock"],
        "transfer_data": None, "trial_end": None, "trial_settings": None, "trial_start": None,
        "_trial_told": False, "_upcoming": None, "_made": None,
    }  # fmt: skip
    return body


def _first_payment(call: Call, sub: Object, invoice: Object, *, behavior: str, at: int) -> None:
    """Finalise the first invoice at once; a refusal leaves the subscription incomplete."""
    automatic = sub["collection_method"] == "charge_automatically"
    due = invoice["amount_due"] and automatic
    if due and behavior != "default_incomplete" and invoices.card_for(call, invoice) is None:
        raise ApiError(
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method. For more information, visit "
            "https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
            "#payment-method-priority.", code="resource_missing",
        )  # fmt: skip
    if due:
        sub["status"] = "incomplete"
        call.store.save(sub)
    collects = behavior != "default_incomplete"
    paid = invoices.finalize(call, invoice, at=at, collects=collects)
    if paid["status"] == "paid" or not due:
        return
    if behavior == "error_if_incomplete":
        raise ApiError(
            paid.get("_refusal", NO_CARD.message), status=402, kind="card_error",
            code="card_declined",
        )  # fmt: skip


def get(call: Call) -> Object:
    return call.get("subscription", call.path["id"])


def list_(call: Call) -> Object:
    p = call.params
    customer, status, price = p.text("customer"), p.text("status"), p.text("price")
    clock, within = p.text("test_clock"), created_filter(p)
    method = p.text("collection_method")
    return call.page_of(
        "subscription", url="/v1/subscriptions", customer=customer,
        keep=lambda s: _listed(s, status) and clock in (None, s["test_clock"]) and within(s)
        and method in (None, s["collection_method"])
        and (price is None or any(i["price"]["id"] == price for i in s["items"]["data"])),
    )  # fmt: skip


def _listed(sub: Object, status: str | None) -> bool:
    if status in (None, ""):
        return bool(sub["status"] != "canceled")
    ended = sub["status"] in ("canceled", "incomplete_expired")
    return status == "all" or sub["status"] == status or (status == "ended" and ended)


def update(call: Call) -> Object:
    p, body = call.params, call.get("subscription", call.path["id"])
    if body["status"] in ("canceled", "incomplete_expired"):
        raise ApiError("A canceled subscription can only update its cancellation_details.")
    behavior = p.choice("payment_behavior", PAYMENT_BEHAVIORS, "allow_incomplete")
    invoice = changes.apply(call, body, p)
    p.skip("off_session", "payment_settings")
    p.done()
    changes.collect(call, invoice, behavior=behavior)
    return call.get("subscription", body["id"])


def cancel(call: Call) -> Object:
    p, body = call.params, call.get("subscription", call.path["id"])
    invoice_now, prorate = p.boolean("invoice_now"), p.boolean("prorate")
    details = p.child("cancellation_details")
    told = {"comment": details.text("comment"), "feedback": details.text("feedback")}
    p.done()
    if body["status"] == "canceled":
        raise ApiError(
            f"No such subscription: '{body['id']}'", status=404, code="resource_missing",
            param="id",
        )  # fmt: skip
    return cancel_now(call, body, invoice_now=invoice_now, prorate=prorate, told=told)


def cancel_now(
    call: Call, body: Object, *, invoice_now: bool, prorate: bool, told: Object
) -> Object:
    """End a subscription at once; usage that is not invoiced now is never billed."""
    now = call.now(body)
    body["cancellation_details"] = {**told, "reason": "cancellation_requested"}
    invoice = None
    if invoice_now and body["status"] not in ("trialing", "incomplete", "paused"):
        invoice = lifecycle.final_invoice(call, body, at=now, prorate=prorate)
    elif prorate:
        for item in body["items"]["data"]:
            if not lines.is_metered(item):
                prorations.credit(call, body, item, at=now)
    lifecycle.end_subscription(call, body, at=now)
    if invoice is not None and not call.is_preview:
        invoices.finalize(call, invoice, at=now)
    return call.get("subscription", body["id"])


def resume(call: Call) -> Object:
    """Go on with a paused subscription: from now, or with the period as it was."""
    p, body = call.params, call.get("subscription", call.path["id"])
    anchor = p.choice("billing_cycle_anchor", ("now", "unchanged"), "now")
    p.skip("proration_behavior", "proration_date")
    p.done()
    if body["status"] != "paused":
        raise ApiError(
            f"This subscription cannot be resumed because it is {body['status']}, not paused."
        )
    now = call.now(body)
    if anchor == "now":
        body["billing_cycle_anchor"] = now
    lifecycle.start_periods(body, body["items"]["data"], at=now)
    invoice = lifecycle.bill_in_advance(call, body, at=now, reason="subscription_update")
    if invoice is not None and invoice["amount_due"]:
        call.store.save(body)
        invoices.finalize(call, invoice, at=now)
        return call.get("subscription", body["id"])
    body["status"] = "active"
    tell_change(call, "customer.subscription.updated", body)
    emit(call, "customer.subscription.resumed", body, owner=body)
    return body


def _sub_of(call: Call, item_id: str) -> tuple[Object, Object]:
    for sub in call.store.scan("subscription"):
        for item in sub["items"]["data"]:
            if item["id"] == item_id:
                return sub, item
    raise ApiError(
        f"No such subscription_item: '{item_id}'", status=404, code="resource_missing",
        param="item",
    )  # fmt: skip


def _list_items(call: Call) -> Object:
    sub = call.named("subscription", "subscription")
    return call.page(sub["items"]["data"], url="/v1/subscription_items")


def _create_item(call: Call) -> Object:
    sub = call.named("subscription", "subscription")
    known = {item["id"] for item in sub["items"]["data"]}
    _change_one(call, sub)
    sub = call.get("subscription", sub["id"])
    return next(item for item in sub["items"]["data"] if item["id"] not in known)


def _update_item(call: Call) -> Object:
    sub, item = _sub_of(call, call.path["id"])
    call.params.put("id", item["id"])
    _change_one(call, sub)
    return _sub_of(call, item["id"])[1]


def _delete_item(call: Call) -> Object:
    sub, item = _sub_of(call, call.path["id"])
    if len(sub["items"]["data"]) == 1:
        raise ApiError(
            "A subscription must have at least one active plan. To cancel this subscription "
            "immediately, delete the subscription."
        )
    call.params.put("id", item["id"])
    call.params.put("deleted", "true")
    _change_one(call, sub)
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


def _change_one(call: Call, sub: Object) -> None:
    p = call.params
    behavior = p.choice("payment_behavior", PAYMENT_BEHAVIORS, "allow_incomplete")
    terms = changes.terms(call, sub, p)
    invoice = changes.change_items(call, sub, [p], terms)
    p.done()
    changes.collect(call, invoice, behavior=behavior)


ROUTES = [
    Route("POST", "/v1/subscriptions", create),
    Route("GET", "/v1/subscriptions", list_),
    Route("GET", "/v1/subscriptions/{id}", get),
    Route("POST", "/v1/subscriptions/{id}", update),
    Route("DELETE", "/v1/subscriptions/{id}", cancel),
    Route("POST", "/v1/subscriptions/{id}/resume", resume),
    Route("GET", "/v1/subscription_items", _list_items),
    Route("POST", "/v1/subscription_items", _create_item),
    Route("GET", "/v1/subscription_items/{id}", lambda call: _sub_of(call, call.path["id"])[1]),
    Route("POST", "/v1/subscription_items/{id}", _update_item),
    Route("DELETE", "/v1/subscription_items/{id}", _delete_item),
]
