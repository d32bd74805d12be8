"""The plans and what they cost: prices are data in code, changed by a new version beside the old.

Prices are in minor units of the factory's currency and without tax. A month is a calendar month
in UTC. What counts:

- An **active machine** is a machine that sent at least one reading in the month. (A device that
  is attached to no machine counts as one.) A month without readings costs nothing.
- A **reading** is one time with its values, stored once; a repeat is not counted. It belongs to
  the UTC hour in which it was measured.
- Readings are **included** per active machine and shared by all machines of the factory. What
  goes beyond is charged pro rata to the single reading, by the rounding rule of `billing.money`.
- The hour in which a subscription starts is free; counting begins with the next full hour.
- **Late usage**: readings of a month that is over count in that month while its invoice is still
  a draft; afterwards in the hour in which they were counted, with the reason written down. Usage
  that Stripe could not be told in time is charged at the beginning of the month in which it was.
- Changing between paid plans takes effect with the next month; leaving the free plan at once.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

VERSION = 1

# How long after the end of a month its usage is still counted into it: the invoice stays a draft
# for about an hour, and what was counted must reach Stripe before that.
CLOSING_TIME = timedelta(minutes=40)


class Meter(StrEnum):
    """What the ledger counts. Included readings are an allowance: they lower what is charged."""

    ACTIVE_MACHINES = "active_machines"
    READINGS = "readings"
    INCLUDED_READINGS = "included_readings"


class UnknownPlan(Exception):
    """No plan has this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no plan called {key!r}.")
        self.key = key


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan. Prices are minor units; `reading_price` is for one reading beyond the included."""

    key: str
    name: str
    machine_price: int
    included_readings: int | None  # per active machine and month; None = not metered
    reading_price: Decimal
    max_machines: int | None
    max_people: int | None
    history_days: int | None
    archive_days: int | None  # after so many days readings lie in the archive; None = never
    trainings_per_month: int | None  # None = as many as wanted
    trial_days: int
    summary: str
    features: tuple[str, ...]

    @property
    def is_paid(self) -> bool:
        return self.machine_price > 0


PER_MILLION = 1_000_000
EXTRA_MILLION_READINGS = 25  # minor units
_READING_PRICE = Decimal(EXTRA_MILLION_READINGS) / PER_MILLION

START = Plan(
    key="start",
    name="Start",
    machine_price=0,
    included_readings=None,
    reading_price=Decimal(0),
    max_machines=2,
    max_people=3,
    history_days=7,
    archive_days=None,
    trainings_per_month=20,
    trial_days=0,
    summary="For two machines, as long as you like.",
    features=("2 machines, 3 people", "7 days of history", "Live view, stops, OEE, alarms"),
)
WORKSHOP = Plan(
    key="workshop",
    name="Workshop",
    machine_price=2900,
    included_readings=20_000_000,
    reading_price=_READING_PRICE,
    max_machines=None,
    max_people=None,
    history_days=None,
    archive_days=400,
    trainings_per_month=500,
    trial_days=0,  # offered once a subscription can start with a trial
    summary="A month without readings costs nothing.",
    features=(
        "20 M readings a machine included",
        "5,000 images, 300 planning minutes",
        "Quality, maintenance, planning, energy",
        "Everyone in the factory, no seats",
    ),
)
PLANT = Plan(
    key="plant",
    name="Plant",
    machine_price=4900,
    included_readings=60_000_000,
    reading_price=_READING_PRICE,
    max_machines=None,
    max_people=None,
    history_days=None,
    archive_days=400,
    trainings_per_month=None,
    trial_days=0,  # offered once a subscription can start with a trial
    summary="For several sites and your own sign-in.",
    features=(
        "60 M readings a machine included",
        "Single sign-on and audit export",
        "Several sites, own data region",
        "Answer within one hour",
    ),
)
ALL = (START, WORKSHOP, PLANT)
_BY_KEY = {plan.key: plan for plan in ALL}


@dataclass(frozen=True, slots=True)
class Extra:
    """What is charged beyond the included, in the words of the price list."""

    label: str
    price: int
    per: str


# Metered today: readings. The others are announced prices; their meters come with their features.
EXTRAS = (
    Extra("Readings", EXTRA_MILLION_READINGS, "extra million"),
    Extra("Images inspected", 400, "extra 1,000"),
    Extra("Planning", 6, "extra minute"),
    Extra("Archive", 10, "extra GB and month"),
)


def plan(key: str) -> Plan:
    """Return a plan by its key.

    Raises:
        UnknownPlan: there is none.
    """
    try:
        return _BY_KEY[key]
    except KeyError:
        raise UnknownPlan(key) from None
