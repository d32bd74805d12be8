"""From counted quantities to money. Pure; the same rule as on the invoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billing import money
from billing.plans import Plan


@dataclass(frozen=True, slots=True)
class Usage:
    """What was counted in a period."""

    n_machines: int = 0
    n_readings: int = 0
    n_included: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """The lines of a bill for some usage; the total is their sum."""

    machines: int
    readings: int

    @property
    def total(self) -> int:
        return self.machines + self.readings


def charge(usage: Usage, *, plan: Plan) -> Charge:
    """Return what usage costs on a plan."""
    return Charge(
        machines=usage.n_machines * plan.machine_price,
        readings=money.line_amount(usage.n_readings - usage.n_included, plan.reading_price),
    )


def cost_by_source(
    readings: Mapping[str, int], *, plan: Plan, usage: Usage, order: Sequence[str]
) -> dict[str, int]:
    """Split a bill over the machines: each its price, the extra readings by their readings.

    The parts add up to the bill. `order` decides who takes the odd unit first.
    """
    bill = charge(usage, plan=plan)
    sources = [source for source in order if readings.get(source)]
    fixed = money.split(bill.machines, [1] * len(sources)) if sources else []
    extra = money.split(bill.readings, [readings[s] for s in sources]) if sources else []
    return {s: a + b for s, a, b in zip(sources, fixed, extra, strict=True)}
