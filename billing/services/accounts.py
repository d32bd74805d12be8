"""Accounts, their customers at Stripe, and the pages that Stripe hosts for them."""

from datetime import datetime

from django.db import transaction

from billing import plans
from billing.gateways import StripeGateway, gateway
from billing.models import BillingAccount, LedgerCursor
from tenants.models import Factory, Membership, Role


def account_for(factory: Factory) -> BillingAccount:
    """Return a factory's account, opening it at first need. Nothing is said to Stripe."""
    account = BillingAccount.objects.filter(factory=factory).first()
    if account is not None:
        return account
    with transaction.atomic():
        account, _ = BillingAccount.objects.get_or_create(
            factory=factory,
            defaults={"name": factory.name, "currency": plans.currency_for(factory.currency)},
        )
        LedgerCursor.objects.get_or_create(account=account)
    return account


def ensure_customer(account: BillingAccount, *, stripe: StripeGateway) -> str:
    """Return the account's customer at Stripe, creating it once.

    Raises:
        StripeAway: the same call may be made again; it creates no second customer.
    """
    if account.stripe_customer_id:
        return account.stripe_customer_id
    customer_id = stripe.create_customer(
        key=f"customer-{account.pk.hex}",
        name=account.name,
        email=_owner_email(account),
        metadata={"account": str(account.pk)},
        test_clock=account.test_clock_id,
    )
    BillingAccount.objects.filter(pk=account.pk).update(stripe_customer_id=customer_id)
    account.stripe_customer_id = customer_id
    return customer_id


def _owner_email(account: BillingAccount) -> str:
    if account.factory is None:
        return ""
    owner = (
        Membership.objects.filter(factory=account.factory, role=Role.OWNER)
        .select_related("user")
        .order_by("pk")
        .first()
    )
    return owner.user.email if owner else ""


def use_card(*, factory: Factory, payment_method: str) -> None:
    """Pay a factory's invoices with a card, named as Stripe names it (`pm_card_visa` in tests).

    Raises:
        StripeAway, StripeRefused: from the gateway; nothing was changed here.
    """
    account, stripe = account_for(factory), gateway()
    customer_id = ensure_customer(account, stripe=stripe)
    stripe.use_card(
        key=f"card-{account.pk.hex}-{payment_method}",
        customer_id=customer_id,
        payment_method=payment_method,
    )


def card_page(*, factory: Factory, done_url: str, back_url: str, at: datetime) -> str:
    """Return the address of Stripe's page for leaving a card."""
    account, stripe = account_for(factory), gateway()
    customer_id = ensure_customer(account, stripe=stripe)
    return stripe.card_page(
        key=f"checkout-{account.pk.hex}-{at.timestamp():.0f}",
        customer_id=customer_id,
        done_url=done_url,
        back_url=back_url,
    )


def portal_page(*, factory: Factory, back_url: str, at: datetime) -> str:
    """Return the address of Stripe's page with a factory's invoices and cards."""
    account, stripe = account_for(factory), gateway()
    customer_id = ensure_customer(account, stripe=stripe)
    return stripe.portal_page(
        key=f"portal-{account.pk.hex}-{at.timestamp():.0f}",
        customer_id=customer_id,
        back_url=back_url,
    )
