"""Maintenance plans: when they are due, and the orders that they make."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from production import selectors, services
from production.models import WorkOrder
from production.services import PlanFields, PlanInvalid
from tests.production.conftest import NOON

MONTHLY = PlanFields(
    name="Grease the spindle", trigger="calendar", every_days=30, first_due_on=date(2026, 11, 20),
    lead_days=7, checklist=[("Grease", ""), ("Play of the spindle", "mm"), (" ", "")],
)  # fmt: skip


@pytest.fixture
def plan(machine, bearing):
    def make(base=MONTHLY, **changes):
        fields = {name: getattr(base, name) for name in PlanFields.__slots__}
        fields |= {"machine_id": machine.pk, "parts": {bearing.pk: Decimal(2)}} | changes
        return services.save_plan(fields=PlanFields(**fields), by=None)

    return make


def only_order():
    return WorkOrder.objects.get(state="approved")


def test_an_order_is_made_in_its_lead_time_with_all_that_the_plan_says(plan, bearing):
    made = plan()
    # 7 days before 20 November, Berlin time, is 12 November 23:00 UTC.
    too_soon = datetime(2026, 11, 12, 22, 59, tzinfo=UTC)
    assert services.make_due_orders(at=too_soon) == 0
    assert services.make_due_orders(at=too_soon + timedelta(minutes=1)) == 1

    order = only_order()
    assert (order.plan, order.planned_on, order.source) == (made, date(2026, 11, 20), "plan")
    assert order.due_by == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert [(c.text, c.unit) for c in order.checks.order_by("position")] == [
        ("Grease", ""), ("Play of the spindle", "mm"),
    ]  # fmt: skip
    assert [(p.part, p.n_planned) for p in order.parts.all()] == [(bearing, 2)]


def test_a_plan_has_one_open_order_a_machine(plan, machine):
    second = services.add_machine(name="Mill 2", machine_type=machine.machine_type)
    plan(machine_id=None, machine_type_id=machine.machine_type_id)

    assert services.make_due_orders(at=NOON) == 2
    assert services.make_due_orders(at=NOON + timedelta(days=90)) == 0
    assert set(WorkOrder.objects.values_list("machine", flat=True)) == {machine.pk, second.pk}


def test_the_next_one_is_counted_from_when_it_was_done(plan):
    plan()
    services.make_due_orders(at=NOON)
    done_at = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)  # 26 November in Berlin
    services.complete(order=only_order(), at=done_at, by=None)

    assert services.make_due_orders(at=datetime(2026, 12, 18, 22, 59, tzinfo=UTC)) == 0
    assert services.make_due_orders(at=datetime(2026, 12, 18, 23, 0, tzinfo=UTC)) == 1
    assert only_order().planned_on == date(2026, 12, 26)


def test_a_rejected_order_skips_one_time(plan):
    plan()
    services.make_due_orders(at=NOON)
    services.reject(order=only_order(), at=NOON, by=None, text="Done by the maker")

    assert services.make_due_orders(at=NOON) == 0
    services.make_due_orders(at=NOON + timedelta(days=60))
    assert only_order().planned_on == date(2026, 12, 20)


def test_a_meter_counts_from_where_it_was_first_seen(plan, machine):
    plan(trigger="meter", value_key="hours", every_units=500.0, value_unit="h")

    def at_reading(value, day):
        at = NOON + timedelta(days=day)
        services.report_meter(machine_id=machine.pk, key="hours", value=value, measured_at=at)
        return services.make_due_orders(at=at)

    assert at_reading(1200, 0) == 0
    assert at_reading(1699, 10) == 0
    assert at_reading(1700, 11) == 1
    assert "500 h since it was last done" in only_order().reason
    services.complete(order=only_order(), at=NOON + timedelta(days=12), by=None)
    assert at_reading(2199, 30) == 0
    assert at_reading(100, 31) == 0  # the meter was replaced: it counts from zero
    assert at_reading(500, 40) == 1


def test_an_older_reading_of_a_meter_changes_nothing(machine):
    for value, hours in ((10.0, 0), (7.0, -1)):
        services.report_meter(
            machine_id=machine.pk, key="hours", value=value,
            measured_at=NOON + timedelta(hours=hours),
        )  # fmt: skip

    assert machine.meters.get().value == 10.0


def test_a_value_beyond_its_limit_makes_an_order_and_rests_when_it_is_done(plan, machine):
    plan(trigger="condition", value_key="dp", beyond="above", limit=2.5, value_unit="bar")

    def at_value(value, hours):
        at = NOON + timedelta(hours=hours)
        services.report_meter(machine_id=machine.pk, key="dp", value=value, measured_at=at)
        return services.make_due_orders(at=at)

    assert at_value(2.5, 0) == 0
    assert at_value(2.6, 1) == 1
    assert only_order().reason == "dp is 2.6 bar, above its limit of 2.5."
    services.complete(order=only_order(), at=NOON + timedelta(hours=2), by=None)
    assert at_value(2.6, 3) == 0
    assert at_value(2.6, 48) == 1


def test_watched_values_are_those_of_plans_in_force(plan, machine):
    plan(trigger="meter", value_key="hours", every_units=500.0)
    plan(trigger="meter", value_key="cycles", every_units=500.0, is_enabled=False)

    assert selectors.watched_values() == {machine.pk: {"hours"}}


@pytest.mark.parametrize(
    "changes",
    [
        {"machine_id": None},
        {"every_days": None},
        {"trigger": "meter"},
        {"trigger": "condition", "value_key": "x", "beyond": "above"},
    ],
)
def test_a_plan_says_what_its_trigger_needs(plan, changes):
    with pytest.raises(PlanInvalid):
        plan(**changes)
