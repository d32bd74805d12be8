"""Subscriptions and their items, in flexible billing mode."""

from typing import Any

from billing.sandbox import calendar, invoices
from billing.sandbox.call import Call, Route, merge_metadata
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, new_id

LIVE = ("active", "past_due", "trialing", "unpaid", "incomplete", "paused")
DAY_S = 24 * 3600


def create(call: Call) -> Object:
    p = call.params
    customer = call.named("customer", "customer")
    now = call.now(customer)
    start = p.integer("backdate_start_date", now) or now
    if start > now:
        raise ApiError(
            "Invalid backdate_start_date: must be in the past.", param="backdate_start_date"
        )
    prices = [_item_price(call, item) for item in p.children("items")]
    if not prices:
        raise ApiError("Missing required param: items.", code="parameter_missing", param="items")
    recurring = prices[0][0]["recurring"]
    anchor = _anchor(p, now)
    end = calendar.next_boundary(
        anchor, now, interval=recurring["interval"], count=recurring["interval_count"]
    )
    body = _subscription(p, customer, start=start, anchor=anchor, now=now)
    _trial(p, body, now=now)
    body["currency"] = prices[0][0]["currency"]
    body["items"]["data"] = [
        _item(body, price, quantity, metadata, start=start, end=end, now=now)
        for price, quantity, metadata in prices
    ]
    p.skip("payment_behavior", "proration_behavior", "off_session", "payment_settings")
    p.skip("billing_mode", "automatic_tax", "currency")
    p.done()
    call.store.insert("subscription", body)
    if customer["currency"] is None:
        call.store.save({**customer, "currency": body["currency"]})
    emit(call, "customer.subscription.created", body, owner=body)
    invoices.bill_in_advance(call, body)
    return call.get("subscription", body["id"])


def _anchor(p: Params, now: int) -> int:
    config = p.child("billing_cycle_anchor_config")
    if "day_of_month" in config:
        return calendar.first_anchor(
            now,
            day=config.integer("day_of_month", 1) or 1,
            hour=config.integer("hour"),
            minute=config.integer("minute"),
            second=config.integer("second"),
        )
    return p.integer("billing_cycle_anchor", now) or now


def _subscription(p: Params, customer: Object, *, start: int, anchor: int, now: int) -> Object:
    sub_id = new_id("sub")
    return {
        "id": sub_id, "object": "subscription", "application": None,
        "automatic_tax": {"enabled": False, "liability": None, "disabled_reason": None},
        "billing_cycle_anchor": anchor, "billing_cycle_anchor_config": None,
        "billing_mode": {"type": "flexible", "flexible": {"proration_discounts": "included"}},
        "billing_schedules": [], "billing_thresholds": None, "cancel_at": None,
        "cancel_at_period_end": p.boolean("cancel_at_period_end"), "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": p.choice(
            "collection_method", ("charge_automatically", "send_invoice"), "charge_automatically"
        ),
        "created": now, "currency": "", "customer": customer["id"],
        "days_until_due": p.integer("days_until_due"),
        "default_payment_method": p.text("default_payment_method"), "default_source": None,
        "default_tax_rates": [], "description": p.text("description"), "discounts": [],
        "ended_at": None,
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
    }  # fmt: skip


def _trial(p: Params, body: Object, *, now: int) -> None:
    days, end = p.integer("trial_period_days"), p.integer("trial_end")
    if days:
        end = now + days * DAY_S
    if end and end > now:
        body.update(status="trialing", trial_start=now, trial_end=end)


def _item_price(call: Call, item: Params) -> tuple[Object, int | None, dict[str, str]]:
    price = call.get("price", item.required("price"), param="items[price]", status=400)
    if price["recurring"] is None:
        raise ApiError(f"The price `{price['id']}` is not recurring.", param="items[price]")
    metered = price["recurring"]["usage_type"] == "metered"
    if metered and "quantity" in item:
        raise ApiError("You cannot set the quantity of a metered price.", param="items[quantity]")
    quantity = None if metered else item.integer("quantity", 1)
    return price, quantity, item.mapping("metadata") or {}


def _item(
    sub: Object, price: Object, quantity: int | None, metadata: dict[str, str],
    *, start: int, end: int, now: int,
) -> Object:  # fmt: skip
    item: Object = {
        "id": new_id("si", length=14), "object": "subscription_item", "billing_thresholds": None,
        "created": now, "current_period_start": start, "current_period_end": end,
        "discounts": [], "metadata": metadata, "price": price, "subscription": sub["id"],
        "tax_rates": [], "_usage_from": start,
    }  # fmt: skip
    if quantity is not None:
        item["quantity"] = quantity
    return item


def get(call: Call) -> Object:
    return call.get("subscription", call.path["id"])


def list_(call: Call) -> Object:
    p = call.params
    customer, status, price = p.text("customer"), p.text("status"), p.text("price")
    found = [
        s for s in call.store.all("subscription", customer=customer)
        if _listed(s, status)
        and (price is None or any(i["price"]["id"] == price for i in s["items"]["data"]))
    ]  # fmt: skip
    return call.page(found, url="/v1/subscriptions")


def _listed(sub: Object, status: str | None) -> bool:
    if status in (None, ""):
        return bool(sub["status"] != "canceled")
    return status == "all" or sub["status"] == status


def update(call: Call) -> Object:
    p, body = call.params, call.get("subscription", call.path["id"])
    if body["status"] == "canceled":
        raise ApiError("A canceled subscription can only update its cancellation_details.")
    proration = p.choice(
        "proration_behavior", ("create_prorations", "none", "always_invoice"), "create_prorations"
    )
    if "cancel_at_period_end" in p:
        _cancel_at_period_end(call, body, p.boolean("cancel_at_period_end"))
    if "default_payment_method" in p:
        body["default_payment_method"] = p.text("default_payment_method") or None
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    for change in p.children("items"):
        _change_item(call, body, change, proration=proration)
    p.skip("payment_behavior", "off_session", "payment_settings")
    p.done()
    call.store.save(body)
    emit(call, "customer.subscription.updated", body, owner=body)
    return body


def _cancel_at_period_end(call: Call, body: Object, wanted: bool) -> None:
    body["cancel_at_period_end"] = wanted
    body["canceled_at"] = call.now(body) if wanted else None
    body["cancel_at"] = period(body)[1] if wanted else None


def _change_item(call: Call, sub: Object, change: Params, *, proration: str) -> None:
    items: list[Object] = sub["items"]["data"]
    now, (start, end) = call.now(sub), period(sub)
    item_id = change.text("id")
    old = next((i for i in items if i["id"] == item_id), None)
    if item_id and old is None:
        raise ApiError(
            f"No such subscription item: '{item_id}'", code="resource_missing", param="items"
        )
    if change.boolean("deleted"):
        if old is not None:
            invoices.bill_removed_item(call, sub, old, at=now, proration=proration)
            items.remove(old)
        return
    if old is not None and "price" not in change:
        old["quantity"] = change.integer("quantity", old.get("quantity"))
        return
    price, quantity, metadata = _item_price(call, change)
    if old is None:
        new = _item(sub, price, quantity, metadata, start=start, end=end, now=now)
        items.append(new)
    else:
        invoices.bill_removed_item(call, sub, old, at=now, proration=proration)
        new = old
        new["price"] = price
    # Flexible mode: a metered price counts only what is used after it was put in.
    new["_usage_from"] = now


def cancel(call: Call) -> Object:
    p, body = call.params, call.get("subscription", call.path["id"])
    invoice_now = p.boolean("invoice_now")
    p.skip("prorate", "cancellation_details")
    p.done()
    if body["status"] == "canceled":
        raise ApiError(f"No such subscription: {body['id']}", status=404, code="resource_missing")
    if invoice_now:
        invoices.bill_period(call, body, end=call.now(body), reason="subscription_update")
    return end_subscription(call, body, at=call.now(body))


def end_subscription(call: Call, body: Object, *, at: int) -> Object:
    body.update(status="canceled", ended_at=at, canceled_at=body["canceled_at"] or at)
    call.store.save(body)
    emit(call, "customer.subscription.deleted", body, owner=body)
    return body


def period(sub: Object) -> tuple[int, int]:
    items = sub["items"]["data"]
    return items[0]["current_period_start"], items[0]["current_period_end"]


def renew_due(call: Call, sub: Object, *, at: int) -> bool:
    """End the period that is over: an invoice for it, and the next period. False if none is."""
    if sub["status"] not in LIVE:
        return False
    if sub["status"] == "trialing" and sub["trial_end"] <= at:
        sub["status"] = "active"
        for item in sub["items"]["data"]:
            item["_usage_from"] = max(item["_usage_from"], sub["trial_end"])
        call.store.save(sub)
        emit(call, "customer.subscription.updated", sub, owner=sub)
    end = period(sub)[1]
    if end > at:
        return False
    recurring: dict[str, Any] = sub["items"]["data"][0]["price"]["recurring"]
    following = calendar.next_boundary(
        sub["billing_cycle_anchor"], end,
        interval=recurring["interval"], count=recurring["interval_count"],
    )  # fmt: skip
    invoices.bill_period(
        call, sub, end=end, reason="subscription_cycle",
        next_end=None if sub["cancel_at_period_end"] else following, at=end,
    )  # fmt: skip
    sub = call.get("subscription", sub["id"])
    if sub["cancel_at_period_end"]:
        end_subscription(call, sub, at=end)
        return True
    for item in sub["items"]["data"]:
        item.update(current_period_start=end, current_period_end=following, _usage_from=end)
    call.store.save(sub)
    emit(call, "customer.subscription.updated", sub, owner=sub)
    return True


ROUTES = [
    Route("POST", "/v1/subscriptions", create),
    Route("GET", "/v1/subscriptions", list_),
    Route("GET", "/v1/subscriptions/{id}", get),
    Route("POST", "/v1/subscriptions/{id}", update),
    Route("DELETE", "/v1/subscriptions/{id}", cancel),
]
