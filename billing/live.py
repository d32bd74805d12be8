"""The month as it stands this minute, the open hour included, and how far each cap is."""

from dataclasses import dataclass
from datetime import datetime

from billing import counting, facts, terms
from billing.charges import Usage
from billing.models import BillingAccount, MeterCap
from billing.periods import HOUR, Span, hour_of, month_start, next_full_hour
from billing.plans import TAKEN_OFF, Item, Meter, Plan


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the month under one plan, and what was used in it."""

    span: Span
    plan: Plan
    usage: Usage

    @property
    def is_free(self) -> bool:
        return terms.is_free(self.span)

    def charged(self, item: Item) -> int:
        return 0 if self.is_free else self.usage.beyond(item)

    def included(self, item: Item) -> int:
        """Return what is included, also where nothing of it was used yet."""
        counted = self.usage.counted.get(TAKEN_OFF[item][0])
        if counted is not None:
            return counted
        if self.span.carried is not None:
            return self.span.carried.get(item, 0)
        return self.plan.allowance(item)


@dataclass(frozen=True, slots=True)
class Month:
    """The stretches of a month that have begun, the present one last."""

    parts: tuple[Part, ...]

    @property
    def here(self) -> Part:
        return self.parts[-1]

    def charged(self, item: Item) -> int:
        """Return how many units of an item are charged beyond what is included."""
        return sum(part.charged(item) for part in self.parts)

    def left_of_cap(self, item: Item, max_extra: int) -> int:
        """Return what the stretches before leave of a cap for the present one."""
        return max(0, max_extra - sum(part.charged(item) for part in self.parts[:-1]))

    def is_reached(self, item: Item, cap: MeterCap | None) -> bool:
        """Say whether nothing more would be charged under a cap.

        Where nothing is charged anyway no cap is reached. Readings are included once a machine
        sends, so a month without any leaves the door open.
        """
        if cap is None or cap.max_extra is None or self.here.is_free:
            return False
        used = self.here.usage.used(item)
        if item is Item.READINGS and not used:
            return False
        held = self.here.usage.counted.get(Meter.HELD_READINGS, 0) if item is Item.READINGS else 0
        extra = used - held - self.here.included(item)
        return extra >= self.left_of_cap(item, cap.max_extra)

    def room(self, item: Item, cap: MeterCap | None, *, most: int | None) -> int | None:
        """Return how many units the calendar month has room for; None without a limit.

        Args:
            most: what the plan allows of the item a month.
        """
        if cap is None or cap.max_extra is None or self.here.is_free:
            return most
        before = sum(part.usage.used(item) for part in self.parts[:-1])
        allowed = before + self.here.included(item) + self.left_of_cap(item, cap.max_extra)
        return allowed if most is None else min(most, allowed)


def month(account: BillingAccount, at: datetime) -> Month:
    """Count the month of a moment up to it, from the facts. Call inside the factory's context.

    A stretch that begins with the next full hour counts as begun.
    """
    start = month_start(at)
    found = facts.month(start=start, end=hour_of(at) + HOUR)
    spans = [s for s in terms.spans(account, start) if s.start <= max(start, next_full_hour(at))]
    counted = counting.quantities(found, spans, rules=terms.rules(account, start))
    return Month(tuple(Part(s, terms.plan_of(s), _usage(counted, s)) for s in spans))


def _usage(counted: counting.Quantities, span: Span) -> Usage:
    sums: dict[Meter, int] = {}
    for meter, hours in counted.items():
        if inside := [n for hour, n in hours.items() if span.start <= hour < span.end]:
            sums[meter] = sum(inside)
    return Usage(sums)
