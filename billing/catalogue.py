"""What Takt sells, as Stripe has to know it: meters, and prices per plan, item and currency.

Stripe charges what goes beyond the included by one meter an item that adds up what was sent and
subtracts what is included; below zero it charges nothing (docs.stripe.com, "Configure meters").
A changed price is a new version of the price list: new prices at Stripe, the old ones stay with
whoever has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal
from uuid import uuid4

from billing import plans
from billing.answers import StripeItem, StripeProduct, StripeSubscription
from billing.gateways import StripeGateway
from billing.plans import ITEM_OF, SIGN, AddOn, Coupon, Item, Meter, Plan, PriceBook

EVENT_NAMES: Mapping[Item, str] = {
    Item.MACHINES: "takt_active_machines",
    Item.READINGS: "takt_extra_readings",
    Item.IMAGES: "takt_extra_images",
    Item.PLANNING_MINUTES: "takt_extra_planning_minutes",
    Item.ARCHIVE_MB: "takt_extra_archive_mb",
}
# The metadata by which a product at Stripe is known as one of ours.
PRODUCT_KEY = "takt_product"
_METER_LABELS: Mapping[Item, str] = {
    Item.MACHINES: "Active machines",
    Item.READINGS: "Readings beyond the included",
    Item.IMAGES: "Images beyond the included",
    Item.PLANNING_MINUTES: "Planning minutes beyond the included",
    Item.ARCHIVE_MB: "Archive beyond the included",
}


@dataclass(frozen=True, slots=True)
class StripeMeter:
    """How a meter of the ledger is told to Stripe."""

    event_name: str
    sign: int


STRIPE_METERS: Mapping[Meter, StripeMeter] = {
    meter: StripeMeter(EVENT_NAMES[ITEM_OF[meter]], SIGN[meter]) for meter in Meter
}


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """A price as it is to stand at Stripe; licensed ones (paid in advance) have no meter."""

    lookup_key: str
    product_key: str  # one product for all currencies and versions
    product: str
    unit_label: str
    currency: str
    unit_amount: Decimal
    event_name: str = ""
    interval: Literal["month", "year"] = "month"


def prices_of(plan: Plan, *, currency: str) -> tuple[PriceSpec, ...]:
    """Return the metered prices of a paid plan: machines, and what is charged beyond."""
    suffix = _suffix(currency, plan.version)
    machines = PriceSpec(
        lookup_key=f"takt_{plan.key}_machine_{suffix}",
        product_key=f"{plan.key}_machine",
        product=f"{plan.name}: active machines",
        unit_label="machine",
        currency=currency,
        unit_amount=plan.unit_price(Item.MACHINES, currency),
        event_name=EVENT_NAMES[Item.MACHINES],
    )
    extras = [
        PriceSpec(
            lookup_key=f"takt_{plan.key}_{item}_{suffix}",
            product_key=f"{plan.key}_{item}",
            product=f"{plan.name}: {extra.label.lower()} beyond the included",
            unit_label=extra.unit,
            currency=currency,
            unit_amount=extra.unit_price(currency),
            event_name=EVENT_NAMES[item],
        )
        for item, extra in plan.extras.items()
    ]
    return (machines, *extras)


def yearly_price(plan: Plan, *, currency: str) -> PriceSpec:
    """Return the price of a machine for twelve months in advance."""
    return PriceSpec(
        lookup_key=f"takt_{plan.key}_machine_year_{_suffix(currency, plan.version)}",
        product_key=f"{plan.key}_machine_year",
        product=f"{plan.name}: machines for a year",
        unit_label="machine",
        currency=currency,
        unit_amount=Decimal(plan.yearly_prices[currency]),
        interval="year",
    )


def add_on_price(add_on: AddOn, *, currency: str, version: int) -> PriceSpec:
    return PriceSpec(
        lookup_key=f"takt_addon_{add_on.key}_{_suffix(currency, version)}",
        product_key=f"addon_{add_on.key}",
        product=add_on.name,
        unit_label="month",
        currency=currency,
        unit_amount=Decimal(add_on.prices[currency]),
    )


def _suffix(currency: str, version: int) -> str:
    return f"{currency.lower()}_v{version}"


def all_prices(book: PriceBook) -> Iterator[PriceSpec]:
    """Yield every price of a version of the price list, in every currency."""
    for currency in book.currencies:
        for plan in book.plans:
            if plan.is_paid:
                yield from prices_of(plan, currency=currency)
            if plan.yearly_prices:
                yield yearly_price(plan, currency=currency)
        for add_on in book.add_ons:
            yield add_on_price(add_on, currency=currency, version=book.version)


def ensure(gateway: StripeGateway, *, plan: Plan, currency: str) -> list[str]:
    """Return the Stripe ids of a plan's metered prices, creating what Stripe does not have yet."""
    return ensure_prices(gateway, prices_of(plan, currency=currency))


def ensure_prices(gateway: StripeGateway, specs: Sequence[PriceSpec]) -> list[str]:
    known = gateway.prices([spec.lookup_key for spec in specs])
    missing = [spec for spec in specs if spec.lookup_key not in known]
    if missing:
        known |= create_prices(gateway, missing)
    return [known[spec.lookup_key] for spec in specs]


def create_prices(gateway: StripeGateway, specs: Sequence[PriceSpec]) -> dict[str, str]:
    """Create prices that Stripe does not have, with what they need; return their ids by key."""
    meters = ensure_meters(gateway) if any(spec.event_name for spec in specs) else {}
    products = {p.metadata[PRODUCT_KEY]: p.id for p in our_products(gateway)}
    created = {}
    for spec in specs:
        if spec.product_key not in products:
            products[spec.product_key] = create_product(gateway, spec)
        created[spec.lookup_key] = gateway.create_price(
            lookup_key=spec.lookup_key,
            product=spec.product,
            unit_label=spec.unit_label,
            currency=spec.currency.lower(),
            unit_amount=spec.unit_amount,
            meter_id=meters.get(spec.event_name, ""),
            interval=spec.interval,
            licensed=not spec.event_name,
            product_id=products[spec.product_key],
        )
    return created


def our_products(gateway: StripeGateway) -> list[StripeProduct]:
    """Return the active products that were made from a price list, oldest last."""
    return [p for p in gateway.products() if p.active and PRODUCT_KEY in p.metadata]


def product_ids(gateway: StripeGateway, plan: Plan) -> frozenset[str]:
    """Return the Stripe ids of what a plan's invoices charge; created where Stripe lacks them."""
    currency = plans.BOOK.currencies[0]
    keys = {spec.product_key for spec in prices_of(plan, currency=currency)}
    ensure(gateway, plan=plan, currency=currency)
    return frozenset(p.id for p in our_products(gateway) if p.metadata[PRODUCT_KEY] in keys)


def create_product(gateway: StripeGateway, spec: PriceSpec) -> str:
    return gateway.create_product(
        key=f"product-{spec.product_key}-{spec.product}",
        name=spec.product,
        description="",
        unit_label=spec.unit_label,
        metadata={PRODUCT_KEY: spec.product_key},
    )


def ensure_meters(gateway: StripeGateway) -> dict[str, str]:
    """Return the Stripe ids of our meters by event name, creating what is missing.

    One that somebody archived is taken up again: the prices in use count by it.
    """
    known = gateway.meters()
    missing = EVENT_NAMES.values() - known.keys()
    archived = gateway.archived_meters() if missing else {}
    for item, event_name in EVENT_NAMES.items():
        if event_name in missing and event_name in archived:
            meter_id = known[event_name] = archived[event_name]
            gateway.reactivate_meter(key=f"reactivate-{uuid4().hex}", meter_id=meter_id)
        elif event_name in missing:
            known[event_name] = gateway.create_meter(
                event_name=event_name, label=_METER_LABELS[item]
            )
    return known


def metered_items(subscription: StripeSubscription) -> list[StripeItem]:
    """Return the items of a subscription that count usage: add-ons stay when a plan changes."""
    return [item for item in subscription.items if item.quantity is None]


def promotion_code_id(gateway: StripeGateway, code: str) -> str:
    """Return Stripe's id of a code that a customer typed; "" for none or one that is over.

    A code of the price list is made at Stripe where it is missing.
    """
    if not code:
        return ""
    found = gateway.promotion_code(code)
    if found is None:
        coupon = coupon_of(code)
        return ensure_coupon(gateway, coupon) if coupon else ""
    return found.id if found.active else ""


def coupon_of(code: str) -> Coupon | None:
    """Return the coupon of the price list that a code asks for."""
    return next((c for c in plans.BOOK.coupons if c.code == code.strip().upper()), None)


def ensure_coupon(gateway: StripeGateway, coupon: Coupon) -> str:
    """Return Stripe's id of a coupon's promotion code, creating both where they are missing."""
    known = gateway.promotion_code(coupon.code)
    if known is not None:
        return known.id
    coupon_ids = {c.metadata.get("takt_code"): c.id for c in gateway.coupons()}
    coupon_id = coupon_ids.get(coupon.code)
    if coupon_id is None:
        coupon_id = gateway.create_coupon(
            key=f"coupon-{coupon.code}",
            name=coupon.name,
            percent_off=Decimal(coupon.percent_off),
            duration="repeating",
            months=coupon.months,
            metadata={"takt_code": coupon.code},
        ).id
    code = gateway.create_promotion_code(
        key=f"code-{coupon.code}", coupon_id=coupon_id, code=coupon.code
    )
    return code.id
