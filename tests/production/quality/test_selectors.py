"""First-pass yield, defects by weight, agreement of inspectors, values in time."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from production import selectors, services
from production.agreement import agreement
from production.models import Inspection, Nonconformance
from production.services import Measured
from tenants.models import User
from tests.production.quality.conftest import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIOD = {"since": NOON - DAY, "until": NOON + DAY}


@pytest.fixture
def inspect(plan, lot):
    """Return `inspect(piece, bore)`: what came of a piece of the lot."""

    def make(piece, bore=12.0, *, at=NOON, plan=plan, **fields):
        return services.record_inspection(
            plan_id=plan.pk, lot_id=lot.pk, piece=piece, at=at,
            measurements=[Measured("Bore", bore), Measured("Surface", is_good=True)], **fields,
        )  # fmt: skip

    return make


def test_first_pass_yield_counts_the_first_verdict_of_each_part_once(inspect, bracket):
    for piece, bore in (("1", 12.0), ("2", 12.5), ("3", 12.0), ("4", 12.0)):
        found = inspect(piece, bore)
    inspect("2", 12.0, at=NOON + HOUR)  # after rework: it did not pass the first time
    services.judge(inspection_id=found.pk, verdict="fail", at=NOON + HOUR, by=None, note="Bent")
    inspect("5", verdict="unclear")  # nobody could say: not good

    (row,) = selectors.yields_by_step(**PERIOD)
    assert (row.name, row.n_inspected, row.n_good, row.share) == ("B-100 Bracket", 5, 3, 0.6)
    assert selectors.yields_by_step(since=NOON + DAY, until=NOON + 2 * DAY) == []


def test_a_part_whose_first_look_lies_before_the_period_is_not_counted_again(inspect):
    inspect("1", 12.5, at=NOON - 2 * DAY)
    inspect("1", 12.0)

    assert selectors.yields_by_step(**PERIOD) == []


def test_a_new_version_of_a_plan_is_the_same_step(inspect, plan):
    from tests.production.quality.conftest import DIAMETER, LOOK

    inspect("1", 12.5)
    fields = services.InspectionPlanFields(
        name=plan.name, operation=plan.operation, characteristics=(DIAMETER, LOOK)
    )
    new = services.revise_inspection_plan(plan_id=plan.pk, fields=fields, at=NOON, by=None)
    inspect("1", 12.0, at=NOON + HOUR, plan=new)

    (row,) = selectors.yields_by_step(**PERIOD)
    assert (row.n_inspected, row.n_good) == (1, 0)


def test_yield_by_machine_and_day_and_rolled_through_the_steps(inspect, plan_of, lot, machine):
    final = plan_of("Final")
    services.finish_run(
        lot=lot, operation="20 milling", machine_id=machine.pk, started_at=NOON, ended_at=NOON,
        at=NOON,
    )  # fmt: skip
    for piece, bore in (("1", 12.0), ("2", 12.5)):
        inspect(piece, bore)
    for piece in ("1", "2", "3", "4", "5"):
        inspect(piece, 12.5 if piece == "5" else 12.0, plan=final)

    by_machine = selectors.yields_by_machine(**PERIOD, machine_id=machine.pk)
    assert [(row.step, row.n_good, row.n_inspected) for row in by_machine] == [
        ("After milling", 1, 2), ("Final", 4, 5),
    ]  # fmt: skip
    by_day = selectors.yields_by_day(**PERIOD, product=lot.product)
    assert {row.name for row in by_day} == {"2026-11-17"}
    steps = selectors.yields_by_step(**PERIOD)
    assert selectors.rolled_yield(steps) == pytest.approx(0.5 * 0.8)
    assert selectors.rolled_yield([]) is None


def test_defects_are_those_of_the_newest_verdict_with_their_cost(inspect, operator):
    first = inspect("1", 12.5, defects={"scratch": 3})
    inspect("2", 12.5)
    inspect("3", 12.0, verdict="fail", defects={"scratch": 1})
    services.judge(
        inspection_id=first.pk, verdict="fail", at=NOON + HOUR, by=operator, defects={"bore": 1}
    )
    bore = Nonconformance.objects.get(inspection__piece="2")
    services.decide_nonconformance(nonconformance_id=bore.pk, disposition="scrap", at=NOON, by=None)

    rows = selectors.defect_pareto(since=NOON - DAY, until=NOON + DAY)
    assert [(row.code, row.n_parts, row.n_found, row.cost_minor) for row in rows] == [
        ("bore", 2, 2, 1_250), ("scratch", 1, 1, None),
    ]  # fmt: skip
    assert selectors.cost_of_defects(**PERIOD) == 1_250


def test_people_who_judged_the_same_parts_are_compared_by_their_last_word(inspect, operator):
    engineer = User.objects.get(email="engineer@acme.example")
    found = [inspect(str(n)) for n in range(4)]
    said = ((operator, "fail"), (engineer, "fail"), (operator, "pass"))
    for hours, (person, verdict) in enumerate(said):
        services.judge(
            inspection_id=found[0].pk, verdict=verdict, at=NOON + hours * HOUR, by=person,
            note="Looked again",
        )  # fmt: skip
    for row in found[1:3]:
        for person in (operator, engineer):
            services.judge(inspection_id=row.pk, verdict="pass", at=NOON, by=person)

    (pair,) = selectors.inspector_agreement(**PERIOD)
    assert pair.agreement.n == 3
    assert pair.agreement.share == pytest.approx(2 / 3)
    assert selectors.disputed_inspections(**PERIOD) == [found[0].pk]


def test_kappa_of_the_example_of_fifty_grants():
    # Two readers, 50 proposals: 20 both yes, 15 both no, 5 and 10 apart: 0.7 agreed, kappa 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = agreement(pairs)

    assert found.share == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    assert agreement([]).share is None
    assert agreement([("y", "y")]).kappa is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2))
def test_kappa_is_that_of_another_implementation(pairs):
    found = agreement(pairs)
    if found.kappa is not None:
        one, other = zip(*pairs, strict=True)
        assert found.kappa == pytest.approx(float(cohen_kappa_score(one, other)))


def test_values_come_in_time_through_all_versions_without_voided_ones(inspect, plan):
    for n, bore in enumerate((12.0, 12.5, 12.01)):
        inspect(str(n), bore, at=NOON + n * HOUR)
    wrong = Inspection.objects.get(piece="0").measurements.get(characteristic__name="Bore")
    wrong.void_cause = "Gauge was off"
    wrong.save()

    bore = plan.characteristics.get(name="Bore")
    assert [(v.value, v.is_within) for v in selectors.values_in_time(bore)] == [
        (12.5, False), (12.01, True),
    ]  # fmt: skip


def test_what_is_due_comes_oldest_first(plan_of, lot_of):
    plan_of("Receipt", operation="")
    for code, hours in (("a", 2), ("b", 5)):
        lot_of(code, quantity=1, made_at=NOON - hours * HOUR)

    codes = selectors.due_inspections().values_list("lot__code", flat=True)
    assert list(codes) == ["b", "a"]
