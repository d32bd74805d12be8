"""From counted quantities to money. Pure; the same rule as on the invoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor

from billing import money
from billing.plans import ITEM_OF, SIGN, USED, Item, Meter, Plan


@dataclass(frozen=True, slots=True)
class Usage:
    """What the ledger holds of each meter for a stretch of time."""

    counted: Mapping[Meter, int] = field(default_factory=dict)

    def used(self, item: Item) -> int:
        return self.counted.get(USED[item], 0)

    def taken_off(self, item: Item) -> int:
        """Return what is included, paid in advance or held back of an item."""
        return sum(n for m, n in self.counted.items() if ITEM_OF[m] is item and SIGN[m] < 0)

    def beyond(self, item: Item) -> int:
        """Return what is charged of an item; never below zero."""
        return max(0, self.used(item) - self.taken_off(item))

    def __add__(self, other: "Usage") -> "Usage":
        keys = self.counted.keys() | other.counted.keys()
        return Usage({k: self.counted.get(k, 0) + other.counted.get(k, 0) for k in keys})


@dataclass(frozen=True, slots=True)
class Charge:
    """The lines of a bill for some usage; the total is their sum."""

    items: Mapping[Item, int]

    @property
    def total(self) -> int:
        return sum(self.items.values())


def charge(usage: Usage, *, plan: Plan, currency: str) -> Charge:
    """Return what usage costs on a plan."""
    return Charge(
        {
            item: money.line_amount(usage.beyond(item), plan.unit_price(item, currency))
            for item in Item
        }
    )


def upgrade_amount(
    n_machines: int,
    *,
    old: Plan,
    new: Plan,
    currency: str,
    at: datetime,
    month: tuple[datetime, datetime],
) -> int:
    """Return what machines that were counted already pay for a larger plan's rest of the month.

    The difference of the prices, for the share of the month that is left, rounded half up once.
    """
    start, end = month
    share = Fraction((end - at) // timedelta(seconds=1), (end - start) // timedelta(seconds=1))
    difference = new.machine_prices[currency] - old.machine_prices[currency]
    return floor(n_machines * difference * share + Fraction(1, 2))


def discounted(amount: int, *, percent_off: int | None) -> int:
    """Return what is left of an amount after a discount; Stripe rounds what it takes off."""
    if not percent_off or amount <= 0:
        return amount
    return amount - floor(Fraction(amount * percent_off, 100) + Fraction(1, 2))


def cost_by_source(
    used: Mapping[Item, Mapping[str, int]],
    bill: Charge,
    *,
    order: Sequence[str],
) -> dict[str, int]:
    """Split a bill over the machines: each its price, what is extra by how much each used.

    The parts add up to the bill, except for what no machine used (the archive). `order` decides
    who takes the odd unit first.
    """
    parts = dict.fromkeys(order, 0)
    for item, by_source in used.items():
        sources = [s for s in order if by_source.get(s)]
        weights = [1 if item is Item.MACHINES else by_source[s] for s in sources]
        amount = bill.items.get(item, 0) if sources else 0
        for source, part in zip(sources, money.split(amount, weights), strict=True):
            parts[source] += part
    return parts
