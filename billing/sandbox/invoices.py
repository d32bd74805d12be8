"""Invoices: drafted, finalised an hour later, then paid or tried again.

While an invoice is a draft, usage of its period is still counted in; finalising fixes it
(docs.stripe.com/billing/subscriptions/usage-based/recording-usage). Failed payments are tried
again on the days of the switch `dunning_days`
(docs.stripe.com/billing/revenue-recovery/smart-retries, "custom retry schedule").
"""

from billing.sandbox import balance, discounts, lines, payments, switches, taxes
from billing.sandbox.call import Call
from billing.sandbox.cards import AUTHENTICATION, Refusal
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit, tell_change
from billing.sandbox.store import Object, new_id
from billing.sandbox.totals import total

DRAFT_S = 3600
DAY_S = 24 * 3600


def shell(
    call: Call, customer: Object, *, at: int, currency: str, reason: str,
    period: tuple[int, int], sub: Object | None,
) -> Object:  # fmt: skip
    """Return an empty draft, not yet kept."""
    invoice_id = new_id("in")
    parent = None
    if sub is not None:
        details = {"metadata": sub["metadata"], "subscription": sub["id"]}
        parent = {
            "quote_details": None, "subscription_details": details, "type": "subscription_details",
        }  # fmt: skip
    found = discounts.active(call, sub, at=at)
    automatic = bool(sub and sub["automatic_tax"]["enabled"])
    return {
        "id": invoice_id, "object": "invoice", "account_country": "DE", "account_name": "Takt",
        "account_tax_ids": None, "amount_due": 0, "amount_overpaid": 0, "amount_paid": 0,
        "amount_paid_off_stripe": 0, "amount_remaining": 0, "amount_shipping": 0,
        "application": None, "attempt_count": 0, "attempted": False, "auto_advance": True,
        "automatic_tax": automatic_tax(automatic),
        "automatically_finalizes_at": at + DRAFT_S, "billing_reason": reason,
        "collection_method": sub["collection_method"] if sub else "charge_automatically",
        "created": at, "currency": currency, "custom_fields": None, "customer": customer["id"],
        "customer_address": customer["address"], "customer_email": customer["email"],
        "customer_name": customer["name"], "customer_phone": customer["phone"],
        "customer_shipping": None, "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [
            {"type": t["type"], "value": t["value"]}
            for t in reversed(taxes.tax_ids_of(call, customer["id"]))
        ],
        "default_payment_method": None, "default_source": None,
        "default_tax_rates": list(sub["default_tax_rates"]) if sub else [],
        "description": None, "discounts": [d["id"] for d in found], "due_date": None,
        "effective_at": None, "ending_balance": None, "footer": None, "from_invoice": None,
        "hosted_invoice_url": None, "invoice_pdf": None, "issuer": {"type": "self"},
        "last_finalization_error": None, "latest_revision": None,
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
        "_subscription": sub["id"] if sub else None, "_intent": None, "_failed_at": None,
        "_days_until_due": sub["days_until_due"] if sub else None, "_overdue": False,
        "_discounts": [d["id"] for d in found], "_payments": [],
    }  # fmt: skip


def automatic_tax(enabled: bool) -> Object:
    return {
        "disabled_reason": None, "enabled": enabled,
        "liability": {"type": "self"} if enabled else None,
        "provider": "stripe" if enabled else None, "status": "complete" if enabled else None,
    }  # fmt: skip


def keep_draft(call: Call, invoice: Object, *, sub: Object | None, at: int) -> Object:
    """Put what is pending first, compute the amounts, and keep the draft."""
    waiting = lines.pending(call, invoice["customer"], sub["id"] if sub else None)
    fitting = [item for item in waiting if item["currency"] == invoice["currency"]]
    first = [lines.from_item(item, invoice) for item in fitting]
    invoice["lines"]["data"] = first + invoice["lines"]["data"]
    for item in fitting:
        call.store.save({**item, "invoice": invoice["id"]})
    total(call, invoice)
    if sub is not None and sub["status"] == "unpaid":
        invoice.update(auto_advance=False, next_payment_attempt=None)
    if invoice["collection_method"] == "send_invoice":
        invoice["next_payment_attempt"] = None
    call.store.insert("invoice", invoice)
    emit(call, "invoice.created", invoice, owner=invoice)
    if sub is not None:
        used = [part["discount"] for part in invoice["total_discount_amounts"] if part["amount"]]
        discounts.settle(call, sub, used=used, at=at)
    return invoice


def finalize(
    call: Call, invoice: Object, *, at: int, payer_is_present: bool = False, collects: bool = True
) -> Object:
    """Fix a draft: number it, use the balance, open it, and collect what is due."""
    if invoice["status"] != "draft":
        raise ApiError(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
            code="invoice_not_editable",
        )
    lines.recount(call, invoice)
    total(call, invoice)
    if call.is_preview:
        return invoice
    customer = call.get("customer", invoice["customer"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}"
    customer["next_invoice_sequence"] += 1
    call.store.save(customer)
    _use_balance(call, invoice)
    days = invoice["_days_until_due"]
    sent = invoice["collection_method"] == "send_invoice"
    invoice.update(
        status="open", number=number, effective_at=at, automatically_finalizes_at=None,
        due_date=invoice["due_date"] or at + (days or 0) * DAY_S if sent else None,
        hosted_invoice_url=f"{call.base_url}/_pages/invoices/{invoice['id']}",
        invoice_pdf=f"{call.base_url}/_pages/invoices/{invoice['id']}.pdf",
    )  # fmt: skip
    invoice["status_transitions"]["finalized_at"] = at
    if invoice["amount_due"]:
        _open_intent(call, invoice, customer, at=at)
    call.store.save(invoice)
    emit(call, "invoice.finalized", invoice, owner=invoice)
    if invoice["amount_due"] and (sent or not collects):
        return invoice
    return collect(call, invoice, at=at, payer_is_present=payer_is_present)


def _use_balance(call: Call, invoice: Object) -> None:
    """Take what is due out of the balance, or put a total below zero into it."""
    after = min(0, invoice["total"] + invoice["starting_balance"])
    moved = after - invoice["starting_balance"]
    invoice["ending_balance"] = after
    if moved:
        balance.move(
            call, invoice["customer"], moved, kind="applied_to_invoice",
            currency=invoice["currency"], invoice=invoice["id"],
        )  # fmt: skip


def _open_intent(call: Call, invoice: Object, customer: Object, *, at: int) -> None:
    intent = payments.new_intent(
        call, customer, amount=invoice["amount_due"], currency=invoice["currency"],
        description="Subscription update" if invoice["_subscription"] else "Payment for Invoice",
        at=at,
    )  # fmt: skip
    invoice["_intent"] = intent["id"]
    invoice["_payments"] = [
        {
            "id": new_id("inpay"), "object": "invoice_payment", "amount_paid": None,
            "amount_requested": invoice["amount_due"], "created": at,
            "currency": invoice["currency"], "invoice": invoice["id"], "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open", "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    ]  # fmt: skip


def card_for(call: Call, invoice: Object) -> Object | None:
    """Return the card that pays: the invoice's, the subscription's, the customer's default."""
    customer = call.get("customer", invoice["customer"])
    sub = call.store.find("subscription", invoice["_subscription"] or "")
    for card_id in (
        invoice["default_payment_method"],
        sub and sub["default_payment_method"],
        customer["invoice_settings"]["default_payment_method"],
    ):
        card = call.store.find("payment_method", card_id or "")
        if card is not None and card["customer"] == customer["id"]:
            return card
    return None


def collect(
    call: Call, invoice: Object, *, at: int, card: Object | None = None,
    payer_is_present: bool = False,
) -> Object:  # fmt: skip
    """Charge the card; a refusal leaves the invoice open and is tried again days later."""
    if invoice["amount_remaining"] == 0:
        return mark_paid(call, invoice, at=at)
    card = card or card_for(call, invoice)
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    refusal = payments.NO_CARD
    if card is not None:
        intent = call.get("payment_intent", invoice["_intent"])
        intent["amount"] = invoice["amount_remaining"]
        customer = call.get("customer", invoice["customer"])
        found = payments.charge(
            call, intent, card, at=at, customer=customer, payer_is_present=payer_is_present
        )
        if found is None:
            return mark_paid(call, invoice, at=at)
        refusal = found
    _failed(call, invoice, refusal, at=at)
    return invoice


def _failed(call: Call, invoice: Object, refusal: Refusal, *, at: int) -> None:
    first = invoice["_failed_at"] or at
    later = [first + days * DAY_S for days in switches.dunning_days(call.store)]
    following = next((moment for moment in later if moment > at), None)
    if not invoice["auto_advance"] or invoice["collection_method"] == "send_invoice":
        following = None
    invoice.update(_failed_at=first, next_payment_attempt=following, _refusal=refusal.message)
    tell_change(call, "invoice.payment_failed", invoice)
    if refusal is AUTHENTICATION:
        emit(call, "invoice.payment_action_required", invoice, owner=invoice)
    emit(call, "invoice.updated", invoice, owner=invoice)
    sub = call.store.find("subscription", invoice["_subscription"] or "")
    if sub is None:
        return
    customer = call.get("customer", invoice["customer"])
    if not customer["delinquent"]:
        customer["delinquent"] = True
        tell_change(call, "customer.updated", customer)
    over = following is None and invoice["auto_advance"]
    _after_failure(call, sub, invoice, over=over, at=at)


def _after_failure(call: Call, sub: Object, invoice: Object, *, over: bool, at: int) -> None:
    wish = switches.text(call.store, "after_dunning") if over else "past_due"
    if sub["status"] not in ("active", "past_due", "unpaid"):
        return
    if wish == "cancel":
        invoice["auto_advance"] = False
        call.store.save(invoice)
        sub["cancellation_details"]["reason"] = "payment_failed"
        sub.update(status="canceled", ended_at=at, canceled_at=at)
        tell_change(call, "customer.subscription.deleted", sub)
    elif sub["status"] != wish and not (sub["status"] == "unpaid" and wish == "past_due"):
        sub["status"] = wish
        tell_change(call, "customer.subscription.updated", sub)


def mark_paid(call: Call, invoice: Object, *, at: int, off_stripe: bool = False) -> Object:
    """Close an invoice as paid; the subscription that waited for it goes on."""
    paid = invoice["amount_remaining"]
    invoice.update(
        status="paid", amount_paid=invoice["amount_paid"] + paid, amount_remaining=0,
        next_payment_attempt=None, attempted=True, auto_advance=False,
        amount_paid_off_stripe=paid if off_stripe else 0,
    )  # fmt: skip
    invoice["status_transitions"]["paid_at"] = at
    for payment in invoice["_payments"]:
        payment.update(status="paid", amount_paid=paid)
        payment["status_transitions"]["paid_at"] = at
    call.store.save(invoice)
    emit(call, "invoice.paid", invoice, owner=invoice)
    emit(call, "invoice.payment_succeeded", invoice, owner=invoice)
    if not _owes(call, invoice["customer"]):
        customer = call.get("customer", invoice["customer"])
        if customer["delinquent"]:
            customer["delinquent"] = False
            tell_change(call, "customer.updated", customer)
    sub = call.store.find("subscription", invoice["_subscription"] or "")
    if sub is None or sub["status"] not in ("past_due", "unpaid", "incomplete", "paused"):
        return invoice
    # The status follows the newest invoice (docs: "Subscription statuses").
    if sub["latest_invoice"] in (None, invoice["id"]) or not _owes(
        call, invoice["customer"], sub_id=sub["id"]
    ):
        was = sub["status"]
        sub["status"] = "active"
        tell_change(call, "customer.subscription.updated", sub)
        if was == "paused":
            emit(call, "customer.subscription.resumed", sub, owner=sub)
    return invoice


def _owes(call: Call, customer_id: str, *, sub_id: str | None = None) -> bool:
    """Say whether an invoice whose payment failed is still open."""
    return any(
        i["status"] == "open" and i["_failed_at"] and sub_id in (None, i["_subscription"])
        for i in call.store.all("invoice", customer=customer_id)
    )


def void(call: Call, invoice: Object, *, at: int) -> Object:
    """Take an invoice back as if it had not been; what it took of the balance returns."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise ApiError(
            f"You can only void an open or uncollectible invoice; this one is "
            f"{invoice['status']}.", code="invoice_not_editable",
        )  # fmt: skip
    moved = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    invoice.update(status="void", auto_advance=False, next_payment_attempt=None)
    invoice["status_transitions"]["voided_at"] = at
    tell_change(call, "invoice.voided", invoice)
    if moved:
        balance.move(
            call, invoice["customer"], -moved, kind="unapplied_from_invoice",
            currency=invoice["currency"], invoice=invoice["id"],
        )  # fmt: skip
    return invoice


def due_of(invoice: Object) -> int | None:
    """Return when an invoice next changes by itself."""
    if invoice["status"] == "draft":
        return invoice["automatically_finalizes_at"] if invoice["auto_advance"] else None
    if invoice["status"] != "open":
        return None
    if invoice["due_date"] is not None and not invoice["_overdue"]:
        return int(invoice["due_date"])
    return invoice["next_payment_attempt"] if invoice["auto_advance"] else None


def pass_time(call: Call, invoice: Object, *, at: int) -> None:
    """Do what an invoice's moment brings: finalise, try again, or fall overdue."""
    if invoice["status"] == "draft":
        finalize(call, invoice, at=at)
    elif invoice["due_date"] is not None and not invoice["_overdue"]:
        invoice["_overdue"] = True
        call.store.save(invoice)
        emit(call, "invoice.overdue", invoice, owner=invoice)
        sub = call.store.find("subscription", invoice["_subscription"] or "")
        if sub is not None and sub["status"] == "active":
            sub["status"] = "past_due"
            tell_change(call, "customer.subscription.updated", sub)
    else:
        collect(call, invoice, at=at)
