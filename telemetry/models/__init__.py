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
from telemetry.models.devices import Device, Keyset, Signal, SignalKey, Word
from telemetry.models.readings import Latest, ReadingHot, ReadingHour, ReadingRevision
from telemetry.models.refusals import RefusalCount, RefusedReading

__all__ = [
    "Alarm",
    "AlarmCheckpoint",
    "AlarmEvent",
    "AlarmFlood",
    "AlarmPoint",
    "AlarmRule",
    "AlarmWatch",
    "Device",
    "Keyset",
    "Latest",
    "ReadingHot",
    "ReadingHour",
    "ReadingRevision",
    "RefusalCount",
    "RefusedReading",
    "Severity",
    "Signal",
    "SignalKey",
    "Word",
]
