"""A version of the price list held against Stripe: what is there, to be made, or differs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from billing import catalogue, plans
from billing.answers import StripeCoupon, StripePrice, StripeProduct, StripePromotionCode
from billing.catalogue import EVENT_NAMES, PRODUCT_KEY, PriceSpec
from billing.gateways import StripeGateway
from billing.plans import Coupon, PriceBook

# Whatever of ours stands at Stripe bears a lookup key that begins so.
_OURS = "takt_"


class State(StrEnum):
    THERE = "there"
    MISSING = "to be made"
    DIFFERS = "differs"
    FOREIGN = "only at Stripe"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing of the price list, or of ours at Stripe, and how it stands."""

    kind: str
    name: str
    state: State
    words: str = ""


def compare(gateway: StripeGateway, book: PriceBook) -> list[Finding]:
    """Hold a version of the price list against what Stripe has. Changes nothing."""
    meters, products = gateway.meters(), catalogue.our_products(gateway)
    prices = {price.lookup_key: price for price in gateway.our_prices()}
    specs = list(catalogue.all_prices(book))
    found = [_presence("meter", name, name in meters) for name in EVENT_NAMES.values()]
    found += _products(specs, products)
    found += [_price(spec, prices.get(spec.lookup_key), meters) for spec in specs]
    coupons = {c.metadata.get("takt_code"): c for c in gateway.coupons()}
    for coupon in book.coupons:
        found.append(_coupon(coupon, coupons.get(coupon.code)))
        found.append(_code(coupon, gateway.promotion_code(coupon.code)))
    return found + list(_foreign(prices))


def make_missing(gateway: StripeGateway, book: PriceBook, found: Iterable[Finding]) -> None:
    """Make at Stripe what `compare` found missing; what differs is left as it is."""
    missing = {(f.kind, f.name) for f in found if f.state is State.MISSING}
    catalogue.ensure_meters(gateway)
    specs = list(catalogue.all_prices(book))
    for spec in {s.product_key: s for s in specs}.values():
        if ("product", spec.product_key) in missing:
            catalogue.create_product(gateway, spec)
    wanted = [s for s in specs if ("price", s.lookup_key) in missing]
    if wanted:
        catalogue.create_prices(gateway, wanted)
    for coupon in book.coupons:
        if {("coupon", coupon.code), ("promotion code", coupon.code)} & missing:
            catalogue.ensure_coupon(gateway, coupon)


def _presence(kind: str, name: str, is_there: bool) -> Finding:
    return Finding(kind, name, State.THERE if is_there else State.MISSING)


def _products(specs: Iterable[PriceSpec], products: Iterable[StripeProduct]) -> list[Finding]:
    known = {p.metadata[PRODUCT_KEY]: p for p in products}
    found = []
    for key, spec in {s.product_key: s for s in specs}.items():
        product = known.get(key)
        if product is not None and product.name != spec.product:
            words = f"Stripe calls it {product.name!r}, the price list {spec.product!r}"
            found.append(Finding("product", key, State.DIFFERS, words))
        else:
            found.append(_presence("product", key, product is not None))
    return found


def _price(spec: PriceSpec, price: StripePrice | None, meters: Mapping[str, str]) -> Finding:
    if price is None:
        return Finding("price", spec.lookup_key, State.MISSING)
    meter_id = meters.get(spec.event_name, "")
    pairs: dict[str, tuple[object, object]] = {
        "amount": (price.unit_amount, Decimal(spec.unit_amount)),
        "currency": (price.currency, spec.currency),
        "interval": (price.interval, spec.interval),
        "meter": (price.meter_id, meter_id),
    }
    words = _differences(pairs)
    if not words:
        return Finding("price", spec.lookup_key, State.THERE)
    return Finding(
        "price",
        spec.lookup_key,
        State.DIFFERS,
        f"{words}. A price cannot be changed: it takes a new version of the price list",
    )


def _coupon(coupon: Coupon, known: StripeCoupon | None) -> Finding:
    if known is None:
        return Finding("coupon", coupon.code, State.MISSING)
    words = _differences(
        {
            "percent off": (known.percent_off, Decimal(coupon.percent_off)),
            "months": (known.months, coupon.months),
        }
    )
    if not words:
        return Finding("coupon", coupon.code, State.THERE)
    words = f"{words}. A coupon cannot be changed: it takes a new code"
    return Finding("coupon", coupon.code, State.DIFFERS, words)


def _code(coupon: Coupon, known: StripePromotionCode | None) -> Finding:
    if known is not None and not known.active:
        words = "it is switched off, over or used up at Stripe, and stays so"
        return Finding("promotion code", coupon.code, State.DIFFERS, words)
    return _presence("promotion code", coupon.code, known is not None)


def _differences(pairs: Mapping[str, tuple[object, object]]) -> str:
    return ", ".join(
        f"{name}: {there} at Stripe, {wanted} in the price list"
        for name, (there, wanted) in pairs.items()
        if there != wanted
    )


def _foreign(prices: Mapping[str, StripePrice]) -> Iterator[Finding]:
    """Yield the prices of ours that stand in no version of the price list any more."""
    listed = {s.lookup_key for book in plans.BOOKS.values() for s in catalogue.all_prices(book)}
    for key in sorted(prices):
        if key.startswith(_OURS) and key not in listed:
            words = "in no price list; left alone, subscriptions may have it"
            yield Finding("price", key, State.FOREIGN, words)
