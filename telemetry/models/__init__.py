"""Devices, their readings and what watches them."""

from telemetry.models.attributes import DeviceAttribute
from telemetry.models.devices import Device, Keyset, Signal, SignalKey, Word
from telemetry.models.readings import Latest, ReadingHot, ReadingHour, ReadingRevision
from telemetry.models.refusals import RefusalCount, RefusedReading, RefusedRequest

__all__ = [
    "Device",
    "DeviceAttribute",
    "Keyset",
    "Latest",
    "ReadingHot",
    "ReadingHour",
    "ReadingRevision",
    "RefusalCount",
    "RefusedReading",
    "RefusedRequest",
    "Signal",
    "SignalKey",
    "Word",
]
