"""Inspection plans and kinds of defects: what is looked at, how often, what mistakes cost.

A plan that has results is not altered: a new version takes its place, and what is due moves to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from uuid import UUID

from django.db import IntegrityError, transaction

from production.models import Characteristic, DefectType, Inspection, InspectionPlan, Product
from production.services.lots import MAX_MINOR
from production.services.refusals import IllegalStep, Invalid, Taken, Unknown
from tenants.models import User

Kind, State = Characteristic.Kind, InspectionPlan.State
MAX_CHARACTERISTICS = 100
MAX_N = 1_000_000
MAX_VALUE = 1e12


@dataclass(frozen=True, slots=True)
class CharacteristicFields:
    """What of a part is measured or judged.

    `defect` is the code of the defect that is noted when a part is out of it.
    """

    name: str
    kind: str = Kind.VARIABLE
    unit: str = ""
    nominal: float | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None
    gauge: str = ""
    defect: str = ""


@dataclass(frozen=True, slots=True)
class InspectionPlanFields:
    """A plan as people write it; costs are in minor units of the factory's currency."""

    name: str
    operation: str = ""
    instructions: str = ""
    sampling: str = InspectionPlan.Sampling.EVERY_PART
    sample_n: int = 1
    acceptance_number: int = 0
    escape_cost_minor: int | None = None
    false_reject_cost_minor: int | None = None
    characteristics: Sequence[CharacteristicFields] = ()


def save_defect_type(
    *,
    code: str,
    name: str,
    severity: str = DefectType.Severity.MAJOR,
    escape_cost_minor: int | None = None,
) -> DefectType:
    """Make a kind of defect known, or give a known one other words, weight or cost.

    Raises:
        Invalid: the cost lies out of range.
    """
    _check_cost(escape_cost_minor)
    found, _ = DefectType.objects.update_or_create(
        code=code,
        defaults={"name": name, "severity": severity, "escape_cost_minor": escape_cost_minor},
    )
    return found


@transaction.atomic
def make_inspection_plan(
    *, product_id: UUID, fields: InspectionPlanFields, at: datetime, by: User | None
) -> InspectionPlan:
    """Make a plan, in force from now on.

    Raises:
        Unknown: no such product, or a defect that nobody knows.
        Taken: the product has a plan of this name.
        Invalid: a limit, number or cost makes no sense; the text says which.
    """
    _check(fields)
    if not Product.objects.filter(pk=product_id).exists():
        raise Unknown("product", product_id)
    if InspectionPlan.objects.filter(product=product_id, name=fields.name).exists():
        raise Taken(f"This product has a plan called {fields.name}.")
    try:
        with transaction.atomic():
            return _insert(product_id, fields, version=1, by=by)
    except IntegrityError:
        raise Taken(f"This product has a plan called {fields.name}.") from None


@transaction.atomic
def revise_inspection_plan(
    *, plan_id: UUID, fields: InspectionPlanFields, at: datetime, by: User | None
) -> InspectionPlan:
    """Put other words, limits or numbers in force.

    A plan without results is altered in place. One with results is closed and a new version takes
    its place; what is due of the old one is due of the new one.

    Raises:
        Unknown: no such plan, or a defect that nobody knows.
        IllegalStep: the plan is not in force any more.
        Taken: the product has another plan of the new name.
        Invalid: a limit, number or cost makes no sense.
    """
    _check(fields)
    # Everybody who writes down a result holds this row first: none slips in between.
    plan = InspectionPlan.objects.select_for_update().filter(pk=plan_id).first()
    if plan is None:
        raise Unknown("plan", plan_id)
    if plan.state == State.OBSOLETE:
        raise IllegalStep("A newer version of this plan is in force.")
    others = InspectionPlan.objects.filter(product=plan.product_id, name=fields.name)
    if fields.name != plan.name and others.exists():
        raise Taken(f"This product has a plan called {fields.name}.")
    if not plan.inspections.filter(state=Inspection.State.DONE).exists():
        return _alter(plan, fields)
    plan.state = State.OBSOLETE
    plan.save(update_fields=["state"])
    new = _insert(plan.product_id, fields, version=plan.version + 1, by=by)
    plan.inspections.exclude(state=Inspection.State.DONE).update(plan=new)
    return new


def _insert(
    product_id: UUID, fields: InspectionPlanFields, *, version: int, by: User | None
) -> InspectionPlan:
    plan = InspectionPlan.objects.create(
        product_id=product_id, version=version, created_by_id=by.pk if by else None,
        **_columns(fields),
    )  # fmt: skip
    _write_characteristics(plan, fields.characteristics)
    return plan


def _alter(plan: InspectionPlan, fields: InspectionPlanFields) -> InspectionPlan:
    for name, value in _columns(fields).items():
        setattr(plan, name, value)
    plan.save()
    plan.characteristics.all().delete()
    _write_characteristics(plan, fields.characteristics)
    return plan


def _columns(fields: InspectionPlanFields) -> dict[str, object]:
    names = (
        "name", "operation", "instructions", "sampling", "sample_n", "acceptance_number",
        "escape_cost_minor", "false_reject_cost_minor",
    )  # fmt: skip
    return {name: getattr(fields, name) for name in names}


def _write_characteristics(plan: InspectionPlan, rows: Sequence[CharacteristicFields]) -> None:
    known = {d.code: d for d in DefectType.objects.filter(code__in={row.defect for row in rows})}
    for row in rows:
        if row.defect and row.defect not in known:
            raise Unknown("defect", row.defect)
    Characteristic.objects.bulk_create(
        Characteristic(
            plan=plan, position=position, name=row.name.strip(), kind=row.kind, unit=row.unit,
            nominal=row.nominal, lower_limit=row.lower_limit, upper_limit=row.upper_limit,
            gauge=row.gauge, defect_type=known.get(row.defect),
        )
        for position, row in enumerate(rows, 1)
    )  # fmt: skip


def _check(fields: InspectionPlanFields) -> None:
    if not fields.name.strip():
        raise Invalid("A plan needs a name.")
    if not 1 <= fields.sample_n <= MAX_N:
        raise Invalid("A plan looks at one part at least.")
    if not 0 <= fields.acceptance_number <= MAX_N:
        raise Invalid("The number of defective parts that are accepted lies out of range.")
    _check_cost(fields.escape_cost_minor)
    _check_cost(fields.false_reject_cost_minor)
    rows = fields.characteristics
    if not 1 <= len(rows) <= MAX_CHARACTERISTICS:
        raise Invalid(f"A plan looks at 1 to {MAX_CHARACTERISTICS} characteristics.")
    if len({row.name.strip() for row in rows}) < len(rows):
        raise Invalid("Two characteristics have the same name.")
    for row in rows:
        _check_characteristic(row)


def _check_characteristic(row: CharacteristicFields) -> None:
    name = row.name.strip()
    if not name:
        raise Invalid("A characteristic needs a name.")
    low, high = row.lower_limit, row.upper_limit
    for value in (low, high, row.nominal):
        if value is not None and not (isfinite(value) and abs(value) <= MAX_VALUE):
            raise Invalid(f"{name}: a limit lies out of range.")
    if row.kind != Kind.VARIABLE:
        return
    if low is None and high is None:
        raise Invalid(f"{name}: what is measured needs a limit.")
    if low is not None and high is not None and low >= high:
        raise Invalid(f"{name}: the lower limit lies above the upper one.")


def _check_cost(cost_minor: int | None) -> None:
    if cost_minor is not None and not 0 <= cost_minor <= MAX_MINOR:
        raise Invalid("A cost lies out of range.")
