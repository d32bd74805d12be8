"""What can be asked about devices and their readings.

The only way to the reading tables: what is hot today and sealed tomorrow is united here.
"""

from telemetry.selectors.attributes import attributes_of
from telemetry.selectors.devices import device, devices, devices_of, hours_heard, signal, signals_of
from telemetry.selectors.dictionary import Value
from telemetry.selectors.exports import export, exports, open_exports
from telemetry.selectors.fleet import (
    CLOCK_OFF,
    FILTERS,
    DeviceState,
    FleetQuery,
    Health,
    fleet,
    fleet_device,
    groups,
    health,
    n_by_state,
    readings_per_min,
    tags,
)
from telemetry.selectors.history import (
    MAX_BUCKETS,
    KeySeries,
    RawResult,
    SeriesResult,
    raw,
    revisions,
    series,
)
from telemetry.selectors.latest import LatestReading, heard_since, last_received, latest_values
from telemetry.selectors.lines import DRAWN_KINDS, Line, lines, signals
from telemetry.selectors.quality import DeviceQuality, SignalQuality, device_quality
from telemetry.selectors.refusals import refusal_counts, refused_readings, refused_requests_of
from telemetry.selectors.stream import StreamItem, readings_last_minute, stream
from telemetry.selectors.usage import (
    HourOfUse,
    archive_changed_since,
    archived_bytes_by_hour,
    first_hour_of,
    hours_of,
    usage_by_hour,
    usage_changed_since,
)

__all__ = [
    "CLOCK_OFF",
    "DRAWN_KINDS",
    "FILTERS",
    "MAX_BUCKETS",
    "DeviceQuality",
    "DeviceState",
    "FleetQuery",
    "Health",
    "HourOfUse",
    "KeySeries",
    "LatestReading",
    "Line",
    "RawResult",
    "SeriesResult",
    "SignalQuality",
    "StreamItem",
    "Value",
    "archive_changed_since",
    "archived_bytes_by_hour",
    "attributes_of",
    "device",
    "device_quality",
    "devices",
    "devices_of",
    "export",
    "exports",
    "first_hour_of",
    "fleet",
    "fleet_device",
    "groups",
    "health",
    "heard_since",
    "hours_heard",
    "hours_of",
    "last_received",
    "latest_values",
    "lines",
    "n_by_state",
    "open_exports",
    "raw",
    "readings_last_minute",
    "readings_per_min",
    "refusal_counts",
    "refused_readings",
    "refused_requests_of",
    "revisions",
    "series",
    "signal",
    "signals",
    "signals_of",
    "stream",
    "tags",
    "usage_by_hour",
    "usage_changed_since",
]
