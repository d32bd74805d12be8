"""Usage and invoices of the demonstration, on Stripe's simulated clock."""

import time
from datetime import datetime

from billing import selectors as billing_selectors
from billing import services as billing_services
from config.demo.report import LinkFailed
from tenants.models import Factory, User

OPENING_TIMEOUT_S = 60.0
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


def _is_open(factory: Factory) -> bool:
    subscription = billing_selectors.subscription_of(factory)
    return subscription is not None and bool(subscription.stripe_id)


def live_through(factory: Factory, *, until: datetime) -> int:
    """Let every month up to `until` end and be paid; return the number of invoices."""
    return billing_services.run_clock(factory=factory, until=until)
