"""Telling Stripe what the ledger says: each row once, in order, whenever Stripe is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from django.db import transaction
from django.utils import timezone

from billing.answers import UsageEvent
from billing.catalogue import STRIPE_METERS
from billing.gateways import MAX_BATCH, StripeAway, StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount, LedgerDelivery, Subscription
from billing.periods import month_start, open_since
from billing.plans import CLOSING_TIME, Meter
from billing.services import exchanging
from billing.services.accounts import account_for
from billing.services.late_usage import settle_late_usage
from billing.services.ledger import is_charged
from tenants.models import Factory

log = structlog.get_logger()
_State = LedgerDelivery.State


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of the rows that were to be sent."""

    n_sent: int
    n_refused: int
    n_waiting: int


def report_usage(*, factory: Factory, at: datetime | None = None) -> Reported:
    """Send Stripe a factory's rows of the ledger that it has not been told yet."""
    return report_account(account_for(factory), at=at)


def report_account(account: BillingAccount, *, at: datetime | None = None) -> Reported:
    """Send Stripe an account's rows that it has not been told yet, also once the factory is gone.

    A row's identifier is derived from what it says, so a repeat after a crash or a time-out is
    recognised by Stripe and not charged again. Stripe being away leaves rows waiting and is no
    error: the next run sends them. One run per account at a time. Where another plan took over,
    rows from before it go first, then its prices are put in, then the others go.
    """
    at = at or timezone.now()
    key = str(account.pk)
    n_sent = n_refused = 0
    exchanging.apply_terms(account_id=key, at=at)
    try:
        exchanging.tell_end(account_id=key, at=at)
        while True:
            sent, refused = _send_batch(account, at=at)
            n_sent, n_refused = n_sent + sent, n_refused + refused
            if sent + refused == 0 and not exchanging.exchange_prices(account_id=key, at=at):
                break
        settle_late_usage(account_id=key, at=at)
        exchanging.send_adjustments(account_id=key, at=at)
    except StripeAway as away:
        log.warning("billing.stripe.away", account=key, error=str(away))
    n_waiting = LedgerDelivery.objects.filter(account=account, state=_State.PENDING).count()
    if n_refused:
        log.error("billing.usage.refused", account=key, n_rows=n_refused)
    return Reported(n_sent, n_refused, n_waiting)


def _send_batch(account: BillingAccount, *, at: datetime) -> tuple[int, int]:
    """Send some rows; what was sent before Stripe went away is kept as sent."""
    away: StripeAway | None = None
    with transaction.atomic():
        # One call in flight per customer: the row lock of the account.
        locked = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
        # Also one that has just ended: its last usage belongs on its last invoice.
        subscriptions = list(
            Subscription.objects.filter(account=locked)
            .exclude(stripe_id=None)
            .order_by("-started_at")
        )
        if not locked.stripe_customer_id or not subscriptions:
            return 0, 0
        rows = _next_rows(locked, at=at)
        batch = _Batch(locked, subscriptions, at=at)
        try:
            batch.send(rows)
        except StripeAway as error:
            away = error
        batch.save()
    if away is not None:
        raise away
    return batch.n_done, batch.n_refused


def _next_rows(account: BillingAccount, *, at: datetime) -> list[LedgerDelivery]:
    rows = LedgerDelivery.objects.filter(account=account, state=_State.PENDING)
    exchange = exchanging.next_exchange(account, at=at)
    if exchange is not None:
        rows = rows.filter(entry__hour__lt=exchange.starts_at)
    return list(rows.select_related("entry").order_by("entry_id")[:MAX_BATCH])


class _Batch:
    """Some rows of one account on their way to Stripe, and what became of each."""

    def __init__(
        self, account: BillingAccount, subscriptions: Sequence[Subscription], *, at: datetime
    ) -> None:
        self.account = account
        self.subscriptions = subscriptions
        self.at = at
        self.n_done = 0
        self.n_refused = 0
        self._stripe: StripeGateway = gateway()
        self._touched: list[LedgerDelivery] = []
        self._dropped: list[LedgerDelivery] = []
        self._cuts: dict[datetime, datetime] = {}

    def send(self, rows: Sequence[LedgerDelivery]) -> None:
        """Send rows that were never tried together, the others one by one.

        Raises:
            StripeAway: some rows are done; the others wait, marked as tried.
        """
        fresh, tried, settled = [], [], open_since(self.at, closing_time=CLOSING_TIME)
        for row in rows:
            if not any(is_charged(s, row.entry.hour) for s in self.subscriptions):
                self._dropped.append(row)
                self.n_done += 1
            elif row.n_attempts:
                tried.append(row)
            elif row.entry.hour < settled or self._is_cut_off(row):
                self._put_aside(row)
            else:
                fresh.append(row)
        for row in tried:
            self._send_again(row, is_settled=row.entry.hour < settled or self._is_cut_off(row))
        if fresh:
            self._send_together(fresh)

    def save(self) -> None:
        LedgerDelivery.objects.bulk_update(
            self._touched, ["state", "counted_at", "sent_at", "n_attempts", "error"]
        )
        LedgerDelivery.objects.filter(pk__in=[row.pk for row in self._dropped]).delete()

    def _is_cut_off(self, row: LedgerDelivery) -> bool:
        """Say whether Stripe has settled the row's part of the month: a larger plan took over."""
        month = month_start(row.entry.hour)
        if month not in self._cuts:
            self._cuts[month] = exchanging.cut_of_month(self.account, month)
        return row.entry.hour < self._cuts[month]

    def _put_aside(self, row: LedgerDelivery) -> None:
        """Have a row charged on a line of its own: its stretch is settled at Stripe."""
        row.state, row.counted_at, row.error = _State.LATE, None, ""
        self._touched.append(row)
        self.n_done += 1

    def _counted_at(self, row: LedgerDelivery) -> datetime:
        """Return the time under which Stripe is to count a row.

        Its hour; after an exchange of prices within its month not before that, because the new
        prices count nothing older.
        """
        hour = row.entry.hour.astimezone(UTC)
        since = self.subscriptions[0].metered_from.astimezone(UTC)
        return max(hour, since) if month_start(hour) == month_start(since) else hour

    def _event(self, row: LedgerDelivery, counted_at: datetime) -> UsageEvent:
        meter = STRIPE_METERS[Meter(row.entry.meter)]
        return UsageEvent(
            identifier=identifier_of(row),
            event_name=meter.event_name,
            customer_id=self.account.stripe_customer_id or "",
            quantity=meter.sign * row.entry.quantity,
            at=counted_at,
        )

    def _send_together(self, rows: list[LedgerDelivery]) -> None:
        for row in rows:
            row.n_attempts += 1
            row.counted_at = self._counted_at(row)
            self._touched.append(row)
        try:
            outcomes = self._stripe.report_usage_batch(
                [self._event(row, row.counted_at or self.at) for row in rows]
            )
        except StripeAway as away:
            for row in rows:
                row.error = str(away)[:300]
            raise
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.status == "refused":
                self._refuse(row, outcome.reason)
            else:
                self._done(row)

    def _send_again(self, row: LedgerDelivery, *, is_settled: bool) -> None:
        """Send a row that Stripe may know already, under the time that it bore at first."""
        earlier = row.counted_at
        row.counted_at = earlier if earlier and not is_settled else self._counted_at(row)
        row.n_attempts += 1
        self._touched.append(row)
        event = self._event(row, self.at if is_settled else row.counted_at)
        try:
            is_new = self._stripe.report_usage(
                identifier=event.identifier,
                event_name=event.event_name,
                customer_id=event.customer_id,
                quantity=event.quantity,
                at=event.at,
            )
            if is_new and is_settled:
                # It had not been counted in its time: taken back, and charged on its own line.
                self._stripe.cancel_usage(identifier=event.identifier, event_name=event.event_name)
                self._touched.pop()
                self._put_aside(row)
                return
        except StripeRefused as refusal:
            self._refuse(row, str(refusal))
            return
        except StripeAway as away:
            row.counted_at, row.error = earlier, str(away)[:300]
            raise
        if not is_new:
            row.counted_at = earlier or row.counted_at
            log.info("billing.usage.known", identifier=event.identifier)
        self._done(row)

    def _done(self, row: LedgerDelivery) -> None:
        row.state, row.error, row.sent_at = _State.SENT, "", self.at
        self.n_done += 1

    def _refuse(self, row: LedgerDelivery, reason: str) -> None:
        row.state, row.error = _State.REFUSED, reason[:300]
        self.n_refused += 1


def identifier_of(row: LedgerDelivery) -> str:
    """Return the name under which Stripe knows a row; another one each time it was dropped."""
    again = f":r{row.n_resent}" if row.n_resent else ""
    return f"{row.entry.identifier}{again}"
