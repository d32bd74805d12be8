"""Invoices, receipts and credit notes as PDF."""

from collections.abc import Iterator
from datetime import UTC, datetime

from billing.pdf import Sheet
from billing.sandbox.call import Call
from billing.sandbox.store import Object

# Currencies without a minor unit (docs.stripe.com/currencies#zero-decimal).
_WHOLE = {
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
}  # fmt: skip


def money(amount: int, currency: str) -> str:
    digits = f"{amount:,}" if currency in _WHOLE else f"{amount / 100:,.2f}"
    return f"{digits} {currency.upper()}"


def day(at: int | None) -> str:
    return "" if at is None else f"{datetime.fromtimestamp(at, UTC):%d %b %Y}"


def invoice_pdf(call: Call, invoice: Object) -> bytes:
    """Return an invoice: number, dates, both parties, lines, totals, what was paid."""
    sheet, currency = Sheet("Invoice"), invoice["currency"]
    sheet.line("Invoice number", invoice["number"] or "draft")
    sheet.line("Date of issue", day(invoice["effective_at"] or invoice["created"]))
    if invoice["due_date"]:
        sheet.line("Date due", day(invoice["due_date"]))
    _parties(sheet, invoice)
    for line in invoice["lines"]["data"]:
        sheet.line(line["description"] or "", money(line["amount"], currency))
        period = line["period"]
        if period["start"] != period["end"]:
            sheet.line(f"    {day(period['start'])} - {day(period['end'])}")
    sheet.rule()
    _totals(call, sheet, invoice)
    return sheet.document(title=f"Invoice {invoice['number'] or 'draft'}")


def _parties(sheet: Sheet, invoice: Object) -> None:
    sheet.rule()
    sheet.line(invoice["account_name"], bold=True)
    sheet.line("Bill to", bold=True)
    sheet.line(invoice["customer_name"] or "")
    sheet.lines(_address(invoice["customer_address"]))
    if invoice["customer_email"]:
        sheet.line(invoice["customer_email"])
    for tax_id in invoice["customer_tax_ids"]:
        sheet.line(f"{tax_id['type'].replace('_', ' ').upper()} {tax_id['value']}")
    sheet.rule()


def _address(address: Object | None) -> Iterator[str]:
    if address is None:
        return
    city = " ".join(filter(None, (address["postal_code"], address["city"])))
    for part in (address["line1"], address["line2"], city, address["state"], address["country"]):
        if part:
            yield part


def _totals(call: Call, sheet: Sheet, invoice: Object) -> None:
    currency = invoice["currency"]
    sheet.line("Subtotal", money(invoice["subtotal"], currency))
    for part in invoice["total_discount_amounts"]:
        discount = call.get("discount", part["discount"])
        coupon = call.get("coupon", discount["source"]["coupon"])
        sheet.line(f"Discount ({coupon['name'] or coupon['id']})", money(-part["amount"], currency))
    if invoice["total_taxes"]:
        sheet.line("Total excluding tax", money(invoice["total_excluding_tax"], currency))
    for tax in invoice["total_taxes"]:
        rate = call.get("tax_rate", tax["tax_rate_details"]["tax_rate"])
        included = ", included" if rate["inclusive"] else ""
        text = f"{rate['display_name']} {rate['percentage']} %{included}"
        sheet.line(text, money(tax["amount"], currency))
    sheet.line("Total", money(invoice["total"], currency), bold=True)
    used = (invoice["ending_balance"] or 0) - invoice["starting_balance"]
    if invoice["ending_balance"] is not None and used:
        sheet.line("Customer balance", money(-used, currency))
    credited = (
        invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    )
    if credited:
        sheet.line("Credit notes", money(-credited, currency))
    if invoice["amount_paid"]:
        text = f"Amount paid on {day(invoice['status_transitions']['paid_at'])}"
        sheet.line(text, money(invoice["amount_paid"], currency))
    sheet.line("Amount due", money(invoice["amount_remaining"], currency), bold=True)
    if invoice["description"]:
        sheet.line(invoice["description"])


def receipt_pdf(call: Call, charge: Object) -> bytes:
    """Return the receipt of a charge."""
    sheet, card = Sheet("Receipt"), charge["payment_method_details"]["card"]
    sheet.line("Charge", charge["id"])
    sheet.line("Date paid", day(charge["created"]))
    sheet.line("Payment method", f"{card['brand'].title()} {card['last4']}")
    customer = call.store.find("customer", charge["customer"] or "")
    if customer is not None:
        sheet.line("Paid by", customer["name"] or customer["email"] or customer["id"])
    sheet.rule()
    sheet.line("Amount paid", money(charge["amount_captured"], charge["currency"]), bold=True)
    if charge["amount_refunded"]:
        sheet.line("Refunded", money(charge["amount_refunded"], charge["currency"]))
    return sheet.document(title="Receipt")


def credit_note_pdf(call: Call, note: Object) -> bytes:
    """Return a credit note with its lines and where the money went."""
    sheet, currency = Sheet("Credit note"), note["currency"]
    invoice = call.get("invoice", note["invoice"])
    sheet.line("Credit note number", note["number"])
    sheet.line("Invoice number", invoice["number"] or "")
    sheet.line("Date of issue", day(note["effective_at"]))
    if note["reason"]:
        sheet.line("Reason", note["reason"].replace("_", " "))
    _parties(sheet, invoice)
    for line in note["lines"]["data"]:
        sheet.line(line["description"] or "", money(line["amount"], currency))
    sheet.rule()
    sheet.line("Total credited", money(note["total"], currency), bold=True)
    refunded = sum(part["amount_refunded"] for part in note["refunds"])
    if refunded:
        sheet.line("Refunded to the card", money(refunded, currency))
    if note["memo"]:
        sheet.line(note["memo"])
    return sheet.document(title=f"Credit note {note['number']}")
