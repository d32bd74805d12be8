"""Mirrors of what Stripe says, always fetched anew: the order of events is not trusted."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from billing.answers import StripeCreditNote, StripeInvoice
from billing.gateways import StripeGateway, gateway
from billing.models import (
    BillingAccount,
    CreditNote,
    Invoice,
    InvoiceLine,
    Subscription,
    YearlyMachines,
)
from billing.services import prepaying
from billing.services.subscriptions import write_mirror
from tenants.models import User

# Stripe fixes a draft about an hour after the month; usage is told into it until then.
DRAFT_TIME = timedelta(hours=2)


def sync_subscription(
    account: BillingAccount, *, stripe_id: str, stripe: StripeGateway, at: datetime
) -> None:
    """Bring the mirror of one subscription up to date, of a plan's or of machines by the year.

    Call with the account locked.
    """
    subscription = (
        Subscription.objects.filter(account=account, stripe_id=stripe_id)
        .select_related("account__factory")
        .first()
    )
    if subscription is not None:
        write_mirror(subscription, stripe.subscription(stripe_id), at=at)
    yearly = YearlyMachines.objects.filter(account=account, stripe_id=stripe_id).first()
    if yearly is not None:
        prepaying.mirror(account, yearly, stripe.subscription(stripe_id), stripe)


def sync_live_subscription(
    account: BillingAccount, *, stripe: StripeGateway, at: datetime, **_event: object
) -> None:
    """Bring up to date what an account's card and discount change. Call with it locked."""
    live = Subscription.objects.filter(account=account, ended_at=None).exclude(stripe_id=None)
    for stripe_id in live.values_list("stripe_id", flat=True):
        sync_subscription(account, stripe_id=stripe_id or "", stripe=stripe, at=at)


def sync_credit_notes(
    account: BillingAccount, *, stripe: StripeGateway, at: datetime, **_event: object
) -> None:
    """Bring the mirrors of an account's credit notes and their invoices up to date."""
    for answer in stripe.credit_notes(account.stripe_customer_id or ""):
        sync_invoice(account, stripe_id=answer.invoice_id, stripe=stripe, at=at)
        write_credit_note(account, answer)


def write_credit_note(
    account: BillingAccount, answer: StripeCreditNote, *, by: User | None = None
) -> CreditNote:
    """Keep what Stripe says of a credit note; who wrote it stays as it is known."""
    known = {
        "account": account,
        "invoice": Invoice.objects.get(account=account, stripe_id=answer.invoice_id),
        "number": answer.number,
        "amount_minor": answer.amount,
        "refunded_minor": answer.refunded,
        "reason": answer.reason,
        "memo": answer.memo[:300],
        "pdf_url": answer.pdf_url,
        "status": answer.status,
        "created_at": answer.created_at,
    }
    if by is not None:
        known["by"] = by
    note, _ = CreditNote.objects.update_or_create(stripe_id=answer.id, defaults=known)
    return note


def sync_invoice(
    account: BillingAccount, *, stripe_id: str, stripe: StripeGateway, at: datetime
) -> None:
    """Bring the mirror of one invoice up to date, if it is this account's. Call with it locked."""
    answer = stripe.invoice(stripe_id)
    if answer.customer_id == account.stripe_customer_id:
        write_invoice(account, answer, at=at)


def write_invoice(account: BillingAccount, answer: StripeInvoice, *, at: datetime) -> Invoice:
    """Keep what Stripe says of an invoice, with its lines."""
    invoice, _ = Invoice.objects.update_or_create(
        stripe_id=answer.id,
        defaults={
            "account": account,
            "number": answer.number,
            "status": answer.status,
            "currency": answer.currency,
            "total_minor": answer.total,
            "due_minor": answer.amount_due,
            "paid_minor": answer.amount_paid,
            "period_start": answer.period_start,
            "period_end": answer.period_end,
            "created_at": answer.created_at,
            "finalized_at": answer.finalized_at,
            "paid_at": answer.paid_at,
            "hosted_url": answer.hosted_url,
            "pdf_url": answer.pdf_url,
            "subtotal_minor": answer.subtotal,
            "discount_minor": answer.discount,
            "tax_minor": answer.tax,
            "billing_reason": answer.billing_reason,
            "stripe_subscription_id": answer.subscription_id,
            "n_attempts": answer.attempt_count,
            "next_attempt_at": answer.next_attempt_at,
            "synced_at": at,
        },
    )
    invoice.lines.all().delete()
    InvoiceLine.objects.bulk_create(
        InvoiceLine(
            invoice=invoice,
            position=position,
            stripe_id=line.id,
            description=line.description[:500],
            quantity=line.quantity,
            amount_minor=line.amount,
            period_start=line.period_start,
            period_end=line.period_end,
            is_proration=line.is_proration,
            price_id=line.price_id,
        )
        for position, line in enumerate(answer.lines)
    )
    return invoice


@transaction.atomic
def sync_account(*, account_id: str, at: datetime | None = None) -> int:
    """Fetch an account's subscription and invoices; return how many mirrors were out of date.

    Repairs whatever a webhook that never came left behind.
    """
    at = at or timezone.now()
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    if not account.stripe_customer_id:
        return 0
    stripe = gateway()
    before = _state(account)
    for subscription in Subscription.objects.filter(account=account, ended_at=None):
        if subscription.stripe_id:
            sync_subscription(account, stripe_id=subscription.stripe_id, stripe=stripe, at=at)
    for answer in stripe.invoices(account.stripe_customer_id):
        if _is_left(account, answer, at=at):
            answer = stripe.finalize_invoice(key=f"finalize-{answer.id}", invoice_id=answer.id)
        write_invoice(account, answer, at=at)
    after = _state(account)
    return len(before.symmetric_difference(after))


def _is_left(account: BillingAccount, answer: StripeInvoice, *, at: datetime) -> bool:
    """Say whether Stripe left a draft lie that is to be charged.

    It does so while a subscription is unpaid, also once it was paid after all
    (docs.stripe.com/billing/subscriptions/overview, "Unpaid").
    """
    if answer.status != "draft" or at < answer.created_at + DRAFT_TIME:
        return False
    return Subscription.objects.filter(
        account=account,
        stripe_id=answer.subscription_id,
        ended_at=None,
        status=Subscription.Status.ACTIVE,
    ).exists()


def _state(account: BillingAccount) -> set[tuple[object, ...]]:
    subscriptions = Subscription.objects.filter(account=account)
    invoices = Invoice.objects.filter(account=account)
    return {
        *subscriptions.values_list("stripe_id", "status", "period_end", "ended_at"),
        *invoices.values_list("stripe_id", "status", "total_minor", "paid_minor"),
    }
