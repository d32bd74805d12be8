"""What is sold, at Stripe: meters, products, prices, coupons and their codes."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from billing import answers
from billing.answers import StripeCoupon, StripePrice, StripeProduct, StripePromotionCode
from billing.gateways.calls import Calls, seconds, typed, wrapped


class Catalogue(Calls):
    """Calls on what is sold."""

    def meters(self) -> dict[str, str]:
        """Return the active meters: event name -> id."""
        with wrapped():
            found = self._v1.billing.meters.list({"status": "active", "limit": 100})
            return {m.event_name: m.id for m in found.auto_paging_iter()}

    def archived_meters(self) -> dict[str, str]:
        """Return the meters that count no more: event name -> id, the newest of a name."""
        with wrapped():
            found = self._v1.billing.meters.list({"status": "inactive", "limit": 100})
            newest_first = [(m.event_name, m.id) for m in found.auto_paging_iter()]
            return dict(reversed(newest_first))

    def create_meter(self, *, event_name: str, label: str) -> str:
        with wrapped():
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

    def reactivate_meter(self, *, key: str, meter_id: str) -> None:
        """Let an archived meter count again."""
        with wrapped():
            self._v1.billing.meters.reactivate(meter_id, {}, {"idempotency_key": key})

    def prices(self, lookup_keys: Sequence[str]) -> dict[str, str]:
        """Return the active prices among up to ten lookup keys: key -> id."""
        with wrapped():
            found = self._v1.prices.list(
                {"lookup_keys": list(lookup_keys), "active": True, "limit": 100}
            )
            return {str(p.lookup_key): p.id for p in found.data}

    def our_prices(self) -> list[StripePrice]:
        """Return all active prices that bear a lookup key."""
        with wrapped():
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
        with wrapped():
            return self._write(self._v1.prices.create, values, f"price-{lookup_key}").id

    def deactivate_price(self, *, key: str, price_id: str) -> None:
        """Take a price off sale; subscriptions that have it keep it."""
        with wrapped():
            self._v1.prices.update(price_id, {"active": False}, {"idempotency_key": key})

    def products(self) -> list[StripeProduct]:
        """Return all products, archived ones too."""
        with wrapped():
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
        with wrapped():
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
        with wrapped():
            self._v1.products.update(product_id, typed(given), {"idempotency_key": key})

    def coupons(self) -> list[StripeCoupon]:
        with wrapped():
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
            "redeem_by": None if redeem_by is None else seconds(redeem_by),
            "max_redemptions": max_redemptions,
            "metadata": metadata,
        }
        given = {k: v for k, v in values.items() if v is not None}
        with wrapped():
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
        with wrapped():
            return answers.promotion_code(self._write(self._v1.promotion_codes.create, values, key))

    def promotion_code(self, code: str) -> StripePromotionCode | None:
        """Return the promotion code with this text, an active one first; case does not matter."""
        with wrapped():
            found = self._v1.promotion_codes.list(
                {"code": code, "limit": 100, "expand": ["data.promotion.coupon.applies_to"]}
            )
            known = [answers.promotion_code(body) for body in found.data]
        return next((c for c in known if c.active), known[0] if known else None)
