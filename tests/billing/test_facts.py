"""What telemetry stores is what billing counts: through the real tables, once."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from billing import facts, services
from billing.counting import MachineHour, SourceHour
from billing.models import LedgerEntry
from mlops.models import InspectionImage
from production import services as production_services
from production.models import Inspection
from telemetry import services as telemetry_services
from telemetry.models import ArchiveChange
from tenants.context import factory_context
from tests.isolation.objects import inspection_id, inspection_plan_id

HOUR = datetime(2026, 11, 10, 8, tzinfo=UTC)


def stored(device_id: int, hour: datetime, n: int, *, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reading_hour (device_id, hour, n_readings, n_values, changed_at)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (device_id, hour) DO UPDATE SET"
            " n_readings = EXCLUDED.n_readings, changed_at = EXCLUDED.changed_at",
            [device_id, hour, n, 3 * n, at],
        )


@pytest.fixture
def mill(in_acme):
    kind = production_services.machine_type(name="Mill")
    return production_services.add_machine(name="Mill 1", machine_type=kind)


@pytest.fixture
def device(mill):
    made, _token = telemetry_services.create_device(name="gateway 1", machine_id=mill.pk)
    return made


def test_readings_are_counted_as_sent_by_machine_and_hour(device, mill):
    stored(device.pk, HOUR, 60, at=HOUR)

    found = facts.usage(start=HOUR, end=HOUR + timedelta(hours=1))

    assert found == [MachineHour(HOUR, f"machine:{mill.pk}", 60)]
    assert facts.changed_hours(since=HOUR) == {HOUR}
    assert facts.changed_hours(since=HOUR + timedelta(seconds=1)) == set()


def test_the_ledger_counts_what_the_tables_hold(device, acme, globex):
    stored(device.pk, HOUR, 60, at=HOUR)
    until = HOUR + timedelta(hours=2)

    services.roll_up(factory=acme, until=until, at=until)
    services.roll_up(factory=globex, until=until, at=until)
    stored(device.pk, HOUR, 65, at=until)
    services.roll_up(factory=acme, until=until, at=until)

    rows = LedgerEntry.objects.filter(meter="readings").values_list("account__name", "quantity")
    assert sorted(rows) == [("Acme Precision", 5), ("Acme Precision", 60)]
    with factory_context(globex):
        assert facts.usage(start=HOUR, end=until) == []


def picture(factory, at: datetime, *, inspection=None) -> None:
    InspectionImage.objects.create(
        plan_id=inspection_plan_id(factory), digest=f"{at}{inspection}", source="api", taken_at=at,
        received_at=at, width=32, height=32, n_bytes=1, object_key="-", inspection_id=inspection,
    )  # fmt: skip


def test_images_are_counted_by_machine_in_the_hour_in_which_they_came(acme, mill):
    inspection = inspection_id(acme)
    Inspection.objects.filter(pk=inspection).update(machine=mill)
    for minute in (0, 59):
        picture(acme, HOUR + timedelta(minutes=minute))
    picture(acme, HOUR + timedelta(minutes=61), inspection=inspection)

    found = facts.images(start=HOUR, end=HOUR + timedelta(hours=2))

    later = HOUR + timedelta(hours=1)
    assert found == [SourceHour(HOUR, "", 2), SourceHour(later, f"machine:{mill.pk}", 1)]
    assert facts.changed_hours(since=later) == {later}


def test_the_archive_is_known_with_its_size_at_the_start_and_after_each_change(in_acme):
    month = HOUR.replace(day=1, hour=0)
    for at, n in [(month - timedelta(days=40), 70), (HOUR, 30), (HOUR + timedelta(days=1), -90)]:
        ArchiveChange.objects.create(device_id=1, at=at + timedelta(minutes=5), n_bytes=n)

    found = facts.archive(start=month, end=HOUR + timedelta(days=2))

    assert found == [(month, 70), (HOUR, 100), (HOUR + timedelta(days=1), 10)]
    assert facts.changed_hours(since=HOUR + timedelta(hours=1)) == {HOUR + timedelta(days=1)}


def test_images_and_the_archive_reach_the_ledger_of_their_factory_alone(in_acme, acme, globex):
    picture(acme, HOUR)
    ArchiveChange.objects.create(device_id=1, at=HOUR, n_bytes=2_000_001)
    until = HOUR + timedelta(hours=2)

    for factory in (acme, globex):
        services.roll_up(factory=factory, until=until, at=until)

    rows = LedgerEntry.objects.values_list("account__factory__schema_name", "meter", "quantity")
    assert sorted(rows) == [("acme", "archive_mb", 3), ("acme", "images", 1)]


def test_what_the_archive_holds_is_counted_anew_in_a_month_without_any_change(in_acme, acme):
    ArchiveChange.objects.create(device_id=1, at=HOUR, n_bytes=2_000_001)
    for until in (HOUR + timedelta(hours=2), HOUR + timedelta(days=30)):
        services.roll_up(factory=acme, until=until, at=until)

    months = LedgerEntry.objects.filter(meter="archive_mb").values_list("hour__month", "quantity")
    assert sorted(months) == [(11, 3), (12, 3)]
