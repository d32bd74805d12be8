"""Arithmetic of money: whole minor units in, whole minor units out, nothing lost between.

**The rounding rule.** A line of an invoice is quantity times price in exact arithmetic, rounded
once, half up, to the minor unit. A total is the sum of its lines. What a line is split into (the
cost of each machine) is rounded so that the parts add up to the line.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor


def line_amount(quantity: int, unit_price: Decimal) -> int:
    """Return what a quantity costs at a price in minor units a unit, which may be a tiny fraction.

    A quantity below zero costs nothing: an allowance that was not used up is not paid out.
    """
    if quantity <= 0:
        return 0
    return floor(Fraction(unit_price) * quantity + Fraction(1, 2))


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Split an amount by weights (>= 0) so that the parts add up to it.

    Whole units go by share rounded down; what is left goes one unit each to the largest
    remainders, the earlier one first where they are equal. Without any weight the first part
    takes all; without parts there must be nothing to split.
    """
    if not weights:
        if amount:
            raise ValueError("nothing to split the amount over")
        return []
    total = sum(weights)
    if total == 0:
        return [amount, *([0] * (len(weights) - 1))]
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def money(amount_minor: int, currency: str) -> str:
    """Write an amount of minor units with its currency: 1,234.56 EUR."""
    return f"{Decimal(amount_minor) / 100:,.2f} {currency}"
