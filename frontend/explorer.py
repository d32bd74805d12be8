"""The explorer: which signals, over which time, in which panels. Everything is in the address."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.http import urlencode
from django.utils.timezone import is_naive, make_aware

from frontend.formats import figure, length, moment
from telemetry import selectors as telemetry_selectors
from telemetry.models import Signal, SignalKey
from telemetry.selectors import Line

MAX_SIGNALS = 16
MAX_LINES = 4  # of one unit in one panel; more become small multiples with one scale
MIN_SPAN = timedelta(seconds=2)
MAX_SPAN = timedelta(days=366 * 20)
MAX_BUCKETS = 2000
N_TABLE_ROWS = 96
SILENCE_S = 300.0
YES_NO = "yes or no"
RANGES: Mapping[str, tuple[str, timedelta | None]] = {
    "1h": ("1 h", timedelta(hours=1)),
    "8h": ("8 h", timedelta(hours=8)),
    "24h": ("24 h", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "1y": ("1 year", timedelta(days=365)),
    "all": ("All", None),
}
DEFAULT_RANGE = "8h"
# These follow the present while they are open.
FOLLOWED: Mapping[str, timedelta] = {
    code: span for code, (_label, span) in RANGES.items() if span and span <= timedelta(days=1)
}


class NotUnderstood(Exception):
    """A range in the address cannot be read; the text names it and says what to do."""


@dataclass(frozen=True)
class Frame:
    """The time that is shown; a range with a code is relative to now."""

    start: datetime
    end: datetime
    code: str = ""

    @property
    def is_live(self) -> bool:
        return self.code in FOLLOWED

    @property
    def query(self) -> list[tuple[str, str]]:
        if self.code:
            return [("range", self.code)]
        return [("from", _iso(self.start)), ("to", _iso(self.end))]


@dataclass(frozen=True)
class Panel:
    """Lines of one unit on one scale. Small multiples of a unit share the name of their scale."""

    unit: str
    scale: str
    signals: tuple[Signal, ...]


def wanted_ids(texts: Iterable[str]) -> list[int]:
    """Return the ids that an address asks for, each once, at most MAX_SIGNALS."""
    ids = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 10]
    return list(dict.fromkeys(ids))[:MAX_SIGNALS]


def chosen(ids: Sequence[int]) -> list[Signal]:
    """Return the signals that can be drawn, in the order asked for."""
    rows = telemetry_selectors.signals(ids=ids).in_bulk() if ids else {}
    found = [rows[pk] for pk in ids if pk in rows]
    return [signal for signal in found if signal.key.kind in telemetry_selectors.DRAWN_KINDS]


def frame(query: QueryDict, *, now: datetime, signals: Sequence[Signal]) -> Frame:
    """Read the range of an address: `range=8h`, or `from` and `to` as RFC 3339.

    Raises:
        NotUnderstood: it is none of these, or not a range that can be drawn.
    """
    if "from" in query or "to" in query:
        start, end = _at(query.get("from", ""), "from"), _at(query.get("to", ""), "to")
        if not MIN_SPAN <= end - start <= MAX_SPAN:
            raise NotUnderstood(
                f"The range from {_iso(start)} to {_iso(end)} cannot be drawn:"
                " it must be between 2 s and 20 years long. Choose another."
            )
        return Frame(start, end)
    code = query.get("range", DEFAULT_RANGE)
    if code not in RANGES:
        raise NotUnderstood(
            f"There is no range “{code[:20]}”. Choose one of {', '.join(RANGES)}, or from and to."
        )
    span = RANGES[code][1]
    if span is None:
        firsts = [signal.first_seen_at for signal in signals]
        start = min([*firsts, now - timedelta(days=1)]) - timedelta(minutes=1)
        return Frame(_first_reading(signals, start), now, code)
    return Frame(now - span, now, code)


def _first_reading(signals: Sequence[Signal], start: datetime) -> datetime:
    """Look before the day a signal was first seen: history may have been sent later."""
    devices = {signal.device_id for signal in signals}
    hours = [telemetry_selectors.first_hour_of(device_id=device_id) for device_id in devices]
    return min([start, *(hour for hour in hours if hour is not None)])


def _at(text: str, name: str) -> datetime:
    try:
        at = parse_datetime(text.replace(" ", "+"))  # a plus sign that an address ate
    except ValueError:
        at = None
    if at is None or not 1970 <= at.year <= 2200:
        raise NotUnderstood(
            f"“{name}” is “{text[:40]}”, which is no time. Write it like 2026-11-17T10:42:00Z."
        )
    return make_aware(at) if is_naive(at) else at


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def panels(signals: Sequence[Signal]) -> list[Panel]:
    """Sort signals into panels: one a unit, never two units in one, at most four lines each."""
    by_unit: dict[str, list[Signal]] = {}
    for signal in signals:
        is_number = signal.key.kind == SignalKey.Kind.NUMBER
        by_unit.setdefault(signal.unit if is_number else YES_NO, []).append(signal)
    found = []
    for unit, own in by_unit.items():
        if len(own) <= MAX_LINES:
            found.append(Panel(unit, unit, tuple(own)))
        else:
            found += [Panel(unit, unit, (signal,)) for signal in own]
    return found


def name_of(signal: Signal) -> str:
    """Say which signal of which machine, and of which of its devices where the names differ."""
    machine, device = signal.device.machine, signal.device.name
    places = [device] if machine is None or machine.name == device else [machine.name, device]
    return ", ".join([signal.label, *places])


def plan_json(found: Sequence[Panel], shown: Frame) -> dict[str, object]:
    """Return what the page's code needs before it asks for readings."""
    return {
        "start": shown.start.timestamp(),
        "end": shown.end.timestamp(),
        "range": shown.code,
        "ranges": {code: span.total_seconds() for code, span in FOLLOWED.items()},
        "panels": [
            {
                "unit": panel.unit,
                "scale": panel.scale,
                "signals": [
                    {
                        "id": signal.pk,
                        "device": signal.device_id,
                        "key": signal.key.key,
                        "label": name_of(signal),
                        "scale": signal.scale,
                    }
                    for signal in panel.signals
                ],
            }
            for panel in found
        ],
    }


def series_json(signals: Sequence[Signal], shown: Frame, *, n_buckets: int) -> dict[str, object]:
    """Return lines in seconds since 1970, with the gaps at which each must break."""
    n_buckets = max(10, min(n_buckets, MAX_BUCKETS))
    found = telemetry_selectors.lines(
        signals=signals, start=shown.start, end=shown.end, n_buckets=n_buckets
    )
    bucket_s = (shown.end - shown.start).total_seconds() / n_buckets
    return {
        "start": shown.start.timestamp(),
        "end": shown.end.timestamp(),
        "bucket_s": bucket_s,
        "lines": {
            signal.pk: _line_json(found.get(signal.pk), shown, bucket_s) for signal in signals
        },
        "summary": summary(signals, found, shown),
    }


def _line_json(line: Line | None, shown: Frame, bucket_s: float) -> dict[str, object]:
    if line is None:
        ends = (shown.start.timestamp(), shown.end.timestamp())
        return {"raw": False, "t": [], "avg": [], "min": [], "max": [], "gaps": [ends]}
    # A reading stands for its time, a bucket for its whole width.
    width = 0.0 if line.is_raw else bucket_s
    middle = width / 2
    times = [at / 1000 for at in line.t]
    avg = _plain(line.avg)
    return {
        "raw": line.is_raw,
        "t": [at + middle for at in times],
        "avg": avg,
        "min": [] if line.is_raw else _plain(line.min),
        "max": [] if line.is_raw else _plain(line.max),
        "gaps": gaps(times, shown, width_s=width),
    }


def _plain(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def gaps(times: Sequence[float], shown: Frame, *, width_s: float) -> list[tuple[float, float]]:
    """Return the spans without a reading: longer than the usual pause of this signal by far."""
    steps = [right - left for left, right in pairwise(times)]
    limit = max(SILENCE_S, 2.5 * width_s, 4 * median(steps) if steps else 0.0)
    points = [shown.start.timestamp() - width_s, *times, shown.end.timestamp()]
    return [
        (left + width_s, right)
        for left, right in pairwise(points)
        if right - left - width_s > limit
    ]


def summary(signals: Sequence[Signal], found: Mapping[int, Line], shown: Frame) -> str:
    """Say in words what the panels show, for those who do not see them."""
    parts = []
    for signal in signals:
        line = found.get(signal.pk)
        if line is None:
            parts.append(f"{name_of(signal)}: no readings")
            continue
        unit = f" {signal.unit}" if signal.unit else ""
        mean = sum(a * n for a, n in zip(line.avg, line.n, strict=True)) / sum(line.n)
        parts.append(
            f"{name_of(signal)}: {figure(_short(min(line.min)))} to"
            f" {figure(_short(max(line.max)))}{unit}, on average {figure(_short(mean))}{unit}"
        )
    return f"From {moment(shown.start)} to {moment(shown.end)}. {'; '.join(parts)}."


def _short(value: float) -> float:
    return float(f"{value:.4g}")


@dataclass(frozen=True)
class TableRow:
    at: datetime
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    words: str


def table(signals: Sequence[Signal], shown: Frame) -> Table:
    """Return averages over equal stretches, newest first; stretches without readings are absent."""
    # Single readings have times of their own: sort them into the stretches too.
    found = telemetry_selectors.lines(
        signals=signals, start=shown.start, end=shown.end, n_buckets=N_TABLE_ROWS
    )
    width_ms = (shown.end - shown.start) / timedelta(milliseconds=1) / N_TABLE_ROWS
    start_ms = shown.start.timestamp() * 1000
    sums: dict[int, dict[int, tuple[float, int]]] = {}
    for pk, line in found.items():
        for at, mean, n in zip(line.t, line.avg, line.n, strict=True):
            row = sums.setdefault(min(int((at - start_ms + 1) // width_ms), N_TABLE_ROWS - 1), {})
            total, count = row.get(pk, (0.0, 0))
            row[pk] = (total + mean * n, count + n)
    rows = []
    for index in sorted(sums, reverse=True):
        cells = tuple(
            figure(_short(sums[index][s.pk][0] / sums[index][s.pk][1]))
            if s.pk in sums[index]
            else figure(None)
            for s in signals
        )
        rows.append(TableRow(shown.start + index * (shown.end - shown.start) / N_TABLE_ROWS, cells))
    stretch = length(width_ms / 1000)
    words = f"Averages of {stretch}, newest first. Times without a row had no reading."
    columns = tuple(f"{name_of(s)}, {s.unit}" if s.unit else name_of(s) for s in signals)
    return Table(columns, tuple(rows), words)


def address(path: str, signals: Iterable[Signal], shown: Frame, **extra: str) -> str:
    """Return the address of a page that shows this."""
    query = [("s", str(signal.pk)) for signal in signals] + shown.query + list(extra.items())
    return f"{path}?{urlencode(query)}" if query else path


def relative(shown: Frame, code: str) -> Frame:
    return replace(shown, code=code)
