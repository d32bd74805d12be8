"""Everything that leaves for Stripe, and nothing else of Takt that knows Stripe's library.

Contract: docs.stripe.com/api, version `API_VERSION` (the one that our contract tests check). Every
write carries an idempotency key derived by the caller from what it writes, so a call may be
repeated after any failure. The library itself retries connection errors and 409/5xx twice.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import requests
import stripe
from django.conf import settings

from billing import answers
from billing.answers import StripeInvoice, StripeItem, StripeSubscription

# The library tells of every call at level info; what matters of them is logged where it is done.
logging.getLogger("stripe").setLevel(logging.WARNING)

API_VERSION = "2026-08-26.dahlia"
TIMEOUT_S = (3.05, 10.0)  # connect, read
WEBHOOK_TOLERANCE_S = 300
_ALREADY_KNOWN = "An event already exists with identifier"

Answer = TypeVar("Answer")


class StripeAway(Exception):
    """Stripe did not answer, or asked to come back later; the same call may be made again."""


class StripeRefused(Exception):
    """Stripe answered that this will not do; repeating it would not help."""

    def __init__(self, message: str, *, code: str | None, status: int | None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class BadSignature(Exception):
    """A webhook's body was not signed by Stripe, not for us, or too long ago."""


@dataclass(frozen=True, slots=True)
class StripeEvent:
    id: str
    kind: str
    payload: dict[str, Any]


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


@contextmanager
def _wrapped() -> Iterator[None]:
    """Turn the library's errors into ours: later, or never."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise StripeAway(type(error).__name__) from error
    except stripe.StripeError as error:
        status = error.http_status
        if status is None or status >= 500 or status == 409:
            raise StripeAway(f"{type(error).__name__} {status}") from error
        raise StripeRefused(
            str(error.user_message or error), code=error.code, status=status
        ) from error


class StripeGateway:
    """The calls that Takt makes. Vendor errors come out as StripeAway or StripeRefused."""

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str,
        max_retries: int = 2,
        session: requests.Session | None = None,
    ) -> None:
        client = stripe.RequestsClient(timeout=TIMEOUT_S, session=session)
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=max_retries,
            http_client=client,
        )
        self._v1 = self._client.v1

    # -- catalogue ---------------------------------------------------------------------------------
    def meters(self) -> dict[str, str]:
        """Return the active meters: event name -> id."""
        with _wrapped():
            found = self._v1.billing.meters.list({"status": "active", "limit": 100})
            return {m.event_name: m.id for m in found.auto_paging_iter()}

    def create_meter(self, *, event_name: str, label: str) -> str:
        with _wrapped():
            meter = self._v1.billing.meters.create(
                {
                    "event_name": event_name,
                    "display_name": label,
                    "default_aggregation": {"formula": "sum"},
                    "customer_mapping": {
                        "event_payload_key": "stripe_customer_id",
                        "type": "by_id",
                    },
                    "value_settings": {"event_payload_key": "value"},
                },
                {"idempotency_key": f"meter-{event_name}"},
            )
            return meter.id

    def prices(self, lookup_keys: Sequence[str]) -> dict[str, str]:
        """Return the active prices among up to ten lookup keys: key -> id."""
        with _wrapped():
            found = self._v1.prices.list(
                {"lookup_keys": list(lookup_keys), "active": True, "limit": 100}
            )
            return {str(p.lookup_key): p.id for p in found.data}

    def create_price(
        self,
        *,
        lookup_key: str,
        product: str,
        unit_label: str,
        currency: str,
        unit_amount: Decimal,
        meter_id: str,
    ) -> str:
        """Create a monthly metered price, with a product of its own, in minor units a unit."""
        with _wrapped():
            price = self._v1.prices.create(
                {
                    "currency": currency,
                    "lookup_key": lookup_key,
                    "unit_amount_decimal": unit_amount,
                    "product_data": {"name": product, "unit_label": unit_label},
                    "recurring": {
                        "interval": "month",
                        "usage_type": "metered",
                        "meter": meter_id,
                    },
                },
                {"idempotency_key": f"price-{lookup_key}"},
            )
            return price.id

    # -- customers ---------------------------------------------------------------------------------
    def create_customer(
        self, *, key: str, name: str, email: str, metadata: dict[str, str], test_clock: str = ""
    ) -> str:
        with _wrapped():
            values: dict[str, Any] = {"name": name, "metadata": metadata}
            if email:
                values["email"] = email
            if test_clock:
                values["test_clock"] = test_clock
            return self._write(self._v1.customers.create, values, key).id

    def use_card(self, *, key: str, customer_id: str, payment_method: str) -> None:
        """Attach a card and make it the one that invoices are paid with."""
        with _wrapped():
            card = self._v1.payment_methods.attach(
                payment_method, {"customer": customer_id}, {"idempotency_key": f"{key}-attach"}
            )
            self._v1.customers.update(
                customer_id,
                {"invoice_settings": {"default_payment_method": card.id}},
                {"idempotency_key": f"{key}-default"},
            )

    def card_page(self, *, key: str, customer_id: str, done_url: str, back_url: str) -> str:
        """Return the address of a page on which the customer leaves a card."""
        values = {
            "mode": "setup",
            "customer": customer_id,
            "payment_method_types": ["card"],
            "success_url": done_url,
            "cancel_url": back_url,
        }
        with _wrapped():
            return str(self._write(self._v1.checkout.sessions.create, values, key).url)

    def portal_page(self, *, key: str, customer_id: str, back_url: str) -> str:
        """Return the address of the page with the customer's invoices and cards."""
        values = {"customer": customer_id, "return_url": back_url}
        with _wrapped():
            return str(self._write(self._v1.billing_portal.sessions.create, values, key).url)

    # -- subscriptions -----------------------------------------------------------------------------
    def create_subscription(
        self,
        *,
        key: str,
        customer_id: str,
        price_ids: Sequence[str],
        started_at: datetime | None,
        metadata: dict[str, str],
    ) -> StripeSubscription:
        """Subscribe to metered prices by the calendar month (UTC), usage counted from the start.

        `started_at` lies in the past where Stripe was away; None means now.
        """
        values: dict[str, Any] = {
            "customer": customer_id,
            "items": [{"price": price_id} for price_id in price_ids],
            "billing_cycle_anchor_config": {
                "day_of_month": 1,
                "hour": 0,
                "minute": 0,
                "second": 0,
            },
            "proration_behavior": "none",
            "billing_mode": {"type": "flexible"},
            "metadata": metadata,
        }
        if started_at is not None:
            values["backdate_start_date"] = _seconds(started_at)
        with _wrapped():
            return answers.subscription(self._write(self._v1.subscriptions.create, values, key))

    def subscription(self, subscription_id: str) -> StripeSubscription:
        with _wrapped():
            return answers.subscription(self._v1.subscriptions.retrieve(subscription_id))

    def exchange_prices(
        self, *, key: str, subscription_id: str, old: Sequence[StripeItem], new: Sequence[str]
    ) -> StripeSubscription:
        """Put other metered prices in; what the old ones counted in this period is not charged."""
        items: list[dict[str, Any]] = [{"price": price_id} for price_id in new]
        items += [{"id": item.id, "deleted": True} for item in old]
        values = {"items": items, "proration_behavior": "none"}
        with _wrapped():
            answer = self._v1.subscriptions.update(
                subscription_id, _typed(values), {"idempotency_key": key}
            )
            return answers.subscription(answer)

    def end_with_period(
        self, *, key: str, subscription_id: str, wanted: bool
    ) -> StripeSubscription:
        with _wrapped():
            answer = self._v1.subscriptions.update(
                subscription_id, {"cancel_at_period_end": wanted}, {"idempotency_key": key}
            )
            return answers.subscription(answer)

    # -- usage -------------------------------------------------------------------------------------
    def report_usage(
        self, *, identifier: str, event_name: str, customer_id: str, quantity: int, at: datetime
    ) -> bool:
        """Tell Stripe of usage once; False when it already knew this identifier."""
        try:
            with _wrapped():
                self._v1.billing.meter_events.create(
                    {
                        "event_name": event_name,
                        "identifier": identifier,
                        "payload": {"stripe_customer_id": customer_id, "value": str(quantity)},
                        "timestamp": _seconds(at),
                    },
                    # With the time: should it ever differ, the identifier decides, not the key.
                    {"idempotency_key": f"{identifier}:{_seconds(at)}"},
                )
        except StripeRefused as refusal:
            # Stripe gives this refusal no code.
            if _ALREADY_KNOWN in str(refusal):
                return False
            raise
        return True

    def usage_total(
        self, *, meter_id: str, customer_id: str, start: datetime, end: datetime
    ) -> int:
        """Return what Stripe has counted of a meter in [start, end), whole minutes."""
        with _wrapped():
            found = self._v1.billing.meters.event_summaries.list(
                meter_id,
                {
                    "customer": customer_id,
                    "start_time": _seconds(start),
                    "end_time": _seconds(end),
                },
            )
            return sum(int(row.aggregated_value) for row in found.data)

    # -- invoices ----------------------------------------------------------------------------------
    def invoice(self, invoice_id: str) -> StripeInvoice:
        with _wrapped():
            return self._invoice(self._v1.invoices.retrieve(invoice_id))

    def invoices(self, customer_id: str) -> list[StripeInvoice]:
        """Return a customer's invoices, newest first."""
        with _wrapped():
            found = self._v1.invoices.list({"customer": customer_id, "limit": 100})
            return [self._invoice(body) for body in found.auto_paging_iter()]

    def preview(self, subscription_id: str) -> StripeInvoice:
        """Return what Stripe would charge for the period so far."""
        with _wrapped():
            return self._invoice(
                self._v1.invoices.create_preview({"subscription": subscription_id})
            )

    def _invoice(self, body: Any) -> StripeInvoice:
        lines = body.lines
        data = list(lines.data)
        if lines.has_more:
            data = list(
                self._v1.invoices.line_items.list(body.id, {"limit": 100}).auto_paging_iter()
            )
        return answers.invoice(body, data)

    # -- simulated time (Stripe's test mode) -------------------------------------------------------
    def create_clock(self, *, key: str, at: datetime) -> str:
        values = {"frozen_time": _seconds(at)}
        with _wrapped():
            return self._write(self._v1.test_helpers.test_clocks.create, values, key).id

    def clock_time(self, clock_id: str) -> datetime | None:
        """Return the time of a test clock, or None while it is still moving."""
        with _wrapped():
            clock = self._v1.test_helpers.test_clocks.retrieve(clock_id)
            return answers.time_of(clock.frozen_time) if clock.status == "ready" else None

    def advance_clock(self, *, clock_id: str, to: datetime) -> None:
        with _wrapped():
            self._v1.test_helpers.test_clocks.advance(
                clock_id,
                {"frozen_time": _seconds(to)},
                {"idempotency_key": f"{clock_id}-{_seconds(to)}"},
            )

    def _write(self, method: Callable[..., Answer], values: dict[str, Any], key: str) -> Answer:
        return method(_typed(values), {"idempotency_key": key})


def _typed(values: dict[str, Any]) -> Any:
    """Hand a plain mapping to the library, whose parameter types are TypedDicts."""
    return values


def verified_event(*, body: bytes, signature: str, secret: str) -> StripeEvent:
    """Return what a webhook says, once its signature over the raw body holds.

    Raises:
        BadSignature: forged, tampered with, signed with another secret, or older than 5 minutes.
    """
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, WEBHOOK_TOLERANCE_S)
        payload = json.loads(body)
        return StripeEvent(payload["id"], payload["type"], payload)
    except (stripe.SignatureVerificationError, ValueError, KeyError, TypeError) as error:
        raise BadSignature(type(error).__name__) from error


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
