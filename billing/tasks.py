"""Entry points of the work that runs by itself: counting, telling Stripe, hearing from it."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.utils import timezone

from billing import selectors, services
from billing.gateways import StripeAway
from billing.selectors import proofs
from billing.services import budgets, clocks, exchanging, gone, inbox, last_bill, telling
from tenants import jobs
from tenants import services as tenants_services
from tenants.context import current_factory
from tenants.jobs import JobHandle, factory_task, public_task
from tenants.models import Factory

log = structlog.get_logger()

# What waits longer than this was forgotten by somebody: a lost job, a long time without Stripe.
_FORGOTTEN = timedelta(minutes=10)


@factory_task("billing.count_usage")
def count_usage(*, account_id: str, **_kwargs: Any) -> dict[str, int]:
    """Count a factory's usage into the ledger and tell Stripe what it does not know yet."""
    factory, at = current_factory(), timezone.now()
    account = selectors.account(account_id, factory=factory)
    if account.test_clock_id:
        n_invoices = clocks.follow_clock(factory=factory, at=at)
        _watch(account_id, at)
        return {"n_invoices": n_invoices}
    n_rows = services.roll_up(factory=factory, until=at, at=at)
    _watch(account_id, at)  # before Stripe, which may be slow
    reported = services.report_usage(factory=factory, at=at)
    budgets.give_up_held(account_id=account_id, at=at)
    return {"n_rows": n_rows, "n_sent": reported.n_sent, "n_waiting": reported.n_waiting}


def _watch(account_id: str, at: datetime) -> None:
    """See to what the owner set, now that usage was counted."""
    budgets.watch_caps(account_id=account_id, at=at)
    budgets.watch_budget(account_id=account_id, at=at)


@factory_task("billing.watch_caps")
def watch_caps(*, account_id: str, **_kwargs: Any) -> None:
    """Open the doors that a cap has shut, with the month that begins."""
    account = selectors.account(account_id, factory=current_factory())
    budgets.watch_caps(account_id=str(account.pk), at=timezone.now())


@public_task("billing.open_subscription")
def open_subscription(
    *, subscription_id: str, simulated: bool = False, **_kwargs: Any
) -> dict[str, str]:
    """Tell Stripe of a subscription that was started here."""
    subscription = services.open_subscription(subscription_id=subscription_id, simulated=simulated)
    telling.tell_rest(account_id=str(subscription.account_id), at=timezone.now())
    return {"status": subscription.status}


@public_task("billing.tell_change")
def tell_change(*, account_id: str, **_kwargs: Any) -> dict[str, bool]:
    """Tell Stripe of another plan, an end, or whatever else was decided here."""
    told = services.tell_end(account_id=account_id)
    exchanged = exchanging.exchange_prices(account_id=account_id, at=timezone.now())
    services.send_adjustments(account_id=account_id, at=timezone.now())
    telling.tell_rest(account_id=account_id, at=timezone.now())
    return {"told": told, "exchanged": exchanged}


@public_task("billing.review_standing")
def review_standing(*, account_id: str, **_kwargs: Any) -> dict[str, str]:
    """Work out how an account stands, and open or close its factory's doors."""
    at = timezone.now()
    services.announce_trial_end(account_id=account_id, at=at)
    return {"standing": services.review_standing(account_id=account_id, at=at)}


@public_task("billing.review_all")
def review_all(**_kwargs: Any) -> None:
    """Have every account's standing worked out: some change with time alone."""
    for account_id in selectors.accounts_to_review():
        jobs.enqueue(
            task="billing.review_standing",
            kwargs={"account_id": str(account_id)},
            key=f"standing-{account_id}",
        )


@public_task("billing.apply_event")
def apply_event(*, event_id: str, **_kwargs: Any) -> dict[str, str]:
    """Apply what Stripe delivered."""
    return {"state": services.apply_event(event_id=event_id)}


@public_task("billing.count_all")
def count_all(**_kwargs: Any) -> None:
    """Have every factory's usage counted."""
    tenants_services.for_each_factory(_count_later)


def _count_later(factory: Factory) -> None:
    account = services.account_for(factory)
    jobs.enqueue(
        task="billing.count_usage",
        kwargs={"account_id": str(account.pk)},
        factory=factory,
        key="count-usage",
    )


@public_task("billing.prove_tonight")
def prove_tonight(**_kwargs: Any) -> None:
    """Have the nightly proof made, as a job whose progress can be watched."""
    if proofs.is_proof_due(timezone.now()):
        jobs.enqueue(task="billing.prove", key="prove-billing")


@public_task("billing.prove")
def prove(*, job: JobHandle, **_kwargs: Any) -> dict[str, int]:
    """Prove that facts, ledger and Stripe agree, and repair where they do not."""
    run = services.prove(report=job.report)
    return {
        "n_accounts": run.n_accounts,
        "n_differences": run.n_differences,
        "n_repaired": run.n_repaired,
        "n_failed": run.n_failed,
    }


@public_task("billing.fetch_events")
def fetch_events(**_kwargs: Any) -> dict[str, int]:
    """Fetch the events that Stripe has and never delivered."""
    try:
        return {"n_events": services.fetch_missing_events(at=timezone.now())}
    except StripeAway as away:
        log.warning("billing.stripe.away", error=str(away))
        return {"n_events": 0}


@public_task("billing.reconcile")
def reconcile(**_kwargs: Any) -> None:
    """Repair what lost events, lost jobs and a long absence of Stripe left behind."""
    at = timezone.now()
    n_events = inbox.sweep(before=at - _FORGOTTEN)
    unopened = selectors.unopened_subscriptions(before=at - _FORGOTTEN)
    for subscription in unopened:
        jobs.enqueue(
            task="billing.open_subscription",
            kwargs={"subscription_id": str(subscription.pk)},
            key=f"open-{subscription.pk}",
        )
    for account_id in selectors.accounts_at_stripe():
        jobs.enqueue(
            task="billing.sync_account",
            kwargs={"account_id": str(account_id)},
            key=f"sync-{account_id}",
        )
    if n_events or unopened:
        log.warning("billing.forgotten", n_events=n_events, n_subscriptions=len(unopened))


@public_task("billing.sync_account")
def sync_account(*, account_id: str, **_kwargs: Any) -> dict[str, int]:
    """Compare an account with Stripe: repair the mirrors, and say where the usage differs."""
    at = timezone.now()
    n_repaired = services.sync_account(account_id=account_id)
    gone.settle(account_id=account_id, at=at)
    services.tell_end(account_id=account_id)
    telling.tell_rest(account_id=account_id, at=at)
    last_bill.bill_what_is_left(account_id=account_id)
    if n_repaired:
        log.warning("billing.mirror.repaired", account=account_id, n_differences=n_repaired)
    for found in services.usage_differences(account_id=account_id):
        log.error(
            "billing.usage.differs",
            account=account_id,
            meter=found.event_name,
            ledger=found.ledger,
            stripe=found.stripe,
        )
    return {"n_differences": n_repaired}
