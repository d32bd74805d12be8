"""Accounts, their subscriptions and invoices, and what waits to be done for them."""

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from billing.models import BillingAccount, Invoice, Subscription
from tenants.models import Factory


def account_of(factory: Factory) -> BillingAccount | None:
    return BillingAccount.objects.filter(factory=factory).first()


def account(account_id: str, *, factory: Factory) -> BillingAccount:
    """Return an account by its id.

    Raises:
        BillingAccount.DoesNotExist: there is none, or it is another factory's.
    """
    return BillingAccount.objects.get(pk=account_id, factory=factory)


def subscription_of(factory: Factory) -> Subscription | None:
    """Return the live subscription of a factory, or None on Start."""
    return Subscription.objects.filter(account__factory=factory, ended_at=None).first()


def invoices(factory: Factory) -> QuerySet[Invoice]:
    """Return a factory's invoices with their lines, newest first."""
    return (
        Invoice.objects.filter(account__factory=factory)
        .prefetch_related("lines")
        .order_by("-created_at", "-pk")
    )


def unopened_subscriptions(*, before: datetime) -> list[Subscription]:
    """Return the subscriptions that Stripe should know by now and does not."""
    return list(
        Subscription.objects.filter(stripe_id=None, ended_at=None, started_at__lt=before).filter(
            account__test_clock_id=""
        )
    )


def accounts_at_stripe() -> list[UUID]:
    """Return the accounts that have a customer at Stripe."""
    return list(
        BillingAccount.objects.exclude(stripe_customer_id=None)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def accounts_to_review() -> list[UUID]:
    """Return the accounts whose standing can change with time."""
    return list(
        BillingAccount.objects.exclude(factory=None)
        .filter(subscriptions__isnull=False)
        .distinct()
        .order_by("pk")
        .values_list("pk", flat=True)
    )
