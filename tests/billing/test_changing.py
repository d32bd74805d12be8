"""Another plan: larger at once, smaller with the month, shown before, refused where it must be."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import bills, plans, services
from billing.models import Adjustment, PlanTerm, Subscription
from billing.plans import Item, Meter
from production import services as production_services
from tenants.context import factory_context
from tenants.models import AuditEntry, FactoryLimits, Job, Membership
from tests.billing.conftest import HOUR

M = 1_000_000
OCT_10 = datetime(2026, 10, 10, 9, tzinfo=UTC)
OCT_21 = datetime(2026, 10, 21, tzinfo=UTC)
OCT_1, NOV_1 = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def workshop(acme, readings):
    """acme on Workshop since 10 October, two machines, 30 of 40 million included readings used."""
    services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_10)
    readings.add("machine:a", OCT_10 + HOUR, 25 * M)
    readings.add("machine:b", OCT_10 + 30 * HOUR, 5 * M)
    services.roll_up(factory=acme, until=OCT_10 + 40 * HOUR, at=OCT_10 + 40 * HOUR)
    return services.account_for(acme)


def october(account):
    return bills.month_bill(account, OCT_1)


# By hand: 2 machines, 20.00 more each, 11 of October's 31 days left: 40.00 x 11/31 = 14.19.
def test_a_larger_plan_holds_at_once_and_counted_machines_pay_the_difference(acme, workshop):
    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_21)

    (line,) = Adjustment.objects.all()
    assert (line.amount_minor, line.currency) == (1419, "EUR")
    assert (line.period_start, line.period_end) == (OCT_21, NOV_1)
    assert line.description.startswith("Plant instead of Workshop from 21 October: 2 machines")
    assert FactoryLimits.objects.get(factory=acme).plan == "plant"


# By hand: 10 of 40 million left, and 40 million more for each of two machines.
def test_what_is_left_of_the_allowances_goes_along(acme, workshop, readings):
    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_21)

    carried = PlanTerm.objects.get(starts_at=OCT_21).carried
    assert carried is not None
    assert carried["readings"] == 90 * M
    assert (carried["images"], carried["planning_minutes"]) == (20_000, 1_200)
    readings.add("machine:a", OCT_21 + HOUR, 91 * M)
    readings.add("machine:c", OCT_21 + 2 * HOUR, 1)
    services.roll_up(factory=acme, until=OCT_21 + 9 * HOUR, at=OCT_21 + 9 * HOUR)
    _, before, after = october(workshop).spans
    # The new machine pays a whole month of Plant and brings 60 million along.
    assert (before.charge.total, after.charge.total) == (5800, 4900)
    assert after.usage.counted[Meter.INCLUDED_READINGS] == 150 * M
    assert after.charge.items[Item.MACHINES] == 4900


def test_the_preview_says_what_the_change_then_does(acme, workshop):
    shown = services.preview_change(factory=acme, plan="plant", at=OCT_21)
    assert not Adjustment.objects.exists()

    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_21)

    (line,) = Adjustment.objects.all()
    assert (shown.amount_minor, shown.n_machines) == (line.amount_minor, 2)
    assert (shown.is_at_once, shown.starts_at) == (True, OCT_21)
    assert shown.carried == PlanTerm.objects.get(starts_at=OCT_21).carried


def test_a_smaller_plan_waits_for_the_month_and_can_be_taken_back(acme, readings):
    services.start_subscription(factory=acme, plan="plant", by=None, at=OCT_10)

    changed = services.change_plan(factory=acme, plan="workshop", by=None, at=OCT_21)
    assert (changed.plan, changed.next_plan) == ("plant", "workshop")
    assert PlanTerm.objects.get(starts_at=NOV_1).plan == "workshop"

    kept = services.change_plan(factory=acme, plan="plant", by=None, at=OCT_21 + HOUR)
    assert (kept.plan, kept.next_plan) == ("plant", "")
    assert not PlanTerm.objects.filter(starts_at=NOV_1).exists()


def test_start_is_refused_with_the_list_of_what_exceeds_it(acme, workshop):
    with factory_context(acme):
        kind = production_services.machine_type(name="Mill")
        for n in range(3):
            production_services.add_machine(name=f"M{n}", machine_type=kind)

    with pytest.raises(services.TooMuchInUse) as refusal:
        services.change_plan(factory=acme, plan="start", by=None, at=OCT_21)

    found = {e.what: (e.used, e.allowed) for e in refusal.value.excess}
    assert found["people"] == (Membership.objects.filter(factory=acme).count(), 3)
    assert found["machines"][0] >= 3
    assert Subscription.objects.get().next_plan == ""


def test_a_change_in_the_trial_costs_nothing_and_holds_for_what_follows(acme, readings):
    started = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_10, trial=True
    )
    readings.add("machine:a", OCT_10 + HOUR, 25 * M)

    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_21)

    assert not Adjustment.objects.exists()
    terms = PlanTerm.objects.order_by("starts_at").values_list("plan", "is_trial", "starts_at")
    assert list(terms) == [
        ("workshop", True, OCT_10),
        ("plant", True, OCT_21),
        ("plant", False, started.trial_end),
    ]


# 10 October and 30 days is 9 November; what is left of November is free as well.
def test_a_trial_ends_with_the_month_in_which_its_30_days_are_over(acme, readings):
    started = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_10, trial=True
    )

    assert started.trial_end == datetime(2026, 12, 1, tzinfo=UTC)
    readings.add("machine:a", OCT_10 + HOUR, 65 * M)
    services.roll_up(factory=acme, until=NOV_1, at=NOV_1)
    account = services.account_for(acme)
    assert october(account).total == 0
    assert not account.ledger.filter(delivery__isnull=False).exists()


def test_a_trial_is_had_once(acme, readings):
    services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_10, trial=True)
    Subscription.objects.update(ended_at=OCT_21)

    with pytest.raises(services.TrialUsed):
        services.start_subscription(factory=acme, plan="plant", by=None, at=OCT_21, trial=True)


def test_cancelling_ends_with_the_month_and_is_taken_back_until_then(acme, workshop):
    cancelled = services.cancel_subscription(factory=acme, by=None, at=OCT_21)
    assert (cancelled.ends_at, cancelled.closes_factory) == (NOV_1, True)
    assert Job.objects.filter(task="billing.tell_change").exists()

    kept = services.reactivate(factory=acme, by=None, at=OCT_21 + HOUR)

    assert (kept.ends_at, kept.closes_factory) == (None, False)
    actions = AuditEntry.objects.filter(factory=acme).values_list("action", flat=True)
    assert {"billing.cancelled", "billing.reactivated"} <= set(actions)


def test_a_plan_chosen_in_the_hour_it_began_is_not_charged_twice(acme, readings):
    services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_10 + timedelta(minutes=20)
    )

    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_10 + timedelta(minutes=40))

    assert not Adjustment.objects.exists()
    assert [t.plan for t in PlanTerm.objects.all()] == ["plant"]


def test_the_present_prices_are_those_of_the_newest_price_list(acme):
    started = services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_10)

    assert started.version == plans.VERSION == PlanTerm.objects.get().version
