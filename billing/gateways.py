"""Everything that leaves for Stripe, and nothing else of Takt that knows Stripe's library.

Contract: docs.stripe.com/api, version `API_VERSION` (the one that our contract tests check). Every
write carries an idempotency key derived by the caller from what it writes, so a call may be
repeated after any failure. The library itself retries connection errors and 409/5xx twice.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, partial
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import requests
import stripe
from django.conf import settings

from billing import answers
from billing.answers import (
    StripeCard,
    StripeCoupon,
    StripeCreditNote,
    StripeInvoice,
    StripeItem,
    StripePaid,
    StripePendingItem,
    StripePrice,
    StripeProduct,
    StripePromotionCode,
    StripeSubscription,
    StripeTaxId,
    UsageEvent,
    UsageOutcome,
)

# The library tells of every call at level info; what matters of them is logged where it is done.
logging.getLogger("stripe").setLevel(logging.WARNING)

API_VERSION = "2026-08-26.dahlia"
TIMEOUT_S = (3.05, 10.0)  # connect, read
WEBHOOK_TOLERANCE_S = 300
_ALREADY_KNOWN = "An event already exists with identifier"
MAX_BATCH = 100  # usage events in one call of the stream
# A session of the stream lives for 15 minutes; a new one is asked for a little earlier.
_SESSION_S = 14 * 60
# What `answers.subscription` needs besides the subscription itself.
_EXPANDED = ["customer", "discounts.source.coupon", "discounts.promotion_code"]

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


def _addresses(api_base: str) -> Any:
    """Return where the library sends calls, None for Stripe itself."""
    return {"api": api_base, "meter_events": api_base} if api_base else None


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
            base_addresses=_addresses(api_base),
            max_network_retries=max_retries,
            http_client=client,
        )
        self._v1 = self._client.v1
        self._stream: tuple[stripe.StripeClient, float] | None = None
        self._new_stream = partial(
            stripe.StripeClient,
            stripe_version=API_VERSION,
            base_addresses=_addresses(api_base),
            max_network_retries=max_retries,
            http_client=client,
        )

    # -- catalogue ---------------------------------------------------------------------------------
    def meters(self) -> dict[str, str]:
        """Return the active meters: event name -> id."""
        with _wrapped():
            found = self._v1.billing.meters.list({"status": "active", "limit": 100})
            return {m.event_name: m.id for m in found.auto_paging_iter()}

    def archived_meters(self) -> dict[str, str]:
        """Return the meters that count no more: event name -> id, the newest of a name."""
        with _wrapped():
            found = self._v1.billing.meters.list({"status": "inactive", "limit": 100})
            newest_first = [(m.event_name, m.id) for m in found.auto_paging_iter()]
            return dict(reversed(newest_first))

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

    def our_prices(self) -> list[StripePrice]:
        """Return all active prices that bear a lookup key."""
        with _wrapped():
            found = self._v1.prices.list({"active": True, "limit": 100})
            return [answers.price(p) for p in found.auto_paging_iter() if p.lookup_key]

    def create_price(
        self,
        *,
        lookup_key: str,
        product: str,
        unit_label: str,
        currency: str,
        unit_amount: Decimal,
        meter_id: str = "",
        interval: Literal["month", "year"] = "month",
        licensed: bool = False,
        product_id: str = "",
    ) -> str:
        """Create a price in minor units a unit: metered, or licensed (paid in advance).

        Without `product_id` it gets a product of its own, named `product`.
        """
        recurring: dict[str, Any] = {"interval": interval, "usage_type": "licensed"}
        if not licensed:
            recurring.update(usage_type="metered", meter=meter_id)
        values: dict[str, Any] = {
            "currency": currency.lower(),
            "lookup_key": lookup_key,
            "unit_amount_decimal": unit_amount,
            "recurring": recurring,
        }
        if product_id:
            values["product"] = product_id
        else:
            values["product_data"] = {"name": product, "unit_label": unit_label}
        with _wrapped():
            return self._write(self._v1.prices.create, values, f"price-{lookup_key}").id

    def deactivate_price(self, *, key: str, price_id: str) -> None:
        """Take a price off sale; subscriptions that have it keep it."""
        with _wrapped():
            self._v1.prices.update(price_id, {"active": False}, {"idempotency_key": key})

    def products(self) -> list[StripeProduct]:
        """Return all products, archived ones too."""
        with _wrapped():
            found = self._v1.products.list({"limit": 100})
            return [answers.product(body) for body in found.auto_paging_iter()]

    def create_product(
        self, *, key: str, name: str, description: str, unit_label: str, metadata: dict[str, str]
    ) -> str:
        values: dict[str, Any] = {"name": name, "metadata": metadata}
        if description:
            values["description"] = description
        if unit_label:
            values["unit_label"] = unit_label
        with _wrapped():
            return self._write(self._v1.products.create, values, key).id

    def update_product(
        self,
        *,
        key: str,
        product_id: str,
        name: str | None = None,
        description: str | None = None,
        active: bool | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Change what is given of a product."""
        values = {"name": name, "description": description, "active": active, "metadata": metadata}
        given = {k: v for k, v in values.items() if v is not None}
        with _wrapped():
            self._v1.products.update(product_id, _typed(given), {"idempotency_key": key})

    def coupons(self) -> list[StripeCoupon]:
        with _wrapped():
            found = self._v1.coupons.list({"limit": 100})
            return [answers.coupon(body) for body in found.auto_paging_iter()]

    def create_coupon(
        self,
        *,
        key: str,
        name: str,
        percent_off: Decimal | None = None,
        amount_off: int | None = None,
        currency: str = "",
        duration: Literal["once", "repeating", "forever"] = "once",
        months: int | None = None,
        redeem_by: datetime | None = None,
        max_redemptions: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> StripeCoupon:
        """Create a coupon of a percentage, or of an amount in minor units of a currency."""
        values: dict[str, Any] = {
            "name": name,
            "duration": duration,
            "percent_off": None if percent_off is None else float(percent_off),
            "amount_off": amount_off,
            "currency": currency.lower() or None,
            "duration_in_months": months,
            "redeem_by": None if redeem_by is None else _seconds(redeem_by),
            "max_redemptions": max_redemptions,
            "metadata": metadata,
        }
        given = {k: v for k, v in values.items() if v is not None}
        with _wrapped():
            return answers.coupon(self._write(self._v1.coupons.create, given, key))

    def create_promotion_code(
        self, *, key: str, coupon_id: str, code: str, max_redemptions: int | None = None
    ) -> StripePromotionCode:
        """Give a coupon a code that customers can type."""
        values: dict[str, Any] = {
            "promotion": {"type": "coupon", "coupon": coupon_id},
            "code": code,
            "expand": ["promotion.coupon"],
        }
        if max_redemptions is not None:
            values["max_redemptions"] = max_redemptions
        with _wrapped():
            return answers.promotion_code(self._write(self._v1.promotion_codes.create, values, key))

    def promotion_code(self, code: str) -> StripePromotionCode | None:
        """Return the promotion code with this text, an active one first; case does not matter."""
        with _wrapped():
            found = self._v1.promotion_codes.list(
                {"code": code, "limit": 100, "expand": ["data.promotion.coupon"]}
            )
            known = [answers.promotion_code(body) for body in found.data]
        return next((c for c in known if c.active), known[0] if known else None)

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

    def update_customer(
        self,
        *,
        key: str,
        customer_id: str,
        name: str,
        email: str,
        address: dict[str, str] | None,
        locale: str,
    ) -> None:
        """Write who is billed. `address` has Stripe's keys (line1, city, country, ...)."""
        values: dict[str, Any] = {"name": name, "email": email}
        if address is not None:
            values["address"] = address
        if locale:
            values["preferred_locales"] = [locale]
        with _wrapped():
            self._v1.customers.update(customer_id, _typed(values), {"idempotency_key": key})

    def tax_ids(self, customer_id: str) -> list[StripeTaxId]:
        with _wrapped():
            found = self._v1.customers.tax_ids.list(customer_id, {"limit": 100})
            return [answers.tax_id(body) for body in found.data]

    def add_tax_id(self, *, key: str, customer_id: str, type: str, value: str) -> StripeTaxId:
        """Add a tax id of one of Stripe's types (eu_vat, gb_vat, ...).

        Raises:
            StripeRefused: with code `tax_id_invalid` where the form is wrong.
        """
        values = _typed({"type": type, "value": value})
        with _wrapped():
            body = self._v1.customers.tax_ids.create(customer_id, values, {"idempotency_key": key})
            return answers.tax_id(body)

    def remove_tax_id(self, *, key: str, customer_id: str, tax_id: str) -> None:
        with _wrapped():
            self._v1.customers.tax_ids.delete(customer_id, tax_id, None, {"idempotency_key": key})

    def payment_methods(self, customer_id: str) -> list[StripeCard]:
        """Return a customer's cards, newest first."""
        with _wrapped():
            found = self._v1.customers.payment_methods.list(
                customer_id, {"type": "card", "limit": 100}
            )
            customer: Any = self._v1.customers.retrieve(customer_id)
            default_id = customer.invoice_settings.default_payment_method
            return [answers.card(body, default_id=default_id) for body in found.data]

    def set_default_card(self, *, key: str, customer_id: str, card_id: str) -> None:
        """Pay the invoices to come with this card."""
        with _wrapped():
            self._v1.customers.update(
                customer_id,
                {"invoice_settings": {"default_payment_method": card_id}},
                {"idempotency_key": key},
            )

    def detach_card(self, *, key: str, card_id: str) -> None:
        """Forget a card for good."""
        with _wrapped():
            self._v1.payment_methods.detach(card_id, {}, {"idempotency_key": key})

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
        trial_end: datetime | None = None,
        promotion_code: str = "",
        extra_items: Sequence[tuple[str, int]] = (),
    ) -> StripeSubscription:
        """Subscribe to metered prices by the calendar month (UTC), usage counted from the start.

        `started_at` lies in the past where Stripe was away; None means now. Usage before
        `trial_end` is not charged. `extra_items` are licensed prices with their quantities; the
        part of the month up to the next first is charged at once. `promotion_code` is an id.
        """
        items: list[dict[str, Any]] = [{"price": price_id} for price_id in price_ids]
        items += [{"price": price_id, "quantity": n} for price_id, n in extra_items]
        values: dict[str, Any] = {
            "customer": customer_id,
            "items": items,
            "billing_cycle_anchor_config": {
                "day_of_month": 1,
                "hour": 0,
                "minute": 0,
                "second": 0,
            },
            "proration_behavior": "create_prorations" if extra_items else "none",
            "billing_mode": {"type": "flexible"},
            "metadata": metadata,
            "expand": _EXPANDED,
        }
        if started_at is not None:
            values["backdate_start_date"] = _seconds(started_at)
        if trial_end is not None:
            values["trial_end"] = _seconds(trial_end)
            behavior = {"missing_payment_method": "cancel"}
            values["trial_settings"] = {"end_behavior": behavior}
        if promotion_code:
            values["discounts"] = [{"promotion_code": promotion_code}]
        with _wrapped():
            return answers.subscription(self._write(self._v1.subscriptions.create, values, key))

    def create_yearly(
        self, *, key: str, customer_id: str, price_id: str, quantity: int, metadata: dict[str, str]
    ) -> StripeSubscription:
        """Subscribe to a licensed price by the year, from now, paid in advance.

        Raises:
            StripeRefused: the card was declined; nothing was subscribed.
        """
        values = {
            "customer": customer_id,
            "items": [{"price": price_id, "quantity": quantity}],
            "billing_mode": {"type": "flexible"},
            "payment_behavior": "error_if_incomplete",
            "metadata": metadata,
            "expand": _EXPANDED,
        }
        with _wrapped():
            return answers.subscription(self._write(self._v1.subscriptions.create, values, key))

    def subscription(self, subscription_id: str) -> StripeSubscription:
        with _wrapped():
            return answers.subscription(
                self._v1.subscriptions.retrieve(subscription_id, {"expand": _EXPANDED})
            )

    def _change(self, key: str, subscription_id: str, values: dict[str, Any]) -> StripeSubscription:
        values = {**values, "expand": _EXPANDED}
        with _wrapped():
            return answers.subscription(
                self._v1.subscriptions.update(
                    subscription_id, _typed(values), {"idempotency_key": key}
                )
            )

    def change_quantity(
        self,
        *,
        key: str,
        subscription_id: str,
        item_id: str,
        price_id: str | None,
        quantity: int,
        at: datetime | None,
        behavior: Literal["always_invoice", "none"] = "always_invoice",
        only_if_paid: bool = False,
    ) -> StripeSubscription:
        """Change a licensed item and charge or credit the rest of its period at once.

        `price_id` None keeps the price. `at` is the moment that a preview was made for. With the
        behavior `none` it is charged from its next period on.

        Raises:
            StripeRefused: with `only_if_paid`, the card was declined; nothing was changed.
        """
        item: dict[str, Any] = {"id": item_id, "quantity": quantity}
        if price_id is not None:
            item["price"] = price_id
        values = {"items": [item], **_proration(behavior, at)}
        if only_if_paid:
            values["payment_behavior"] = "error_if_incomplete"
        return self._change(key, subscription_id, values)

    def set_licensed_item(
        self,
        *,
        key: str,
        subscription_id: str,
        price_id: str,
        quantity: int,
        item_id: str | None,
        at: datetime | None,
    ) -> StripeSubscription:
        """Add, change or (quantity 0) remove a licensed add-on; its proration waits for the
        next invoice."""
        item: dict[str, Any] = {"id": item_id} if item_id else {"price": price_id}
        item.update({"quantity": quantity} if quantity else {"deleted": True})
        values = {"items": [item], **_proration("create_prorations", at)}
        return self._change(key, subscription_id, values)

    def apply_promotion_code(
        self, *, key: str, subscription_id: str, promotion_code_id: str | None
    ) -> StripeSubscription:
        """Replace what is taken off a subscription; None takes nothing off any more."""
        wanted: Any = [{"promotion_code": promotion_code_id}] if promotion_code_id else ""
        return self._change(key, subscription_id, {"discounts": wanted})

    def cancel_now(
        self, *, key: str, subscription_id: str, invoice_now: bool, credit_rest: bool = False
    ) -> None:
        """End a subscription at once; `invoice_now` bills the usage that is not billed yet.

        With `credit_rest` what was paid in advance and not used goes to the customer's balance.
        """
        values = {"invoice_now": invoice_now, "prorate": credit_rest}
        with _wrapped():
            self._v1.subscriptions.cancel(subscription_id, _typed(values), {"idempotency_key": key})

    def exchange_prices(
        self, *, key: str, subscription_id: str, old: Sequence[StripeItem], new: Sequence[str]
    ) -> StripeSubscription:
        """Put other metered prices in; what the old ones counted so far is on the next invoice.

        Source: docs.stripe.com/billing/subscriptions/usage-based/manage-billing-setup, "Update
        prices mid-cycle": in flexible billing mode, and not with `none`.
        """
        items: list[dict[str, Any]] = [{"price": price_id} for price_id in new]
        items += [{"id": item.id, "deleted": True} for item in old]
        values = {"items": items, "proration_behavior": "create_prorations"}
        return self._change(key, subscription_id, values)

    def end_with_period(
        self, *, key: str, subscription_id: str, wanted: bool
    ) -> StripeSubscription:
        return self._change(key, subscription_id, {"cancel_at_period_end": wanted})

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

    def report_usage_batch(self, events: Sequence[UsageEvent]) -> list[UsageOutcome]:
        """Tell Stripe of up to `MAX_BATCH` usage events in one call, and what became of each.

        Stripe checks such a batch later and reports errors as
        `v1.billing.meter.error_report_triggered`. Where there is no stream, or it refuses the
        batch, the events are told one by one.

        Source: docs.stripe.com/api/v2/billing-meter-stream
        """
        try:
            with _wrapped():
                self._event_stream().v2.billing.meter_event_stream.create(
                    {"events": [_stream_event(event) for event in events]}
                )
        except StripeRefused:
            self._stream = None
            return [self._report_one(event) for event in events]
        return [UsageOutcome(event.identifier, "sent") for event in events]

    def _event_stream(self) -> stripe.StripeClient:
        """Return a client with the token of a session that is still open."""
        if self._stream is None or self._stream[1] <= time.monotonic():
            session = self._client.v2.billing.meter_event_session.create()
            client = self._new_stream(session.authentication_token)
            self._stream = client, time.monotonic() + _SESSION_S
        return self._stream[0]

    def _report_one(self, event: UsageEvent) -> UsageOutcome:
        try:
            is_new = self.report_usage(
                identifier=event.identifier,
                event_name=event.event_name,
                customer_id=event.customer_id,
                quantity=event.quantity,
                at=event.at,
            )
        except StripeRefused as refusal:
            return UsageOutcome(event.identifier, "refused", str(refusal))
        return UsageOutcome(event.identifier, "sent" if is_new else "known")

    def cancel_usage(self, *, identifier: str, event_name: str) -> None:
        """Take back usage told within the last 24 hours."""
        values = {
            "type": "cancel",
            "event_name": event_name,
            "cancel": {"identifier": identifier},
        }
        with _wrapped():
            create = self._v1.billing.meter_event_adjustments.create
            self._write(create, values, f"cancel-{identifier}")

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

    def usage_by_hour(
        self, *, meter_id: str, customer_id: str, start: datetime, end: datetime
    ) -> dict[datetime, int]:
        """Return what Stripe has counted of a meter by UTC hour in [start, end), zeros left out."""
        values = {
            "customer": customer_id,
            "start_time": _seconds(start),
            "end_time": _seconds(end),
            "value_grouping_window": "hour",
            "limit": 100,
        }
        with _wrapped():
            found = self._v1.billing.meters.event_summaries.list(meter_id, _typed(values))
            return {
                answers.time_of(row.start_time): int(row.aggregated_value)
                for row in found.auto_paging_iter()
                if row.aggregated_value
            }

    def reactivate_meter(self, *, key: str, meter_id: str) -> None:
        """Let an archived meter count again."""
        with _wrapped():
            self._v1.billing.meters.reactivate(meter_id, {}, {"idempotency_key": key})

    def has_customer(self, customer_id: str) -> bool:
        try:
            with _wrapped():
                found: Any = self._v1.customers.retrieve(customer_id)
        except StripeRefused as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return not getattr(found, "deleted", False)

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

    def preview_change(
        self,
        *,
        subscription_id: str,
        items: Sequence[dict[str, Any]],
        at: datetime | None,
        behavior: Literal["create_prorations", "always_invoice", "none"],
    ) -> StripeInvoice:
        """Return the invoice that a change of items would make, without changing anything.

        `items` are as in an update of a subscription. With `always_invoice` it is the invoice
        made at once, else the next one.
        """
        details = {"items": list(items), **_proration(behavior, at)}
        values = {"subscription": subscription_id, "subscription_details": details}
        with _wrapped():
            return self._invoice(self._v1.invoices.create_preview(_typed(values)))

    def preview_new(self, *, customer_id: str, items: Sequence[dict[str, Any]]) -> StripeInvoice:
        """Return the first invoice of a subscription that the customer does not have yet."""
        details = {"items": list(items), "billing_mode": {"type": "flexible"}}
        values = {"customer": customer_id, "subscription_details": details}
        with _wrapped():
            return self._invoice(self._v1.invoices.create_preview(_typed(values)))

    def finalize_invoice(self, *, key: str, invoice_id: str) -> StripeInvoice:
        """Fix a draft and have it collected."""
        with _wrapped():
            return self._invoice(
                self._v1.invoices.finalize_invoice(
                    invoice_id, {"auto_advance": True}, {"idempotency_key": key}
                )
            )

    def pay_invoice(self, *, key: str, invoice_id: str) -> StripeInvoice:
        """Charge the card for an open invoice now.

        Raises:
            StripeRefused: with the bank's word; code `card_declined` and the like.
        """
        with _wrapped():
            return self._invoice(self._v1.invoices.pay(invoice_id, {}, {"idempotency_key": key}))

    def paid(self, invoice_id: str) -> StripePaid:
        """Return who paid an invoice and how, with what went back of each charge since.

        Source: docs.stripe.com/api/invoice-payment/object
        """
        with _wrapped():
            body: Any = self._v1.invoices.retrieve(invoice_id, {"expand": ["payments"]})
            payments = [each.payment for each in body.payments.data if each.status == "paid"]
            charges = [self._charge(each) for each in payments]
            return answers.paid(body, [c for c in charges if c and c.status == "succeeded"])

    def _charge(self, payment: Any) -> Any:
        """Return the newest charge of a payment, None where it was made outside of Stripe."""
        if payment.type == "payment_intent":
            intent = self._v1.payment_intents.retrieve(
                payment.payment_intent, {"expand": ["latest_charge"]}
            )
            return intent.latest_charge
        return self._v1.charges.retrieve(payment.charge) if payment.type == "charge" else None

    def add_invoice_item(
        self,
        *,
        key: str,
        customer_id: str,
        subscription_id: str,
        amount: int,
        currency: str,
        description: str,
        period: tuple[datetime, datetime],
        metadata: dict[str, str],
    ) -> str:
        """Put an amount (minor units, below zero for a credit) on the subscription's next invoice.

        Without a subscription it waits for `invoice_pending`. Returns the invoice item's id.
        """
        values = {
            "customer": customer_id,
            "amount": amount,
            "currency": currency.lower(),
            "description": description,
            "period": {"start": _seconds(period[0]), "end": _seconds(period[1])},
            "metadata": metadata,
        }
        if subscription_id:
            values["subscription"] = subscription_id
        with _wrapped():
            return self._write(self._v1.invoice_items.create, values, key).id

    def invoice_pending(self, *, key: str, customer_id: str) -> str:
        """Make an invoice of what waits for a customer without a subscription; return its id."""
        values = {
            "customer": customer_id,
            "auto_advance": True,
            "collection_method": "charge_automatically",
            "pending_invoice_items_behavior": "include",
        }
        with _wrapped():
            return self._write(self._v1.invoices.create, values, key).id

    def pending_items(self, customer_id: str) -> list[StripePendingItem]:
        """Return what waits for the next invoice, newest first."""
        with _wrapped():
            found = self._v1.invoice_items.list(
                {"customer": customer_id, "pending": True, "limit": 100}
            )
            return [answers.pending_item(body) for body in found.auto_paging_iter()]

    # -- credit notes ------------------------------------------------------------------------------
    def credit_note(
        self,
        *,
        key: str,
        invoice_id: str,
        amount: int,
        refund: bool,
        reason: Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"] | None,
        memo: str,
    ) -> StripeCreditNote:
        """Credit part or all of an invoice (minor units, tax included).

        An open invoice becomes smaller. Of a paid one the amount goes back to the card
        (`refund`) or to the customer's balance, which the next invoice uses up.
        """
        with _wrapped():
            body = self._v1.invoices.retrieve(invoice_id)
            values: dict[str, Any] = {"invoice": invoice_id, "amount": amount, "memo": memo}
            if reason:
                values["reason"] = reason
            if body.status == "paid":
                values["refund_amount" if refund else "credit_amount"] = amount
            return answers.credit_note(self._write(self._v1.credit_notes.create, values, key))

    def credit_notes(self, customer_id: str) -> list[StripeCreditNote]:
        """Return a customer's credit notes, newest first."""
        with _wrapped():
            found = self._v1.credit_notes.list({"customer": customer_id, "limit": 100})
            return [answers.credit_note(body) for body in found.auto_paging_iter()]

    # -- events ------------------------------------------------------------------------------------
    def events(self, *, since: datetime, kinds: Sequence[str]) -> Iterator[StripeEvent]:
        """Yield the events of up to 20 kinds since a moment (30 days at most), newest first."""
        with _wrapped():
            found = self._v1.events.list(
                {"created": {"gte": _seconds(since)}, "types": list(kinds), "limit": 100}
            )
            for body in found.auto_paging_iter():
                # As in a webhook, where decimals are text.
                payload = json.loads(json.dumps(body.to_dict(), default=str))
                yield StripeEvent(body.id, body.type, payload)

    def thin_event(self, event_id: str) -> dict[str, Any]:
        """Return an event of API v2 with its data, which its notification may leave out."""
        with _wrapped():
            found: dict[str, Any] = self._client.v2.core.events.retrieve(event_id).to_dict()
            return found

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


def _proration(behavior: str, at: datetime | None) -> dict[str, Any]:
    """Return how a change is charged for, and for which moment it is computed."""
    moment = {} if at is None else {"proration_date": _seconds(at)}
    return {"proration_behavior": behavior, **moment}


def _stream_event(event: UsageEvent) -> Any:
    payload = {"stripe_customer_id": event.customer_id, "value": str(event.quantity)}
    return {
        "event_name": event.event_name,
        "identifier": event.identifier,
        "payload": payload,
        "timestamp": event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


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
