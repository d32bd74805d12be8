"""The last readings of a device as they came, among what was refused of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import numpy as np

from telemetry.models import Latest
from telemetry.selectors.devices import signals_of
from telemetry.selectors.dictionary import Value, decoded
from telemetry.selectors.history import RawResult, raw
from telemetry.selectors.refusals import refused_readings
from telemetry.times import from_us

MAX_ITEMS = 200
# A stream shows the beginning of what a device sends; a device may have hundreds of signals.
MAX_KEYS = 40
MINUTE = timedelta(minutes=1)
# How far back to look, in turn, until there are enough; further back is no live stream.
_LOOK_BACK = tuple(
    timedelta(seconds=s) for s in (10, 120, 1_800, 6 * 3_600, 3 * 86_400, 30 * 86_400)
)


@dataclass(frozen=True, slots=True)
class StreamItem:
    """A reading under its own time, or a refusal under the time of its arrival."""

    at: datetime
    values: dict[str, Value]
    code: str = ""
    message: str = ""
    item: str = ""  # what was sent, where it was refused

    @property
    def is_refused(self) -> bool:
        return bool(self.code)


def stream(*, device_id: int, n: int = 50) -> list[StreamItem]:
    """Return the last `n` readings and refusals, newest first."""
    items = _readings(device_id, n)
    items += [
        StreamItem(row.at, {}, row.code, row.message, row.item)
        for row in refused_readings(device_id, n=n)
    ]
    items.sort(key=lambda item: item.at, reverse=True)
    return items[:n]


def readings_last_minute(*, device_id: int, at: datetime) -> int:
    """Count the readings stored for the last minute."""
    keys = _keys(device_id)
    if not keys:
        return 0
    return len(raw(device_id=device_id, keys=keys, start=at - MINUTE, end=at).times)


def _keys(device_id: int) -> list[str]:
    keys = dict.fromkeys(signal.key.key for signal in signals_of([device_id]))
    return list(islice(keys, MAX_KEYS))


def _readings(device_id: int, n: int) -> list[StreamItem]:
    newest = Latest.objects.filter(device_id=device_id).values_list("ts", flat=True).first()
    keys = _keys(device_id)
    if newest is None or not keys:
        return []
    end = newest + timedelta(milliseconds=1)
    for span in _LOOK_BACK:
        found = raw(device_id=device_id, keys=keys, start=end - span, end=end)
        if len(found.times) >= n:
            break
    return _items(_last(found, n))


def _last(found: RawResult, n: int) -> RawResult:
    columns = {key: column[-n:] for key, column in found.columns.items()}
    return RawResult(times=found.times[-n:], columns=columns, kinds=found.kinds)


def _items(found: RawResult) -> list[StreamItem]:
    rows: list[dict[str, Value]] = [{} for _ in found.times]
    for key, column in found.columns.items():
        kind = found.kinds[key]
        texts = found.texts(key) if kind == "s" else []
        for i in np.flatnonzero(~np.isnan(column)):
            value = texts[i] if kind == "s" else decoded(kind, float(column[i]), {})
            if value is not None:
                rows[i][key] = value
    return [
        StreamItem(from_us(int(at) * 1000), row) for at, row in zip(found.times, rows, strict=True)
    ]
