"""Credit notes: an open invoice becomes smaller, a paid one is given back.

Contract: docs.stripe.com/api/credit_notes, docs.stripe.com/invoicing/dashboard/credit-notes. What
is credited of a paid invoice goes to the card (`refund_amount`), to the customer's balance
(`credit_amount`), or was settled elsewhere (`out_of_band_amount`); the three add up to the total.
"""

from dataclasses import dataclass
from fractions import Fraction

from billing.sandbox import balance, invoices, payments
from billing.sandbox.call import Call, Route, created_filter, listing, merge_metadata
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.pricing import half_up
from billing.sandbox.store import Object, new_id
from billing.sandbox.totals import net

REASONS = ("", "duplicate", "fraudulent", "order_change", "product_unsatisfactory")


@dataclass(frozen=True, slots=True)
class _Back:
    """Where what is credited after payment goes, in minor units."""

    refund: int
    credit: int
    elsewhere: int


def create(call: Call) -> Object:
    body, invoice, back = _build(call, call.params)
    call.params.done()
    now = call.now(invoice)
    customer = call.get("customer", invoice["customer"])
    n_before = len(_notes_of(call, invoice))
    body["number"] = f"{invoice['number']}-CN-{n_before + 1:02d}"
    body["pdf"] = f"{call.base_url}/_pages/credit_notes/{body['id']}.pdf"
    call.store.insert("credit_note", body)
    invoice["pre_payment_credit_notes_amount"] += body["pre_payment_amount"]
    invoice["post_payment_credit_notes_amount"] += body["post_payment_amount"]
    if body["pre_payment_amount"]:
        invoice["amount_due"] -= body["pre_payment_amount"]
        invoice["amount_remaining"] -= body["pre_payment_amount"]
    call.store.save(invoice)
    if back.refund:
        _refund(call, invoice, body, back.refund, at=now)
    if back.credit:
        moved = balance.move(
            call, customer["id"], -back.credit, kind="credit_note", currency=invoice["currency"],
            invoice=invoice["id"], credit_note=body["id"],
        )  # fmt: skip
        body["customer_balance_transaction"] = moved["id"]
    call.store.save(body)
    emit(call, "credit_note.created", body, owner=invoice)
    emit(call, "invoice.updated", invoice, owner=invoice)
    if invoice["status"] == "open" and invoice["amount_remaining"] == 0:
        invoices.mark_paid(call, invoice, at=now)
    return body


def _refund(call: Call, invoice: Object, note: Object, amount: int, *, at: int) -> None:
    intent = call.store.find("payment_intent", invoice["_intent"] or "")
    paid = call.store.find("charge", (intent or {}).get("latest_charge") or "")
    if paid is None:
        raise ApiError(
            "The invoice was not paid by card, so that nothing can be refunded.",
            param="refund_amount",
        )
    reason = note["reason"] if note["reason"] in ("duplicate", "fraudulent") else None
    body = payments.refund_charge(
        call, paid, amount=amount, reason=reason or "requested_by_customer", at=at
    )
    note["refunds"] = [{"amount_refunded": amount, "refund": body["id"], "type": "refund"}]


def _notes_of(call: Call, invoice: Object) -> list[Object]:
    notes = call.store.all("credit_note", customer=invoice["customer"])
    return [note for note in notes if note["invoice"] == invoice["id"]]


def _build(call: Call, p: Params) -> tuple[Object, Object, _Back]:
    """Return a credit note as it would be, its invoice, and where the money goes."""
    invoice = call.named("invoice", "invoice")
    if invoice["status"] not in ("open", "paid"):
        raise ApiError(
            f"Credit notes can only be created on open or paid invoices; this one is "
            f"{invoice['status']}.", param="invoice",
        )  # fmt: skip
    wanted = p.children("lines")
    amount = p.integer("amount")
    if not wanted and amount is None:
        parts = [p.peek(k) for k in ("refund_amount", "credit_amount", "out_of_band_amount")]
        amount = sum(int(str(part)) for part in parts if part) or None
    if wanted:
        note_lines = [_line(call, invoice, entry) for entry in wanted]
        computed = sum(line["amount"] + _tax(line) for line in note_lines)
        if amount is not None and amount != computed:
            raise ApiError(
                f"The amount {amount} is not the sum of the lines, {computed}.", param="amount"
            )
        amount = computed
    elif amount is not None:
        note_lines = _spread(invoice, amount)
    else:
        raise ApiError("You must provide one of amount, lines or shipping_cost.", param="amount")
    left = invoice["total"] - _credited(call, invoice)
    if not 0 < amount <= left:
        raise ApiError(
            f"The credit note amount ({amount}) cannot be greater than the amount that is left of "
            f"the invoice ({left}).", param="amount",
        )  # fmt: skip
    back = _back(p, invoice, amount)
    reason = p.choice("reason", REASONS, "")
    body = _body(call, p, invoice, note_lines, amount=amount, back=back, reason=reason)
    return body, invoice, back


def _credited(call: Call, invoice: Object) -> int:
    return sum(n["amount"] for n in _notes_of(call, invoice) if n["status"] == "issued")


def _back(p: Params, invoice: Object, amount: int) -> _Back:
    given = [p.integer(k, 0) or 0 for k in ("refund_amount", "credit_amount", "out_of_band_amount")]
    back = _Back(*given)
    after = amount if invoice["status"] == "paid" else 0
    if invoice["status"] == "open" and amount > invoice["amount_remaining"]:
        raise ApiError(
            "The credit note amount is greater than what is still due of the invoice.",
            param="amount",
        )
    if sum(given) != after:
        raise ApiError(
            "The sum of credit amount, refund amount and out of band amount must equal the post "
            f"payment credit note amount ({after}).", param="credit_amount",
        )  # fmt: skip
    return back


def _line(call: Call, invoice: Object, p: Params) -> Object:
    kind = p.choice("type", ("invoice_line_item", "custom_line_item"), "")
    quantity, unit, amount = p.integer("quantity"), p.integer("unit_amount"), p.integer("amount")
    text, metadata = p.text("description"), p.mapping("metadata")
    if kind == "custom_line_item":
        if unit is None:
            raise ApiError("A custom line needs unit_amount.", param="lines[unit_amount]")
        cost = (quantity or 1) * unit
        return _note_line(cost, text, quantity=quantity or 1, kind=kind, unit=unit)
    line_id = p.required("invoice_line_item")
    source = next((i for i in invoice["lines"]["data"] if i["id"] == line_id), None)
    if source is None:
        raise missing("line_item", line_id, param="lines[invoice_line_item]", status=400)
    if amount is None:
        whole = source["quantity"] or 1
        amount = half_up(Fraction(source["amount"] * (quantity or whole), whole))
    body = _share_of(source, amount)
    body.update(description=text or source["description"], quantity=quantity, metadata=metadata)
    return body


def _share_of(source: Object, amount: int) -> Object:
    """Return the part of an invoice's line that is credited, with its discount and tax."""
    part = Fraction(amount, source["amount"]) if source["amount"] else Fraction(0)
    discounted = half_up(net(source) * part)
    body = _note_line(
        discounted, source["description"], quantity=None, kind="invoice_line_item", unit=None
    )
    taxes = [
        {**tax, "amount": half_up(tax["amount"] * part),
         "taxable_amount": half_up(tax["taxable_amount"] * part)}
        for tax in source["taxes"]
    ]  # fmt: skip
    body.update(
        discount_amount=amount - discounted, invoice_line_item=source["id"], taxes=taxes,
        discount_amounts=[
            {**d, "amount": half_up(d["amount"] * part)} for d in source["discount_amounts"]
        ],
    )  # fmt: skip
    return body


def _note_line(
    amount: int, text: str | None, *, quantity: int | None, kind: str, unit: int | None
) -> Object:
    return {
        "id": new_id("cnli"), "object": "credit_note_line_item", "amount": amount,
        "description": text, "discount_amount": 0, "discount_amounts": [], "livemode": False,
        "metadata": {}, "pretax_credit_amounts": [], "quantity": quantity, "tax_rates": [],
        "taxes": [], "type": kind, "unit_amount": unit,
        "unit_amount_decimal": None if unit is None else str(unit),
    }  # fmt: skip


def _tax(line: Object) -> int:
    """Return the tax that comes on top of a line."""
    return sum(t["amount"] for t in line["taxes"] if t["tax_behavior"] == "exclusive")


def _spread(invoice: Object, amount: int) -> list[Object]:
    """Spread an amount with tax over an invoice's lines in proportion, to the cent."""
    sources = [line for line in invoice["lines"]["data"] if line["amount"] > 0]
    whole = sum(net(line) + _tax(line) for line in sources)
    if not whole:
        raise ApiError("There is nothing to credit on this invoice.", param="invoice")
    found, given, seen = [], 0, 0
    for source in sources:
        seen += net(source) + _tax(source)
        until = half_up(Fraction(amount * seen, whole))
        part, given = until - given, until
        line = _share_of(source, half_up(Fraction(source["amount"] * amount, whole)))
        line["amount"] = part - _tax(line)
        if part:
            found.append(line)
    return found


def _body(
    call: Call, p: Params, invoice: Object, note_lines: list[Object], *, amount: int, back: _Back,
    reason: str,
) -> Object:  # fmt: skip
    note_id, paid = new_id("cn"), invoice["status"] == "paid"
    tax = sum(_tax(line) for line in note_lines)
    off = sum(line["discount_amount"] for line in note_lines)
    p.skip("email_type")
    return {
        "id": note_id, "object": "credit_note", "amount": amount, "amount_shipping": 0,
        "created": call.now(invoice), "currency": invoice["currency"],
        "customer": invoice["customer"], "customer_balance_transaction": None,
        "discount_amount": off, "discount_amounts": _sums(note_lines, "discount_amounts"),
        "effective_at": p.integer("effective_at") or call.now(invoice), "invoice": invoice["id"],
        "lines": listing(note_lines, url=f"/v1/credit_notes/{note_id}/lines"),
        "livemode": False, "memo": p.text("memo"), "metadata": p.mapping("metadata") or {},
        "number": "", "out_of_band_amount": back.elsewhere or None, "pdf": "",
        "post_payment_amount": amount if paid else 0, "pre_payment_amount": 0 if paid else amount,
        "pretax_credit_amounts": [], "reason": reason or None, "refunds": [],
        "shipping_cost": None, "status": "issued", "subtotal": amount - tax + off,
        "subtotal_excluding_tax": amount - tax + off, "total": amount,
        "total_excluding_tax": amount - tax, "total_taxes": _sums(note_lines, "taxes"),
        "type": "post_payment" if paid else "pre_payment", "voided_at": None,
    }  # fmt: skip


def _sums(note_lines: list[Object], key: str) -> list[Object]:
    """Add up the discounts or taxes of lines, by discount or by rate."""
    found: dict[str, Object] = {}
    for part in (part for line in note_lines for part in line[key]):
        name = part.get("discount") or part["tax_rate_details"]["tax_rate"]
        summed = {k for k in ("amount", "taxable_amount") if k in part}
        known = found.setdefault(name, {**part, **dict.fromkeys(summed, 0)})
        for k in summed:
            known[k] += part[k]
    return list(found.values())


def preview(call: Call) -> Object:
    body, _invoice, _back = _build(call, call.params)
    call.params.done()
    return {**body, "pdf": f"{call.base_url}/_pages/credit_notes/preview.pdf"}


def preview_lines(call: Call) -> Object:
    p = call.params
    p.skip("limit")
    lines = preview(call)["lines"]
    return {**lines, "url": "/v1/credit_notes/preview/lines"}


def _get(call: Call) -> Object:
    return call.get("credit_note", call.path["id"])


def _update(call: Call) -> Object:
    p, body = call.params, _get(call)
    if "memo" in p:
        body["memo"] = p.text("memo")
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.done()
    tell_change(call, "credit_note.updated", body, owner=call.get("invoice", body["invoice"]))
    return body


def _list(call: Call) -> Object:
    p = call.params
    customer, invoice, within = p.text("customer"), p.text("invoice"), created_filter(p)
    return call.page_of(
        "credit_note", url="/v1/credit_notes", customer=customer,
        keep=lambda n: invoice in (None, n["invoice"]) and within(n),
    )  # fmt: skip


def _lines_of(call: Call) -> Object:
    body = _get(call)
    return call.page(body["lines"]["data"], url=f"/v1/credit_notes/{body['id']}/lines")


def _void(call: Call) -> Object:
    """Take back a credit note on an open invoice: what was due is due again."""
    body = _get(call)
    call.params.done()
    invoice = call.get("invoice", body["invoice"])
    if body["status"] == "void" or invoice["status"] != "open" or not body["pre_payment_amount"]:
        raise ApiError("You can only void a credit note that was issued for an open invoice.")
    invoice["pre_payment_credit_notes_amount"] -= body["amount"]
    invoice["amount_due"] += body["amount"]
    invoice["amount_remaining"] += body["amount"]
    tell_change(call, "invoice.updated", invoice)
    body.update(status="void", voided_at=call.now(invoice))
    call.store.save(body)
    emit(call, "credit_note.voided", body, owner=invoice)
    return body


ROUTES = [
    Route("POST", "/v1/credit_notes", create),
    Route("GET", "/v1/credit_notes/preview", preview),
    Route("GET", "/v1/credit_notes/preview/lines", preview_lines),
    Route("GET", "/v1/credit_notes", _list),
    Route("GET", "/v1/credit_notes/{id}", _get),
    Route("POST", "/v1/credit_notes/{id}", _update),
    Route("GET", "/v1/credit_notes/{id}/lines", _lines_of),
    Route("POST", "/v1/credit_notes/{id}/void", _void),
]
