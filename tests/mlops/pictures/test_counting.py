"""How many pictures came in an hour: what billing pulls, and can pull again."""

from datetime import UTC, datetime, timedelta

import pytest

from mlops import selectors, services
from mlops.models import InspectionImage
from production import services as production_services
from production.models import Inspection
from tests.mlops.pictures import shots

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def add(seed, at):
    return services.add_picture(
        plan_id=shots.plan().pk, content=shots.shot(seed), source="api", at=at
    )[0]


@pytest.fixture
def three(in_acme, shelf):
    """Two in the hour from noon, one in the hour after."""
    return [add(1, NOON), add(2, NOON + 0.99 * HOUR), add(3, NOON + HOUR)]


def counted(start=NOON, end=NOON + 24 * HOUR):
    return selectors.images_by_hour(start=start, end=end)


def test_each_counts_once_in_the_hour_in_which_it_came(three):
    add(1, NOON + 5 * HOUR)  # sent again

    assert counted() == [(NOON, None, 2), (NOON + HOUR, None, 1)]
    assert counted(NOON + HOUR, NOON + 2 * HOUR) == [(NOON + HOUR, None, 1)]


def test_what_retention_removes_stays_counted(three, shelf):
    InspectionImage.objects.update(object_key="", thumbnail_key="")

    assert counted() == [(NOON, None, 2), (NOON + HOUR, None, 1)]


def test_the_machine_of_the_inspection_is_named(three):
    kind = production_services.machine_type(name="Mill")
    machine = production_services.add_machine(name="Mill 1", machine_type=kind)
    found = production_services.record_inspection(
        plan_id=shots.plan().pk, machine_id=machine.pk, piece="1", at=NOON, verdict="pass",
        lot_id=production_services.make_lot(
            product=shots.plan().product, code="L-1", made_at=NOON, at=NOON
        ).pk,
    )  # fmt: skip
    assert isinstance(found, Inspection)
    InspectionImage.objects.filter(pk=three[0].pk).update(inspection=found)

    assert (NOON, machine.pk, 1) in counted()
    assert (NOON, None, 1) in counted()


def test_the_hours_that_changed_are_told(three):
    assert selectors.images_changed_since(NOON + 0.5 * HOUR) == {NOON, NOON + HOUR}
    assert selectors.images_changed_since(NOON + 2 * HOUR) == set()
