"""What a quantity costs: per unit or in tiers, exact, rounded half up once per line."""

from decimal import Decimal
from fractions import Fraction

from billing.sandbox.store import Object


def half_up(value: Decimal | Fraction) -> int:
    """Round to whole minor units, halves away from zero."""
    exact = Fraction(value)
    whole = int(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def amount(price: Object, quantity: int) -> int:
    """Return the price of a quantity in whole minor units."""
    if price["billing_scheme"] == "per_unit":
        exact = Decimal(price["unit_amount_decimal"]) * quantity
    elif price["tiers_mode"] == "volume":
        exact = _tier_amount(_volume_tier(price, quantity), quantity) if quantity else Decimal(0)
    else:
        exact = _graduated(price, quantity)
    return half_up(exact)


def _tier_amount(tier: Object, quantity: int) -> Decimal:
    unit, flat = tier["unit_amount_decimal"] or "0", tier["flat_amount_decimal"] or "0"
    return Decimal(unit) * quantity + Decimal(flat)


def _volume_tier(price: Object, quantity: int) -> Object:
    tiers: list[Object] = price["_tiers"]
    return next(t for t in tiers if t["up_to"] is None or quantity <= t["up_to"])


def _graduated(price: Object, quantity: int) -> Decimal:
    total, below = Decimal(0), 0
    for tier in price["_tiers"]:
        top = quantity if tier["up_to"] is None else min(quantity, tier["up_to"])
        if top <= below:
            break
        total += _tier_amount(tier, top - below)
        below = top
    return total
