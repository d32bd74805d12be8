"""Devices, their readings and what watches them."""

from telemetry.models.devices import Device, Keyset, Signal, SignalKey, Word
from telemetry.models.exports import Export
from telemetry.models.readings import Latest, ReadingHot, ReadingHour, ReadingRevision
from telemetry.models.refusals import RefusalCount, RefusedReading

__all__ = [
    "Device",
    "Export",
    "Keyset",
    "Latest",
    "ReadingHot",
    "ReadingHour",
    "ReadingRevision",
    "RefusalCount",
    "RefusedReading",
    "Signal",
    "SignalKey",
    "Word",
]
