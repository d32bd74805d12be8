"""What can be asked about maintenance plans."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import QuerySet

from production import due
from production.models import Machine, MachineMeter, MaintenancePlan, PlanAnchor
from production.selectors.plant import machines

Trigger = MaintenancePlan.Trigger


def maintenance_plans() -> QuerySet[MaintenancePlan]:
    """Return all plans by name, with their machine or type and their parts at hand."""
    rows = MaintenancePlan.objects.select_related("machine", "machine_type")
    return rows.prefetch_related("parts__part").order_by("name", "pk")


def maintenance_plan(plan_id: UUID) -> MaintenancePlan:
    """Return one plan.

    Raises:
        MaintenancePlan.DoesNotExist: not in this factory.
    """
    return maintenance_plans().get(pk=plan_id)


def enabled_plans() -> QuerySet[MaintenancePlan]:
    return maintenance_plans().filter(is_enabled=True)


def machines_of(plan: MaintenancePlan) -> QuerySet[Machine]:
    """Return the machines that a plan is for."""
    if plan.machine_id is not None:
        return machines().filter(pk=plan.machine_id)
    return machines().filter(machine_type_id=plan.machine_type_id)


def watched_values() -> dict[UUID, set[str]]:
    """Return, by machine, the keys of meters and values that plans in force count or watch."""
    watched: dict[UUID, set[str]] = {}
    for found in enabled_plans().exclude(trigger=Trigger.CALENDAR):
        for machine in machines_of(found):
            watched.setdefault(machine.pk, set()).add(found.value_key)
    return watched


@dataclass(frozen=True, slots=True)
class NextDue:
    """The day on which a calendar plan is due on a machine."""

    plan: MaintenancePlan
    machine: Machine
    on: date


def next_due_days(chosen: Sequence[MaintenancePlan]) -> list[NextDue]:
    """Return when calendar plans are due on each of their machines, soonest first."""
    anchors = {
        (row.plan_id, row.machine_id): row.anchored_on
        for row in PlanAnchor.objects.filter(plan__in=chosen)
    }
    rows = list(machines())
    found = []
    for each in chosen:
        if each.trigger != Trigger.CALENDAR or not each.every_days or not each.first_due_on:
            continue
        for machine in rows:
            if machine.pk == each.machine_id or machine.machine_type_id == each.machine_type_id:
                last_on = anchors.get((each.pk, machine.pk))
                on = due.next_day(
                    every_days=each.every_days, first_on=each.first_due_on, last_on=last_on
                )
                found.append(NextDue(each, machine, on))
    return sorted(found, key=lambda row: (row.on, row.plan.name, row.machine.name))


def meters(machine_id: UUID) -> QuerySet[MachineMeter]:
    return MachineMeter.objects.filter(machine_id=machine_id).order_by("key")
