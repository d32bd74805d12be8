"""Devices, their readings and what watches them."""

from telemetry.models.devices import Device, Keyset, Signal, SignalKey, Word
from telemetry.models.history import ArchiveFile, Rollup, Segment, UsageDelta
from telemetry.models.readings import Latest, ReadingHot, ReadingHour, ReadingRevision
from telemetry.models.refusals import RefusalCount, RefusedReading

__all__ = [
    "ArchiveFile",
    "Device",
    "Keyset",
    "Latest",
    "ReadingHot",
    "ReadingHour",
    "ReadingRevision",
    "RefusalCount",
    "RefusedReading",
    "Rollup",
    "Segment",
    "Signal",
    "SignalKey",
    "UsageDelta",
    "Word",
]
