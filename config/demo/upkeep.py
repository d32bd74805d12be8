"""Maintenance of a demonstration: parts on the shelf, plans, and orders with their verdicts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from config.demo.learning import MECHANISMS
from config.demo.machines import TypeSpec
from config.demo.simulator import Breakdown
from production import selectors, services
from production.models import Failure, SparePart, StockMovement, WorkOrder
from production.services import Actor, FailureCode, PartFields, PlanFields
from tenants.context import current_factory
from tenants.models import Membership, Role, User

RATE_MINOR_PER_H = 5_800
LEFT = 3  # on the shelf, after what the repairs have used
N_REPAIRS = 3  # of each machine, the newest
CHECKS = (("Clean and look for leaks", ""), ("Listen while it runs empty", ""))
# What other findings came to, newest first: days ago, words, verdict, what was said.
FINDINGS = (
    (9, "Temperature above its usual level", "false_alarm", "Hall was hot, fan was off"),
    (16, "Sound of the drive has changed", "cause_found_other", "Loose guard, screwed tight"),
    (23, "Vibration rises at low load", "prevented", "Bearing greased, vibration back to usual"),
)


def found_upkeep(
    *, machines: Mapping[UUID, tuple[TypeSpec, Sequence[Breakdown]]], at: datetime
) -> None:
    """Make parts, plans and past orders in the factory at work, unless they are there.

    The newest breakdowns of each machine get the order in which they were repaired, which records
    the failure; the older ones are for the maintenance log.
    """
    if selectors.spare_parts(include_obsolete=True).exists():
        return
    engineer, operator = _member(Role.ENGINEER), _member(Role.OPERATOR)
    kinds = {kind.name: kind for kind in selectors.machine_types()}
    parts: dict[str, SparePart] = {}
    worn = {spec.code: spec for spec, _ in machines.values() if spec.wear is not None}
    for n, spec in enumerate(worn.values()):
        kind = kinds.get(spec.name)
        if kind is None:
            continue
        n_used = sum(
            len(breakdowns[-N_REPAIRS:])
            for each, breakdowns in machines.values()
            if each.code == spec.code
        )
        parts[spec.code] = _part(spec, n, kind.pk, quantity=n_used + LEFT, by=engineer, at=at)
        _plan(spec, n, kind.pk, parts[spec.code], by=engineer, at=at)
    for machine_id, (spec, breakdowns) in machines.items():
        for breakdown in breakdowns[-N_REPAIRS:]:
            is_over = breakdown.restored_at is not None and breakdown.restored_at <= at
            if spec.code in parts and is_over:
                _repair(machine_id, spec, breakdown, parts[spec.code], by=operator)
    _findings(list(machines), at=at, engineer=engineer, operator=operator)
    services.make_due_orders(at=at)


def _member(role: str) -> User:
    members = Membership.objects.select_related("user").order_by("pk")
    return members.filter(factory=current_factory(), role=role)[0].user


def _part(
    spec: TypeSpec, n: int, kind_id: UUID, *, quantity: int, by: User, at: datetime
) -> SparePart:
    part = services.save_part(
        fields=PartFields(
            part_no=f"{spec.code.upper()[:6]}-{4010 + 7 * n}", name=spec.component,
            min_quantity=Decimal(2), max_quantity=Decimal(8), lead_time_days=10 + 4 * n,
            unit_cost_minor=14_500 + 3_700 * n, machine_type_id=kind_id, component=spec.component,
        )
    )  # fmt: skip
    services.move_stock(
        part=part, quantity=Decimal(quantity), reason=StockMovement.Reason.RECEIPT,
        at=at - timedelta(days=90), by=by, note="First stock",
    )  # fmt: skip
    return part


def _plan(
    spec: TypeSpec, n: int, kind_id: UUID, part: SparePart, *, by: User, at: datetime
) -> None:
    checklist = [*CHECKS, (f"{spec.component}: temperature after 10 min", "°C")]
    services.save_plan(
        by=by,
        fields=PlanFields(
            name=f"Look after the {spec.component.lower()}", trigger="calendar",
            machine_type_id=kind_id, component=spec.component, every_days=28,
            first_due_on=(at + timedelta(days=3 + 2 * n)).date(), lead_days=7,
            checklist=checklist, parts={part.pk: Decimal(1)} if n == 0 else {},
        ),
    )  # fmt: skip


def _repair(
    machine_id: UUID, spec: TypeSpec, breakdown: Breakdown, part: SparePart, *, by: User
) -> None:
    """Write the repair of a breakdown down, as a technician would; it records the failure."""
    failed_at, restored_at = breakdown.failed_at, breakdown.restored_at
    assert restored_at is not None
    order = services.create_work_order(
        machine_id=machine_id, title=f"{spec.component} failed", at=failed_at, by=by, priority=1,
        component=spec.component, is_approved=True,
    )  # fmt: skip
    services.start(order=order, at=failed_at + (restored_at - failed_at) / 8, by=by)
    actor = Actor(by, restored_at)
    services.use_part(order=order, part=part, quantity=Decimal(1), actor=actor)
    minutes = round((restored_at - failed_at).total_seconds() / 60)
    services.add_labour(
        order=order, minutes=max(1, minutes), rate_minor_per_h=RATE_MINOR_PER_H, actor=actor
    )
    services.complete(
        order=order, at=restored_at, by=by, verdict=WorkOrder.Verdict.REAL, note=spec.failure_note,
        downtime_minutes=minutes,
        code=FailureCode(
            mode=spec.failure_mode, mechanism=MECHANISMS[spec.failure_mode],
            cause=Failure.Cause.OPERATION, detection=Failure.Detection.ON_DEMAND,
            failed_at=failed_at,
        ),
    )  # fmt: skip


def _findings(machine_ids: list[UUID], *, at: datetime, engineer: User, operator: User) -> None:
    for n, (days, title, verdict, note) in enumerate(FINDINGS):
        found_at = at - timedelta(days=days)
        order = services.propose_work_order(
            machine_id=machine_ids[n % len(machine_ids)], title=title, at=found_at,
            dedup_key=f"demo:{n}", reason=f"{title}, since {found_at.astimezone(UTC):%A}.",
            due_by=found_at + timedelta(days=4),
        )  # fmt: skip
        services.approve(order=order, at=found_at + timedelta(hours=2), by=engineer)
        done_at = found_at + timedelta(days=1)
        services.complete(order=order, at=done_at, by=operator, verdict=verdict, note=note)
        services.verify(order=order, at=done_at + timedelta(hours=5), by=engineer)
    services.create_work_order(
        machine_id=machine_ids[-1], title="Door switch sticks", at=at - timedelta(hours=5),
        by=operator, kind=WorkOrder.Kind.CORRECTIVE, priority=2,
    )  # fmt: skip
