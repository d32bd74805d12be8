"""The plans and what they cost. Prices are data (`price_books/`): a change is a new version.

Prices are in minor units of the account's currency and without tax. A month is a calendar month
in UTC. What counts:

- An **active machine** is a machine that sent at least one reading in the month. (A device that
  is attached to no machine counts as one.) A month without readings costs nothing. Machines that
  are **paid for a year** in advance are taken off.
- A **reading** is one time with its values, stored once; a repeat is not counted. It belongs to
  the UTC hour in which it was measured. Readings are **included** per active machine and shared
  by all machines of the factory.
- **Images** inspected and **planning** minutes count in the hour of the work; the **archive**
  counts with its largest size in the month, in megabytes. Each has an allowance a month.
- What goes beyond is charged pro rata to the single unit, by the rule of `billing.money`.
- A **trial** is free. It lasts 30 days and what is left of the month in which they end, so that
  the first month that is charged is a whole one. No card is needed.
- A **larger plan** holds at once. What was used before it is charged at the old prices, what is
  left of the allowances goes along with what the new plan has more, machines that were counted
  pay the difference for the rest of the month. A **smaller plan** holds from the next month.
- **Late usage** of a month whose invoice is fixed is charged as a line of its own that names the
  month: what that month costs with it, less what was charged.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings

# How long after the end of a month its usage is still counted into it: the invoice stays a draft
# for about an hour, and what was counted must reach Stripe before that.
CLOSING_TIME = timedelta(minutes=40)
DEFAULT_CURRENCY = "EUR"
PER_MILLION = 1_000_000
_BOOKS = Path(settings.PRICE_BOOKS or Path(__file__).parent / "price_books")


class Meter(StrEnum):
    """What the ledger counts. Included, prepaid and held amounts lower what is charged."""

    ACTIVE_MACHINES = "active_machines"
    PREPAID_MACHINES = "prepaid_machines"
    READINGS = "readings"
    INCLUDED_READINGS = "included_readings"
    HELD_READINGS = "held_readings"  # beyond the owner's cap
    IMAGES = "images"
    INCLUDED_IMAGES = "included_images"
    PLANNING_MINUTES = "planning_minutes"
    INCLUDED_PLANNING_MINUTES = "included_planning_minutes"
    ARCHIVE_MB = "archive_mb"
    INCLUDED_ARCHIVE_MB = "included_archive_mb"


class Item(StrEnum):
    """What is charged, a line of the bill each."""

    MACHINES = "machines"
    READINGS = "readings"
    IMAGES = "images"
    PLANNING_MINUTES = "planning_minutes"
    ARCHIVE_MB = "archive_mb"


# What is counted for an item, and what is taken off.
USED: Mapping[Item, Meter] = {
    Item.MACHINES: Meter.ACTIVE_MACHINES,
    Item.READINGS: Meter.READINGS,
    Item.IMAGES: Meter.IMAGES,
    Item.PLANNING_MINUTES: Meter.PLANNING_MINUTES,
    Item.ARCHIVE_MB: Meter.ARCHIVE_MB,
}
TAKEN_OFF: Mapping[Item, tuple[Meter, ...]] = {
    Item.MACHINES: (Meter.PREPAID_MACHINES,),
    Item.READINGS: (Meter.INCLUDED_READINGS, Meter.HELD_READINGS),
    Item.IMAGES: (Meter.INCLUDED_IMAGES,),
    Item.PLANNING_MINUTES: (Meter.INCLUDED_PLANNING_MINUTES,),
    Item.ARCHIVE_MB: (Meter.INCLUDED_ARCHIVE_MB,),
}
SIGN: Mapping[Meter, int] = {
    **dict.fromkeys(USED.values(), 1),
    **{meter: -1 for meters in TAKEN_OFF.values() for meter in meters},
}
ITEM_OF: Mapping[Meter, Item] = {
    **{meter: item for item, meter in USED.items()},
    **{meter: item for item, meters in TAKEN_OFF.items() for meter in meters},
}
EXTRA_ITEMS = tuple(item for item in Item if item is not Item.MACHINES)


class UnknownPlan(Exception):
    """No plan has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no plan called {key!r}.")
        self.key = key


@dataclass(frozen=True, slots=True)
class Extra:
    """What is charged beyond the included, in the words of the price list."""

    item: Item
    label: str
    unit: str
    per: int
    per_label: str
    prices: Mapping[str, int]

    def unit_price(self, currency: str) -> Decimal:
        """Return the price of a single unit, which may be a tiny fraction."""
        return Decimal(self.prices[currency]) / self.per


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan of one version of the price list. Prices are minor units by currency."""

    key: str
    name: str
    version: int
    summary: str
    features: tuple[str, ...]
    machine_prices: Mapping[str, int]
    yearly_prices: Mapping[str, int]  # of a machine, for twelve months; empty: not offered
    included_readings: int | None  # per active machine and month; None = not metered
    included: Mapping[Item, int]  # a month, for the whole factory
    extras: Mapping[Item, Extra]  # what is charged beyond; empty on the free plan
    max_machines: int | None
    max_people: int | None
    history_days: int | None
    archive_days: int | None  # after so many days readings lie in the archive; None = never
    trainings_per_month: int | None  # None = as many as wanted
    images_per_month: int | None
    planning_minutes_per_month: int | None
    trial_days: int

    @property
    def is_paid(self) -> bool:
        return any(self.machine_prices.values())

    @property
    def machine_price(self) -> int:
        """The price of a machine and month in the default currency."""
        return self.machine_prices[DEFAULT_CURRENCY]

    def unit_price(self, item: Item, currency: str) -> Decimal:
        """Return the price of one unit of an item; 0 where it is not charged."""
        if item is Item.MACHINES:
            return Decimal(self.machine_prices[currency])
        extra = self.extras.get(item)
        return extra.unit_price(currency) if extra else Decimal(0)

    def allowance(self, item: Item) -> int:
        """Return what a month includes of an item; readings are included per machine instead."""
        return self.included.get(item, 0)


@dataclass(frozen=True, slots=True)
class AddOn:
    """Something to be had beside a plan, paid by the month in advance."""

    key: str
    name: str
    summary: str
    plans: tuple[str, ...]
    prices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Coupon:
    """A discount that a customer asks for by its code."""

    code: str
    name: str
    percent_off: int
    months: int


@dataclass(frozen=True, slots=True)
class PriceBook:
    """One version of everything that is sold."""

    version: int
    since: date
    plans: tuple[Plan, ...]
    extras: tuple[Extra, ...]
    add_ons: tuple[AddOn, ...]
    coupons: tuple[Coupon, ...]
    currencies: tuple[str, ...] = field(default=())

    def plan(self, key: str) -> Plan:
        """Return a plan by its key.

        Raises:
            UnknownPlan: there is none.
        """
        for plan in self.plans:
            if plan.key == key:
                return plan
        raise UnknownPlan(key)


def _read(path: Path) -> PriceBook:
    data = tomllib.loads(path.read_text())
    extras = tuple(_extra(Item(key), body) for key, body in data["extras"].items())
    found = tuple(_plan(body, data, extras) for body in data["plans"])
    return PriceBook(
        version=data["version"],
        since=data["since"],
        plans=found,
        extras=extras,
        add_ons=tuple(
            AddOn(a["key"], a["name"], a["summary"], tuple(a["plans"]), a["price"])
            for a in data.get("add_ons", ())
        ),
        coupons=tuple(Coupon(**body) for body in data.get("coupons", ())),
        currencies=tuple(found[0].machine_prices),
    )


def _extra(item: Item, body: dict[str, Any]) -> Extra:
    return Extra(
        item=item,
        label=body["label"],
        unit=body["unit"],
        per=body["per"],
        per_label=body["per_label"],
        prices=body["price"],
    )


def _plan(body: dict[str, Any], data: dict[str, Any], extras: tuple[Extra, ...]) -> Plan:
    included, limits = body.get("included", {}), body.get("limits", {})
    is_paid = any(body["machine"].values())
    return Plan(
        key=body["key"],
        name=body["name"],
        version=data["version"],
        summary=body["summary"],
        features=tuple(body["features"]),
        machine_prices=body["machine"],
        yearly_prices=body.get("yearly_machine", {}),
        included_readings=included.get("readings_per_machine"),
        included={item: included[item] for item in EXTRA_ITEMS if item in included},
        extras={extra.item: extra for extra in extras} if is_paid else {},
        max_machines=limits.get("machines"),
        max_people=limits.get("people"),
        history_days=limits.get("history_days"),
        archive_days=limits.get("archive_days"),
        trainings_per_month=limits.get("trainings"),
        images_per_month=limits.get("images"),
        planning_minutes_per_month=limits.get("planning_minutes"),
        trial_days=data["trial_days"] if is_paid else 0,
    )


BOOKS: Mapping[int, PriceBook] = {
    book.version: book for book in map(_read, sorted(_BOOKS.glob("*.toml")))
}
VERSION = max(BOOKS)
BOOK = BOOKS[VERSION]
ALL = BOOK.plans
EXTRAS = BOOK.extras
START, WORKSHOP, PLANT = (BOOK.plan(key) for key in ("start", "workshop", "plant"))


def plan(key: str, version: int = VERSION) -> Plan:
    """Return a plan by its key, of a version of the price list (the present one).

    Raises:
        UnknownPlan: there is none.
    """
    book = BOOKS.get(version)
    if book is None:
        raise UnknownPlan(f"{key} of version {version}")
    return book.plan(key)


def currency_for(wanted: str) -> str:
    """Return the currency in which a factory is billed: its own if there are prices in it."""
    code = wanted.upper()
    return code if code in BOOK.currencies else DEFAULT_CURRENCY
