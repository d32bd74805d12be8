"""What a month costs, from the ledger: the parts of a month, their lines, and what is added."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet, Sum

from billing import terms
from billing.charges import Charge, Usage, charge
from billing.models import Adjustment, BillingAccount, LedgerDelivery, LedgerEntry
from billing.periods import Span, next_month
from billing.plans import Item, Meter, Plan

_STATE = LedgerDelivery.State


@dataclass(frozen=True, slots=True)
class SpanBill:
    """A part of a month under one plan: what was used and what it costs."""

    span: Span
    plan: Plan
    usage: Usage
    charge: Charge


@dataclass(frozen=True, slots=True)
class MonthBill:
    """A month of an account, in minor units of its currency, without tax and discount."""

    month: datetime
    spans: tuple[SpanBill, ...]
    adjustments: tuple[Adjustment, ...]

    @property
    def total(self) -> int:
        return sum(s.charge.total for s in self.spans) + sum(
            a.amount_minor for a in self.adjustments
        )

    def charged(self, item: Item) -> int:
        return sum(s.charge.items[item] for s in self.spans)

    @property
    def usage(self) -> Usage:
        """Return what the month holds of each meter, under whatever plan."""
        total = Usage()
        for span in self.spans:
            total += span.usage
        return total


def month_bill(account: BillingAccount, month: datetime) -> MonthBill:
    """Return what a month comes to on its own invoice: without what is charged later."""
    upgrades = Adjustment.objects.filter(
        account=account,
        kind=Adjustment.Kind.UPGRADE,
        period_start__gte=month,
        period_start__lt=next_month(month),
    ).order_by("period_start", "pk")
    return MonthBill(
        month=month,
        spans=tuple(span_bill(account, span) for span in terms.spans(account, month)),
        adjustments=tuple(upgrades),
    )


def span_bill(
    account: BillingAccount, span: Span, *, states: Sequence[str] | None = None
) -> SpanBill:
    """Return what a part of a month costs; by default all that is not charged on its own line.

    Args:
        states: count only rows whose delivery is in one of these states.
    """
    plan = terms.plan_of(span)
    usage = usage_between(account, span.start, span.end, states=states)
    free = terms.is_free(span)
    cost = charge(Usage() if free else usage, plan=plan, currency=account.currency)
    return SpanBill(span, plan, usage, cost)


def usage_between(
    account: BillingAccount,
    start: datetime,
    end: datetime,
    *,
    states: Sequence[str] | None = None,
) -> Usage:
    """Return the ledger's sums for the hours of [start, end)."""
    rows = entries(account, start, end)
    rows = rows.exclude(delivery__state=_STATE.LATE) if states is None else rows.filter(
        delivery__state__in=states
    )  # fmt: skip
    return usage_of(rows.values_list("meter").annotate(total=Sum("quantity")).order_by())


def usage_of(sums: Iterable[tuple[str, int]]) -> Usage:
    return Usage({Meter(meter): total for meter, total in sums if total})


def entries(
    account: BillingAccount, start: datetime, end: datetime
) -> QuerySet[LedgerEntry, LedgerEntry]:
    """Return the rows of an account for the hours of [start, end)."""
    return LedgerEntry.objects.filter(account=account, hour__gte=start, hour__lt=end)
