"""The roll-up: from what telemetry stored to rows of the ledger, by recounting."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Max, Sum
from django.utils import timezone

from billing import counting, facts, terms
from billing.models import (
    BillingAccount,
    LedgerCursor,
    LedgerDelivery,
    LedgerEntry,
    MeterCap,
    PlanTerm,
    Subscription,
)
from billing.periods import hour_of, month_start, months_between, next_month
from billing.plans import CLOSING_TIME, Meter
from billing.services.accounts import account_for
from tenants.context import factory_context
from tenants.models import Factory

log = structlog.get_logger()

# A count is stamped when its transaction begins and seen when it commits: look back this far, so
# that a slow commit is not overlooked. Counting a month twice costs time and changes nothing.
_OVERLAP = timedelta(minutes=10)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


def roll_up(
    *,
    factory: Factory,
    until: datetime | None = None,
    at: datetime | None = None,
    again: Iterable[datetime] = (),
) -> int:
    """Count a factory's full hours before `until` (now) into the ledger; return the rows added.

    Idempotent: months in which something changed are counted anew and only differences are
    written. Concurrent calls for one factory wait for each other.

    Args:
        again: months that are counted anew in any case, as something was agreed for them.
    """
    at = at or timezone.now()
    until = hour_of(until or at)
    account = account_for(factory)
    with transaction.atomic():
        cursor = LedgerCursor.objects.select_for_update().get(account=account)
        since = cursor.changes_seen_at
        with factory_context(factory):
            changed = facts.changed_hours(since=since - _OVERLAP if since else _BEGINNING)
            months = {month_start(hour) for hour in changed if hour < until}
            months |= {month for month in again if month < until}
            if cursor.counted_to is not None:
                # Plan terms may have changed without any new reading.
                months |= set(months_between(cursor.counted_to, until))
            n_rows = sum(
                _count_month(account, month, cursor=cursor, until=until, at=at)
                for month in sorted(months)
            )
        cursor.counted_to = max(until, cursor.counted_to or until)
        cursor.changes_seen_at = at
        cursor.save()
    if n_rows:
        log.info("billing.usage.counted", account=str(account.pk), n_rows=n_rows)
    return n_rows


@transaction.atomic
def recount(*, factory: Factory, month: datetime, at: datetime) -> dict[Meter, int]:
    """Count a month anew whether or not anything seems to have changed.

    Returns:
        what was added to the ledger, by meter: also a meter whose hours alone were moved, with 0.
    """
    account = account_for(factory)
    cursor = LedgerCursor.objects.select_for_update().get(account=account)
    if cursor.counted_to is None or cursor.counted_to <= month:
        return {}
    end = min(next_month(month), cursor.counted_to)
    with factory_context(factory):
        changes, _revisions = month_corrections(account, month=month, end=end)
        _count_month(account, month, cursor=cursor, until=end, at=at)
    added: dict[Meter, int] = defaultdict(int)
    for (_hour, meter), quantity in changes.items():
        added[meter] += quantity
    return dict(added)


def _count_month(
    account: BillingAccount, month: datetime, *, cursor: LedgerCursor, until: datetime, at: datetime
) -> int:
    """Count one month anew and write what differs from the ledger."""
    end, counted_to = min(next_month(month), until), cursor.counted_to
    changes, revisions = month_corrections(account, month=month, end=end)
    # The first count of all finds past months whole; none of them was ever billed.
    fixed_before = _fixed_before(account, month, at=at) if counted_to is not None else None
    agreed = _agreed_anew(account, since=cursor.changes_seen_at)
    entries = [
        _entry(
            account,
            meter,
            hour,
            quantity,
            revision=revisions.get((hour, meter), -1) + 1,
            is_late=counted_to is not None and hour < counted_to,
            is_fixed=fixed_before is not None and hour < fixed_before,
            agreed=agreed,
            at=at,
        )
        for (hour, meter), quantity in changes.items()
    ]
    LedgerEntry.objects.bulk_create(entries)
    _queue(account, entries, fixed_before=fixed_before)
    return len(entries)


def month_corrections(
    account: BillingAccount, *, month: datetime, end: datetime
) -> tuple[dict[tuple[datetime, Meter], int], dict[tuple[datetime, Meter], int]]:
    """Return what the ledger lacks of a month's facts before `end`, and its latest revisions.

    Call inside the factory's context.
    """
    wanted = counting.quantities(
        facts.month(start=month, end=end),
        terms.spans(account, month),
        rules=terms.rules(account, month),
    )
    written, revisions = _written(account, month, end)
    return counting.corrections(wanted, written), revisions


def _fixed_before(account: BillingAccount, month: datetime, *, at: datetime) -> datetime | None:
    """Return before which hour of a month Stripe's sums are settled; None: of no hour.

    A month is settled once its invoice is fixed; a part of it once a larger plan took over.
    """
    if at >= next_month(month) + CLOSING_TIME:
        return next_month(month)
    cut = (
        PlanTerm.objects.filter(
            account=account, starts_at__gt=month, starts_at__lt=next_month(month)
        )
        .exclude(carried=None)
        .order_by("-starts_at")
        .first()
    )
    return cut.starts_at if cut else None


def _agreed_anew(
    account: BillingAccount, *, since: datetime | None
) -> Mapping[Meter, LedgerEntry.Reason]:
    """Return for which meters a recount differs because something else was agreed, not used."""
    reasons: dict[Meter, LedgerEntry.Reason] = {}
    if since is None:
        return reasons
    if PlanTerm.objects.filter(account=account, written_at__gte=since).exists():
        reasons = {m: LedgerEntry.Reason.PLAN_CHANGED for m in Meter if m != Meter.READINGS}
    if MeterCap.objects.filter(account=account, changed_at__gte=since).exists():
        reasons[Meter.HELD_READINGS] = LedgerEntry.Reason.CAP_CHANGED
    return reasons


def _written(
    account: BillingAccount, start: datetime, end: datetime
) -> tuple[counting.Quantities, dict[tuple[datetime, Meter], int]]:
    """Return what the ledger holds for the hours of [start, end), and the latest revisions."""
    rows = (
        LedgerEntry.objects.filter(account=account, hour__gte=start, hour__lt=end)
        .values("meter", "hour")
        .annotate(total=Sum("quantity"), latest=Max("revision"))
    )
    sums: counting.Quantities = defaultdict(dict)
    revisions = {}
    for row in rows:
        meter, hour = Meter(row["meter"]), row["hour"].astimezone(UTC)
        sums[meter][hour] = row["total"]
        revisions[hour, meter] = row["latest"]
    return sums, revisions


def _entry(
    account: BillingAccount,
    meter: Meter,
    hour: datetime,
    quantity: int,
    *,
    revision: int,
    is_late: bool,
    is_fixed: bool,
    agreed: Mapping[Meter, LedgerEntry.Reason],
    at: datetime,
) -> LedgerEntry:
    reason = LedgerEntry.Reason.COUNTED
    if is_late:
        reason = agreed.get(meter, LedgerEntry.Reason.LATE_DATA)
    return LedgerEntry(
        account=account,
        meter=meter,
        hour=hour,
        billed_hour=max(hour, hour_of(at)) if is_fixed else hour,
        quantity=quantity,
        revision=revision,
        reason=reason,
        identifier=f"{account.pk.hex}:{meter}:{hour:%Y%m%d%H}:{revision}",
        written_at=at,
    )


def _queue(
    account: BillingAccount, entries: Iterable[LedgerEntry], *, fixed_before: datetime | None
) -> None:
    """Have the rows sent that fall under a subscription; the others are not charged.

    Rows of hours that are settled at Stripe are charged on a line of their own (`late_usage`).
    """
    subscriptions = list(Subscription.objects.filter(account=account).order_by("started_at"))
    LedgerDelivery.objects.bulk_create(
        LedgerDelivery(
            entry=entry,
            account=account,
            state=LedgerDelivery.State.LATE
            if fixed_before is not None and entry.hour < fixed_before
            else LedgerDelivery.State.PENDING,
        )
        for entry in entries
        if any(is_charged(s, entry.hour) for s in subscriptions)
    )


def is_charged(subscription: Subscription, hour: datetime) -> bool:
    """Say whether usage of an hour is charged under a subscription."""
    start = subscription.trial_end or subscription.started_at
    ended = subscription.ended_at
    return hour >= start and (ended is None or hour < ended)
