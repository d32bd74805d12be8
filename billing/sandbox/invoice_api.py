"""The calls on invoices: create, read, preview, finalise, send, pay, void, write off."""

from collections.abc import Callable

from billing.sandbox import (
    changes,
    discounts,
    invoice_items,
    invoices,
    lifecycle,
    lines,
    subscriptions,
    taxes,
)
from billing.sandbox.call import Call, Route, created_filter, merge_metadata
from billing.sandbox.errors import ApiError, KeptRefusal
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.payments import NO_CARD
from billing.sandbox.store import Object
from billing.sandbox.totals import total

DAY_S = 24 * 3600


def create(call: Call) -> Object:
    """Draft an invoice of its own, with what waits for one if the caller wants that."""
    p = call.params
    customer = call.named("customer", "customer")
    now, sub_id = call.now(customer), p.text("subscription")
    sub = call.get("subscription", sub_id, param="subscription", status=400) if sub_id else None
    include = p.choice("pending_invoice_items_behavior", ("include", "exclude"), "exclude")
    currency = p.text("currency") or (sub or customer)["currency"]
    if currency is None:
        waiting = lines.pending(call, customer["id"], sub_id)
        currency = waiting[0]["currency"] if waiting else "usd"
    body = invoices.shell(
        call, customer, at=now, currency=currency.lower(), reason="manual", period=(now, now),
        sub=sub,
    )  # fmt: skip
    body["auto_advance"] = False
    _describe(call, p, body, customer)
    p.done()
    if not body["auto_advance"]:
        body.update(automatically_finalizes_at=None, next_payment_attempt=None)
    if include == "include" or sub is not None:
        return invoices.keep_draft(call, body, sub=sub, at=now)
    total(call, body)
    call.store.insert("invoice", body)
    emit(call, "invoice.created", body, owner=body)
    return body


def _describe(call: Call, p: Params, body: Object, customer: Object) -> None:
    """Write what a caller may say of a draft."""
    advances = p.boolean("auto_advance", body["auto_advance"])
    if advances and not body["auto_advance"]:
        body["automatically_finalizes_at"] = call.now(customer) + invoices.DRAFT_S
    body["auto_advance"] = advances
    for key in ("description", "footer", "default_payment_method"):
        if key in p:
            body[key] = p.text(key) or None
    methods = ("charge_automatically", "send_invoice")
    body["collection_method"] = p.choice("collection_method", methods, body["collection_method"])
    body["_days_until_due"] = p.integer("days_until_due", body["_days_until_due"])
    body["due_date"] = p.integer("due_date", body["due_date"])
    if body["collection_method"] == "send_invoice" and not (
        body["_days_until_due"] is not None or body["due_date"]
    ):
        raise ApiError(
            "You must specify either `days_until_due` or `due_date` when `collection_method` is "
            "`send_invoice`.", param="days_until_due",
        )  # fmt: skip
    if "default_tax_rates" in p:
        body["default_tax_rates"] = taxes.rates(call, p.texts("default_tax_rates"))
    if "automatic_tax" in p:
        wanted = changes.automatic_tax(p, customer)["enabled"]
        body["automatic_tax"] = invoices.automatic_tax(wanted)
    if "discounts" in p:
        sub = {"id": body["_subscription"], "discounts": [], "currency": body["currency"]}
        body["discounts"] = body["_discounts"] = discounts.replace(
            call, p.children("discounts"), customer=customer, sub=sub, at=call.now(customer)
        )
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.skip("payment_settings")


def update(call: Call) -> Object:
    p, body = call.params, call.get("invoice", call.path["id"])
    customer = call.get("customer", body["customer"])
    if body["status"] != "draft":
        allowed = {"metadata", "default_payment_method", "auto_advance"}
        if p.keys() - allowed:
            raise ApiError(
                "Finalized invoices can't be updated in this way", code="invoice_not_editable"
            )
    _describe(call, p, body, customer)
    p.done()
    if body["status"] == "draft":
        total(call, body)
    tell_change(call, "invoice.updated", body)
    return body


def delete(call: Call) -> Object:
    """Delete a draft of its own; its items wait for the next invoice again."""
    body = call.get("invoice", call.path["id"])
    call.params.done()
    if body["status"] != "draft":
        raise ApiError("You can only delete draft invoices.", code="invoice_not_editable")
    if body["_subscription"] and body["billing_reason"] != "manual":
        raise ApiError("You cannot delete an invoice that a subscription made.")
    for item in call.store.all("invoiceitem", customer=body["customer"]):
        if item["invoice"] == body["id"]:
            call.store.save({**item, "invoice": None})
    call.store.delete(body["id"])
    emit(call, "invoice.deleted", body, owner=body)
    return {"id": body["id"], "object": "invoice", "deleted": True}


def get(call: Call) -> Object:
    return counted(call, call.get("invoice", call.path["id"]))


def counted(call: Call, invoice: Object) -> Object:
    """Return an invoice with its payments; a draft with the usage that there is by now."""
    if invoice["status"] == "draft":
        lines.recount(call, invoice)
        total(call, invoice)
    return invoice


def list_(call: Call) -> Object:
    p = call.params
    customer, status, sub = p.text("customer"), p.text("status"), p.text("subscription")
    method, within = p.text("collection_method"), created_filter(p)
    due = created_filter(p, "due_date")
    return call.page_of(
        "invoice", url="/v1/invoices", customer=customer,
        keep=lambda i: status in (None, i["status"]) and sub in (None, i["_subscription"])
        and method in (None, i["collection_method"]) and within(i)
        and due({"created": i["due_date"] or 0}),
        shown=lambda i: counted(call, i),
    )  # fmt: skip


def lines_of(call: Call) -> Object:
    invoice = get(call)
    return call.page(invoice["lines"]["data"], url=f"/v1/invoices/{invoice['id']}/lines")


def preview(call: Call) -> Object:
    """Show the invoice that a change, a new subscription or the next renewal would make.

    The change is really made, by the same code, and undone.
    """
    p = call.params
    sub_id, customer_id = p.text("subscription"), p.text("customer")
    details = p.child("subscription_details")
    extra, wanted = p.children("invoice_items"), p.children("discounts")
    p.choice("preview_mode", ("next", "recurring"), "next")
    p.skip("automatic_tax", "currency")
    is_change = bool(details.keys())
    sub = _previewed(call, sub_id, customer_id, is_new=sub_id is None and "items" in details)
    trial = call.as_preview()
    with call.store.undone():
        if sub is None:
            customer = call.get("customer", customer_id or "", param="customer", status=400)
            made = _preview_new(trial, customer, details, wanted)
        else:
            customer = call.get("customer", sub["customer"])
            for entry in extra:
                invoice_items.create_for(trial, customer, entry, draft=None)
            if wanted:
                sub["discounts"] = discounts.replace(
                    trial, wanted, customer=customer, sub=sub, at=call.now(sub)
                )
                call.store.save(sub)
            made = _preview_change(trial, sub, details) if is_change else None
            made = made or lifecycle.preview_renewal(call, call.get("subscription", sub["id"]))
    p.done()
    if made is None:
        raise ApiError(
            f"No upcoming invoices for customer: {customer['id']}", code="invoice_upcoming_none",
            status=404,
        )  # fmt: skip
    made["id"] = made["id"].replace("in_", "upcoming_in_")
    for line in made["lines"]["data"]:
        line["invoice"] = made["id"]
    return made


def _previewed(
    call: Call, sub_id: str | None, customer_id: str | None, *, is_new: bool
) -> Object | None:
    """Return the subscription that a preview is about, None for one that does not exist yet."""
    if sub_id is not None:
        return call.get("subscription", sub_id, param="subscription", status=400)
    if is_new:
        return None
    live = [
        s for s in call.store.all("subscription", customer=customer_id or "")
        if s["status"] in ("trialing", *lifecycle.RENEWS)
    ]  # fmt: skip
    if not live:
        raise ApiError(
            f"No upcoming invoices for customer: {customer_id}", code="invoice_upcoming_none",
            status=404,
        )  # fmt: skip
    return live[0]


def _preview_new(
    call: Call, customer: Object, details: Params, wanted: list[Params]
) -> Object | None:
    """Return the first invoice of a new subscription: at its start, else at its first renewal."""
    sub = subscriptions.create_for(call, customer, details, wanted)
    first = call.store.find("invoice", sub["_made"] or "")
    return first or lifecycle.preview_renewal(call, sub)


def _preview_change(call: Call, sub: Object, details: Params) -> Object | None:
    """Make a change and return the invoice that it made at once; None if it only waits."""
    if details.boolean("cancel_now"):
        return lifecycle.final_invoice(call, sub, at=call.now(sub), prorate=True)
    details.skip("billing_mode", "start_date")
    return changes.apply(call, sub, details)


def finalize(call: Call) -> Object:
    p, invoice = call.params, call.get("invoice", call.path["id"])
    if "auto_advance" in p:
        invoice["auto_advance"] = p.boolean("auto_advance")
    p.done()
    # A draft that does not advance by itself is opened, but its payment is left to the caller.
    collects = bool(invoice["auto_advance"])
    return invoices.finalize(call, invoice, at=call.now(invoice), collects=collects)


def pay(call: Call) -> Object:
    p, invoice = call.params, call.get("invoice", call.path["id"])
    off_stripe, card_id = p.boolean("paid_out_of_band"), p.text("payment_method")
    present = not p.boolean("off_session", True)
    p.done()
    now = call.now(invoice)
    if invoice["status"] == "draft":
        invoices.finalize(call, invoice, at=now, collects=False)
    if invoice["status"] == "paid":
        raise ApiError("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise ApiError(
            f"Invoice can't be paid because it is {invoice['status']}", code="invoice_not_editable"
        )
    if off_stripe:
        return invoices.mark_paid(call, invoice, at=now, off_stripe=True)
    card = call.get("payment_method", card_id, param="payment_method") if card_id else None
    if card is None and invoices.card_for(call, invoice) is None:
        raise ApiError(NO_CARD.message, code="resource_missing")
    return pay_with(call, invoice, card, present=present)


def pay_with(call: Call, invoice: Object, card: Object | None, *, present: bool) -> Object:
    """Charge an open invoice now.

    Raises:
        KeptRefusal: the bank refused; the attempt is recorded.
    """
    paid = invoices.collect(
        call, invoice, at=call.now(invoice), card=card, payer_is_present=present
    )
    if paid["status"] == "paid":
        return paid
    intent = call.get("payment_intent", invoice["_intent"])
    error = intent["last_payment_error"]
    raise KeptRefusal(
        error["message"], status=402, kind="card_error", code=error["code"],
        decline_code=error.get("decline_code"),
    )  # fmt: skip


def _void(call: Call, invoice: Object) -> Object:
    return invoices.void(call, invoice, at=call.now(invoice))


def _write_off(call: Call, invoice: Object) -> Object:
    if invoice["status"] != "open":
        raise ApiError(
            "You can only mark open invoices as uncollectible.", code="invoice_not_editable"
        )
    invoice.update(status="uncollectible", next_payment_attempt=None)
    invoice["status_transitions"]["marked_uncollectible_at"] = call.now(invoice)
    tell_change(call, "invoice.marked_uncollectible", invoice)
    return invoice


def _send(call: Call, invoice: Object) -> Object:
    if invoice["status"] == "draft":
        invoices.finalize(call, invoice, at=call.now(invoice), collects=False)
    if invoice["status"] != "open":
        raise ApiError("You can only send open invoices.", code="invoice_not_editable")
    emit(call, "invoice.sent", invoice, owner=invoice)
    return invoice


def _on_invoice(name: str, act: Callable[[Call, Object], Object]) -> Route:
    def handler(call: Call) -> Object:
        invoice = call.get("invoice", call.path["id"])
        call.params.done()
        return act(call, invoice)

    return Route("POST", f"/v1/invoices/{{id}}/{name}", handler)


ROUTES = [
    Route("POST", "/v1/invoices/create_preview", preview),
    Route("POST", "/v1/invoices", create),
    Route("GET", "/v1/invoices", list_),
    Route("GET", "/v1/invoices/{id}", get),
    Route("POST", "/v1/invoices/{id}", update),
    Route("DELETE", "/v1/invoices/{id}", delete),
    Route("GET", "/v1/invoices/{id}/lines", lines_of),
    Route("POST", "/v1/invoices/{id}/finalize", finalize),
    Route("POST", "/v1/invoices/{id}/pay", pay),
    _on_invoice("void", _void),
    _on_invoice("mark_uncollectible", _write_off),
    _on_invoice("send", _send),
]
