"""Objects that the pages of acme show, made by the services that people use."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from production import services as production_services
from production.models import Machine
from telemetry import services as telemetry_services
from telemetry.models import Device, Keyset, Latest, ReadingHot, ReadingHour, Signal, SignalKey

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def mill(in_acme: Any) -> Machine:
    kind = production_services.machine_type(name="Mill", component="Spindle bearing")
    return production_services.add_machine(name="Mill 1", machine_type=kind)


@pytest.fixture
def device(mill: Machine) -> Device:
    found, _token = telemetry_services.create_device(name="Mill 1", machine_id=mill.pk)
    return found


@pytest.fixture
def heard(device: Device) -> Callable[..., Device]:
    """Return `heard(values, at)`: readings of the device, stored as ingest stores them."""

    def store(values: dict[str, float], *, at: datetime | None = None) -> Device:
        at = at or timezone.now() - timedelta(seconds=5)
        keys = [SignalKey.objects.get_or_create(key=key, kind="n")[0] for key in values]
        keys.sort(key=lambda key: key.pk)
        for key in keys:
            Signal.objects.get_or_create(
                device=device, key=key, defaults={"label": key.key, "first_seen_at": at}
            )
        keyset, _ = Keyset.objects.get_or_create(key_ids=[key.pk for key in keys])
        vals = [values[key.key] for key in keys]
        ReadingHot.objects.create(device_id=device.pk, ts=at, keyset_id=keyset.pk, vals=vals)
        hour = at.replace(minute=0, second=0, microsecond=0)
        ReadingHour.objects.get_or_create(
            device_id=device.pk,
            hour=hour,
            defaults={"n_readings": 1, "n_values": len(vals), "changed_at": at},
        )
        Latest.objects.update_or_create(
            device_id=device.pk,
            defaults={
                "ts": at, "keyset_id": keyset.pk, "vals": vals, "received_at": at,
                "n_received": 3, "n_stored": 1, "n_duplicates": 1, "n_rejected": 1,
            },
        )  # fmt: skip
        return device

    return store
