"""What telemetry stores is what billing counts: through the real tables, once."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from billing import facts, services
from billing.counting import MachineHour
from billing.models import LedgerEntry
from production import services as production_services
from telemetry import services as telemetry_services
from tenants.context import factory_context

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
