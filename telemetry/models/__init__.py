"""Devices, their readings and what watches them."""

from telemetry.models.alarms import (
    Alarm,
    AlarmCheckpoint,
    AlarmEvent,
    AlarmFlood,
    AlarmPoint,
    AlarmRule,
    AlarmWatch,
    Severity,
)
from telemetry.models.attributes import DeviceAttribute
from telemetry.models.devices import Device, Keyset, Signal, SignalKey, Word
from telemetry.models.exports import Export
from telemetry.models.history import (
    ArchiveChange,
    ArchiveFile,
    ForgottenHour,
    Rollup,
    Segment,
    UsageDelta,
)
from telemetry.models.readings import Latest, ReadingHot, ReadingHour, ReadingRevision
from telemetry.models.refusals import RefusalCount, RefusedReading, RefusedRequest

__all__ = [
    "Alarm",
    "AlarmCheckpoint",
    "AlarmEvent",
    "AlarmFlood",
    "AlarmPoint",
    "AlarmRule",
    "AlarmWatch",
    "ArchiveChange",
    "ArchiveFile",
    "Device",
    "DeviceAttribute",
    "Export",
    "ForgottenHour",
    "Keyset",
    "Latest",
    "ReadingHot",
    "ReadingHour",
    "ReadingRevision",
    "RefusalCount",
    "RefusedReading",
    "RefusedRequest",
    "Rollup",
    "Segment",
    "Severity",
    "Signal",
    "SignalKey",
    "UsageDelta",
    "Word",
]
