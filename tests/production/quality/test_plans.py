"""Inspection plans: new versions, and what they make due."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from production import services
from production.models import Inspection, InspectionPlan
from production.services import (
    CharacteristicFields,
    IllegalStep,
    InspectionPlanFields,
    Invalid,
    LotFields,
    RunFields,
    Taken,
    Unknown,
)
from tests.production.quality.conftest import DIAMETER, NOON

DAY = timedelta(days=1)
LOOSER = InspectionPlanFields(
    name="After milling", operation="20 milling",
    characteristics=(CharacteristicFields(name="Bore", unit="mm", upper_limit=12.1),),
)  # fmt: skip


def due(**fields):
    return Inspection.objects.filter(state="due", **fields).order_by("number")


def measured(**fields):
    return CharacteristicFields(**{"name": "Bore", "upper_limit": 1.0, **fields})


def test_a_plan_without_results_is_altered_in_place(plan):
    same = services.revise_inspection_plan(plan_id=plan.pk, fields=LOOSER, at=NOON, by=None)

    assert (same.pk, same.version) == (plan.pk, 1)
    assert [row.upper_limit for row in same.characteristics.all()] == [12.1]


def test_a_plan_with_results_gets_a_new_version_and_what_is_due_moves(plan_of, lot_of):
    plan = plan_of(operation="")
    lot_of("L-2", quantity=Decimal(2))
    services.record_inspection(
        plan_id=plan.pk, lot_id=due()[0].lot_id, piece="1", at=NOON, verdict="unclear"
    )
    new = services.revise_inspection_plan(plan_id=plan.pk, fields=LOOSER, at=NOON, by=None)

    plan.refresh_from_db()
    assert (plan.state, new.version, new.state) == ("obsolete", 2, "released")
    assert [row.upper_limit for row in plan.characteristics.filter(name="Bore")] == [12.02]
    assert [(row.piece, row.plan_id) for row in due()] == [("2", new.pk)]
    with pytest.raises(IllegalStep):
        services.revise_inspection_plan(plan_id=plan.pk, fields=LOOSER, at=NOON, by=None)


def test_a_product_has_one_plan_of_a_name(plan, plan_of):
    with pytest.raises(Taken):
        plan_of()
    other = plan_of("Other")
    with pytest.raises(Taken):
        services.revise_inspection_plan(plan_id=other.pk, fields=LOOSER, at=NOON, by=None)


@pytest.mark.parametrize(
    "fields",
    [
        {"characteristics": ()},
        {"characteristics": (DIAMETER, DIAMETER)},
        {"characteristics": (measured(upper_limit=None),)},
        {"characteristics": (measured(lower_limit=2.0),)},
        {"characteristics": (measured(upper_limit=float("nan")),)},
        {"sample_n": 0},
        {"acceptance_number": -1},
        {"escape_cost_minor": -1},
        {"name": " "},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_name(plan_of, fields):
    with pytest.raises(Invalid):
        plan_of(**fields)
    assert not InspectionPlan.objects.exists()


def test_a_plan_names_what_is_known(plan_of, in_acme):
    with pytest.raises(Unknown):
        plan_of(characteristics=(measured(defect="crack"),))
    with pytest.raises(Unknown):
        services.make_inspection_plan(product_id=uuid4(), fields=LOOSER, at=NOON, by=None)


@pytest.mark.parametrize(
    ("fields", "pieces"),
    [
        ({}, ["1", "2", "3", "4", "5", "6"]),
        ({"sampling": "every_nth", "sample_n": 4}, ["1", "5"]),
        ({"sampling": "per_lot", "sample_n": 2}, ["3", "6"]),
    ],
)
def test_a_lot_makes_pieces_due(plan_of, lot_of, fields, pieces):
    plan_of(operation="", **fields)
    lot_of(quantity=Decimal(6))
    lot_of(quantity=Decimal(6))

    assert [row.piece for row in due()] == pieces
    assert {row.due_at for row in due()} == {NOON}


def test_every_nth_counts_on_from_lot_to_lot(plan_of, lot_of):
    plan_of(operation="", sampling="every_nth", sample_n=4)
    for code in "abc":
        lot_of(code, quantity=Decimal(3))

    assert [(row.lot.code, row.piece) for row in due()] == [("a", "1"), ("b", "2"), ("c", "3")]


def test_serials_count_in_their_lot_after_their_operation(plan_of, lot_of, machine):
    plan = plan_of(sampling="per_lot", sample_n=2)
    lot_of(quantity=Decimal(4))
    items = [
        LotFields(product="B-100", code=f"S-{n}", made_at=NOON, is_serial=True, parent="L-1")
        for n in range(4)
    ]
    services.record_lots(items=items, at=NOON)
    assert not due().exists()
    for n in range(4):
        run = RunFields(
            product="B-100", lot=f"S-{n}", operation="20 milling", machine_id=machine.pk,
            started_at=NOON, ended_at=NOON,
        )  # fmt: skip
        for _ in range(2):
            services.record_runs(items=[run], at=NOON)

    assert [row.lot.code for row in due(plan=plan)] == ["S-1", "S-3"]
    assert {row.machine for row in due()} == {machine}


def test_old_history_and_big_samples_make_nothing_due(plan_of, lot_of):
    plan_of(operation="")
    lot_of("old", made_at=NOON - 2 * DAY)
    lot_of("big", quantity=Decimal(51))

    assert not due().exists()


def test_what_was_inspected_before_it_was_due_is_not_due(plan_of, lot, machine):
    plan = plan_of(sampling="per_lot", sample_n=1)
    services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, piece="20", at=NOON, verdict="unclear"
    )
    services.finish_run(
        lot=lot, operation="20 milling", machine_id=machine.pk, started_at=NOON, ended_at=NOON,
        at=NOON,
    )  # fmt: skip

    assert not due().exists()


def test_an_inspection_does_what_is_due_also_when_it_was_missed(plan_of, lot_of):
    plan, lot = plan_of(operation=""), lot_of(quantity=Decimal(2))
    assert services.mark_missed(at=NOON + DAY - timedelta(minutes=1)) == 0
    first = services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, piece="1", at=NOON, verdict="unclear"
    )
    assert services.mark_missed(at=NOON + DAY) == 1
    assert not due().exists()
    late = services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, piece="2", at=NOON + DAY, verdict="unclear"
    )

    assert [(row.state, row.number) for row in (first, late)] == [("done", 1), ("done", 2)]


def test_by_the_clock_moments_come_while_it_runs_and_the_older_ones_are_missed(
    plan_of, lot, machine
):
    plan = plan_of(sampling="every_minutes", sample_n=30)
    begun = services.start_run(
        lot=lot, operation="20 milling", machine_id=machine.pk, started_at=NOON, at=NOON
    )
    assert services.make_due_by_time(at=NOON + timedelta(minutes=29)) == 0
    assert services.make_due_by_time(at=NOON + timedelta(minutes=65)) == 2
    assert services.make_due_by_time(at=NOON + timedelta(minutes=66)) == 0
    assert services.mark_missed(at=NOON + timedelta(minutes=66)) == 1
    done = services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, piece="14", at=NOON + timedelta(minutes=70),
        verdict="unclear",
    )  # fmt: skip

    assert (done.due_at, done.run, done.piece) == (NOON + timedelta(hours=1), begun, "14")
    assert not due().exists()
