"""Maintenance plans: kept, fed with meters, and turned into orders when they are due."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction

from production import due
from production.models import (
    CheckItem,
    Machine,
    MachineMeter,
    MaintenancePlan,
    OrderPart,
    PlanAnchor,
    PlanPart,
    SparePart,
    WorkOrder,
)
from production.selectors import plans as selectors
from production.services import orders
from tenants.models import User

Trigger = MaintenancePlan.Trigger
MAX_CHECKS = 60


class PlanInvalid(Exception):
    """The plan does not say what its trigger needs; the text is for people."""


@dataclass(frozen=True, slots=True)
class PlanFields:
    """What a plan says. `checklist` is (text, unit) pairs, `parts` maps part ids to quantities."""

    name: str
    trigger: str
    machine_id: UUID | None = None
    machine_type_id: UUID | None = None
    kind: str = MaintenancePlan.Kind.PREVENTIVE
    component: str = ""
    instructions: str = ""
    priority: int = 3
    every_days: int | None = None
    first_due_on: date | None = None
    value_key: str = ""
    value_unit: str = ""
    every_units: float | None = None
    beyond: str = ""
    limit: float | None = None
    lead_days: int = 7
    is_enabled: bool = True
    checklist: Sequence[tuple[str, str]] = ()
    parts: dict[UUID, Decimal] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        rows = {name: getattr(self, name) for name in self.__slots__ if name != "parts"}
        lines = [(text.strip()[:200], unit.strip()[:20]) for text, unit in self.checklist]
        rows["checklist"] = [{"text": text, "unit": unit} for text, unit in lines if text]
        return rows


@transaction.atomic
def save_plan(
    *, fields: PlanFields, by: User | None, plan: MaintenancePlan | None = None
) -> MaintenancePlan:
    """Make a plan, or change one; orders that it has made stay as they are.

    Raises:
        PlanInvalid: what its trigger needs is missing.
    """
    _check(fields)
    saved = plan or MaintenancePlan(created_by_id=by.pk if by else None)
    for name, value in fields.columns().items():
        setattr(saved, name, value)
    saved.save()
    PlanPart.objects.filter(plan=saved).exclude(part_id__in=fields.parts).delete()
    for part_id, quantity in fields.parts.items():
        PlanPart.objects.update_or_create(
            plan=saved, part_id=part_id, defaults={"quantity": quantity}
        )
    return saved


def _check(fields: PlanFields) -> None:
    if (fields.machine_id is None) == (fields.machine_type_id is None):
        raise PlanInvalid("A plan is for one machine, or for all machines of a type.")
    needed = {
        Trigger.CALENDAR: (fields.every_days, fields.first_due_on),
        Trigger.METER: (fields.every_units, fields.value_key),
        Trigger.CONDITION: (fields.value_key, fields.beyond),
    }
    if not all(needed.get(Trigger(fields.trigger), ())):
        raise PlanInvalid("Say when it is due: how often and from when, or by which value.")
    if fields.trigger == Trigger.CONDITION and fields.limit is None:
        raise PlanInvalid("Give the limit that must not be passed.")
    known = set(SparePart.objects.filter(pk__in=fields.parts).values_list("pk", flat=True))
    if not known.issuperset(fields.parts):
        raise PlanInvalid("There is no such part.")
    if any(quantity <= 0 for quantity in fields.parts.values()):
        raise PlanInvalid("Give how many of a part are needed.")
    if len(fields.checklist) > MAX_CHECKS:
        raise PlanInvalid(f"A checklist has at most {MAX_CHECKS} lines.")


def report_meter(*, machine_id: UUID, key: str, value: float, measured_at: datetime) -> None:
    """Tell the newest value of a meter or a watched value; an older one changes nothing.

    Signals come from the floor above under their key. What other floors compute (a health index)
    they tell here under a key of their own, and a plan with that key follows it.
    """
    newer = MachineMeter.objects.filter(machine_id=machine_id, key=key)
    if newer.filter(measured_at__lt=measured_at).update(value=value, measured_at=measured_at):
        return
    if not newer.exists():
        MachineMeter.objects.get_or_create(
            machine_id=machine_id, key=key, defaults={"value": value, "measured_at": measured_at}
        )


def make_due_orders(*, at: datetime) -> int:
    """Make the orders that plans are due for, one open a plan and machine; return how many.

    It may run any number of times, and on several workers: the finding of an order is its plan
    and machine, of which the database keeps one open.
    """
    n_made = 0
    for plan in selectors.enabled_plans():
        for machine in selectors.machines_of(plan):
            found = due_now(plan, machine, at=at)
            if found is not None:
                n_made += _make(plan, machine, found, at=at)
    return n_made


def due_now(plan: MaintenancePlan, machine: Machine, *, at: datetime) -> due.Due | None:
    """Say whether the order of a plan on a machine is to be made, and why."""
    zone = ZoneInfo(machine.line.area.site.time_zone)
    anchor = PlanAnchor.objects.filter(plan=plan, machine=machine).first()
    common: dict[str, Any] = {"lead_days": plan.lead_days, "at": at, "zone": zone}
    if plan.trigger == Trigger.CALENDAR:
        assert plan.every_days is not None  # the constraint
        assert plan.first_due_on is not None
        return due.by_calendar(
            every_days=plan.every_days, first_on=plan.first_due_on,
            last_on=anchor.anchored_on if anchor else None, **common,
        )  # fmt: skip
    meter = MachineMeter.objects.filter(machine=machine, key=plan.value_key).first()
    if meter is None:
        return None
    if plan.trigger == Trigger.CONDITION:
        assert plan.limit is not None
        if anchor and meter.measured_at.astimezone(zone).date() <= anchor.anchored_on:
            return None  # it was looked at since; a newer value decides, from the next day on
        return due.by_condition(
            beyond=plan.beyond, limit=plan.limit, value=meter.value, key=plan.value_key,
            unit=plan.value_unit, **common,
        )  # fmt: skip
    assert plan.every_units is not None
    if anchor is None or anchor.meter is None:
        # The meter is seen for the first time: it counts from here.
        PlanAnchor.objects.update_or_create(
            plan=plan, machine=machine,
            defaults={"anchored_on": at.astimezone(zone).date(), "meter": meter.value},
        )  # fmt: skip
        return None
    return due.by_meter(
        every=plan.every_units, anchor=anchor.meter, value=meter.value, unit=plan.value_unit,
        **common,
    )  # fmt: skip


def _make(plan: MaintenancePlan, machine: Machine, found: due.Due, *, at: datetime) -> bool:
    """Make the order with the plan's checklist and parts; False where one is open."""
    key = f"plan:{plan.pk}:{machine.pk}"
    if WorkOrder.objects.filter(dedup_key=key, state__in=WorkOrder.OPEN).exists():
        return False
    try:
        with transaction.atomic():
            order = orders.insert(
                machine_id=machine.pk, at=at, kind=plan.kind, state=WorkOrder.State.APPROVED,
                source=WorkOrder.Source.PLAN, source_ref=str(plan.pk), dedup_key=key, plan=plan,
                planned_on=found.on, title=plan.name, component=plan.component,
                reason="\n".join(filter(None, (found.reason, plan.instructions)))[:2000],
                priority=plan.priority, due_from=found.due_from, due_by=found.due_by,
            )  # fmt: skip
            CheckItem.objects.bulk_create(
                CheckItem(order=order, position=n, text=line["text"], unit=line.get("unit", ""))
                for n, line in enumerate(plan.checklist, start=1)
            )
            OrderPart.objects.bulk_create(
                OrderPart(order=order, part_id=row.part_id, n_planned=row.quantity)
                for row in plan.parts.all()
            )
    except IntegrityError:
        # Another worker was first; anything else shows again on the next run.
        if not WorkOrder.objects.filter(dedup_key=key, state__in=WorkOrder.OPEN).exists():
            raise
        return False
    return True
