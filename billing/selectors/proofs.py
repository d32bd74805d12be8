"""What the nightly proof reads of the ledger, for many accounts at once, and what it found."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, QuerySet

from billing.models import Adjustment, InvoiceLine, LedgerDelivery, ProofLine, ProofRun
from billing.periods import hour_of, next_month
from billing.plans import Meter
from billing.proofs import Mark, MeterSums

# When the invoices of a month that has just ended are fixed.
_NIGHT = timedelta(hours=2, minutes=30)
# Of invoices that are settled; drafts still change.
_FIXED = ("open", "paid", "uncollectible")


@dataclass(frozen=True, slots=True)
class Invoiced:
    """What invoices charged for the metered usage of a month, before discounts and tax."""

    amount_minor: int = 0
    invoice_ids: frozenset[int] = frozenset()


_SUMS = """
    SELECT e.account_id, e.meter, sum(e.quantity)::bigint, sum(e.quantity * w.weight),
        coalesce(sum(e.quantity) FILTER (WHERE d.state = 'sent' AND d.counted_at < %(end)s), 0)
            ::bigint,
        max(d.sent_at) FILTER (WHERE d.state = 'sent' AND d.counted_at < %(end)s),
        count(*) FILTER (WHERE d.state = 'pending' AND e.hour < %(end)s),
        count(*) FILTER (WHERE d.state = 'refused')
    FROM billing_ledgerentry e
    JOIN unnest(%(hours)s::timestamptz[], %(weights)s::bigint[]) AS w(hour, weight)
        ON w.hour = e.hour
    LEFT JOIN billing_ledgerdelivery d
        ON d.entry_id = e.id AND d.account_id = ANY(%(accounts)s)
    WHERE e.account_id = ANY(%(accounts)s) AND e.hour >= %(first)s AND e.hour <= %(last)s
    GROUP BY e.account_id, e.meter
"""


def ledger_sums(
    account_ids: Sequence[UUID], *, weights: Mapping[datetime, int], end: datetime
) -> dict[UUID, dict[Meter, MeterSums]]:
    """Return what the ledger holds of each account for the hours that have a weight.

    Args:
        end: rows that Stripe counts under a time before this are summed as told.
    """
    values: dict[str, Any] = {
        "accounts": list(account_ids),
        "hours": list(weights),
        "weights": list(weights.values()),
        "first": min(weights),
        "last": max(weights),
        "end": end,
    }
    found: dict[UUID, dict[Meter, MeterSums]] = defaultdict(dict)
    with transaction.atomic(), connection.cursor() as cursor:
        # Helpers of PostgreSQL cost twice the processor time here, and save none of ours.
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(_SUMS, values)
        for account_id, meter, total, weighed, *told in cursor:
            found[account_id][Meter(meter)] = MeterSums(Mark(total, int(weighed)), *told)
    return found


def sent_rows(
    account_id: UUID, meters: Iterable[Meter], *, start: datetime, end: datetime
) -> dict[datetime, list[LedgerDelivery]]:
    """Return the rows that Stripe was told, by the UTC hour under which it counts them."""
    rows = (
        LedgerDelivery.objects.filter(
            account_id=account_id,
            state=LedgerDelivery.State.SENT,
            counted_at__gte=start,
            counted_at__lt=end,
            entry__meter__in=list(meters),
        )
        .select_related("entry")
        .order_by("entry_id")
    )
    by_hour: dict[datetime, list[LedgerDelivery]] = defaultdict(list)
    for row in rows:
        if row.counted_at is not None:
            by_hour[hour_of(row.counted_at.astimezone(UTC))].append(row)
    return by_hour


def invoiced(account_ids: Sequence[UUID], month: datetime) -> dict[UUID, Invoiced]:
    """Return what the fixed invoices say of the metered usage of a month.

    Metered prices are charged in arrears, others in advance or as a proration.
    """
    lines = (
        InvoiceLine.objects.filter(
            invoice__account_id__in=account_ids,
            invoice__status__in=_FIXED,
            is_proration=False,
            period_start__gte=month,
            period_start__lt=next_month(month),
            period_end__lte=F("invoice__created_at"),
        )
        .exclude(price_id="")
        .values_list("invoice__account_id", "invoice_id", "amount_minor")
    )
    found: dict[UUID, Invoiced] = {}
    for account_id, invoice_id, amount in lines:
        known = found.get(account_id, Invoiced())
        found[account_id] = Invoiced(known.amount_minor + amount, known.invoice_ids | {invoice_id})
    return found


def unplaced_adjustments(
    account_ids: Sequence[UUID], *, told_before: datetime
) -> dict[UUID, list[Adjustment]]:
    """Return the amounts that Stripe was told and that stand on no invoice known here."""
    placed = Counter(
        InvoiceLine.objects.filter(invoice__account_id__in=account_ids, price_id="")
        .exclude(invoice__status="void")
        .values_list("invoice__account_id", "description", "amount_minor")
    )
    found: dict[UUID, list[Adjustment]] = defaultdict(list)
    told = Adjustment.objects.filter(account_id__in=account_ids, sent_at__lt=told_before)
    for row in told.order_by("pk"):
        key = row.account_id, row.description, row.amount_minor
        if placed[key]:
            placed[key] -= 1
        else:
            found[row.account_id].append(row)
    return found


def is_proof_due(at: datetime) -> bool:
    """Say whether the night has come, by UTC, and its proof was not begun yet."""
    midnight = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begun = ProofRun.objects.filter(started_at__gte=midnight)
    return at >= midnight + _NIGHT and not begun.exists()


def latest_proof() -> ProofRun | None:
    """Return the last proof that came to its end."""
    return ProofRun.objects.exclude(finished_at=None).order_by("-started_at").first()


def proof_lines(run: ProofRun) -> QuerySet[ProofLine, ProofLine]:
    """Return what a proof found, accounts with differences first."""
    return run.lines.select_related("account").order_by("-n_differences", "account__name", "month")
