"""Whether a plan has room for what a factory uses."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing import facts
from billing.plans import Plan
from production import selectors as production_selectors
from tenants.context import factory_context
from tenants.models import Factory, Membership

_RECENT = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Excess:
    """Something that a plan has no room for: how much is used, how much there would be."""

    what: str
    used: int
    allowed: int

    @property
    def words(self) -> str:
        return f"{self.used} {self.what} (room for {self.allowed})"


def excess(factory: Factory, *, plan: Plan) -> tuple[Excess, ...]:
    """Return what would have to go before a factory fits a plan; empty where it fits."""
    with factory_context(factory):
        n_machines = production_selectors.machines().count()
    n_people = Membership.objects.filter(factory=factory, user__is_active=True).count()
    found = [("machines", n_machines, plan.max_machines), ("people", n_people, plan.max_people)]
    return tuple(
        Excess(what, used, allowed)
        for what, used, allowed in found
        if allowed is not None and used > allowed
    )


def machines_in_use(factory: Factory, *, at: datetime) -> int:
    """Return how many machines (or devices without one) sent something in the last 28 days."""
    with factory_context(factory):
        recent = facts.usage(start=at - _RECENT, end=at)
    return len({fact.source for fact in recent if fact.n_readings > 0})
