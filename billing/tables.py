"""What was billed and counted as tables: for owners' accounts, and for the export of everything.

Times are UTC, amounts minor units. Rows are read as they are written, a page at a time, and no
text is a formula for a spreadsheet; amounts below zero stay numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from billing import selectors
from tenants.export_files import Content, csv_of, harmless
from tenants.models import Factory

Row = Sequence[str | int | None]


@dataclass(frozen=True, slots=True)
class Table:
    about: str
    columns: Sequence[str]
    rows: Callable[[Factory], Iterable[Row]]

    def csv(self, factory: Factory) -> Content:
        """Yield a factory's rows as CSV, a piece at a time."""
        return csv_of(self.columns, map(_safe, self.rows(factory)))


def _safe(row: Row) -> Row:
    return [harmless(cell) if isinstance(cell, str) else cell for cell in row]


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else ""


def _invoices(factory: Factory) -> Iterator[Row]:
    for invoice in selectors.every_invoice(factory):
        given = [note for note in invoice.credit_notes.all() if note.status != "void"]
        yield (
            invoice.number or "draft",
            invoice.status,
            invoice.currency,
            invoice.total_minor,
            invoice.due_minor,
            invoice.paid_minor,
            invoice.subtotal_minor,
            invoice.discount_minor,
            invoice.tax_minor,
            sum(note.amount_minor for note in given),
            _time(invoice.period_start),
            _time(invoice.period_end),
            _time(invoice.created_at),
            _time(invoice.finalized_at),
            _time(invoice.paid_at),
        )


def _lines(factory: Factory) -> Iterator[Row]:
    for invoice in selectors.every_invoice(factory):
        for line in sorted(invoice.lines.all(), key=lambda line: line.position):
            yield (
                invoice.number or "draft",
                line.position,
                line.description,
                line.quantity,
                line.amount_minor,
                invoice.currency,
                _time(line.period_start),
                _time(line.period_end),
            )


def _credit_notes(factory: Factory) -> Iterator[Row]:
    for invoice in selectors.every_invoice(factory):
        for note in sorted(invoice.credit_notes.all(), key=lambda note: note.pk):
            yield (
                note.number,
                invoice.number,
                note.status,
                invoice.currency,
                note.amount_minor,
                note.refunded_minor,
                note.reason,
                note.memo,
                _time(note.created_at),
            )


def _days(factory: Factory) -> Iterator[Row]:
    for row in selectors.ledger_days(factory):
        yield row.on.isoformat(), row.meter, row.quantity, f"{row.billed_in:%Y-%m}"


def _ledger(factory: Factory) -> Iterator[Row]:
    for row in selectors.every_ledger_row(factory):
        yield (
            row.meter,
            _time(row.hour),
            row.quantity,
            row.revision,
            row.reason,
            _time(row.billed_hour),
            _time(row.written_at),
        )


INVOICES = Table(
    "All invoices, newest first; amounts in minor units.",
    (
        "number", "status", "currency", "total_minor", "due_minor", "paid_minor",
        "subtotal_minor", "discount_minor", "tax_minor", "credited_minor", "period_start",
        "period_end", "created_at", "finalized_at", "paid_at",
    ),
    _invoices,
)  # fmt: skip
LINES = Table(
    "The lines of all invoices; amounts in minor units.",
    (
        "invoice", "position", "description", "quantity", "amount_minor", "currency",
        "period_start", "period_end",
    ),
    _lines,
)  # fmt: skip
CREDIT_NOTES = Table(
    "What was given back, by credit note; amounts in minor units, refunded is what went to the"
    " card.",
    (
        "number", "invoice", "status", "currency", "amount_minor", "refunded_minor", "reason",
        "memo", "created_at",
    ),
    _credit_notes,
)  # fmt: skip
USAGE = Table(
    "Usage by UTC day and meter, and the month in which it is charged.",
    ("day", "meter", "quantity", "billed_in"),
    _days,
)
LEDGER = Table(
    "Every row of the usage ledger: what a recount changed of a meter in a UTC hour, and why. The"
    " sum over the revisions is what the hour holds.",
    ("meter", "hour", "quantity", "revision", "reason", "billed_hour", "written_at"),
    _ledger,
)
