"""An account falls behind step by step, and is back in order with one payment."""

from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from billing import dunning, plans, selectors, words
from billing.models import BillingAccount, Invoice, Subscription
from billing.periods import month_start
from tenants import leaving
from tenants.models import Factory
from tenants.notifications import notify

log = structlog.get_logger()

TOPIC = "billing"
USAGE_PATH = "/usage/"
Cause = BillingAccount.Cause
Standing = BillingAccount.Standing
_UNPAID_STATUSES = (Subscription.Status.PAST_DUE, Subscription.Status.UNPAID)
_WELL, _SOON, _NOW = 3, 2, 1  # severities


@transaction.atomic
def review_standing(*, account_id: str, at: datetime | None = None) -> str:
    """Work out how an account stands, and open or close doors, write and record accordingly.

    Repeating it changes nothing. Runs every hour, and whenever an invoice or a subscription
    changed: so a payment undoes every step within seconds.

    Returns:
        the standing.
    """
    at = at or timezone.now()
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    if account.standing == Standing.DELETED:
        return account.standing
    cause, since = _cause(account, at=at)
    if cause and cause == account.cause and account.overdue_since is not None:
        since = account.overdue_since
    account.cause, account.overdue_since = cause, since
    step = dunning.step(cause, since, at)
    before = account.standing
    if step.standing != before:
        account.standing, account.standing_since = step.standing, at
        _record(account, before=before, step=step)
    account.save(update_fields=["cause", "overdue_since", "standing", "standing_since"])
    if account.factory is not None:
        if step.standing != before:
            _open_or_close(account.factory, step)
        _write_to_people(account, account.factory, step, before=before, at=at)
    return step.standing


def _cause(account: BillingAccount, *, at: datetime) -> tuple[str, datetime | None]:
    """Return what is wrong with an account, and since when at the latest."""
    unpaid = (
        Invoice.objects.filter(account=account, status="open", n_attempts__gt=0)
        .order_by("created_at")
        .first()
    )
    if unpaid is not None:
        return Cause.UNPAID, unpaid.finalized_at or unpaid.created_at
    live = Subscription.objects.filter(account=account, ended_at=None).first()
    if live is not None:
        return (Cause.UNPAID, at) if live.status in _UNPAID_STATUSES else ("", None)
    last = Subscription.objects.filter(account=account).order_by("-ended_at").first()
    if last is None or account.factory is None:
        return "", None
    if last.closes_factory:
        return Cause.CANCELLED, last.ended_at
    if selectors.excess(account.factory, plan=plans.START):
        return Cause.NO_PLAN, last.ended_at
    return "", None


def _record(account: BillingAccount, *, before: str, step: dunning.Step) -> None:
    log.info(
        "billing.standing.changed", account=str(account.pk), before=before, after=step.standing
    )
    if step.standing == Standing.DELETED and account.factory is not None:
        is_unpaid = account.cause != Cause.CANCELLED
        leaving.request_removal(
            factory=account.factory,
            reason=leaving.Reason.PAYMENT if is_unpaid else leaving.Reason.CANCELLED,
            actor=None,
        )


def _open_or_close(factory: Factory, step: dunning.Step) -> None:
    """Set the factory's doors; one that is being deleted stays suspended until it is gone."""
    is_going = step.standing == Standing.DELETED
    leaving.set_standing(
        factory=factory,
        standing=Standing.SUSPENDED if is_going else step.standing,
        until=step.until,
    )


def _write_to_people(
    account: BillingAccount, factory: Factory, step: dunning.Step, *, before: str, at: datetime
) -> None:
    """Say each step once, and remind while the grace lasts."""
    since = account.overdue_since
    if step.standing == Standing.GOOD:
        if before != Standing.GOOD:
            _tell(
                account, factory, words.in_order(factory.name), _WELL, f"good:{at:%Y%m%d%H%M}", at
            )
        return
    if since is None:
        return
    key = f"{account.cause}:{since:%Y%m%d%H%M}"
    if step.standing == Standing.PAST_DUE:
        days = max((d for d in dunning.REMINDER_DAYS if (at - since).days >= d), default=0)
        message = words.overdue(factory.name, cause=account.cause, step=step, days=days)
        _tell(account, factory, message, _SOON, f"{key}:{days}", at)
    else:
        message = words.closed(factory.name, cause=account.cause, step=step)
        _tell(account, factory, message, _NOW, f"{key}:{step.standing}", at)


def _tell(
    account: BillingAccount,
    factory: Factory,
    message: words.Message,
    severity: int,
    key: str,
    at: datetime,
) -> None:
    notify(
        factory=factory,
        topic=TOPIC,
        severity=severity,
        subject=message.subject,
        text=message.text,
        path=USAGE_PATH,
        key=f"billing:{account.pk}:{key}",
        recipients=selectors.payers(factory),
        at=at,
    )


@transaction.atomic
def announce_trial_end(*, account_id: str, at: datetime) -> None:
    """Write 7, 3 and 1 days before a trial ends; what happens then depends on a card."""
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    live = Subscription.objects.filter(account=account, ended_at=None).first()
    if live is None or live.trial_end is None or account.factory is None or at >= live.trial_end:
        return
    left = (live.trial_end - at).days
    reached = [days for days in (7, 3, 1) if left < days]
    if not reached:
        return
    message = words.trial_ends(account.factory.name, ends=live.trial_end, has_card=live.has_card)
    key = f"trial:{month_start(live.trial_end):%Y%m}:{min(reached)}"
    _tell(account, account.factory, message, _SOON, key, at)


def announce_declined(*, account_id: str, reason: str, at: datetime) -> None:
    """Write that a payment for a year, asked for while Stripe was away, was declined since."""
    account = BillingAccount.objects.select_related("factory").get(pk=account_id)
    if account.factory is not None:
        message = words.year_declined(account.factory.name, reason=reason)
        _tell(account, account.factory, message, _SOON, f"declined:{at:%Y%m%d%H%M}", at)


def announce_code_refused(*, account_id: str, reason: str, at: datetime) -> None:
    """Write that a code, typed while Stripe was away, was refused since."""
    account = BillingAccount.objects.select_related("factory").get(pk=account_id)
    if account.factory is not None:
        message = words.code_refused(account.factory.name, reason=reason)
        _tell(account, account.factory, message, _SOON, f"code:{at:%Y%m%d%H%M}", at)
