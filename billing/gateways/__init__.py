"""Everything that leaves for Stripe, and nothing else of Takt that knows Stripe's library.

A room for each kind of thing at Stripe; how a call is made and what its errors mean is in `calls`.
"""

from functools import cache

from django.conf import settings

from billing.gateways.calls import StripeAway, StripeRefused
from billing.gateways.catalogue import Catalogue
from billing.gateways.clocks import Clocks
from billing.gateways.credit_notes import CreditNotes
from billing.gateways.customers import Customers
from billing.gateways.events import BadSignature, Events, StripeEvent, verified_event
from billing.gateways.invoices import Invoices
from billing.gateways.payment import Payment
from billing.gateways.subscriptions import Subscriptions
from billing.gateways.usage import MAX_BATCH, Usage

__all__ = [
    "MAX_BATCH",
    "BadSignature",
    "StripeAway",
    "StripeEvent",
    "StripeGateway",
    "StripeRefused",
    "gateway",
    "verified_event",
]


class StripeGateway(
    Catalogue, Customers, Payment, Subscriptions, Usage, Invoices, CreditNotes, Events, Clocks
):
    """The calls that Takt makes. Vendor errors come out as StripeAway or StripeRefused."""


@cache
def _gateway(api_key: str, api_base: str) -> StripeGateway:
    return StripeGateway(api_key=api_key, api_base=api_base)


def gateway() -> StripeGateway:
    """Return the gateway that the settings describe (one a process).

    Raises:
        StripeAway: this installation has no key for Stripe; what is to be told it waits.
    """
    if not settings.STRIPE_API_KEY:
        raise StripeAway("STRIPE_API_KEY is not set")
    return _gateway(settings.STRIPE_API_KEY, settings.STRIPE_API_BASE)
