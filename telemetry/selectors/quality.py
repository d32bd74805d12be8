"""The quality of a device's signals over the last hours, from its stored readings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

import numpy as np

from telemetry import quality
from telemetry.models import Signal
from telemetry.quality import Earlier, Nature, Quality, Window, worst_first
from telemetry.selectors.devices import signals_of
from telemetry.selectors.history import raw, series
from telemetry.selectors.usage import usage_by_hour

DAY = timedelta(days=1)
EARLIER_DAYS = 7
BUCKET = timedelta(minutes=5)
MAX_HOURS = 24
MAX_SIGNALS = 60
# A window of a fast device is shortened to what can be judged within a second or two.
MAX_READINGS = 400_000
KEYS_AT_ONCE = 20
_COUNTS_UP = frozenset({Signal.Role.COUNT, Signal.Role.ENERGY, Signal.Role.LIFE})


@dataclass(frozen=True, slots=True)
class SignalQuality:
    """A signal and how far its readings can be trusted."""

    signal: Signal
    quality: Quality


@dataclass(frozen=True, slots=True)
class DeviceQuality:
    """The signals of a device over [start, end), whoever needs a look first."""

    start: datetime
    end: datetime
    signals: tuple[SignalQuality, ...]
    n_left_out: int


def device_quality(
    *, device_id: int, at: datetime, hours: int = MAX_HOURS, zone: tzinfo
) -> DeviceQuality:
    """Judge the signals of a device over the last hours, in words with the clock of `zone`."""
    signals = list(signals_of([device_id]))
    hours = _affordable_hours(device_id, at, hours)
    start = at - timedelta(hours=hours)
    judged: list[SignalQuality] = []
    for i in range(0, min(len(signals), MAX_SIGNALS), KEYS_AT_ONCE):
        some = signals[i : min(i + KEYS_AT_ONCE, MAX_SIGNALS)]
        judged += _judge(device_id, some, start, at, zone)
    order = worst_first([one.quality for one in judged])
    left_out = max(0, len(signals) - MAX_SIGNALS)
    return DeviceQuality(start, at, tuple(judged[i] for i in order), left_out)


def _affordable_hours(device_id: int, at: datetime, hours: int) -> int:
    """Return how many of the last hours hold at most MAX_READINGS, by the hourly counts."""
    used = usage_by_hour(
        start=at - timedelta(hours=hours),
        end=at + timedelta(microseconds=1),
        device_ids=[device_id],
    )
    total = 0
    for hour, n in ((row.hour, row.n_readings) for row in reversed(used)):
        total += n
        if total > MAX_READINGS:
            return max(1, int((at - hour) / timedelta(hours=1)))
    return hours


def _judge(
    device_id: int, signals: Sequence[Signal], start: datetime, end: datetime, zone: tzinfo
) -> list[SignalQuality]:
    keys = list(dict.fromkeys(signal.key.key for signal in signals))
    found = raw(device_id=device_id, keys=keys, start=start, end=end)
    earlier = _earlier(device_id, keys, start, end)
    window = Window(_ms(start), _ms(end), zone)
    judged = []
    for signal in signals:
        key = signal.key.key
        column = found.columns[key]
        is_there = ~np.isnan(column)
        before = earlier[key]
        seen = max(window.start_ms, _ms(signal.first_seen_at))
        verdict = quality.judge(
            found.times[is_there],
            column[is_there] * signal.scale,
            nature=_nature(signal),
            # What a signal did not send before it was there at all is no gap.
            window=replace(window, start_ms=min(seen, window.end_ms - 1)),
            earlier=_scaled(before, signal.scale) if before else None,
        )
        judged.append(SignalQuality(signal, verdict))
    return judged


def _nature(signal: Signal) -> Nature:
    return Nature(
        key=signal.key.key,
        kind=signal.key.kind,
        unit=signal.unit,
        counts_up=signal.role in _COUNTS_UP,
        low=signal.range_low,
        high=signal.range_high,
    )


def _earlier(
    device_id: int, keys: Sequence[str], start: datetime, end: datetime
) -> dict[str, Earlier | None]:
    """Return the seven days before a window, key by key."""
    first = start - EARLIER_DAYS * DAY
    n_buckets = (start - first) // BUCKET
    found = series(device_id=device_id, keys=keys, start=first, end=start, n_buckets=n_buckets)
    earlier: dict[str, Earlier | None] = {}
    for key, one in found.keys.items():
        t = np.array(one.t, dtype=np.int64)
        # How long before the window's end (which is outside it), and that modulo a day: what is
        # below the window's length is of the same hours.
        age_ms = _ms(end) - 1 - t
        is_like = age_ms % _span_ms(DAY) < _span_ms(end - start)
        days = age_ms[is_like] // _span_ms(DAY)
        earlier[key] = None
        if len(t):
            low, mean, high = (np.array(part) for part in (one.min, one.avg, one.max))
            n_days = len(np.unique(days))
            earlier[key] = Earlier(t, low, mean, high, found.bucket_ms, is_like, n_days)
    return earlier


def _scaled(earlier: Earlier, scale: float) -> Earlier:
    return replace(
        earlier, low=earlier.low * scale, mean=earlier.mean * scale, high=earlier.high * scale
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _span_ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
