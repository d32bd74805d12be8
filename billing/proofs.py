"""What the nightly proof compares, and how two sides of an hour are explained. Pure."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import TypeVar

from billing.catalogue import EVENT_NAMES, STRIPE_METERS
from billing.plans import Meter

# What happened this long ago is counted here and told to Stripe.
SETTLING = timedelta(hours=1)
# Stripe adds up what it was sent a little later; it says no time, minutes were seen.
STRIPE_LAG = timedelta(minutes=15)
_WEIGHT_BITS = 24
# Up to so many rows of an hour every combination is tried, beyond it only pairs.
_MAX_ROWS = 12

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Mark:
    """A meter's sum over a month, and the same sum with every hour weighed by a random number.

    Two ledgers with equal marks are equal hour by hour, but for a chance of one in 2^24 a night:
    so a month is compared without fetching its hours. The weights are drawn anew for each proof.
    """

    total: int = 0
    weighed: int = 0


@dataclass(frozen=True, slots=True)
class MeterSums:
    """What the ledger holds of a meter and month, and what of it Stripe was told by now."""

    mark: Mark
    told: int
    last_told_at: datetime | None
    n_waiting: int  # rows that Stripe is to be told yet, or may have without our knowing
    n_refused: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A sum on which two sides do not agree, and what became of it.

    `meter` is a meter of the ledger where facts and ledger differ, an event name where ledger and
    Stripe do, else `adjustment` or `invoice` (amounts in minor units).
    """

    meter: str
    facts: int | None
    ledger: int | None
    stripe: int | None
    repair: str = ""
    is_repaired: bool = False
    # Stripe may not have added it up yet: the next proof decides.
    is_open: bool = False

    def as_json(self) -> dict[str, object]:
        fields = asdict(self)
        return {k: fields[k] for k in ("meter", "facts", "ledger", "stripe", "repair")}


def weights(hours: Iterable[datetime]) -> dict[datetime, int]:
    """Draw a weight for each hour; nobody who writes the ledger can know them."""
    source = random.SystemRandom()
    return {hour: 1 + source.getrandbits(_WEIGHT_BITS) for hour in hours}


def marks(
    quantities: Mapping[Meter, Mapping[datetime, int]], by_hour: Mapping[datetime, int]
) -> dict[Meter, Mark]:
    """Return the mark of every meter that has any quantity."""
    return {
        meter: Mark(sum(hours.values()), sum(n * by_hour[hour] for hour, n in hours.items()))
        for meter, hours in quantities.items()
    }


def differing(
    facts: Mapping[Meter, Mark], ledger: Mapping[Meter, MeterSums]
) -> list[tuple[Meter, int, int]]:
    """Return the meters whose facts are not what the ledger holds: with both totals."""
    nothing = Mark()
    pairs = [
        (meter, facts.get(meter, nothing), ledger[meter].mark if meter in ledger else nothing)
        for meter in Meter
    ]
    return [(meter, ours.total, held.total) for meter, ours, held in pairs if ours != held]


def event_of(meter: Meter) -> str:
    """Return under which name Stripe counts a meter."""
    return STRIPE_METERS[meter].event_name


def told_by_event(ledger: Mapping[Meter, MeterSums]) -> dict[str, int]:
    """Return what each of Stripe's meters should hold."""
    sums = dict.fromkeys(EVENT_NAMES.values(), 0)
    for meter, held in ledger.items():
        stripe_meter = STRIPE_METERS[meter]
        sums[stripe_meter.event_name] += stripe_meter.sign * held.told
    return sums


def rows_adding_up(rows: Sequence[tuple[Row, int]], amount: int) -> list[Row] | None:
    """Return the fewest rows whose quantities add up to an amount that is not zero, or None.

    Which of several rows of one size is meant does not matter: they lie in one hour of one meter.
    """
    largest = len(rows) if len(rows) <= _MAX_ROWS else 2
    for n in range(1, largest + 1):
        for chosen in combinations(rows, n):
            if sum(quantity for _row, quantity in chosen) == amount:
                return [row for row, _quantity in chosen]
    return None
