"""What an account agreed on, as the counting needs it: read from rows, without a decision."""

from datetime import UTC, datetime

from billing import plans
from billing.counting import Rules
from billing.models import BillingAccount, MeterCap
from billing.periods import Span, Term, next_month, spans_of_month
from billing.plans import Item, Plan

# An account's own rows that are read whole here: what to prefetch for many accounts.
ROWS = ("terms", "prepaid_terms", "caps", "given_up")
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
        for row in sorted(account.terms.all(), key=lambda term: term.starts_at)
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
        for row in sorted(account.prepaid_terms.all(), key=lambda term: term.starts_at)
    ]
    cap = cap_of(account, item=Item.READINGS, month=month)
    end = next_month(month)
    return Rules(
        prepaid=prepaid,
        max_extra_readings=cap.max_extra if cap else None,
        given_up=frozenset(
            row.hour.astimezone(UTC) for row in account.given_up.all() if month <= row.hour < end
        ),
    )


def cap_of(account: BillingAccount, *, item: Item, month: datetime) -> MeterCap | None:
    """Return the owner's cap of a meter for a month, or None."""
    caps = [cap for cap in account.caps.all() if cap.item == item and cap.month <= month]
    return max(caps, key=lambda cap: cap.month, default=None)
