"""A factory that was deleted is billed to its end, and no further."""

from datetime import datetime

import structlog
from django.db import transaction

from billing.models import BillingAccount
from billing.services.changing import end_of, withdraw
from billing.services.reporting import report_account
from billing.services.subscriptions import live_subscription

log = structlog.get_logger()


def settle(*, account_id: str, at: datetime) -> bool:
    """Tell Stripe the last usage of a factory that is gone, and let nothing go on.

    Its subscription ends with the month, so that the last invoice is made as ever; a paid year is
    not renewed and add-ons end as well (`tell_end`, `telling.tell_rest`). Repeating it is harmless.

    Returns:
        whether something was still going on.

    Raises:
        StripeAway: from the gateway; call again.
    """
    account = BillingAccount.objects.get(pk=account_id)
    if account.factory is not None:
        return False
    was_live = _end(account_id, at=at)
    report_account(account, at=at)
    return was_live


@transaction.atomic
def _end(account_id: str, *, at: datetime) -> bool:
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    subscription = live_subscription(account)
    if subscription is None or subscription.ends_at is not None:
        return False
    withdraw(subscription, at=at)
    subscription.closes_factory, subscription.end_told = True, False
    subscription.ends_at = end_of(subscription, at)
    subscription.save()
    log.info("billing.gone.ended", account=account_id, ends_at=subscription.ends_at.isoformat())
    return True
