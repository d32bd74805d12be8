"""Devices and what they report."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from telemetry.models import Device, Signal


def devices(*, include_retired: bool = False) -> QuerySet[Device]:
    """Return the devices by name, with their machine at hand."""
    rows = Device.objects.select_related("machine")
    if not include_retired:
        rows = rows.filter(retired_at=None)
    return rows.order_by("name", "pk")


def device(device_id: int) -> Device:
    """Return one device, retired or not.

    Raises:
        Device.DoesNotExist: not in this factory.
    """
    return devices(include_retired=True).get(pk=device_id)


def devices_of(machine_ids: Iterable[UUID]) -> QuerySet[Device]:
    """Return the devices of some machines, retired ones too: their history still counts."""
    return devices(include_retired=True).filter(machine_id__in=list(machine_ids))


def signals_of(device_ids: Iterable[int]) -> QuerySet[Signal]:
    """Return what some devices report, with key and kind at hand."""
    rows = Signal.objects.select_related("key", "device").filter(device_id__in=list(device_ids))
    return rows.order_by("device_id", "pk")


def signal(*, device_id: int, signal_id: int) -> Signal:
    """Return one signal of a device.

    Raises:
        Signal.DoesNotExist: not of this device, or not in this factory.
    """
    return Signal.objects.select_related("key").get(pk=signal_id, device_id=device_id)
