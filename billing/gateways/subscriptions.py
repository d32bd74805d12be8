"""What customers are subscribed to: plans by the month, machines by the year, add-ons."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from billing import answers
from billing.answers import StripeItem, StripeSubscription
from billing.gateways.calls import Calls, proration, seconds, typed, wrapped

# What `answers.subscription` needs besides the subscription itself.
_EXPANDED = ["customer", "discounts.source.coupon", "discounts.promotion_code"]


class Subscriptions(Calls):
    """Calls on subscriptions."""

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
            values["backdate_start_date"] = seconds(started_at)
        if trial_end is not None:
            values["trial_end"] = seconds(trial_end)
            behavior = {"missing_payment_method": "cancel"}
            values["trial_settings"] = {"end_behavior": behavior}
        if promotion_code:
            values["discounts"] = [{"promotion_code": promotion_code}]
        with wrapped():
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
        with wrapped():
            return answers.subscription(self._write(self._v1.subscriptions.create, values, key))

    def subscription(self, subscription_id: str) -> StripeSubscription:
        with wrapped():
            return answers.subscription(
                self._v1.subscriptions.retrieve(subscription_id, {"expand": _EXPANDED})
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
        values = {"items": [item], **proration(behavior, at)}
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
        values = {"items": [item], **proration("create_prorations", at)}
        return self._change(key, subscription_id, values)

    def apply_promotion_code(
        self, *, key: str, subscription_id: str, promotion_code_id: str | None
    ) -> StripeSubscription:
        """Replace what is taken off a subscription; None takes nothing off any more."""
        wanted: Any = [{"promotion_code": promotion_code_id}] if promotion_code_id else ""
        return self._change(key, subscription_id, {"discounts": wanted})

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

    def cancel_now(
        self, *, key: str, subscription_id: str, invoice_now: bool, credit_rest: bool = False
    ) -> None:
        """End a subscription at once; `invoice_now` bills the usage that is not billed yet.

        With `credit_rest` what was paid in advance and not used goes to the customer's balance.
        """
        values = {"invoice_now": invoice_now, "prorate": credit_rest}
        with wrapped():
            self._v1.subscriptions.cancel(subscription_id, typed(values), {"idempotency_key": key})

    def _change(self, key: str, subscription_id: str, values: dict[str, Any]) -> StripeSubscription:
        values = {**values, "expand": _EXPANDED}
        with wrapped():
            return answers.subscription(
                self._v1.subscriptions.update(
                    subscription_id, typed(values), {"idempotency_key": key}
                )
            )
