"""From stored readings to what the ledger must say. Pure: facts in, quantities out.

The ledger is a recount, not a stream: whatever changed in a month, the month is counted anew and
the difference to what is written becomes correction rows. So late data, repeated runs and crashes
all end in the same sums.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.periods import Span
from billing.plans import Meter, plan


@dataclass(frozen=True, slots=True)
class MachineHour:
    """How many readings of one machine were stored for one hour of measured time.

    `source` names the machine, or the device where it belongs to none.
    """

    hour: datetime
    source: str
    n_readings: int


Quantities = dict[tuple[Meter, datetime], int]


def quantities(facts: Iterable[MachineHour], spans: Sequence[Span]) -> Quantities:
    """Return what each meter must hold for each hour of the spans; hours at zero are left out.

    A machine counts in the first hour of a span in which it has readings.
    """
    result: Quantities = defaultdict(int)
    seen: set[tuple[int, str]] = set()
    for fact in sorted(facts, key=lambda f: f.hour):
        if fact.n_readings <= 0:
            continue
        index = next((i for i, s in enumerate(spans) if s.start <= fact.hour < s.end), None)
        if index is None:
            continue
        result[Meter.READINGS, fact.hour] += fact.n_readings
        if (index, fact.source) not in seen:
            seen.add((index, fact.source))
            result[Meter.ACTIVE_MACHINES, fact.hour] += 1
            included = plan(spans[index].plan).included_readings
            if included:
                result[Meter.INCLUDED_READINGS, fact.hour] += included
    return dict(result)


def corrections(wanted: Mapping[tuple[Meter, datetime], int], written: Quantities) -> Quantities:
    """Return what must be added to the ledger so that it says what is wanted."""
    keys = wanted.keys() | written.keys()
    changes = {key: wanted.get(key, 0) - written.get(key, 0) for key in keys}
    return {key: change for key, change in changes.items() if change}
