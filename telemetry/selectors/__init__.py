"""What can be asked about devices and their readings.

The only way to the reading tables: what is hot today and sealed tomorrow is united here.
"""

from telemetry.selectors.attributes import attributes_of
from telemetry.selectors.devices import device, devices, devices_of, signal, signals_of
from telemetry.selectors.dictionary import Value
from telemetry.selectors.history import (
    MAX_BUCKETS,
    KeySeries,
    RawResult,
    SeriesResult,
    raw,
    revisions,
    series,
)
from telemetry.selectors.latest import LatestReading, latest_values
from telemetry.selectors.refusals import refused_requests_of
from telemetry.selectors.usage import HourOfUse, usage_by_hour, usage_changed_since

__all__ = [
    "MAX_BUCKETS",
    "HourOfUse",
    "KeySeries",
    "LatestReading",
    "RawResult",
    "SeriesResult",
    "Value",
    "attributes_of",
    "device",
    "devices",
    "devices_of",
    "latest_values",
    "raw",
    "refused_requests_of",
    "revisions",
    "series",
    "signal",
    "signals_of",
    "usage_by_hour",
    "usage_changed_since",
]
