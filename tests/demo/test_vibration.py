"""The bursts of a demonstration: a bearing that begins to pit, told by the product itself."""

from django.utils import timezone

from config.demo import vibration
from mlops import selectors
from production import services as production_services


def test_a_bearing_goes_from_sound_to_damaged_and_is_told_once(in_acme):
    kind = production_services.machine_type(name="Mill")
    mill = production_services.add_machine(name=vibration.MACHINE, machine_type=kind)
    ids = {mill.name: mill.pk}
    at = timezone.now()

    n_first = vibration.found_bursts(machine_ids=ids, at=at)
    n_again = vibration.found_bursts(machine_ids=ids, at=at)

    rows = list(selectors.bursts_of(mill.pk))
    assert (n_first, n_again) == (3, 0)
    assert [row.diagnosis["damaged"] for row in rows] == ["outer race", "outer race", None]
    speeds = [row.figures["velocity_mm_s"] for row in rows]
    assert speeds == sorted(speeds, reverse=True)


def test_a_factory_without_that_machine_gets_none(in_acme):
    assert vibration.found_bursts(machine_ids={}, at=timezone.now()) == 0
