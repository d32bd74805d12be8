"""MTBF, MTTR, availability and spare parts, against figures worked by hand."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from production import selectors, services
from production.models import StockMovement
from production.reliability import Outage, mtbf_lower_bound, poisson_quantile, reliability
from production.services import PartFields, PlanFields
from tests.production.conftest import NOON


def outages(*hours):
    return [Outage(NOON, None if h is None else NOON + timedelta(hours=h)) for h in hours]


def test_five_failures_in_400_hours():
    """ISO 22400: 400 h / 5 = 80 h; bound 800 / chi2(0.95; 12) = 800 / 21.026; 12.5 h / 5."""
    found = reliability(operating_h=400, outages=outages(2, 3, 2.5, 1, 4))

    assert (found.mtbf_h, found.mttr_h) == (80, 2.5)
    assert found.mtbf_low_h == pytest.approx(38.0, abs=0.05)
    assert found.availability == pytest.approx(80 / 82.5)


def test_no_failure_has_a_lower_bound_and_no_mean():
    """800 / chi2(0.95; 2) = 800 / 5.9915."""
    found = reliability(operating_h=400, outages=[])

    assert found.mtbf_h is None
    assert found.availability is None
    assert found.mtbf_low_h == pytest.approx(133.5, abs=0.05)


def test_an_open_failure_counts_and_is_left_out_of_the_repair_time():
    found = reliability(operating_h=100, outages=outages(2, None))

    assert (found.n_failures, found.n_open, found.mtbf_h, found.mttr_h) == (2, 1, 50, 2)


def test_a_machine_that_never_worked_has_no_bound():
    assert reliability(operating_h=0, outages=[]).mtbf_low_h is None


@pytest.mark.parametrize(("n", "chi2"), [(0, 5.9915), (1, 9.4877), (5, 21.0261), (50, 126.574)])
def test_the_bound_is_that_of_printed_tables(n, chi2):
    assert mtbf_lower_bound(operating_h=1000, n_failures=n) == pytest.approx(2000 / chi2, rel=1e-4)


@pytest.mark.parametrize(("mean", "n"), [(0, 0), (0.05, 0), (0.1, 1), (1, 3), (5, 9), (800, 847)])
def test_poisson_quantiles_are_those_of_printed_tables(mean, n):
    assert poisson_quantile(mean) == n


def test_failures_in_a_period_are_those_that_began_in_it(machine):
    for days in (-1, 0, 5, 10):
        at = NOON + timedelta(days=days)
        services.record_failure(
            machine_id=machine.pk, failed_at=at, restored_at=at + timedelta(hours=2), mode="leak"
        )
    found = selectors.reliability(
        machine_ids=[machine.pk], start=NOON, end=NOON + timedelta(days=10), operating_h=100
    )

    assert (found.n_failures, found.mtbf_h, found.mttr_h) == (2, 50, 2)


@pytest.fixture
def used(bearing):
    def use(*days_ago):
        for days in days_ago:
            StockMovement.objects.create(
                part=bearing, quantity=-1, reason="use", moved_at=NOON - timedelta(days=days)
            )
        (stock,) = selectors.stocks([bearing])
        return selectors.forecasts([stock], at=NOON)[bearing.pk]

    return use


def receive(part, quantity, days_ago):
    services.move_stock(
        part=part, quantity=Decimal(quantity), reason="receipt",
        at=NOON - timedelta(days=days_ago), by=None,
    )  # fmt: skip


def test_without_history_the_forecast_says_so(used, bearing):
    receive(bearing, 5, 300)

    assert used(10, 20).unplanned is None
    assert used(30).unplanned is not None


def test_a_young_history_is_none(used):
    assert used(1, 2, 3, 4).unplanned is None


def test_unplanned_use_is_a_poisson_quantile_over_the_lead_time(used, bearing):
    """Ten uses in 100 days, 14 days of lead time: 1.4 expected, at most 4 in 19 of 20 cases."""
    receive(bearing, 5, 100)
    found = used(5, 15, 25, 35, 45, 55, 65, 75, 85, 95)

    assert (found.unplanned, found.lead_days) == (4, 14)
    assert found.to_order == 9  # the shelf is 5 short, and 4 may be needed


def test_planned_use_is_that_of_plans_within_the_lead_time(used, bearing, machine):
    fields = {
        "name": "Bearing", "trigger": "calendar", "every_days": 365, "machine_id": machine.pk,
        "parts": {bearing.pk: Decimal(2)}, "lead_days": 3,
    }  # fmt: skip
    for on in (date(2026, 12, 1), date(2026, 12, 2)):  # the 15th day is beyond the lead time
        services.save_plan(fields=PlanFields(**fields, first_due_on=on), by=None)
    assert used().planned == 2

    services.make_due_orders(at=NOON + timedelta(days=12))
    (stock,) = selectors.stocks([bearing])
    assert stock.reserved == 4  # what was planned is set aside, and not counted twice
    assert selectors.forecasts([stock], at=NOON + timedelta(days=12))[bearing.pk].planned == 4


def test_a_count_corrects_the_stock(bearing):
    receive(bearing, 5, 1)
    services.count_stock(part=bearing, counted=Decimal(3), at=NOON, by=None)

    assert selectors.stocks([bearing])[0].stock == 3
    assert services.count_stock(part=bearing, counted=Decimal(3), at=NOON, by=None) is None


def test_a_part_number_belongs_to_one_part(bearing):
    with pytest.raises(services.PartNumberTaken):
        services.save_part(fields=PartFields(part_no="7014", name="Other"))
    services.save_part(fields=PartFields(part_no="7014", name="Renamed"), part=bearing)
    assert bearing.name == "Renamed"
