"""Devices and what they report."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max, Min, QuerySet

from telemetry.models import Device, ReadingHot, Segment, Signal


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


def hours_heard(machine_ids: Iterable[UUID]) -> float:
    """Return the hours between the first and the last reading of the machine heard longest."""
    spans: dict[int, list[datetime]] = {}
    ids = list(devices_of(list(machine_ids)).values_list("pk", flat=True))
    sealed = Segment.objects.filter(device_id__in=ids).values("device_id")
    hot = ReadingHot.objects.filter(device_id__in=ids).values("device_id")
    for rows, first, last in ((sealed, "t0", "t1"), (hot, "ts", "ts")):
        for row in rows.annotate(first=Min(first), last=Max(last)):
            spans.setdefault(row["device_id"], []).extend((row["first"], row["last"]))
    longest = max((max(ends) - min(ends) for ends in spans.values()), default=timedelta(0))
    return longest / timedelta(hours=1)


def signal(*, device_id: int, signal_id: int) -> Signal:
    """Return one signal of a device.

    Raises:
        Signal.DoesNotExist: not of this device, or not in this factory.
    """
    return Signal.objects.select_related("key").get(pk=signal_id, device_id=device_id)
