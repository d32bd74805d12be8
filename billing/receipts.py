"""Receipts: proof that an invoice was paid, written by us.

Stripe has a page for a charge (`receipt_url`) and no file: its address opens for anybody and dies
after 30 days (docs.stripe.com/receipts). So what it says is asked for and written here.
"""

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from zoneinfo import ZoneInfo

from billing.answers import StripePaid, StripePayment
from billing.gateways import StripeRefused, gateway
from billing.models import CreditNote, Invoice
from billing.money import money
from billing.pdf import Sheet

_BRANDS = {"amex": "American Express", "visa": "Visa", "mastercard": "Mastercard"}


class NoReceipt(Exception):
    """Nothing was paid for the invoice, or Stripe does not know it."""


def receipt(invoice: Invoice, *, zone: ZoneInfo) -> bytes:
    """Return the receipt of an invoice as PDF, with what was given back up to now.

    Args:
        zone: of the factory; days are days there.

    Raises:
        NoReceipt: there is none.
        StripeAway: nobody answers; try again later.
    """
    if not invoice.has_receipt:
        raise NoReceipt
    try:
        paid = gateway().paid(invoice.stripe_id)
    except StripeRefused as refusal:
        if refusal.status != HTTPStatus.NOT_FOUND:
            raise
        raise NoReceipt from refusal
    return written(invoice, paid, zone=zone)


def file_name(invoice: Invoice) -> str:
    safe = "".join(c for c in str(invoice) if c.isalnum() or c in "-_")
    return f"receipt-{safe}.pdf"


def written(invoice: Invoice, paid: StripePaid, *, zone: ZoneInfo) -> bytes:
    """Write a receipt from what is known; the invoice comes with its credit notes."""
    sheet, title = Sheet("Receipt"), f"Receipt for invoice {invoice}"
    sheet.fact("Invoice number", str(invoice))
    if invoice.paid_at is not None:
        sheet.fact("Date paid", f"{_day(invoice.paid_at, zone)} ({zone.key})")
    for words in dict.fromkeys(map(_method, paid.payments)) or ["Outside of Stripe"]:
        sheet.fact("Payment method", words)
    _parties(sheet, invoice, paid)
    _amounts(sheet, invoice)
    _given_back(sheet, invoice, paid, zone)
    return sheet.document(title=title)


def _day(at: datetime, zone: ZoneInfo) -> str:
    there = at.astimezone(zone)
    return f"{there.day} {there:%B %Y}"


def _method(payment: StripePayment) -> str:
    if not payment.last4:
        return "Not by card"
    return f"{_BRANDS.get(payment.brand, payment.brand.capitalize())} ending {payment.last4}"


def _parties(sheet: Sheet, invoice: Invoice, paid: StripePaid) -> None:
    sheet.rule()
    sheet.fact("Paid to", paid.seller)
    sheet.fact("Paid by", paid.payer or invoice.account.legal_name or invoice.account.name)
    for words in (*paid.payer_address, paid.payer_email, *paid.payer_tax_ids):
        if words:
            sheet.fact("", words)
    sheet.rule()


def _amounts(sheet: Sheet, invoice: Invoice) -> None:
    currency, before = invoice.currency, invoice.paid_minor - invoice.total_minor
    sheet.line("Invoice total", money(invoice.total_minor, currency))
    if before:
        sheet.line("Credits and balance used before", money(before, currency))
    sheet.line("Amount paid", money(invoice.paid_minor, currency), bold=True)


def _given_back(sheet: Sheet, invoice: Invoice, paid: StripePaid, zone: ZoneInfo) -> None:
    """List what went back since, by credit note, and what was refunded without one."""
    notes = list(_since(invoice))
    without = sum(p.refunded for p in paid.payments) - sum(n.refunded_minor for n in notes)
    if not notes and without <= 0:
        return
    currency = invoice.currency
    sheet.rule()
    sheet.line("Given back since", bold=True)
    for note in notes:
        where = "to the card" if note.refunded_minor == note.amount_minor else "to the balance"
        if 0 < note.refunded_minor < note.amount_minor:
            where = f"{money(note.refunded_minor, currency)} of it to the card"
        words = f"{note}, {_day(note.created_at, zone)}, {where}"
        sheet.line(words, money(-note.amount_minor, currency))
    if without > 0:
        sheet.line("Refunded without a credit note", money(-without, currency))


def _since(invoice: Invoice) -> Iterator[CreditNote]:
    """Yield the credit notes after the payment; one before it made the invoice smaller."""
    for note in sorted(invoice.credit_notes.all(), key=lambda note: (note.created_at, note.pk)):
        is_later = invoice.paid_at is not None and note.created_at > invoice.paid_at
        if note.status != "void" and (note.refunded_minor or is_later):
            yield note
