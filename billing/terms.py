"""What an account agreed on, as the counting needs it: read from rows, without a decision."""

from datetime import UTC, datetime

from billing import plans
from billing.counting import Rules
from billing.models import BillingAccount, MeterCap, PlanTerm, PrepaidTerm
from billing.periods import Span, Term, spans_of_month
from billing.plans import Item, Plan

DEFAULT = Term(datetime.min.replace(tzinfo=UTC), plans.START.key, plans.VERSION)


def spans(account: BillingAccount | None, month: datetime) -> list[Span]:
    """Return a month cut where the account's plan changes."""
    return spans_of_month(month, [] if account is None else of(account), default=DEFAULT)


def of(account: BillingAccount) -> list[Term]:
    """Return the terms of an account, oldest first."""
    return [
        Term(
            row.starts_at.astimezone(UTC),
            row.plan,
            row.version,
            is_trial=row.is_trial,
            carried=row.carried,
        )
        for row in PlanTerm.objects.filter(account=account).order_by("starts_at")
    ]


def plan_of(span: Span) -> Plan:
    return plans.plan(span.term.plan, span.term.version)


def is_free(span: Span) -> bool:
    """Say whether nothing is charged in a span: on the free plan and in a trial."""
    return span.term.is_trial or not plan_of(span).is_paid


def rules(account: BillingAccount, month: datetime) -> Rules:
    """Return what holds for an account's month beside its plan."""
    prepaid = [
        (row.starts_at.astimezone(UTC), row.n_machines)
        for row in PrepaidTerm.objects.filter(account=account).order_by("starts_at")
    ]
    cap = cap_of(account, item=Item.READINGS, month=month)
    return Rules(prepaid=prepaid, max_extra_readings=cap.max_extra if cap else None)


def cap_of(account: BillingAccount, *, item: Item, month: datetime) -> MeterCap | None:
    """Return the owner's cap of a meter for a month, or None."""
    return (
        MeterCap.objects.filter(account=account, item=item, month__lte=month)
        .order_by("-month")
        .first()
    )
