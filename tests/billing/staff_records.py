"""One of each thing that staff see of money, as acme's."""

from datetime import UTC, datetime
from typing import Any

from billing import services
from billing.models import (
    Adjustment,
    BillingAccount,
    CreditNote,
    InboxEvent,
    Invoice,
    InvoiceLine,
    LedgerDelivery,
    LedgerEntry,
    PlanTerm,
    ProofLine,
    ProofRun,
    Subscription,
)
from tenants.models import Factory

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
CUSTOMER = "cus_staff"


def entry(account: BillingAccount, *, hour: datetime = NOON, quantity: int = 3) -> LedgerEntry:
    return LedgerEntry.objects.create(
        account=account, meter="readings", hour=hour, billed_hour=hour, quantity=quantity,
        reason="counted", identifier=f"{account.pk}:{hour:%Y%m%d%H}", written_at=NOON,
    )  # fmt: skip


def event(event_id: str = "evt_staff", *, state: str = "dead", customer: str = CUSTOMER) -> Any:
    payload = {"data": {"object": {"customer": customer, "id": "in_staff"}}}
    return InboxEvent.objects.create(
        event_id=event_id, kind="invoice.paid", payload=payload, state=state, n_attempts=5,
        error="No such invoice", received_at=NOON,
    )  # fmt: skip


def invoice(account: BillingAccount, stripe_id: str = "in_staff") -> Invoice:
    return Invoice.objects.create(
        account=account, stripe_id=stripe_id, number="T-17", status="paid", currency="EUR",
        total_minor=123_456, due_minor=0, paid_minor=123_456, period_start=NOON, period_end=NOON,
        created_at=NOON, synced_at=NOON,
    )  # fmt: skip


def make_all(acme: Factory) -> BillingAccount:
    """Write one row of each kind, with a delivery that Stripe refused and a dead letter."""
    account = services.account_for(acme)
    BillingAccount.objects.filter(pk=account.pk).update(stripe_customer_id=CUSTOMER)
    counted = entry(account)
    LedgerDelivery.objects.create(entry=counted, account=account, state="refused", error="no")
    Adjustment.objects.create(
        account=account, kind="late_usage", period_start=NOON, period_end=NOON, amount_minor=5,
        currency="EUR", description="Late", identifier="late-1", written_at=NOON,
    )  # fmt: skip
    event()
    billed = invoice(account)
    InvoiceLine.objects.create(
        invoice=billed, position=1, stripe_id="il_staff", amount_minor=123_456, period_start=NOON,
        period_end=NOON,
    )  # fmt: skip
    CreditNote.objects.create(
        account=account, invoice=billed, stripe_id="cn_staff", amount_minor=100, refunded_minor=0,
        reason="order_change", status="issued", created_at=NOON,
    )  # fmt: skip
    Subscription.objects.create(
        account=account, plan="workshop", started_at=NOON, metered_from=NOON
    )
    PlanTerm.objects.create(account=account, plan="workshop", starts_at=NOON)
    run = ProofRun.objects.create(started_at=NOON, n_differences=1)
    ProofLine.objects.create(run=run, account=account, month=NOON, n_sums=6, n_differences=1)
    return account
