"""From stored facts to what the ledger must say. Pure: facts in, quantities out.

The ledger is a recount, not a stream: whatever changed in a month, the month is counted anew and
the difference to what is written becomes correction rows. So late data, repeated runs and crashes
all end in the same sums.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.periods import Span
from billing.plans import ITEM_OF, SIGN, TAKEN_OFF, USED, Item, Meter, Plan, plan

BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class MachineHour:
    """How many readings of one machine were stored for one hour of measured time.

    `source` names the machine, or the device where it belongs to none.
    """

    hour: datetime
    source: str
    n_readings: int


@dataclass(frozen=True, slots=True)
class SourceHour:
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
    # The archive's size in bytes from an hour on; the first row may be the month's first hour.
    archive: Sequence[tuple[datetime, int]] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What an account agreed on beside its plan."""

    prepaid: Sequence[tuple[datetime, int]] = ()  # machines paid in advance, from an hour on
    max_extra_readings: int | None = None  # the owner's cap for the month


Quantities = dict[tuple[Meter, datetime], int]


def quantities(
    found: MonthFacts, spans: Sequence[Span], *, rules: Rules | None = None
) -> Quantities:
    """Return what each meter must hold for each hour of the spans; hours at zero are left out.

    A machine counts in the first hour in which it has readings; once a month, also where a larger
    plan takes over in its midst. Allowances stand in the hour of the first use. `spans` are those
    of one month, in order.
    """
    counter = _Counter(rules or Rules())
    for span in spans:
        counter.count(span, found)
    return {key: n for key, n in counter.result.items() if n}


class _Counter:
    """Counts the spans of a month one after another."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.result: Quantities = defaultdict(int)
        self._seen: set[str] = set()
        self._peak_mb = 0
        self._n_extra_charged = 0

    def count(self, span: Span, found: MonthFacts) -> None:
        chosen = plan(span.term.plan, span.term.version)
        if span.carried is None:
            self._seen, self._peak_mb, self._n_extra_charged = set(), 0, 0
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
        first: datetime | None = None
        for fact in sorted(readings, key=lambda f: (f.hour, f.source)):
            if fact.n_readings <= 0 or not span.start <= fact.hour < span.end:
                continue
            if first is None:
                first = fact.hour
                self._carry(span, Item.READINGS, first)
            self.result[Meter.READINGS, fact.hour] += fact.n_readings
            if fact.source in self._seen:
                continue
            self._seen.add(fact.source)
            self.result[Meter.ACTIVE_MACHINES, fact.hour] += 1
            if chosen.included_readings:
                self.result[Meter.INCLUDED_READINGS, fact.hour] += chosen.included_readings
        if first is not None and chosen.is_paid:
            self._count_prepaid(span, first)
        return first

    def _count_prepaid(self, span: Span, first: datetime) -> None:
        """Take off the machines that are paid in advance; more of them from their hour on."""
        steps = sorted(self.rules.prepaid)
        before = next((n for at, n in reversed(steps) if at <= span.start), 0)
        if span.carried is None:
            self.result[Meter.PREPAID_MACHINES, first] += before
        else:
            self._carry(span, Item.MACHINES, first)
        for at, n in steps:
            if span.start < at < span.end:
                self.result[Meter.PREPAID_MACHINES, max(at, first)] += n - before
                before = n

    def _carry(self, span: Span, item: Item, hour: datetime) -> None:
        carried = (span.carried or {}).get(item, 0)
        if carried:
            self.result[TAKEN_OFF[item][0], hour] += carried

    def _count_plain(
        self, span: Span, chosen: Plan, item: Item, rows: Iterable[SourceHour]
    ) -> None:
        used: dict[datetime, int] = defaultdict(int)
        for row in rows:
            if row.n > 0 and span.start <= row.hour < span.end:
                used[row.hour] += row.n
        for hour, n in used.items():
            self.result[USED[item], hour] += n
        if used:
            self._allow(span, chosen, item, min(used))

    def _allow(self, span: Span, chosen: Plan, item: Item, hour: datetime) -> None:
        if span.carried is not None:
            self._carry(span, item, hour)
        elif chosen.allowance(item):
            self.result[TAKEN_OFF[item][0], hour] += chosen.allowance(item)

    def _count_archive(
        self, span: Span, chosen: Plan, levels: Iterable[tuple[datetime, int]]
    ) -> None:
        """Count by how much the archive outgrew its largest size of the month."""
        first: datetime | None = None
        before = [n for at, n in sorted(levels) if at < span.start][-1:]
        steps = [(span.start, n) for n in before]
        steps += [(at, n) for at, n in sorted(levels) if span.start <= at < span.end]
        for hour, n_bytes in steps:
            size_mb = -(-n_bytes // BYTES_PER_MB)
            if size_mb > self._peak_mb:
                self.result[Meter.ARCHIVE_MB, hour] += size_mb - self._peak_mb
                self._peak_mb = size_mb
                first = first or hour
        if first is not None:
            self._allow(span, chosen, Item.ARCHIVE_MB, first)

    def _hold(self, span: Span) -> None:
        """Take what lies beyond the owner's cap off the latest hours."""
        used = self._sum(span, Meter.READINGS)
        extra = max(0, used - self._sum(span, Meter.INCLUDED_READINGS))
        limit = self.rules.max_extra_readings
        if limit is not None:
            beyond = extra - max(0, limit - self._n_extra_charged)
            hours = sorted(
                (h for m, h in self.result if m is Meter.READINGS and span.start <= h < span.end),
                reverse=True,
            )
            for hour in hours:
                if beyond <= 0:
                    break
                held = min(beyond, self.result[Meter.READINGS, hour])
                self.result[Meter.HELD_READINGS, hour] += held
                extra, beyond = extra - held, beyond - held
        self._n_extra_charged += extra

    def _sum(self, span: Span, meter: Meter) -> int:
        return sum(
            n for (m, h), n in self.result.items() if m is meter and span.start <= h < span.end
        )


def left_of_allowances(written: Mapping[Meter, int], *, old: Plan, new: Plan) -> dict[str, int]:
    """Return what goes along when a larger plan takes over: the unused rest, and the difference.

    Args:
        written: what the ledger holds of each meter for the stretch under the old plan.
    """
    carried: dict[str, int] = {}
    for item in Item:
        sums = [SIGN[meter] * n for meter, n in written.items() if ITEM_OF[meter] is item]
        left = max(0, -sum(sums))
        if item is Item.READINGS:
            n_machines = written.get(Meter.ACTIVE_MACHINES, 0)
            more = n_machines * ((new.included_readings or 0) - (old.included_readings or 0))
        elif item is Item.MACHINES:
            more = 0
        else:
            more = new.allowance(item) - old.allowance(item)
            if not written.get(USED[item]):
                left = old.allowance(item)  # stands in the ledger with the first use only
        carried[item] = left + max(0, more)
    return carried


def corrections(wanted: Mapping[tuple[Meter, datetime], int], written: Quantities) -> Quantities:
    """Return what must be added to the ledger so that it says what is wanted."""
    keys = wanted.keys() | written.keys()
    changes = {key: wanted.get(key, 0) - written.get(key, 0) for key in keys}
    return {key: change for key, change in changes.items() if change}
