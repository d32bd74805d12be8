"""Usage that came, or could be told, only after its month was settled: charged on its own line."""

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from django.db import transaction
from django.db.models import Sum

from billing import bills, terms
from billing.models import Adjustment, BillingAccount, LedgerDelivery
from billing.periods import Span, month_start
from billing.plans import Item

log = structlog.get_logger()
_STATE = LedgerDelivery.State


@transaction.atomic
def settle_late_usage(*, account_id: str, at: datetime) -> int:
    """Charge what rows of settled stretches change in their bill; return the lines written.

    A stretch costs what it would have cost with these rows in time, so allowances that were not
    used up take late readings in for nothing. What was charged of it before, on its invoice or on
    earlier lines, is taken off. Repeating it writes nothing new.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    waiting = LedgerDelivery.objects.filter(account=account, state=_STATE.LATE, counted_at=None)
    hours = waiting.values_list("entry__hour", flat=True)
    n_lines = 0
    for span in _spans_of(account, hours):
        n_lines += _settle(account, span, at=at)
        waiting.filter(entry__hour__gte=span.start, entry__hour__lt=span.end).update(counted_at=at)
    return n_lines


def _spans_of(account: BillingAccount, hours: Iterable[datetime]) -> list[Span]:
    found = [hour.astimezone(UTC) for hour in hours]
    months = sorted({month_start(hour) for hour in found})
    return [
        span
        for month in months
        for span in terms.spans(account, month)
        if any(span.start <= hour < span.end for hour in found)
    ]


def _settle(account: BillingAccount, span: Span, *, at: datetime) -> int:
    told = bills.span_bill(account, span, states=[_STATE.SENT])
    whole = bills.span_bill(account, span, states=[_STATE.SENT, _STATE.LATE])
    earlier = Adjustment.objects.filter(
        account=account, kind=Adjustment.Kind.LATE_USAGE, period_start=span.start
    )
    before = earlier.aggregate(total=Sum("amount_minor"))["total"] or 0
    amount = whole.charge.total - told.charge.total - before
    if not amount:
        return 0
    Adjustment.objects.create(
        account=account,
        kind=Adjustment.Kind.LATE_USAGE,
        period_start=span.start,
        period_end=span.end,
        amount_minor=amount,
        currency=account.currency,
        description=_words(span, told, whole),
        detail={str(m): n for m, n in whole.usage.counted.items()},
        identifier=f"late:{account.pk.hex}:{span.start:%Y%m%d%H}:{earlier.count()}",
        written_at=at,
    )
    log.info("billing.usage.late", account=str(account.pk), amount_minor=amount)
    return 1


def _words(span: Span, told: bills.SpanBill, whole: bills.SpanBill) -> str:
    """Name the period and what came later; a line without anything more gives back."""
    parts = []
    n = whole.usage.used(Item.MACHINES) - told.usage.used(Item.MACHINES)
    if n > 0:
        parts.append(f"{n} machine{'' if n == 1 else 's'}")
    for item, extra in whole.plan.extras.items():
        more = whole.usage.used(item) - told.usage.used(item)
        if more > 0:
            parts.append(f"{more:,} {extra.label.lower()}")
    what = ", ".join(parts) if parts else "corrected count"
    return f"Late usage of {span.start:%B %Y}: {what}"
