"""The lots of jars of a demonstration: made from the plan, weighed, rejected, decided upon."""

import pytest
from django.utils import timezone

from config.demo import filling, founding, weighing
from config.demo.diary import FactoryEntry
from config.demo.machines import GLOBEX
from config.demo.simulator import simulate
from production.models import Inspection, InspectionPlan, Lot, Nonconformance, OperationRun
from tenants.context import factory_context
from tenants.models import User

DAYS = 4


@pytest.fixture
def weighed(globex):
    """The lots of some days, caught up with a day ago and now."""
    owner = User.objects.get(email="owner@globex.example")
    founded = founding.found_plant(
        GLOBEX, FactoryEntry("Globex Foods", "globex", ""), globex, owner, days=DAYS
    )
    now = timezone.now().timestamp()
    machines = simulate(GLOBEX, seed=7, anchor=founded.anchor, days=DAYS, until=now + 2 * 86_400)
    with factory_context(globex):
        works = weighing.Weighing(machines, founded.machines)
        works.tick(now=now - 86_400)
        before = Inspection.objects.filter(state="done").count()
        works.tick(now=now)
        yield works, now, before


def test_lots_are_weighed_once_as_they_end_and_are_tied_to_their_fillers(weighed):
    works, now, before = weighed
    ended = [lot for lot in works.lots if lot.ended + weighing.WEIGHED_AFTER_S <= now]
    running = [lot for lot in works.lots if lot.started <= now < lot.ended]

    works.tick(now=now)

    done = Inspection.objects.filter(state="done")
    told = list(done.values_list("lot__code", "machine__name", "run__operation"))
    assert 0 < before < len(told) == len(ended)
    assert set(told) == {(lot.code, lot.last.machine, filling.FILLING) for lot in ended}
    assert running
    assert set(Lot.objects.values_list("code", flat=True)) == {
        lot.code for lot in [*ended, *running]
    } | {lot.code for lot in works.lots if lot.ended <= now}


def test_runs_carry_the_time_and_the_parameters_of_both_steps(weighed):
    works, now, _ = weighed
    lot = next(lot for lot in works.lots if lot.ended <= now)

    runs = list(OperationRun.objects.filter(lot__code=lot.code).order_by("sequence"))

    assert [run.operation for run in runs] == [filling.COOKING, filling.FILLING]
    assert runs[0].ended_at is not None
    assert runs[0].ended_at < runs[1].started_at
    assert runs[0].parameters["recipe"] in filling.RECIPES
    assert runs[1].parameters["dosing_g"] == lot.steps[1].parameters["dosing_g"]
    assert runs[1].started_at.timestamp() == pytest.approx(lot.last.started, abs=1)


def test_what_is_out_of_its_limits_is_rejected_and_people_get_on_with_it(weighed):
    done = Inspection.objects.filter(state="done").prefetch_related("measurements")

    for row in done:
        (weight,) = (m.value for m in row.measurements.all())
        assert weight is not None
        is_in = filling.LOWER_G <= weight <= filling.UPPER_G
        assert row.verdict == ("pass" if is_in else "fail")
    rejected = {row.pk for row in done if row.verdict == "fail"}
    assert rejected == set(Nonconformance.objects.values_list("inspection_id", flat=True))
    plan = InspectionPlan.objects.get()
    assert (plan.name, plan.product.item_no) == (weighing.PLAN, filling.ITEM)
