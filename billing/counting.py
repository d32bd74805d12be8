"""From stored facts to what the ledger must say. Pure: facts in, quantities out.

The ledger is a recount, not a stream: whatever changed in a month, the month is counted anew and
the difference to what is written becomes correction rows. So late data, repeated runs and crashes
all end in the same sums.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from billing.periods import Span
from billing.plans import ITEM_OF, SIGN, TAKEN_OFF, USED, Item, Meter, Plan, plan

BYTES_PER_MB = 1_000_000


class MachineHour(NamedTuple):
    """How many readings of one machine were stored for one hour of measured time.

    `source` names the machine, or the device where it belongs to none.
    """

    hour: datetime
    source: str
    n_readings: int


class SourceHour(NamedTuple):
    """How much of something one machine (or the factory: "") used in an hour."""

    hour: datetime
    source: str
    n: int


@dataclass(frozen=True, slots=True)
class MonthFacts:
    """What the lower floors know of a month."""

    readings: Sequence[MachineHour] = ()
    images: Sequence[SourceHour] = ()
    planning_minutes: Sequence[SourceHour] = ()
    # The archive's size in bytes from an hour on, in order. That at the month's start may come
    # first, before the change of the month's first hour.
    archive: Sequence[tuple[datetime, int]] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What an account agreed on beside its plan."""

    prepaid: Sequence[tuple[datetime, int]] = ()  # machines paid in advance, from an hour on
    max_extra_readings: int | None = None  # the owner's cap for the month
    given_up: Set[datetime] = frozenset()  # hours whose held readings are gone: held for good


Quantities = dict[Meter, dict[datetime, int]]  # by meter and hour


def quantities(
    found: MonthFacts, spans: Sequence[Span], *, rules: Rules | None = None
) -> Quantities:
    """Return what each meter must hold for each hour of the spans; hours at zero are left out.

    A machine counts in the first hour in which it has readings; once a month, also where a larger
    plan takes over in its midst. Allowances stand in the hour of the first use. Readings beyond
    the owner's cap are held, the latest first: they are not charged. `spans` are those of one
    month, in order.
    """
    counter = _Counter(rules or Rules())
    for span in spans:
        counter.count(span, found)
    return counter.quantities()


class _Counter:
    """Counts the spans of a month one after another."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.result: Quantities = {meter: defaultdict(int) for meter in Meter}
        self._seen: set[str] = set()
        self._peak_mb = 0
        self._n_extra_charged = 0

    def quantities(self) -> Quantities:
        """Return what was counted, without hours and meters at zero."""
        found = {m: {h: n for h, n in hours.items() if n} for m, hours in self.result.items()}
        return {meter: hours for meter, hours in found.items() if hours}

    def count(self, span: Span, found: MonthFacts) -> None:
        chosen = plan(span.term.plan, span.term.version)
        if span.carried is None:
            self._seen, self._peak_mb = set(), 0
        first = self._count_machines(span, chosen, found.readings)
        for item, rows in (
            (Item.IMAGES, found.images),
            (Item.PLANNING_MINUTES, found.planning_minutes),
        ):
            self._count_plain(span, chosen, item, rows)
        self._count_archive(span, chosen, found.archive)
        if chosen.is_paid and not span.term.is_trial and first is not None:
            self._hold(span)

    def _count_machines(
        self, span: Span, chosen: Plan, readings: Iterable[MachineHour]
    ) -> datetime | None:
        """Count readings and the machines that sent them; return the hour of the first."""
        used, seen = self.result[Meter.READINGS], self._seen
        began: dict[datetime, int] = defaultdict(int)
        first: datetime | None = None
        for hour, source, n in sorted(readings):
            if n <= 0 or not span.start <= hour < span.end:
                continue
            first = first or hour
            used[hour] += n
            if source not in seen:
                seen.add(source)
                began[hour] += 1
        for hour, n in began.items():
            self.result[Meter.ACTIVE_MACHINES][hour] += n
            self.result[Meter.INCLUDED_READINGS][hour] += n * (chosen.included_readings or 0)
        if first is not None:
            self._carry(span, Item.READINGS, first)
            if chosen.is_paid:
                self._count_prepaid(span, first)
        return first

    def _count_prepaid(self, span: Span, first: datetime) -> None:
        """Take off the machines that are paid in advance; more of them from their hour on."""
        before = prepaid_before(self.rules.prepaid, span.start)
        if span.carried is None:
            self.result[Meter.PREPAID_MACHINES][first] += before
        else:
            self._carry(span, Item.MACHINES, first)
        for at, n in sorted(self.rules.prepaid):
            if span.start <= at < span.end:
                self.result[Meter.PREPAID_MACHINES][max(at, first)] += n - before
                before = n

    def _carry(self, span: Span, item: Item, hour: datetime) -> None:
        carried = (span.carried or {}).get(item, 0)
        if carried:
            self.result[TAKEN_OFF[item][0]][hour] += carried

    def _count_plain(
        self, span: Span, chosen: Plan, item: Item, rows: Iterable[SourceHour]
    ) -> None:
        used = self.result[USED[item]]
        first: datetime | None = None
        for hour, _source, n in rows:
            if n > 0 and span.start <= hour < span.end:
                used[hour] += n
                first = hour if first is None else min(first, hour)
        if first is not None:
            self._allow(span, chosen, item, first)

    def _allow(self, span: Span, chosen: Plan, item: Item, hour: datetime) -> None:
        if span.carried is not None:
            self._carry(span, item, hour)
        elif chosen.allowance(item):
            self.result[TAKEN_OFF[item][0]][hour] += chosen.allowance(item)

    def _count_archive(
        self, span: Span, chosen: Plan, levels: Iterable[tuple[datetime, int]]
    ) -> None:
        """Count by how much the archive outgrew its largest size of the month."""
        first: datetime | None = None
        in_order = sorted(levels, key=lambda level: level[0])
        before = [n for at, n in in_order if at < span.start][-1:]
        steps = [(span.start, n) for n in before]
        steps += [(at, n) for at, n in in_order if span.start <= at < span.end]
        for hour, n_bytes in steps:
            size_mb = -(-n_bytes // BYTES_PER_MB)
            if size_mb > self._peak_mb:
                self.result[Meter.ARCHIVE_MB][hour] += size_mb - self._peak_mb
                self._peak_mb = size_mb
                first = first or hour
        if first is not None:
            self._allow(span, chosen, Item.ARCHIVE_MB, first)

    def _hold(self, span: Span) -> None:
        """Take what was given up, and what lies beyond the owner's cap, off what is charged."""
        left = {h: n for h, n in self.result[Meter.READINGS].items() if span.start <= h < span.end}
        for hour in left.keys() & self.rules.given_up:
            self.result[Meter.HELD_READINGS][hour] += left.pop(hour)
        extra = max(0, sum(left.values()) - self._sum(span, Meter.INCLUDED_READINGS))
        if self.rules.max_extra_readings is not None:
            most = max(0, self.rules.max_extra_readings - self._n_extra_charged)
            self._hold_latest(left, max(0, extra - most))
            extra = min(extra, most)
        self._n_extra_charged += extra

    def _hold_latest(self, used: Mapping[datetime, int], n: int) -> None:
        for hour in sorted(used, reverse=True):
            held = min(n, used[hour])
            self.result[Meter.HELD_READINGS][hour] += held
            n -= held

    def _sum(self, span: Span, meter: Meter) -> int:
        return sum(n for h, n in self.result[meter].items() if span.start <= h < span.end)


def prepaid_before(steps: Iterable[tuple[datetime, int]], at: datetime) -> int:
    """Return how many machines are paid in advance just before an hour."""
    return max((step for step in steps if step[0] < at), default=(at, 0))[1]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a month, up to where a larger plan takes over.

    `written` is what the ledger holds of it; `carried` what came along into it; `n_machines` were
    counted by its end, also before it, in parts that belong together; `n_prepaid` machines are
    paid in advance and not taken off yet.
    """

    plan: Plan
    written: Mapping[Meter, int]
    carried: Mapping[str, int] | None
    n_machines: int
    n_prepaid: int

    def left(self, item: Item) -> int:
        """Return what is left of an item's allowance, also of one that is not in the ledger yet."""
        first = Meter.READINGS if item is Item.MACHINES else USED[item]
        if self.written.get(first):
            sums = [SIGN[m] * n for m, n in self.written.items() if ITEM_OF[m] is item]
            return max(0, -sum(sums))
        if item is Item.MACHINES:
            return self.n_prepaid
        if self.carried is not None:
            return self.carried.get(item, 0)
        return self.plan.allowance(item)

    def more(self, item: Item, new: Plan) -> int:
        """Return what a larger plan includes beyond this one."""
        if item is Item.READINGS:
            per_machine = (new.included_readings or 0) - (self.plan.included_readings or 0)
            return max(0, self.n_machines * per_machine)
        return max(0, new.allowance(item) - self.plan.allowance(item))


def left_of_allowances(before: Stretch, *, new: Plan) -> dict[str, int]:
    """Return what goes along when a larger plan takes over: the unused rest, and the difference."""
    return {item: before.left(item) + before.more(item, new) for item in Item}


def corrections(wanted: Quantities, written: Quantities) -> dict[tuple[datetime, Meter], int]:
    """Return what must be added to the ledger, in order, so that it says what is wanted."""
    changes: dict[tuple[datetime, Meter], int] = {}
    for meter in wanted.keys() | written.keys():
        ours, held = wanted.get(meter, {}), written.get(meter, {})
        for hour in ours.keys() | held.keys():
            changes[hour, meter] = ours.get(hour, 0) - held.get(hour, 0)
    return {key: change for key, change in sorted(changes.items()) if change}
