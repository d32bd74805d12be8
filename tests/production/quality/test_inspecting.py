"""What is measured, what verdict follows, what becomes of a part that failed."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from production import services
from production.models import Inspection, LotEvent, Nonconformance
from production.services import (
    Contradiction,
    IllegalStep,
    Invalid,
    Measured,
    NothingSaid,
    NotPossible,
    PlanNotInForce,
    RequestUsed,
    Unknown,
    WrongProduct,
)
from tests.production.quality.conftest import NOON

HOUR = timedelta(hours=1)
LOOKS_GOOD = Measured("Surface", is_good=True)


@pytest.fixture
def record(plan, lot):
    def make(bore=None, *, looks=True, **fields):
        measured = [] if bore is None else [Measured("Bore", bore)]
        measured += [Measured("Surface", is_good=looks)] if looks is not None else []
        fields = {"plan_id": plan.pk, "lot_id": lot.pk, "piece": "1", "at": NOON, **fields}
        return services.record_inspection(measurements=measured, **fields)

    return make


def the_nonconformance():
    return Nonconformance.objects.get()


@pytest.mark.parametrize(
    ("bore", "looks", "verdict"),
    [
        (12.0, True, "pass"),
        (11.98, True, "pass"),  # on the limit is within it
        (12.02, True, "pass"),
        (12.0201, True, "fail"),
        (11.9799, True, "fail"),
        (12.0, False, "fail"),
        (12.0, None, "unclear"),  # the surface was not looked at
        (12.5, None, "fail"),
    ],
)
def test_the_verdict_follows_from_the_limits(record, bore, looks, verdict):
    found = record(bore, looks=looks)

    assert (found.verdict, found.first_verdict, found.state) == (verdict, verdict, "done")


def test_nothing_measured_and_nothing_said_is_no_inspection(record):
    with pytest.raises(NothingSaid):
        record(looks=None)
    assert not Inspection.objects.exists()


def test_a_verdict_that_contradicts_the_values_is_refused_by_name(record):
    with pytest.raises(Contradiction, match="Bore is out of its limits"):
        record(12.5, verdict="pass")
    with pytest.raises(Contradiction, match="name a defect"):
        record(12.0, verdict="fail")
    with pytest.raises(Contradiction):
        record(12.5, verdict="pass", note="Good enough", source="vision")

    assert record(12.5, verdict="pass", note="Agreed with the customer").verdict == "pass"


@pytest.mark.parametrize(
    ("measured", "refusal"),
    [
        (Measured("Bore", float("nan")), Invalid),
        (Measured("Bore", float("inf")), Invalid),
        (Measured("Bore"), Invalid),
        (Measured("Surface", 1.0, is_good=True), Invalid),
        (Measured("Weight", 1.0), Unknown),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(plan, lot, measured, refusal):
    with pytest.raises(refusal):
        services.record_inspection(plan_id=plan.pk, lot_id=lot.pk, at=NOON, measurements=[measured])


def test_a_fail_names_its_defects_and_opens_one_nonconformance(record, machine, lot):
    services.finish_run(
        lot=lot, operation="20 milling", machine_id=machine.pk, started_at=NOON,
        ended_at=NOON + HOUR, at=NOON,
    )  # fmt: skip
    found = record(12.5, looks=False, defects={"scratch": 3}, at=NOON + HOUR)

    defects = found.verdicts.get().defects.values_list("defect_type__code", "count")
    opened = the_nonconformance()
    assert dict(defects) == {"scratch": 3, "bore": 1}
    assert (opened.inspection, opened.lot, opened.machine) == (found, lot, machine)
    assert (opened.defect_type.code, opened.quantity) == ("bore", Decimal(1))
    assert (found.run.operation, found.made_at) == ("20 milling", NOON + HOUR)


def test_an_unknown_defect_sinks_the_inspection(record):
    with pytest.raises(Unknown):
        record(12.5, defects={"crack": 1})
    assert not Inspection.objects.exists()


def test_the_same_request_records_once(record, lot):
    request_id = uuid4()
    first, again = (record(12.5, request_id=request_id) for _ in range(2))

    assert first.pk == again.pk
    assert Inspection.objects.filter(state="done").count() == 1
    with pytest.raises(RequestUsed):
        record(12.0, piece="2", request_id=request_id)


def test_plan_and_lot_must_fit(record, plan_of, lot_of, in_acme):
    other = services.make_product(item_no="X", name="Other")
    stranger = services.make_lot(product=other, code="L-1", made_at=NOON, at=NOON)
    with pytest.raises(WrongProduct):
        record(12.0, lot_id=stranger.pk)
    with pytest.raises(Invalid, match="which lot"):
        record(12.0, lot_id=None)
    with pytest.raises(Invalid, match="future"):
        record(12.0, inspected_at=NOON + HOUR)
    with pytest.raises(Unknown):
        record(12.0, plan_id=uuid4())


def test_a_lot_is_held_when_more_are_defective_than_accepted(plan_of, lot, record):
    plan = plan_of("Sampled", acceptance_number=1)
    first = record(12.5, plan_id=plan.pk, piece="1")
    lot.refresh_from_db()
    assert lot.state == "created"

    record(12.5, plan_id=plan.pk, piece="2")
    record(12.5, plan_id=plan.pk, piece="2")  # the same piece again is still one piece
    lot.refresh_from_db()
    assert (lot.state, LotEvent.objects.filter(lot=lot, state="held").count()) == ("held", 1)

    # A better verdict brings the count down, and lifts the hold that inspections made.
    services.judge(
        inspection_id=first.pk, verdict="pass", at=NOON + HOUR, by=None, note="Gauge was off"
    )
    lot.refresh_from_db()
    assert lot.state == "released"


def test_a_better_verdict_lifts_no_hold_that_a_person_made(record, lot):
    found = record(12.5)
    services.release_lot(lot_id=lot.pk, at=NOON)
    services.hold_lot(lot_id=lot.pk, at=NOON, text="Customer asked")
    services.judge(inspection_id=found.pk, verdict="pass", at=NOON + HOUR, by=None, note="Good")

    lot.refresh_from_db()
    assert lot.state == "held"


def test_a_failed_serial_is_held_and_its_lot_by_the_number(plan_of, bracket, lot_of):
    plan, parent = plan_of("Sampled", acceptance_number=1), lot_of("L-2")
    serials = [
        lot_of(f"S-{n}", is_serial=True, quantity=Decimal(1), parent=parent) for n in range(2)
    ]
    for serial, state in zip(serials, ("created", "held"), strict=True):
        services.record_inspection(
            plan_id=plan.pk, lot_id=serial.pk, at=NOON, verdict="fail", note="Bent"
        )
        serial.refresh_from_db()
        parent.refresh_from_db()
        assert (serial.state, parent.state) == ("held", state)


def test_what_a_reviewer_says_counts_and_the_first_verdict_stays(record, operator):
    found = record(12.0)
    services.judge(inspection_id=found.pk, verdict="fail", at=NOON + HOUR, by=operator,
                   defects={"scratch": 2})  # fmt: skip
    assert the_nonconformance().state == "open"
    services.judge(inspection_id=found.pk, verdict="pass", at=NOON + 2 * HOUR, by=operator,
                   note="Only dust")  # fmt: skip
    closed = the_nonconformance()
    assert (closed.state, closed.disposition, closed.cost_minor) == ("closed", "use", 0)
    services.judge(inspection_id=found.pk, verdict="fail", at=NOON + 3 * HOUR, by=operator,
                   note="A scratch after all")  # fmt: skip

    found.refresh_from_db()
    assert (found.verdict, found.first_verdict) == ("fail", "pass")
    assert [row.verdict for row in found.verdicts.order_by("at")] == [
        "pass", "fail", "pass", "fail",
    ]  # fmt: skip
    assert the_nonconformance().state == "open"
    assert [event.state for event in the_nonconformance().events.order_by("pk")] == [
        "open", "closed", "open",
    ]  # fmt: skip


def test_a_verdict_that_arrives_late_does_not_overrule_a_newer_one(record):
    found = record(12.0)
    newer = {"inspection_id": found.pk, "at": NOON + 2 * HOUR, "by": None}
    services.judge(**newer, verdict="fail", defects={"scratch": 1})
    services.judge(**{**newer, "at": NOON + HOUR}, verdict="unclear")

    found.refresh_from_db()
    assert (found.verdict, found.verdicts.count()) == ("fail", 3)


def test_the_same_request_judges_once(record):
    found, request_id = record(12.0), uuid4()
    said = {"inspection_id": found.pk, "at": NOON, "by": None, "request_id": request_id}
    for _ in range(2):
        services.judge(**said, verdict="unclear")
    assert found.verdicts.count() == 2
    with pytest.raises(RequestUsed):
        services.judge(**said, verdict="fail", note="-")


def test_what_is_only_due_cannot_be_judged(plan_of, lot_of):
    plan_of("On receipt", operation="")
    lot_of("L-2", quantity=Decimal(1))
    due = Inspection.objects.get(state="due")
    with pytest.raises(IllegalStep, match="is due"):
        services.judge(inspection_id=due.pk, verdict="pass", at=NOON, by=None)
    with pytest.raises(Unknown):
        services.judge(inspection_id=uuid4(), verdict="pass", at=NOON, by=None)


def test_a_nonconformance_goes_its_way_and_costs_what_its_units_cost(record, lot, operator):
    record(12.5)
    step = {"nonconformance_id": the_nonconformance().pk, "at": NOON, "by": operator}
    with pytest.raises(IllegalStep, match="Nonconformance 1 is open"):
        services.close_nonconformance(**step)
    services.contain_nonconformance(**step)
    with pytest.raises(IllegalStep):
        services.contain_nonconformance(**step)
    decided = services.decide_nonconformance(**step, disposition="scrap")
    assert (decided.cost_minor, decided.currency) == (1_250, "EUR")
    request_id = uuid4()
    for _ in range(2):
        services.close_nonconformance(**step, request_id=request_id)
    with pytest.raises(IllegalStep):
        services.decide_nonconformance(**step, disposition="use")

    lot.refresh_from_db()
    assert lot.state == "held"  # one piece of twenty is scrapped, not the lot
    assert [event.state for event in the_nonconformance().events.order_by("pk")] == [
        "open", "contained", "dispositioned", "closed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("disposition", "given", "cost", "state"),
    [
        ("scrap", None, 25_000, "scrapped"),
        ("scrap", 300, 300, "scrapped"),
        ("rework", None, None, "held"),
        ("use", None, 0, "held"),
        ("return", None, 25_000, "held"),
    ],
)
def test_a_whole_lot_is_decided(record, lot, disposition, given, cost, state):
    record(piece="", looks=None, verdict="fail", note="All bent")
    decided = services.decide_nonconformance(
        nonconformance_id=the_nonconformance().pk, disposition=disposition, cost_minor=given,
        at=NOON, by=None,
    )  # fmt: skip

    lot.refresh_from_db()
    assert (decided.quantity, decided.cost_minor, lot.state) == (Decimal(20), cost, state)


def test_after_rework_a_piece_is_inspected_again(record, lot):
    first = record(12.5)
    opened = {"nonconformance_id": the_nonconformance().pk, "at": NOON, "by": None}
    services.decide_nonconformance(**opened, disposition="rework", cost_minor=400)
    again = record(12.0, at=NOON + HOUR)
    services.close_nonconformance(**opened)

    lot.refresh_from_db()
    assert (first.verdict, again.verdict, lot.state) == ("fail", "pass", "released")


def test_people_report_what_no_inspection_found(bracket, lot):
    request_id = uuid4()
    said = {"product_id": bracket.pk, "lot_id": lot.pk, "at": NOON, "by": None}
    found = {
        services.report_nonconformance(**said, text="Rust", request_id=request_id).pk
        for _ in range(2)
    }
    assert len(found) == 1
    with pytest.raises(NotPossible):
        services.report_nonconformance(**said, text=" ")
    with pytest.raises(NotPossible):
        services.report_nonconformance(**said, text="Rust", quantity=Decimal(0))


def test_an_obsolete_plan_takes_no_results(plan, record):
    from tests.production.quality.test_plans import LOOSER

    record(12.0)
    services.revise_inspection_plan(plan_id=plan.pk, fields=LOOSER, at=NOON, by=None)
    with pytest.raises(PlanNotInForce, match="Version 1"):
        record(12.0)
