"""Fill weights of Globex: the scale at the end of each lot, and what becomes of what it rejects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from config.demo import filling, making
from config.demo.batches import MadeLot
from config.demo.making import moment
from config.demo.simulator import SimulatedMachine
from mlops import selectors as mlops_selectors
from mlops import services as mlops_services
from mlops.models import Kind, Prediction
from production import selectors as production_selectors
from production import services
from production.models import (
    DefectType,
    Inspection,
    InspectionPlan,
    Lot,
    Nonconformance,
    Product,
    Verdict,
)
from production.services import CharacteristicFields, InspectionPlanFields, Measured
from tenants.models import Role

PLAN = "Fill weight"
WEIGHED_AFTER_S = 360.0
UNDER, OVER = "underfill", "overfill"
DEFECTS = {UNDER: ("Underfilled", "critical", 90_000), OVER: ("Overfilled", "minor", 12_000)}
DISPOSITIONS = {UNDER: Nonconformance.Disposition.REWORK, OVER: Nonconformance.Disposition.USE}
UNIT_COST_MINOR = 64
FIELDS = InspectionPlanFields(
    name=PLAN,
    operation=filling.FILLING,
    instructions="Weigh twenty jars of the lot, take the tare off, and write down their mean.",
    sampling=InspectionPlan.Sampling.EVERY_MINUTES,
    sample_n=480,
    escape_cost_minor=90_000,
    false_reject_cost_minor=24_000,
    characteristics=(
        CharacteristicFields(
            "Mean net weight", unit="g", nominal=filling.NOMINAL_G,
            lower_limit=filling.LOWER_G, upper_limit=filling.UPPER_G, gauge="Scale 2",
        ),
    ),
)  # fmt: skip


@dataclass
class Weighing:
    """The lots of one factory's fillers, made and weighed as time goes on."""

    machines: Sequence[SimulatedMachine]
    machine_ids: Mapping[str, UUID]
    lots: list[MadeLot] = field(init=False)

    def __post_init__(self) -> None:
        self.lots = filling.lots(self.machines)

    def prepare(self, *, now: float) -> None:
        """Write down the lots, their weights and what was decided, as far as it has happened."""
        self.tick(now=now)

    def subjects(self) -> dict[str, tuple[str, UUID]]:
        """Name what a model is trained of: its kind and its plan."""
        plan = production_selectors.first_version(self._found().pk)
        return {f"{filling.JAR}, {PLAN}": (Kind.QUALITY, plan.pk)}

    def judge(self, *, now: float) -> str:
        """Have the model say what it expects of the lots in work; returns how lots turned out."""
        plan = self._found()
        mlops_services.predict_quality(at=moment(now))
        rows = Inspection.objects.filter(
            plan__product=plan.product_id, plan__name=PLAN, state=Inspection.State.DONE
        )
        n_out = rows.filter(verdict=Verdict.FAIL).count()
        return f"{n_out} of {rows.count()} lots refused by weight, {_expected(plan)}"

    def _found(self) -> InspectionPlan:
        """Make or find the jar, its kinds of defects and its plan."""
        for code, (name, severity, cost_minor) in DEFECTS.items():
            if not DefectType.objects.filter(code=code).exists():
                services.save_defect_type(
                    code=code, name=name, severity=severity, escape_cost_minor=cost_minor
                )
        jar = making.product(
            item_no=filling.ITEM, name=filling.JAR, unit_cost_minor=UNIT_COST_MINOR
        )
        return plan_of(jar) or services.make_inspection_plan(
            product_id=jar.pk, fields=FIELDS, at=moment(self.machines[0].start),
            by=making.member(Role.ENGINEER),
        )  # fmt: skip

    def tick(self, *, now: float) -> None:
        """Go on: lots begin, end and are weighed, and people decide about what is out."""
        plan = self._found()
        lot_ids = making.write_down(self.lots, machine_ids=self.machine_ids, now=now)
        known = making.inspected(plan)
        due = [
            lot
            for lot in self.lots
            if lot.ended + WEIGHED_AFTER_S <= now and making.request_id(PLAN, lot.code) not in known
        ]
        if due:
            by_name = {machine.name: machine for machine in self.machines}
            weights = filling.weights(due, by_name).round(1).tolist()
            for group in making.groups(list(zip(due, weights, strict=True))):
                with transaction.atomic():
                    for lot, weight in group:
                        self._weigh(plan, lot_ids[lot.code], lot, weight)
        making.settle(
            product_id=plan.product_id, dispositions=DISPOSITIONS,
            by=making.member(Role.ENGINEER), at=moment(now),
        )  # fmt: skip

    def _weigh(self, plan: InspectionPlan, lot_id: UUID, lot: MadeLot, weight: float) -> None:
        at = moment(lot.ended + WEIGHED_AFTER_S)
        out = UNDER if weight < filling.LOWER_G else OVER if weight > filling.UPPER_G else ""
        inspection = services.record_inspection(
            plan_id=plan.pk, lot_id=lot_id, source=Inspection.Source.GAUGE, at=at,
            measurements=[Measured("Mean net weight", weight, uncertainty=0.3)],
            defects={out: 1} if out else {}, request_id=making.request_id(PLAN, lot.code),
        )  # fmt: skip
        if inspection.verdict == Verdict.PASS:
            services.move_lot(lot_id=lot_id, state=Lot.State.AVAILABLE, at=at)


def _expected(plan: InspectionPlan) -> str:
    """Say what is expected of the lots in work, by the newest word on each."""
    weighed = Inspection.objects.filter(
        plan__product=plan.product_id, plan__name=PLAN, state=Inspection.State.DONE
    ).values("lot")
    open_lots = Lot.objects.filter(product=plan.product_id).exclude(pk__in=weighed)
    said = mlops_selectors.newest_quality(open_lots.values_list("pk", flat=True))
    known = [each for each in said.values() if each.state == Prediction.State.OK]
    n_warned = sum((each.chance or 0.0) >= (each.limit or 0.0) for each in known)
    return f"{n_warned} of {len(known)} lots in work expected to be"


def plan_of(jar: Product) -> InspectionPlan | None:
    """Return the plan in force by which jars are weighed."""
    return InspectionPlan.objects.filter(
        product=jar, name=PLAN, state=InspectionPlan.State.RELEASED
    ).first()
