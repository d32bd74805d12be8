"""Repairs of what the nightly proof found, each by the way that the sums come about anyway.

The rules (docs/adr/0012): the ledger is brought to the facts by correction rows. Rows that Stripe
lost are sent again under a name of their own while their month is open there, and charged on a
line of their own once it is settled. What Stripe counted too much is taken back: by its name
where we know it, else by an event of the opposite amount in the same hour. An invoice that is
fixed is never changed from here: staff is told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.db.models import F, Sum

from billing import bills, terms
from billing.catalogue import STRIPE_METERS
from billing.gateways import StripeGateway, StripeRefused
from billing.models import Adjustment, BillingAccount, CreditNote, LedgerDelivery, Subscription
from billing.periods import month_start, next_month
from billing.plans import CLOSING_TIME, Meter
from billing.proofs import STRIPE_LAG, Difference, MeterSums, rows_adding_up
from billing.selectors import proofs
from billing.services import exchanging, ledger
from billing.services.mirror import sync_account
from billing.services.reporting import identifier_of

log = structlog.get_logger()
_State = LedgerDelivery.State
# Stripe fixes an invoice about an hour after its month.
FIXED = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class AccountMonth:
    """A month of an account, and up to when it is compared."""

    account: BillingAccount
    month: datetime
    end: datetime
    at: datetime  # the account's present

    @property
    def is_fixed(self) -> bool:
        return self.at >= next_month(self.month) + FIXED


def repair_facts(part: AccountMonth) -> list[Difference]:
    """Bring the ledger to the facts of a month; late data that waits its turn is no difference."""
    factory = part.account.factory
    if factory is None:
        return []
    ledger.roll_up(factory=factory, until=part.at, at=part.at)
    added = ledger.recount(factory=factory, month=part.month, at=part.at)
    held = bills.usage_of(
        bills.entries(part.account, part.month, next_month(part.month))
        .values_list("meter")
        .annotate(total=Sum("quantity"))
        .order_by()
    ).counted
    return [
        Difference(
            meter=meter,
            facts=held.get(meter, 0),
            ledger=held.get(meter, 0) - n,
            stripe=None,
            repair="counted anew",
            is_repaired=True,
        )
        for meter, n in added.items()
    ]


def repair_refused(part: AccountMonth) -> list[Difference]:
    """Try again what Stripe refused: whatever stood in the way may be gone."""
    rows = LedgerDelivery.objects.filter(
        account=part.account,
        state=_State.REFUSED,
        entry__hour__gte=part.month,
        entry__hour__lt=part.end,
    )
    refused = list(rows.values_list("entry__meter").annotate(total=Sum("entry__quantity")))
    rows.update(state=_State.PENDING, n_resent=F("n_resent") + 1)
    return [
        Difference(meter, None, total, None, "refused by Stripe before: sent again")
        for meter, total in refused
    ]


def still_refused(part: AccountMonth, found: Iterable[Difference]) -> list[Difference]:
    """Say of what was refused whether it is told now."""
    left = set(
        LedgerDelivery.objects.filter(
            account=part.account, state=_State.REFUSED, entry__hour__gte=part.month
        ).values_list("entry__meter", flat=True)
    )
    return [
        replace(d, repair="refused by Stripe: for staff")
        if d.meter in left
        else replace(d, is_repaired=True)
        for d in found
    ]


class UsageRepair:
    """A meter at Stripe whose sum for a month is not ours: found by hours and repaired."""

    def __init__(
        self, part: AccountMonth, event_name: str, *, meter_id: str, stripe: StripeGateway
    ) -> None:
        self.part = part
        self.event_name = event_name
        self.stripe = stripe
        self.meters = [m for m, s in STRIPE_METERS.items() if s.event_name == event_name]
        self._meter_id = meter_id
        self._done: list[str] = []

    def run(self) -> str:
        """Repair every hour that differs; return in words what was done."""
        part = self.part
        ours = proofs.sent_rows(part.account.pk, self.meters, start=part.month, end=part.end)
        theirs = self.stripe.usage_by_hour(
            meter_id=self._meter_id,
            customer_id=part.account.stripe_customer_id or "",
            start=part.month,
            end=part.end,
        )
        for hour in sorted(ours.keys() | theirs.keys()):
            rows = [(row, self._signed(row)) for row in ours.get(hour, ())]
            missing = sum(n for _row, n in rows) - theirs.get(hour, 0)
            if missing:
                self._repair_hour(hour, rows, missing)
        return "; ".join(dict.fromkeys(self._done))

    def _signed(self, row: LedgerDelivery) -> int:
        return STRIPE_METERS[Meter(row.entry.meter)].sign * row.entry.quantity

    def _repair_hour(
        self, hour: datetime, rows: Sequence[tuple[LedgerDelivery, int]], missing: int
    ) -> None:
        lost = rows_adding_up(rows, missing)
        if lost is not None:
            self._send_again(lost)
            return
        # Only what was sent under a second name can be counted under both.
        doubled = rows_adding_up([(r, n) for r, n in rows if r.n_resent], -missing)
        if doubled is None or not self._cancel(doubled):
            self._balance(hour, missing)

    def _send_again(self, rows: Sequence[LedgerDelivery]) -> None:
        for row in rows:
            known = LedgerDelivery.objects.filter(
                pk=row.pk, state=_State.SENT, n_resent=row.n_resent
            )
            if self._is_settled(row.entry.hour):
                known.update(state=_State.LATE, counted_at=None)
                self._done.append("lost at Stripe: charged on a line of its own")
            else:
                known.update(state=_State.PENDING, n_resent=row.n_resent + 1)
                self._done.append("lost at Stripe: sent again")

    def _is_settled(self, hour: datetime) -> bool:
        part = self.part
        if part.at >= next_month(part.month) + CLOSING_TIME:
            return True
        return hour < exchanging.cut_of_month(part.account, hour)

    def _cancel(self, rows: Sequence[LedgerDelivery]) -> bool:
        """Take back second names; Stripe does so within 24 hours."""
        try:
            for row in rows:
                self.stripe.cancel_usage(identifier=identifier_of(row), event_name=self.event_name)
        except StripeRefused:
            return False
        self._done.append("counted twice at Stripe: taken back")
        return True

    def _balance(self, hour: datetime, missing: int) -> None:
        """Bring an hour at Stripe to ours, whatever else was counted in it.

        The name bears the day, so that a repeat after a crash is recognised.
        """
        account = self.part.account
        name = f"{self.event_name.removeprefix('takt_')}:{hour:%Y%m%d%H}:{missing}"
        try:
            self.stripe.report_usage(
                identifier=f"p:{account.pk.hex}:{name}:{self.part.at:%y%m%d}",
                event_name=self.event_name,
                customer_id=account.stripe_customer_id or "",
                quantity=missing,
                at=max(hour, self._since(hour)),
            )
        except StripeRefused as refusal:
            self._done.append(f"unknown usage at Stripe, for staff: {refusal}")
            return
        words = "unknown usage at Stripe: balanced"
        if self._is_settled(hour):
            words += "; its invoice is fixed, for staff"
            log.error("billing.proof.invoice_wrong", account=str(account.pk), hour=hour.isoformat())
        self._done.append(words)

    def _since(self, hour: datetime) -> datetime:
        """Return from when on the present prices count, if that lies in the hour's month."""
        newest = (
            Subscription.objects.filter(account=self.part.account)
            .exclude(stripe_id=None)
            .order_by("-started_at")
            .first()
        )
        if newest is None or month_start(newest.metered_from) != month_start(hour):
            return hour
        begins = newest.metered_from
        return begins if begins < hour + timedelta(hours=1) else hour


def is_open(sums: Iterable[MeterSums], *, at: datetime) -> bool:
    """Say whether Stripe may lack rows that it was only just sent, or is to be sent yet."""
    return any(
        s.n_waiting or (s.last_told_at is not None and s.last_told_at > at - STRIPE_LAG)
        for s in sums
    )


def repair_adjustments(part: AccountMonth, stripe: StripeGateway) -> list[Difference]:
    """Send again the amounts that Stripe was told and that stand nowhere."""
    before = part.at - STRIPE_LAG
    ids = [part.account.pk]
    if not proofs.unplaced_adjustments(ids, told_before=before):
        return []
    sync_account(account_id=str(part.account.pk), at=part.at)
    waiting = {
        item.metadata.get("adjustment")
        for item in stripe.pending_items(part.account.stripe_customer_id or "")
    }
    rows = proofs.unplaced_adjustments(ids, told_before=before).get(part.account.pk, [])
    lost = [
        row
        for row in rows
        if row.identifier not in waiting and part.month <= row.period_start < next_month(part.month)
    ]
    for row in lost:
        Adjustment.objects.filter(pk=row.pk).update(sent_at=None)
    return [
        Difference("adjustment", None, row.amount_minor, 0, "lost at Stripe: sent again", True)
        for row in lost
    ]


def billed_minor(part: AccountMonth) -> int:
    """Return what the invoice of a month must say of its metered usage."""
    return sum(
        bills.span_bill(part.account, span, states=[_State.SENT]).charge.total
        for span in terms.spans(part.account, part.month)
    )


def is_billed(part: AccountMonth, found: proofs.Invoiced) -> bool:
    """Say whether a month was invoiced at what it comes to, or staff has credited the rest."""
    over = found.amount_minor - billed_minor(part)
    if not over:
        return True
    notes = CreditNote.objects.filter(invoice_id__in=found.invoice_ids, status="issued")
    return over == sum(notes.values_list("amount_minor", flat=True))


def compare_invoice(part: AccountMonth) -> list[Difference]:
    """Name a fixed invoice that charges other than what its month comes to."""
    if not part.is_fixed:
        return []
    sync_account(account_id=str(part.account.pk), at=part.at)
    found = proofs.invoiced([part.account.pk], part.month).get(part.account.pk, proofs.Invoiced())
    if is_billed(part, found):
        return []
    return [
        Difference(
            meter="invoice",
            facts=None,
            ledger=billed_minor(part),
            stripe=found.amount_minor,
            repair="the invoice is fixed: for staff",
        )
    ]
