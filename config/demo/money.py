"""Usage and invoices of the demonstration, on Stripe's simulated clock."""

import time
from datetime import datetime

from django.utils import timezone

from billing import selectors as billing_selectors
from billing import services as billing_services
from billing.services.details import Details, write_details
from config.demo.report import LinkFailed
from tenants.models import Factory, User

OPENING_TIMEOUT_S = 60.0
BUDGET_MINOR = 400_00  # a month
CARD = "pm_card_visa"  # Stripe's test card; only its test mode knows it


def subscribe(factory: Factory, *, plan: str, owner: User, since: datetime) -> None:
    """Put the factory on a paid plan since the beginning of its story, and leave a card.

    Raises:
        LinkFailed: the worker did not open the subscription at Stripe in time.
    """
    if billing_selectors.subscription_of(factory) is None:
        billing_services.start_subscription(
            factory=factory, plan=plan, by=owner, at=since, simulated=True
        )
    account = billing_selectors.account_of(factory)
    assert account is not None
    deadline = time.monotonic() + OPENING_TIMEOUT_S
    # The worker makes the customer on the simulated clock; a card needs that customer.
    while not _is_open(factory):
        if time.monotonic() > deadline:
            raise LinkFailed("usage", f"{plan} of {factory.name} was not opened at Stripe")
        time.sleep(0.2)
    billing_services.use_card(factory=factory, payment_method=CARD)
    _agree(factory, owner=owner)


def _agree(factory: Factory, *, owner: User) -> None:
    """Write down what the owner would have: the address of invoices, and a budget."""
    now = timezone.now()
    address = Details(
        legal_name=f"{factory.name} GmbH",
        email=owner.email,
        line1="Am Werk 7",
        line2="",
        postal_code="70565",
        city="Stuttgart",
        country="DE",
        tax_id_type="",
        tax_id="",
        currency=factory.currency,
    )
    write_details(factory=factory, details=address, by=owner, at=now)
    billing_services.set_budget(factory=factory, amount_minor=BUDGET_MINOR, by=owner, at=now)


def _is_open(factory: Factory) -> bool:
    subscription = billing_selectors.subscription_of(factory)
    return subscription is not None and bool(subscription.stripe_id)


def live_through(factory: Factory, *, until: datetime) -> int:
    """Let every month up to `until` end and be paid; return the number of invoices."""
    return billing_services.run_clock(factory=factory, until=until)
