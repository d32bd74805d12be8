"""Brackets of Acme under the camera: what taught the model, what it judged, what the gauge says.

Pictures go the way that a line's own pictures go. What is planted in them is known to this module
only: people label what they would see, and the models find the rest or miss it.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from django.db import transaction

from config.demo import brackets, making, pictures
from config.demo.batches import MadeLot
from config.demo.brackets import Piece
from config.demo.making import moment
from config.demo.pictures import Planted
from config.demo.plan import DAY_S
from config.demo.simulator import SimulatedMachine
from mlops import services as mlops_services
from mlops.models import ImageVerdict, InspectionImage, Kind
from mlops.services import RegionSaid, SetupFields
from production import sampling, services
from production import selectors as production_selectors
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
from tenants.models import Role, User

SURFACE, DIMENSIONS = "Surface", "Dimensions"
PIECES_A_LOT: Final = 3
N_GOOD, N_SPOILT, N_SEEN_BY_TWO = 30, 10, 7
TEACHING_DAYS: Final = (10.0, 3.5)  # before the first start
WATCHED_DAYS: Final = 3.0
MOST_WATCHED: Final = 48
MOST_A_TICK: Final = 2
LIVE_S: Final = 600.0  # a camera that was off for longer has missed what passed
GAUGED_AFTER_S: Final = 1500.0
STAGED_S: Final = 15 * 3600.0
UNREVIEWED_S: Final = 10 * 3600.0
LOOKS_AFTER: Final = timedelta(minutes=50)
UNIT_COST_MINOR: Final = 3_850
DEFECTS: Final = {
    pictures.SCRATCH: ("Scratch", "minor", None),
    pictures.PIT: ("Pit", "major", None),
    pictures.MISSING: ("Missing feature", "critical", 18_000),
    pictures.STAIN: ("Stain", "minor", 1_500),
    pictures.BURR: ("Burr", "major", None),
    "dimension": ("Out of dimension", "major", 6_000),
}
DISPOSITIONS: Final = {
    pictures.STAIN: Nonconformance.Disposition.REWORK,
    pictures.BURR: Nonconformance.Disposition.REWORK,
    pictures.SCRATCH: Nonconformance.Disposition.USE,
}
_ESCAPE_MINOR, _FALSE_REJECT_MINOR = 4_500, 250
PLANS: Final = (
    InspectionPlanFields(
        name=SURFACE, operation=brackets.MILLING,
        instructions="Lay the bracket against the stop, face up, and take its picture.",
        sampling=InspectionPlan.Sampling.PER_LOT, sample_n=PIECES_A_LOT, acceptance_number=1,
        escape_cost_minor=_ESCAPE_MINOR, false_reject_cost_minor=_FALSE_REJECT_MINOR,
        characteristics=(CharacteristicFields("Face", kind="visual"),),
    ),
    InspectionPlanFields(
        name=DIMENSIONS, operation=brackets.MILLING,
        instructions="Measure the last piece of the lot at 20 °C.",
        sampling=InspectionPlan.Sampling.PER_LOT, sample_n=1,
        escape_cost_minor=6_000, false_reject_cost_minor=400,
        characteristics=(
            CharacteristicFields(
                "Bore 24 H7", unit="mm", nominal=24.0105, lower_limit=24.0, upper_limit=24.021,
                gauge="Bore gauge 3", defect="dimension",
            ),
            CharacteristicFields(
                "Flatness", unit="mm", upper_limit=0.05, gauge="Dial gauge 7", defect="dimension"
            ),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """How pictures turned out: defects found of those planted, good parts refused, no picture."""

    n_found: int
    n_planted: int
    n_refused: int
    n_good: int
    n_unusable: int


@dataclass
class Station:
    """The camera and the gauge behind the mills of one factory, as time goes on."""

    machines: Sequence[SimulatedMachine]
    machine_ids: Mapping[str, UUID]
    lots: list[MadeLot] = field(init=False)

    def __post_init__(self) -> None:
        self.lots = brackets.lots(self.machines)

    @property
    def anchor(self) -> float:
        return self.machines[0].anchor

    # -- what the chain asks for -------------------------------------------------------------
    def prepare(self, *, now: float) -> None:
        """Write down what was made and measured, and send the pictures that teach."""
        self._catch_up(now=now)
        self._teach(self._surface())

    def subjects(self) -> dict[str, tuple[str, UUID]]:
        """Name what a model is trained of: its kind and its plan."""
        return {f"{brackets.NAME}, {SURFACE}": (Kind.VISION, self._surface().pk)}

    def judge(self, *, now: float) -> str:
        """Have the model look at the pieces of the last days; returns how that turned out."""
        plan, pieces = self._surface(), self._sampled(now=now)
        self._look(plan, pieces)
        self._review(plan, pieces)
        found = self._turned(plan, pieces)
        return (
            f"{found.n_found} of {found.n_planted} planted defects found in pictures, "
            f"{found.n_refused} of {found.n_good} good parts refused, "
            f"{found.n_unusable} pictures not judged"
        )

    def tick(self, *, now: float) -> None:
        """Go on: lots end and are measured, what passes the camera is judged."""
        self._catch_up(now=now)
        self._look(self._surface(), self._passing(now=now)[-MOST_A_TICK:])

    # -- what there is before there is a model -----------------------------------------------
    def _found(self) -> dict[str, InspectionPlan]:
        """Make or find the bracket, its kinds of defects and its plans; returns plans by name."""
        for code, (name, severity, cost_minor) in DEFECTS.items():
            if not DefectType.objects.filter(code=code).exists():
                services.save_defect_type(
                    code=code, name=name, severity=severity, escape_cost_minor=cost_minor
                )
        bracket = making.product(
            item_no=brackets.ITEM, name=brackets.NAME, unit_cost_minor=UNIT_COST_MINOR
        )
        plans = plans_of(bracket)
        for fields in PLANS:
            if fields.name not in plans:
                plans[fields.name] = self._plan(bracket, fields)
        return plans

    def _surface(self) -> InspectionPlan:
        """Return the first version of the plan, whose pictures and models outlast its revisions."""
        return production_selectors.first_version(self._found()[SURFACE].pk)

    def _plan(self, bracket: Product, fields: InspectionPlanFields) -> InspectionPlan:
        engineer = making.member(Role.ENGINEER)
        plan = services.make_inspection_plan(
            product_id=bracket.pk, fields=fields, at=moment(self.machines[0].start), by=engineer
        )
        if fields.name == SURFACE:
            setup = SetupFields(
                parts_per_day=800.0, defective_share=brackets.DEFECTIVE_SHARE,
                escape_cost_minor=_ESCAPE_MINOR, false_reject_cost_minor=_FALSE_REJECT_MINOR,
            )  # fmt: skip
            mlops_services.save_setup(plan_id=plan.pk, fields=setup, by=engineer)
        return plan

    def _teach(self, plan: InspectionPlan) -> None:
        """Send the pictures that teach, labelled by the engineer and some by the operator too."""
        if InspectionImage.objects.filter(plan=plan).exists():
            return
        first, last = (self.anchor - days * DAY_S for days in TEACHING_DAYS)
        pieces = [
            brackets.piece(lot, number)
            for lot in self.lots
            if first <= lot.started < last
            for number in range(1, lot.last.n_pieces + 1)
        ]
        good = _spread([each for each in pieces if not each.flaws], N_GOOD)
        spoilt = _spread([each for each in pieces if each.flaws], N_SPOILT)
        with transaction.atomic():
            for each in good:
                self._taught(plan, each, seen_by_two=False)
            for number, each in enumerate(spoilt):
                self._taught(plan, each, seen_by_two=number < N_SEEN_BY_TWO)

    def _taught(self, plan: InspectionPlan, piece: Piece, *, seen_by_two: bool) -> None:
        taken = piece.picture(anchor=self.anchor)
        seen_at = moment(piece.seen)
        image, _ = mlops_services.add_picture(
            plan_id=plan.pk, content=taken.jpeg(), source=InspectionImage.Source.UPLOAD,
            at=seen_at, name=f"{piece.name}.jpg", by=making.member(Role.ENGINEER),
        )  # fmt: skip
        if seen_by_two:
            # The operator lets pass what is hardly seen; the engineer looks later, and closer.
            _say(image, [each for each in taken.planted if each.severity > 0.35],
                 by=making.member(Role.OPERATOR), after=LOOKS_AFTER)  # fmt: skip
        _say(image, taken.planted, by=making.member(Role.ENGINEER), after=2 * LOOKS_AFTER)

    # -- as time goes on ---------------------------------------------------------------------
    def _catch_up(self, *, now: float) -> None:
        """Write down the lots, what the gauge said and what was decided, as far as it happened."""
        plans = self._found()
        plan = plans[DIMENSIONS]
        lot_ids = making.write_down(self.lots, machine_ids=self.machine_ids, now=now)
        known = making.inspected(plan)
        due = [
            lot
            for lot in self.lots
            if lot.ended + GAUGED_AFTER_S <= now
            and making.request_id(DIMENSIONS, lot.code) not in known
        ]
        if due:
            by_name = {machine.name: machine for machine in self.machines}
            gauged = brackets.gauged(due, by_name)
            for group in making.groups(list(zip(due, gauged, strict=True))):
                with transaction.atomic():
                    for lot, one in group:
                        self._gauge(plan, lot_ids[lot.code], lot, one)
        making.settle(
            product_id=plan.product_id, dispositions=DISPOSITIONS,
            by=making.member(Role.ENGINEER), at=moment(now),
        )  # fmt: skip

    def _gauge(
        self, plan: InspectionPlan, lot_id: UUID, lot: MadeLot, gauged: brackets.Gauged
    ) -> None:
        at = moment(lot.ended + GAUGED_AFTER_S)
        inspection = services.record_inspection(
            plan_id=plan.pk, lot_id=lot_id, piece=str(lot.last.n_pieces), at=at,
            source=Inspection.Source.GAUGE, request_id=making.request_id(DIMENSIONS, lot.code),
            measurements=[
                Measured("Bore 24 H7", gauged.bore_mm, uncertainty=0.0012),
                Measured("Flatness", gauged.flatness_mm, uncertainty=0.003),
            ],
        )  # fmt: skip
        if inspection.verdict == Verdict.PASS:
            services.move_lot(lot_id=lot_id, state=Lot.State.AVAILABLE, at=at)

    def _sampled(self, *, now: float) -> list[Piece]:
        """List the pieces of the last days that lay under the camera, oldest first.

        These are the sample of each lot and, of one lot in three, a piece that looked odd to the
        operator: so the spoilt ones are more than their share.
        """
        rule = sampling.Rule(sampling.PER_LOT, PIECES_A_LOT)
        pieces = [
            self._staged(brackets.piece(lot, number))
            for lot in self.lots
            if lot.last.started <= now and lot.ended >= self.anchor - WATCHED_DAYS * DAY_S
            for number in sorted(
                {*sampling.due_pieces(rule, lot_size=lot.last.n_pieces), *_brought(lot)}
            )
        ]
        seen = sorted((each for each in pieces if each.seen <= now), key=lambda each: each.seen)
        return seen[-MOST_WATCHED:]

    def _passing(self, *, now: float) -> list[Piece]:
        """List the pieces that passed the camera in the last minutes: since it runs, every one."""
        pieces = [
            brackets.piece(lot, number)
            for lot in self.lots
            if lot.last.started <= now <= lot.ended + LIVE_S
            for number in range(1, lot.last.n_pieces + 1)
        ]
        passed = [each for each in pieces if now - LIVE_S < each.seen <= now]
        return sorted(passed, key=lambda each: each.seen)

    def _staged(self, piece: Piece) -> Piece:
        """Scratch one piece, from when the lamp was still good, so that it is hardly seen."""
        ended = [lot for lot in self.lots if lot.ended <= self.anchor - STAGED_S]
        if not ended:
            return piece
        newest = max(ended, key=lambda lot: lot.ended)
        if (piece.lot, piece.number) != (newest, newest.last.n_pieces):
            return piece
        return Piece(piece.lot, piece.number, piece.seen, (pictures.Flaw(pictures.SCRATCH, 0.02),))

    def _look(self, plan: InspectionPlan, pieces: Sequence[Piece]) -> None:
        """Have the model look at the pieces that it has not seen yet."""
        names = {f"{piece.name}.jpg" for piece in pieces}
        rows = InspectionImage.objects.filter(plan=plan, name__in=names, verdicts__isnull=False)
        known = set(rows.values_list("name", flat=True))
        for piece in pieces:
            if f"{piece.name}.jpg" in known:
                continue
            seen_at = moment(piece.seen)
            mlops_services.inspect_picture(
                plan_id=plan.pk, content=piece.picture(anchor=self.anchor).jpeg(), at=seen_at,
                source=InspectionImage.Source.API, name=f"{piece.name}.jpg", taken_at=seen_at,
                piece=mlops_services.Piece(
                    piece.lot.code, str(piece.number), self.machine_ids[piece.lot.last.machine]
                ),
                request_id=making.request_id(SURFACE, piece.name),
            )  # fmt: skip

    def _review(self, plan: InspectionPlan, pieces: Sequence[Piece]) -> None:
        """Have the operator look at what the model refused; the newest is left for the visitor."""
        operator = making.member(Role.OPERATOR)
        refused = {
            verdict.image.name: verdict.image
            for verdict in ImageVerdict.objects.filter(
                image__plan=plan, image__label="", verdict__in=(Verdict.FAIL, Verdict.UNCLEAR)
            ).select_related("image")
        }
        for piece in pieces:
            image = refused.get(f"{piece.name}.jpg")
            if image is not None and piece.seen < self.anchor - UNREVIEWED_S:
                _say(image, piece.picture(anchor=self.anchor).planted, by=operator,
                     after=LOOKS_AFTER)  # fmt: skip

    def _turned(self, plan: InspectionPlan, pieces: Sequence[Piece]) -> Found:
        """Hold what the model said, as the database has it, against what is in the pieces."""
        rows = ImageVerdict.objects.filter(image__plan=plan, is_shadow=False)
        said = dict(rows.order_by("made_at", "pk").values_list("image__name", "verdict"))
        seen = [(piece, said.get(f"{piece.name}.jpg")) for piece in pieces]
        bad = [verdict for piece, verdict in seen if verdict and piece.flaws]
        good = [verdict for piece, verdict in seen if verdict and not piece.flaws]
        return Found(
            n_found=bad.count(Verdict.FAIL), n_planted=len(bad),
            n_refused=good.count(Verdict.FAIL), n_good=len(good),
            n_unusable=sum(verdict == "" for _, verdict in seen),
        )  # fmt: skip


def plans_of(bracket: Product) -> dict[str, InspectionPlan]:
    """Return the plans in force of an item by name."""
    rows = InspectionPlan.objects.filter(product=bracket, state=InspectionPlan.State.RELEASED)
    return {plan.name: plan for plan in rows}


def _brought(lot: MadeLot) -> list[int]:
    """Return the number of a piece that the operator lays under the camera, of one lot in three."""
    if zlib.crc32(lot.code.encode()) % 3:
        return []
    pieces = (brackets.piece(lot, number) for number in range(1, lot.last.n_pieces + 1))
    odd = (each.number for each in pieces if any(flaw.severity > 0.3 for flaw in each.flaws))
    return list(islice(odd, 1))


def _spread(pieces: Sequence[Piece], n: int) -> list[Piece]:
    """Choose n of the pieces, evenly over their time."""
    step = max(1, len(pieces) // n)
    return list(pieces[::step][:n])


def _say(
    image: InspectionImage, planted: Sequence[Planted], *, by: User, after: timedelta
) -> None:  # fmt: skip
    """Label a picture as a person would who sees these defects, with a box a little too large."""
    regions = []
    for each in planted:
        left, top = max(0, each.x - 4), max(0, each.y - 4)
        right = min(image.width, each.x + each.width + 4)
        bottom = min(image.height, each.y + each.height + 4)
        regions.append(RegionSaid(each.code, left, top, right - left, bottom - top))
    mlops_services.label_picture(
        image_id=image.pk, label="defect" if planted else "good", by=by,
        at=image.taken_at + after, regions=regions,
    )  # fmt: skip
