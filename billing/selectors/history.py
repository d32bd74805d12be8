"""What was counted and billed before: by day for people, row by row for programs."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDay, TruncMonth

from billing.models import Invoice, LedgerCursor, LedgerEntry
from billing.periods import next_month
from tenants.models import Factory


@dataclass(frozen=True, slots=True)
class LedgerDay:
    """What a meter holds of a UTC day, and the month in which it is charged."""

    on: date
    meter: str
    quantity: int
    billed_in: datetime


def ledger_days(factory: Factory) -> list[LedgerDay]:
    """Return the ledger by day and meter, oldest first; all corrections are in the sums."""
    rows = (
        LedgerEntry.objects.filter(account__factory=factory)
        .annotate(day=TruncDay("hour", tzinfo=UTC), billed_in=TruncMonth("billed_hour", tzinfo=UTC))
        .values_list("day", "meter", "billed_in")
        .annotate(total=Sum("quantity"))
        .order_by("day", "meter", "billed_in")
    )
    return [
        LedgerDay(day.date(), meter, total, billed_in)
        for day, meter, billed_in, total in rows
        if total
    ]


def ledger(
    factory: Factory, *, month: datetime | None = None, meter: str = ""
) -> QuerySet[LedgerEntry]:
    """Return the rows of a factory's ledger, newest hour first: of a month, of a meter, or all.

    Args:
        month: the first hour of a UTC month.
    """
    rows = LedgerEntry.objects.filter(account__factory=factory)
    if month is not None:
        rows = rows.filter(hour__gte=month, hour__lt=next_month(month))
    if meter:
        rows = rows.filter(meter=meter)
    return rows.order_by("-hour", "meter", "-revision")


def counted_to(factory: Factory) -> datetime | None:
    """Return up to which full hour a factory's usage is in the ledger."""
    row = LedgerCursor.objects.filter(account__factory=factory).first()
    return row.counted_to if row else None


def invoices_with_credits(factory: Factory) -> QuerySet[Invoice]:
    """Return a factory's invoices with their lines and credit notes, newest first."""
    return (
        Invoice.objects.filter(account__factory=factory)
        .prefetch_related("lines", "credit_notes")
        .order_by("-created_at", "-pk")
    )
