"""What was counted and billed before: by day for people, row by row for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncMonth

from billing.models import Invoice, LedgerCursor, LedgerEntry
from billing.periods import next_month
from tenants.models import Factory

ROWS_A_PAGE = 2_000
INVOICES_A_PAGE = 200


@dataclass(frozen=True, slots=True)
class LedgerDay:
    """What a meter holds of a UTC day, and the month in which it is charged."""

    on: date
    meter: str
    quantity: int
    billed_in: datetime


def ledger_days(factory: Factory) -> Iterator[LedgerDay]:
    """Yield the ledger by day and meter, oldest first; all corrections are in the sums.

    A month is asked for at a time.
    """
    known = LedgerEntry.objects.filter(account__factory=factory)
    for month in list(known.datetimes("hour", "month", tzinfo=UTC)):
        rows = (
            known.filter(hour__gte=month, hour__lt=next_month(month))
            .annotate(
                day=TruncDay("hour", tzinfo=UTC), billed_in=TruncMonth("billed_hour", tzinfo=UTC)
            )
            .values_list("day", "meter", "billed_in")
            .annotate(total=Sum("quantity"))
            .order_by("day", "meter", "billed_in")
        )
        for day, meter, billed_in, total in rows:
            if total:
                yield LedgerDay(day.date(), meter, total, billed_in)


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


def every_ledger_row(factory: Factory) -> Iterator[LedgerEntry]:
    """Yield all rows of a factory's ledger by meter and hour, some in memory at a time."""
    rows = LedgerEntry.objects.filter(account__factory=factory)
    return rows.order_by("meter", "hour", "revision").iterator(chunk_size=ROWS_A_PAGE)


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


def every_invoice(factory: Factory) -> Iterator[Invoice]:
    """Yield all of a factory's invoices as `invoices_with_credits` does, a page at a time.

    Each page is a query of its own, which another thread may make.
    """
    rows = page = invoices_with_credits(factory)
    while found := list(page[:INVOICES_A_PAGE]):
        yield from found
        last = found[-1]
        page = rows.filter(
            Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
        )
