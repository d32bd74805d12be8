"""The lines of invoices, and the pending invoice items that become lines later.

Contract: docs.stripe.com/api/invoice-line-item, .../invoiceitems. What begins with `_` is the
stand-in's own: the usage that a line counts, the item and the debit that it stands for.
"""

from billing.sandbox import metering, pricing
from billing.sandbox.call import Call
from billing.sandbox.events import emit
from billing.sandbox.store import Object, new_id

Period = tuple[int, int]


def is_metered(item: Object) -> bool:
    return bool(item["price"]["recurring"]["usage_type"] == "metered")


def description(quantity: int, product: Object) -> str:
    return f"{quantity} {product['unit_label'] or 'unit'} \u00d7 {product['name']}"


def name_of(call: Call, item: Object) -> str:
    """Return how prorations call an item: `2 x Name`, or the name alone for one."""
    name = str(call.get("product", item["price"]["product"])["name"])
    quantity = item.get("quantity", 1)
    return name if quantity == 1 else f"{quantity} \u00d7 {name}"


def _pricing(price: Object) -> Object:
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"],
    }  # fmt: skip


def _line(
    invoice_id: str | None, *, amount: int, currency: str, text: str | None, quantity: int,
    period: Period, parent: Object, subscription: str | None,
) -> Object:  # fmt: skip
    return {
        "id": new_id("il"), "object": "line_item", "amount": amount, "currency": currency,
        "description": text, "discount_amounts": [], "discountable": True, "discounts": [],
        "invoice": invoice_id, "livemode": False, "metadata": {}, "parent": parent,
        "period": {"start": period[0], "end": period[1]}, "pretax_credit_amounts": [],
        "pricing": None, "quantity": quantity, "quantity_decimal": str(quantity),
        "subscription": subscription, "subtotal": amount, "taxes": [],
        "_product": None, "_tax_rates": None, "_usage": None,
    }  # fmt: skip


def item_line(
    call: Call, invoice: Object, item: Object, *, amount: int, quantity: int, period: Period,
    text: str | None = None, is_proration: bool = False,
) -> Object:  # fmt: skip
    """Return the line of a subscription's item."""
    price = item["price"]
    product = call.get("product", price["product"])
    parent = {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None, "proration": is_proration, "proration_details": None,
            "subscription": item["subscription"], "subscription_item": item["id"],
        },
        "type": "subscription_item_details",
    }  # fmt: skip
    line = _line(
        invoice["id"], amount=amount, currency=price["currency"],
        text=text or description(quantity, product), quantity=quantity, period=period,
        parent=parent, subscription=item["subscription"],
    )  # fmt: skip
    line.update(
        metadata=item["metadata"], pricing=_pricing(price), _product=price["product"],
        _tax_rates=item.get("_tax_rates"),
    )  # fmt: skip
    return line


def usage_line(
    call: Call, invoice: Object, item: Object, *, start: int, end: int, fixed: bool = False
) -> Object:
    """Return the line of what was used in [start, end); a draft counts it anew unless `fixed`."""
    price = item["price"]
    meter = call.get("billing.meter", price["recurring"]["meter"])
    # Below zero counts as zero (docs: "Fix incorrect usage data").
    quantity = max(0, metering.usage(call, meter, invoice["customer"], start, end))
    amount = pricing.amount(price, quantity)
    line = item_line(call, invoice, item, amount=amount, quantity=quantity, period=(start, end))
    if not fixed:
        line["_usage"] = {"start": start, "end": end, "meter": meter["id"], "price": price["id"]}
    return line


def recount(call: Call, invoice: Object) -> None:
    """Count the usage of a draft's lines anew."""
    for line in invoice["lines"]["data"]:
        counted = line["_usage"]
        if not counted:
            continue
        meter = call.get("billing.meter", counted["meter"])
        used = metering.usage(call, meter, invoice["customer"], counted["start"], counted["end"])
        price, quantity = call.get("price", counted["price"]), max(0, used)
        cost = pricing.amount(price, quantity)
        line.update(
            quantity=quantity, quantity_decimal=str(quantity), amount=cost, subtotal=cost,
            description=description(quantity, call.get("product", price["product"])),
        )  # fmt: skip


def new_item(
    call: Call, customer: Object, *, amount: int, currency: str, text: str | None, period: Period,
    at: int, subscription: str | None = None, item: Object | None = None, quantity: int = 1,
    is_proration: bool = False,
) -> Object:  # fmt: skip
    """Keep an invoice item that waits for the next invoice."""
    parent = None
    if subscription is not None:
        details = {"subscription": subscription}
        if item is not None:
            details["subscription_item"] = item["id"]
        parent = {"subscription_details": details, "type": "subscription_details"}
    body: Object = {
        "id": new_id("ii"), "object": "invoiceitem", "amount": amount, "currency": currency,
        "customer": customer["id"], "date": at, "description": text,
        "discountable": not is_proration, "discounts": [], "invoice": None, "livemode": False,
        "metadata": item["metadata"] if item else {}, "net_amount": amount, "parent": parent,
        "period": {"start": period[0], "end": period[1]},
        "pricing": _pricing(item["price"]) if item else None, "proration": is_proration,
        "quantity": quantity, "quantity_decimal": str(quantity), "tax_rates": None,
        "test_clock": customer["test_clock"],
        "_product": item["price"]["product"] if item else None,
        "_tax_rates": item.get("_tax_rates") if item else None,
    }  # fmt: skip
    if is_proration:
        body["proration_details"] = {"discount_amounts": []}
    call.store.insert("invoiceitem", body)
    emit(call, "invoiceitem.created", body, owner=customer)
    return body


def pending(call: Call, customer_id: str, sub_id: str | None) -> list[Object]:
    """Return what waits, oldest first: of a subscription and of none, or only of none."""
    items = call.store.all("invoiceitem", customer=customer_id)
    wanted = (None, sub_id)
    return [i for i in reversed(items) if i["invoice"] is None and subscription_of(i) in wanted]


def subscription_of(item: Object) -> str | None:
    parent = item["parent"]
    return parent["subscription_details"]["subscription"] if parent else None


def from_item(item: Object, invoice: Object) -> Object:
    """Return the line that an invoice item becomes."""
    sub_id = subscription_of(item)
    details = item["parent"]["subscription_details"] if item["parent"] else {}
    common = {"invoice_item": item["id"], "proration": item["proration"], "proration_details": None}
    sub_item = details.get("subscription_item")
    parent: Object = {"invoice_item_details": None, "subscription_item_details": None}
    if sub_item:
        parent["type"] = "subscription_item_details"
        parent[parent["type"]] = {**common, "subscription": sub_id, "subscription_item": sub_item}
    else:
        parent["type"] = "invoice_item_details"
        parent[parent["type"]] = {**common, "subscription": sub_id}
    line = _line(
        invoice["id"], amount=item["amount"], currency=item["currency"], text=item["description"],
        quantity=item["quantity"], period=(item["period"]["start"], item["period"]["end"]),
        parent=parent, subscription=sub_id,
    )  # fmt: skip
    line.update(
        discountable=item["discountable"], metadata=item["metadata"], pricing=item["pricing"],
        _product=item["_product"], _tax_rates=item["_tax_rates"],
    )  # fmt: skip
    return line
