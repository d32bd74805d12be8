from datetime import UTC, datetime

import pytest
from django.db import IntegrityError

from production import selectors, services
from production.services import MachineLimitReached


@pytest.fixture
def mill(in_acme):
    return services.machine_type(name="Mill", component="Spindle bearing")


def test_a_machine_gets_a_place_and_a_tag(mill):
    first = services.add_machine(name="Mill 1", machine_type=mill)
    second = services.add_machine(name="Mill 1", machine_type=mill)

    assert (first.asset_tag, second.asset_tag) == ("mill-1", "mill-1-2")
    assert first.line.area.site == selectors.main_site()


def test_the_plan_s_number_of_machines_is_exact(mill, acme):
    acme.limits.max_machines = 2
    acme.limits.save()
    services.add_machine(name="One", machine_type=mill)
    services.add_machine(name="Two", machine_type=mill)

    with pytest.raises(MachineLimitReached, match="2 machines"):
        services.add_machine(name="Three", machine_type=mill)


def test_a_failure_ends_after_it_began(mill):
    machine = services.add_machine(name="Mill 1", machine_type=mill)

    with pytest.raises(IntegrityError):
        services.record_failure(
            machine_id=machine.pk,
            failed_at=datetime(2026, 11, 2, tzinfo=UTC),
            restored_at=datetime(2026, 11, 1, tzinfo=UTC),
            mode="breakdown",
        )


def test_the_plant_of_another_factory_is_not_seen(mill, globex):
    from tenants.context import factory_context

    services.add_machine(name="Mill 1", machine_type=mill)

    with factory_context(globex):
        assert selectors.machines().count() == 0


def test_the_shift_that_is_on_is_known(in_acme):
    site = selectors.main_site()
    assert site is not None

    shift = selectors.shift_at(site=site, at=datetime(2026, 11, 17, 9, 42, tzinfo=UTC))

    assert shift is not None
    assert (shift.name, shift.start.hour, shift.end.hour) == ("Early", 5, 13)
