"""What waits at Stripe for an invoice that will not come: its subscription has ended.

Late usage, shares of add-ons and what staff wrote at Stripe wait there for the next invoice. A
subscription that ends with its month takes them along; one that ends otherwise (a trial without a
card, an end that Stripe hears of late, for want of payment) leaves them lying. What is owed gets
an invoice of its own; where credits outweigh it, the rest goes to the customer's balance, as with
any invoice. A trial that ends without a card is never charged: what it brought about is removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction

from billing.answers import StripePendingItem
from billing.gateways import StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount, Subscription, YearlyMachines
from billing.services.subscriptions import live_subscription

log = structlog.get_logger()

# Stripe ends a trial a little after its last second; whoever pays stays for a month at least.
_AFTER_TRIAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LastBill:
    """What became of the amounts that were left."""

    n_billed: int = 0
    n_removed: int = 0


@transaction.atomic
def bill_what_is_left(*, account_id: str) -> LastBill:
    """Bill, or remove, what waits for subscriptions that have ended. Repeating it changes nothing.

    Raises:
        StripeAway: from the gateway; calling again goes on where it stopped.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    ended = list(Subscription.objects.filter(account=account).exclude(ended_at=None))
    years = YearlyMachines.objects.filter(account=account).exclude(ended_at=None)
    if not account.stripe_customer_id or not (ended or years.exists()):
        return LastBill()
    stripe = gateway()
    over = {s.stripe_id for s in ended} | set(years.values_list("stripe_id", flat=True))
    last = None if live_subscription(account) else _last(ended)
    by_id = {s.stripe_id: s for s in ended}
    owed: dict[str, list[StripePendingItem]] = {}
    n_removed = 0
    for item in stripe.pending_items(account.stripe_customer_id):
        if item.subscription_id not in over and not _was_to_come_with(last, item):
            continue
        if _is_free(item, by_id.get(item.subscription_id, last), ended):
            stripe.remove_invoice_item(key=f"remove-{item.id}", item_id=item.id)
            n_removed += 1
        else:
            owed.setdefault(item.subscription_id, []).append(item)
    # Those of no subscription first: an invoice for one may take them along.
    n_billed = sum(_bill(account, stripe, key, items) for key, items in sorted(owed.items()))
    if n_billed or n_removed:
        log.info("billing.last_bill", account=account_id, n_billed=n_billed, n_removed=n_removed)
    return LastBill(n_billed, n_removed)


def _last(ended: Sequence[Subscription]) -> Subscription | None:
    return max(ended, key=lambda s: s.ended_at or s.started_at, default=None)


def _was_to_come_with(last: Subscription | None, item: StripePendingItem) -> bool:
    """Say whether an amount of no subscription waited for the next invoice of one that ended.

    What is written at Stripe after that is for whoever wrote it to invoice; lines of our own bring
    their invoice along (`exchanging.send_adjustments`).
    """
    if last is None or last.ended_at is None or item.subscription_id:
        return False
    return item.created_at <= last.ended_at and "adjustment" not in item.metadata


def _is_free(
    item: StripePendingItem, subscription: Subscription | None, ended: Sequence[Subscription]
) -> bool:
    """Say whether an amount is of a trial that was never charged.

    Lines of our own are of months that were charged before it. A credit that is no share of an
    add-on is the customer's; and who has paid for a plan owes what staff wrote.
    """
    if subscription is None or not _ended_with_trial(subscription) or "adjustment" in item.metadata:
        return False
    has_paid = not all(_ended_with_trial(s) for s in ended)
    return item.is_proration or (item.amount > 0 and not has_paid)


def _ended_with_trial(subscription: Subscription) -> bool:
    trial_end, ended_at = subscription.trial_end, subscription.ended_at
    return trial_end is not None and ended_at is not None and ended_at < trial_end + _AFTER_TRIAL


def _bill(
    account: BillingAccount,
    stripe: StripeGateway,
    subscription_id: str,
    items: Sequence[StripePendingItem],
) -> int:
    try:
        stripe.invoice_pending(
            key=f"last:{items[0].id}",
            customer_id=account.stripe_customer_id or "",
            subscription_id=subscription_id,
        )
    except StripeRefused as refusal:
        log.error("billing.last_bill.refused", account=str(account.pk), error=str(refusal))
        return 0
    return len(items)
