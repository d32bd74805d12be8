"""Simulated time at Stripe: lets a customer on a test clock live through past months quickly."""

import time
from datetime import datetime, timedelta

from billing.gateways import StripeGateway, gateway
from billing.models import BillingAccount, LedgerCursor
from billing.periods import next_month
from billing.services.accounts import account_for
from billing.services.ledger import roll_up
from billing.services.mirror import sync_account
from billing.services.reporting import report_usage
from tenants.models import Factory

# Stripe drafts an invoice when the month ends and fixes it about an hour later.
_DRAFTED = timedelta(minutes=5)
_FIXED = timedelta(hours=2)
_PATIENCE_S = 60.0
# A clock behind by less than this is taken to run with the present.
_PRESENT = timedelta(days=1)


class ClockStuck(Exception):
    """A test clock did not arrive in time."""


def run_clock(*, factory: Factory, until: datetime) -> int:
    """Live through the time up to `until` as it would have been; return the invoices there are.

    At each end of a month the draft appears, its last usage is told, the invoice is fixed and
    paid, then the next month begins. Accounts without a clock are left alone.

    Raises:
        StripeAway, StripeRefused: from the gateway; calling again goes on where it stopped.
        ClockStuck: Stripe takes too long to move the clock.
    """
    account = account_for(factory)
    if not account.test_clock_id:
        return 0
    stripe = gateway()
    now = _time_of(stripe, account)
    cursor = LedgerCursor.objects.get(account=account)
    if cursor.counted_to is None or cursor.counted_to <= now:
        _count_and_tell(factory, at=now)  # not what is ahead of the clock: Stripe refuses it
    while now < until:
        boundary = next_month(now)
        if boundary + _FIXED > until:
            now = _advance(stripe, account, until)
            break
        drafted = _advance(stripe, account, boundary + _DRAFTED)
        _count_and_tell(factory, at=drafted)
        now = _advance(stripe, account, boundary + _FIXED)
        sync_account(account_id=str(account.pk))
    _count_and_tell(factory, at=until)
    sync_account(account_id=str(account.pk))
    return account.invoices.count()


def _count_and_tell(factory: Factory, *, at: datetime) -> None:
    roll_up(factory=factory, until=at, at=at)
    report_usage(factory=factory, at=at)


def follow_clock(*, factory: Factory, at: datetime) -> int:
    """Keep a clock that has reached the present with it; return the invoices there are.

    A clock that still stands in the past is left alone: whoever set it there moves it on
    (`run_clock`) once that past is complete.
    """
    account = account_for(factory)
    if at - _time_of(gateway(), account) > _PRESENT:
        return 0
    return run_clock(factory=factory, until=at)


def _time_of(stripe: StripeGateway, account: BillingAccount) -> datetime:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        now = stripe.clock_time(account.test_clock_id)
        if now is not None:
            return now
        if time.monotonic() > deadline:
            raise ClockStuck(account.test_clock_id)
        time.sleep(0.5)


def _advance(stripe: StripeGateway, account: BillingAccount, to: datetime) -> datetime:
    to = to.replace(microsecond=0)
    if _time_of(stripe, account) < to:
        stripe.advance_clock(clock_id=account.test_clock_id, to=to)
    return _time_of(stripe, account)
