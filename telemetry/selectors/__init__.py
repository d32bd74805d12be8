"""What can be asked about devices and their readings.

The only way to the reading tables: what is hot today and sealed tomorrow is united here.
"""

from telemetry.selectors.devices import device, devices, devices_of, signal, signals_of
from telemetry.selectors.dictionary import Value
from telemetry.selectors.exports import export, exports, open_exports
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
from telemetry.selectors.lines import DRAWN_KINDS, Line, lines, signals
from telemetry.selectors.usage import (
    HourOfUse,
    first_hour_of,
    hours_of,
    usage_by_hour,
    usage_changed_since,
)

__all__ = [
    "DRAWN_KINDS",
    "MAX_BUCKETS",
    "HourOfUse",
    "KeySeries",
    "LatestReading",
    "Line",
    "RawResult",
    "SeriesResult",
    "Value",
    "device",
    "devices",
    "devices_of",
    "export",
    "exports",
    "first_hour_of",
    "hours_of",
    "latest_values",
    "lines",
    "open_exports",
    "raw",
    "revisions",
    "series",
    "signal",
    "signals",
    "signals_of",
    "usage_by_hour",
    "usage_changed_since",
]
