"""Signals of any devices together: found by words, and drawn as lines over one range of time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db.models import Q, QuerySet

from telemetry.models import Signal, SignalKey
from telemetry.selectors.history import RawResult, raw, series

# Texts have no line; they are drawn as states elsewhere and can be exported.
DRAWN_KINDS = (SignalKey.Kind.NUMBER, SignalKey.Kind.BOOLEAN)
# Up to so many readings a bucket asked for, the readings themselves are worth sending.
RAW_PER_BUCKET = 2


@dataclass(frozen=True, slots=True)
class Line:
    """One signal over a range, scaled as people see it.

    `t` in ms since 1970, ascending. Where `is_raw`, each point is a reading (min = avg = max,
    n = 1); otherwise a bucket, named by its start. Where nothing came there is no point.
    """

    is_raw: bool
    t: list[int]
    min: list[float]
    avg: list[float]
    max: list[float]
    n: list[int]


def signals(*, ids: Iterable[int] | None = None, words: str = "") -> QuerySet[Signal]:
    """Return signals with key, device and machine at hand, in the order of the floor.

    Each of the words must stand in the name of the machine, the device or the signal, or in its
    key, unit or role.
    """
    rows = Signal.objects.select_related("key", "device__machine")
    if ids is not None:
        rows = rows.filter(pk__in=list(ids))
    for word in words.split()[:8]:
        roles = [value for value, label in Signal.Role.choices if value and _is_in(word, label)]
        rows = rows.filter(
            Q(label__icontains=word)
            | Q(key__key__icontains=word)
            | Q(unit__icontains=word)
            | Q(device__name__icontains=word)
            | Q(device__machine__name__icontains=word)
            | Q(role__in=roles)
        )
    return rows.order_by("device__machine__position", "device__name", "pk")


def _is_in(word: str, label: str) -> bool:
    return word.casefold() in label.casefold()


def lines(
    *, signals: Sequence[Signal], start: datetime, end: datetime, n_buckets: int
) -> dict[int, Line]:
    """Return the lines of some signals by their id; those without a reading are absent.

    In buckets of min, average and max, or reading by reading where there are few. Asks twice a
    device at most.

    Raises:
        ValueError: `n_buckets` is out of bounds, or the range is empty.
    """
    found: dict[int, Line] = {}
    for device_id in dict.fromkeys(signal.device_id for signal in signals):
        own = [signal for signal in signals if signal.device_id == device_id]
        keys = list(dict.fromkeys(signal.key.key for signal in own))
        result = series(device_id=device_id, keys=keys, start=start, end=end, n_buckets=n_buckets)
        counts = {key: sum(one.n) for key, one in result.keys.items()}
        few = [key for key in keys if 0 < counts[key] <= RAW_PER_BUCKET * n_buckets]
        readings = raw(device_id=device_id, keys=few, start=start, end=end) if few else None
        for signal in own:
            key = signal.key.key
            if not counts[key]:
                continue
            if readings is not None and key in few:
                found[signal.pk] = _readings(readings, key, signal.scale)
            else:
                one = result.keys[key]
                low, high = _scaled(one.min, signal.scale), _scaled(one.max, signal.scale)
                if signal.scale < 0:
                    low, high = high, low
                found[signal.pk] = Line(
                    False, one.t, low, _scaled(one.avg, signal.scale), high, one.n
                )
    return found


def _readings(readings: RawResult, key: str, scale: float) -> Line:
    column = readings.columns[key]
    is_there = ~np.isnan(column)
    values = (column[is_there] * scale).tolist()
    times = readings.times[is_there].tolist()
    return Line(True, times, values, values, values, [1] * len(values))


def _scaled(values: Sequence[float], scale: float) -> list[float]:
    return list(values) if scale == 1.0 else [value * scale for value in values]
