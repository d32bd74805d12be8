"""The pages of invoices: what Stripe says of each, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.models import CreditNote, Invoice
from frontend.bill import date_words
from frontend.formats import money

_STATES = {
    "draft": "Draft, still changing",
    "open": "To be paid",
    "paid": "Paid",
    "void": "Void",
    "uncollectible": "Not collected",
}


@dataclass(frozen=True)
class InvoiceRow:
    id: int
    number: str
    period: str
    state: str
    amount: str
    credited: str
    has_file: bool
    has_receipt: bool


@dataclass(frozen=True)
class LineRow:
    description: str
    period: str
    quantity: str
    amount: str


@dataclass(frozen=True)
class CreditRow:
    id: int
    number: str
    made_on: str
    amount: str
    words: str
    has_file: bool


@dataclass(frozen=True)
class InvoicePage:
    """An invoice with its lines, what was taken off and added, and what was given back."""

    row: InvoiceRow
    made_on: str
    state_words: str
    lines: tuple[LineRow, ...]
    sums: tuple[tuple[str, str], ...]
    total: str
    credits: tuple[CreditRow, ...]
    can_be_paid: bool


def invoice_rows(found: Iterable[Invoice]) -> list[InvoiceRow]:
    """Return rows; the invoices come with their credit notes."""
    return [_row(invoice) for invoice in found]


def _row(invoice: Invoice) -> InvoiceRow:
    credited = sum(note.amount_minor for note in _credits(invoice))
    return InvoiceRow(
        id=invoice.pk,
        number=invoice.number or "Draft",
        period=_period(invoice.period_start, invoice.period_end),
        state=_STATES.get(invoice.status, invoice.status.capitalize()),
        amount=money(invoice.total_minor, invoice.currency),
        credited=money(-credited, invoice.currency) if credited else "",
        has_file=bool(invoice.pdf_url),
        has_receipt=invoice.has_receipt,
    )


def _credits(invoice: Invoice) -> list[CreditNote]:
    return [note for note in invoice.credit_notes.all() if note.status != "void"]


def invoice_page(invoice: Invoice) -> InvoicePage:
    currency = invoice.currency
    sums = [
        ("Before discount and tax", invoice.subtotal_minor),
        ("Discount", -invoice.discount_minor),
        ("Tax", invoice.tax_minor),
    ]
    shown = [(words, money(minor, currency)) for words, minor in sums if minor]
    return InvoicePage(
        row=_row(invoice),
        made_on=date_words(invoice.finalized_at or invoice.created_at),
        state_words=_state_words(invoice),
        lines=tuple(
            LineRow(
                description=line.description,
                period=_period(line.period_start, line.period_end),
                quantity="" if line.quantity is None else f"{line.quantity:,}",
                amount=money(line.amount_minor, currency),
            )
            for line in sorted(invoice.lines.all(), key=lambda line: line.position)
        ),
        sums=tuple(shown) if len(shown) > 1 else (),
        total=money(invoice.total_minor, currency),
        credits=tuple(_credit(note, currency) for note in _credits(invoice)),
        can_be_paid=invoice.status == "open" and invoice.due_minor > invoice.paid_minor,
    )


def _state_words(invoice: Invoice) -> str:
    if invoice.status == "paid" and invoice.paid_at is not None:
        return f"Paid on {date_words(invoice.paid_at)}."
    if invoice.status == "open" and invoice.n_attempts:
        words = f"Could not be collected, tried {_times(invoice.n_attempts)}."
        if invoice.next_attempt_at is not None:
            words += f" Tried again on {date_words(invoice.next_attempt_at)}."
        return words
    return f"{_STATES.get(invoice.status, invoice.status.capitalize())}."


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _credit(note: CreditNote, currency: str) -> CreditRow:
    refunded = note.refunded_minor
    where = "sent back to the card" if refunded == note.amount_minor else "taken off what comes"
    if 0 < refunded < note.amount_minor:
        where = f"{money(refunded, currency)} of it sent back to the card"
    return CreditRow(
        id=note.pk,
        number=note.number or "Credit note",
        made_on=date_words(note.created_at),
        amount=money(-note.amount_minor, currency),
        words=f"{note.memo} ({where})" if note.memo else where.capitalize(),
        has_file=bool(note.pdf_url),
    )


def _period(start: datetime, end: datetime) -> str:
    first, last = start.astimezone(UTC), end.astimezone(UTC) - timedelta(seconds=1)
    if last.date() <= first.date():
        return date_words(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {date_words(last)}"
    if first.year != last.year:
        return f"{date_words(first)} to {date_words(last)}"
    return f"{first.day} {first:%B} to {date_words(last)}"
