"""Invoices: drafted at the end of a period, finalised an hour later, then paid or retried.

While an invoice is a draft, usage of its period is still counted in; finalising fixes it
(docs.stripe.com/billing/subscriptions/usage-based/recording-usage).
"""

from billing.sandbox import metering, pricing
from billing.sandbox.call import Call
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.store import Object, new_id

DRAFT_S = 3600
RETRY_S = 3 * 24 * 3600
MAX_ATTEMPTS = 4


def shell(
    customer: Object, *, at: int, currency: str, reason: str, period: tuple[int, int],
    sub: Object | None,
) -> Object:  # fmt: skip
    """Return an empty draft."""
    invoice_id = new_id("in")
    parent = None
    if sub is not None:
        details = {"metadata": sub["metadata"], "subscription": sub["id"]}
        parent = {
            "quote_details": None, "subscription_details": details, "type": "subscription_details",
        }  # fmt: skip
    return {
        "id": invoice_id, "object": "invoice", "account_country": "DE", "account_name": "Takt",
        "account_tax_ids": None, "amount_due": 0, "amount_overpaid": 0, "amount_paid": 0,
        "amount_paid_off_stripe": 0, "amount_remaining": 0, "amount_shipping": 0,
        "application": None, "attempt_count": 0, "attempted": False, "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": at + DRAFT_S, "billing_reason": reason,
        "collection_method": sub["collection_method"] if sub else "charge_automatically",
        "created": at, "currency": currency, "custom_fields": None, "customer": customer["id"],
        "customer_address": customer["address"], "customer_email": customer["email"],
        "customer_name": customer["name"], "customer_phone": customer["phone"],
        "customer_shipping": None, "customer_tax_exempt": "none", "customer_tax_ids": [],
        "default_payment_method": None, "default_source": None, "default_tax_rates": [],
        "description": None, "discounts": [], "due_date": None, "effective_at": None,
        "ending_balance": None, "footer": None, "from_invoice": None, "hosted_invoice_url": None,
        "invoice_pdf": None, "issuer": {"type": "self"}, "last_finalization_error": None,
        "latest_revision": None,
        "lines": {
            "object": "list", "data": [], "has_more": False,
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "livemode": False, "metadata": {}, "next_payment_attempt": at + DRAFT_S, "number": None,
        "on_behalf_of": None, "parent": parent,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
        "period_end": period[1], "period_start": period[0],
        "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0,
        "receipt_number": None, "rendering": None, "shipping_cost": None,
        "shipping_details": None, "starting_balance": 0, "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None, "marked_uncollectible_at": None, "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0, "subtotal_excluding_tax": 0, "test_clock": customer["test_clock"],
        "total": 0, "total_discount_amounts": [], "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [], "total_taxes": [], "webhooks_delivered_at": None,
        "_subscription": sub["id"] if sub else None,
    }  # fmt: skip


def _line(
    call: Call, invoice: Object, item: Object, *, amount: int, quantity: int,
    period: tuple[int, int], usage: tuple[int, int] | None = None,
) -> Object:  # fmt: skip
    price = item["price"]
    product = call.get("product", price["product"])
    return {
        "id": new_id("il"), "object": "line_item", "amount": amount, "currency": price["currency"],
        "description": _description(quantity, product), "discount_amounts": [],
        "discountable": True, "discounts": [], "invoice": invoice["id"], "livemode": False,
        "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None, "proration": False, "proration_details": None,
                "subscription": item["subscription"], "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"start": period[0], "end": period[1]}, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": quantity, "quantity_decimal": str(quantity),
        "subscription": item["subscription"], "subtotal": amount, "taxes": [],
        "_usage": list(usage) if usage else None, "_meter": price["recurring"]["meter"],
        "_price": price["id"],
    }  # fmt: skip


def _description(quantity: int, product: Object) -> str:
    return f"{quantity} {product['unit_label'] or 'unit'} \u00d7 {product['name']}"


def _usage_line(call: Call, invoice: Object, item: Object, *, start: int, end: int) -> Object:
    meter = call.get("billing.meter", item["price"]["recurring"]["meter"])
    # Below zero counts as zero (docs: "Fix incorrect usage data").
    quantity = max(0, metering.usage(call, meter, invoice["customer"], start, end))
    amount = pricing.amount(item["price"], quantity)
    return _line(
        call, invoice, item, amount=amount, quantity=quantity, period=(start, end),
        usage=(start, end),
    )  # fmt: skip


def _is_metered(item: Object) -> bool:
    return bool(item["price"]["recurring"]["usage_type"] == "metered")


def _pending(call: Call, customer_id: str) -> list[Object]:
    items = call.store.all("invoiceitem", customer=customer_id)
    return [i for i in reversed(items) if i["invoice"] is None]


def compose(
    call: Call, sub: Object, *, end: int, reason: str, at: int, next_end: int | None
) -> Object:
    """Return the invoice of a period that ends: usage in arrears, the rest in advance."""
    customer = call.get("customer", sub["customer"])
    items = sub["items"]["data"]
    start = items[0]["current_period_start"]
    invoice = shell(
        customer, at=at, currency=sub["currency"], reason=reason, period=(start, end), sub=sub
    )
    lines = [_pending_line(i, invoice) for i in _pending(call, customer["id"])]
    for item in items:
        if _is_metered(item):
            begin = max(start, item["_usage_from"])
            lines.append(_usage_line(call, invoice, item, start=begin, end=end))
        elif next_end is not None:
            amount = pricing.amount(item["price"], item["quantity"])
            lines.append(
                _line(call, invoice, item, amount=amount, quantity=item["quantity"],
                      period=(end, next_end))
            )  # fmt: skip
    invoice["lines"]["data"] = lines
    _total(invoice)
    return invoice


def _pending_line(item: Object, invoice: Object) -> Object:
    return {**item["_line"], "id": new_id("il"), "invoice": invoice["id"]}


def _total(invoice: Object) -> None:
    total = sum(line["amount"] for line in invoice["lines"]["data"])
    due = max(0, total)
    invoice.update(
        subtotal=total, subtotal_excluding_tax=total, total=total, total_excluding_tax=total,
        amount_due=due, amount_remaining=due - invoice["amount_paid"],
    )  # fmt: skip


def bill_period(
    call: Call, sub: Object, *, end: int, reason: str, next_end: int | None = None,
    at: int | None = None,
) -> Object:  # fmt: skip
    """Draft and keep the invoice of a period."""
    now = call.now(sub) if at is None else at
    invoice = compose(call, sub, end=end, reason=reason, at=now, next_end=next_end)
    for item in _pending(call, sub["customer"]):
        call.store.save({**item, "invoice": invoice["id"]})
    call.store.insert("invoice", invoice)
    sub["latest_invoice"] = invoice["id"]
    call.store.save(sub)
    emit(call, "invoice.created", invoice, owner=invoice)
    return invoice


def bill_in_advance(call: Call, sub: Object) -> None:
    """Charge what a new subscription costs up front; nothing when all of it is metered."""
    items = [i for i in sub["items"]["data"] if not _is_metered(i)]
    if not items or sub["status"] == "trialing":
        return
    customer, now = call.get("customer", sub["customer"]), call.now(sub)
    start, end = items[0]["current_period_start"], items[0]["current_period_end"]
    invoice = shell(
        customer, at=now, currency=sub["currency"], reason="subscription_create",
        period=(now, now), sub=sub,
    )  # fmt: skip
    invoice["lines"]["data"] = [
        _line(call, invoice, item, amount=pricing.amount(item["price"], item["quantity"]),
              quantity=item["quantity"], period=(start, end))
        for item in items
    ]  # fmt: skip
    _total(invoice)
    call.store.insert("invoice", invoice)
    sub["latest_invoice"] = invoice["id"]
    call.store.save(sub)
    emit(call, "invoice.created", invoice, owner=invoice)
    finalize(call, invoice, at=now)


def bill_removed_item(call: Call, sub: Object, item: Object, *, at: int, proration: str) -> None:
    """Keep the usage of a metered price that is taken out as a pending invoice item."""
    if proration == "none" or not _is_metered(item):
        return
    start = max(item["current_period_start"], item["_usage_from"])
    stub = {"id": None, "customer": sub["customer"]}
    line = _usage_line(call, stub, item, start=start, end=at)
    if not line["amount"]:
        return
    item_id = new_id("ii")
    line["parent"]["subscription_item_details"]["invoice_item"] = item_id
    call.store.insert(
        "invoiceitem",
        {"id": item_id, "object": "invoiceitem", "customer": sub["customer"], "invoice": None,
         "_line": {**line, "_usage": None}},
    )  # fmt: skip


def recount(call: Call, invoice: Object) -> None:
    """Count the usage of a draft's periods anew."""
    for line in invoice["lines"]["data"]:
        if line.get("_usage"):
            meter = call.get("billing.meter", line["_meter"])
            used = metering.usage(call, meter, invoice["customer"], *line["_usage"])
            price = call.get("price", line["_price"])
            quantity = max(0, used)
            cost = pricing.amount(price, quantity)
            product = call.get("product", price["product"])
            line.update(
                quantity=quantity, quantity_decimal=str(quantity), amount=cost, subtotal=cost,
                description=_description(quantity, product),
            )  # fmt: skip
    _total(invoice)


def finalize(call: Call, invoice: Object, *, at: int) -> Object:
    """Fix a draft: number it, open it, and collect what is due."""
    if invoice["status"] != "draft":
        raise ApiError(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    recount(call, invoice)
    customer = call.get("customer", invoice["customer"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    call.store.save(customer)
    invoice.update(
        status="open", number=number, effective_at=at, automatically_finalizes_at=None,
        hosted_invoice_url=f"{call.base_url}/_pages/invoices/{invoice['id']}",
        invoice_pdf=f"{call.base_url}/_pages/invoices/{invoice['id']}.pdf",
    )  # fmt: skip
    invoice["status_transitions"]["finalized_at"] = at
    call.store.save(invoice)
    emit(call, "invoice.finalized", invoice, owner=invoice)
    if invoice["amount_due"] == 0 or invoice["collection_method"] == "charge_automatically":
        return collect(call, invoice, at=at)
    return invoice


def card_for(call: Call, invoice: Object) -> Object | None:
    """Return the card that pays: the subscription's, else the customer's default."""
    customer = call.get("customer", invoice["customer"])
    sub = call.store.find("subscription", invoice["_subscription"] or "")
    card_id = (sub and sub["default_payment_method"]) or customer["invoice_settings"][
        "default_payment_method"
    ]
    return call.store.find("payment_method", card_id) if card_id else None


def collect(call: Call, invoice: Object, *, at: int) -> Object:
    """Charge the card; a refusal leaves the invoice open and is tried again days later."""
    if invoice["amount_due"] == 0:
        return _paid(call, invoice, at=at)
    card = card_for(call, invoice)
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    if card is not None and card["_good"]:
        return _paid(call, invoice, at=at)
    last = invoice["attempt_count"] >= MAX_ATTEMPTS
    invoice["next_payment_attempt"] = None if last else at + RETRY_S
    call.store.save(invoice)
    emit(call, "invoice.payment_failed", invoice, owner=invoice)
    _subscription_status(call, invoice, "unpaid" if last else "past_due")
    return invoice


def _paid(call: Call, invoice: Object, *, at: int) -> Object:
    invoice.update(
        status="paid", amount_paid=invoice["amount_due"], amount_remaining=0,
        next_payment_attempt=None, attempted=True, auto_advance=False,
    )  # fmt: skip
    invoice["status_transitions"]["paid_at"] = at
    call.store.save(invoice)
    emit(call, "invoice.paid", invoice, owner=invoice)
    _subscription_status(call, invoice, "active")
    return invoice


def _subscription_status(call: Call, invoice: Object, status: str) -> None:
    sub = call.store.find("subscription", invoice["_subscription"] or "")
    if sub is None or sub["status"] in ("canceled", "trialing", status):
        return
    sub["status"] = status
    call.store.save(sub)
    emit(call, "customer.subscription.updated", sub, owner=sub)
