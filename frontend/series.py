"""Charts of a machine: which signals, over which time, with which gaps. JSON, table and CSV."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from frontend.formats import figure, length, moment
from telemetry import selectors as telemetry_selectors
from telemetry.models import Signal, SignalKey
from telemetry.selectors import KeySeries

N_BUCKETS = 480
N_TABLE_ROWS = 96
MAX_LINES = 4  # more than that becomes small multiples, which a person chooses
# After so long without a reading a line breaks: the silence limit of a machine.
SILENCE = timedelta(minutes=5)
RANGES: Mapping[str, tuple[str, timedelta | None]] = {
    "1h": ("1 h", timedelta(hours=1)),
    "8h": ("8 h", timedelta(hours=8)),
    "24h": ("24 h", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "all": ("All", None),
}
DEFAULT_RANGE = "8h"


@dataclass(frozen=True)
class Window:
    """The time that a chart shows; `is_live` where its right edge is now and moves."""

    code: str
    start: datetime
    end: datetime

    @property
    def is_live(self) -> bool:
        return self.code in ("1h", "8h", "24h")


@dataclass(frozen=True)
class TableRow:
    at: datetime
    cells: tuple[str, ...]


@dataclass(frozen=True)
class SeriesTable:
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    words: str


def window(
    code: str, *, now: datetime, first_at: datetime | None, last_at: datetime | None
) -> Window:
    """Resolve a range code; anything unknown is the default.

    "all" runs from the first sign of the machine to now, or to its last reading where that lies
    far back, so that recorded history fills the chart instead of an empty present.
    """
    if code not in RANGES:
        code = DEFAULT_RANGE
    span = RANGES[code][1]
    if span is not None:
        return Window(code, now - span, now)
    end = now
    start = first_at or now - timedelta(days=1)
    if last_at is not None and now - last_at > timedelta(days=2):
        end = last_at + timedelta(minutes=1)
    return Window(code, min(start, end - timedelta(minutes=1)), end)


def drawable(signals: Iterable[Signal]) -> list[Signal]:
    """Return the signals that are numbers: states and faults are drawn as bars elsewhere."""
    return [signal for signal in signals if signal.key.kind == SignalKey.Kind.NUMBER]


def choose(signals: Sequence[Signal], wanted: Iterable[str]) -> list[Signal]:
    """Return the signals asked for by id, or the two that say most where none was asked for.

    Counters only rise and say little as a line, so they come last.
    """
    ids = {int(text) for text in wanted if text.isascii() and text.isdigit()}
    chosen = [signal for signal in signals if signal.pk in ids]
    if chosen:
        return chosen[:MAX_LINES]
    dull = {"count": 2, "life": 2, "energy": 2, "state": 3}
    ranked = sorted(signals, key=lambda signal: (dull.get(signal.role, 0), signal.pk))
    return ranked[:2]


def chart_json(signals: Sequence[Signal], frame: Window) -> dict[str, object]:
    """Return what the chart's code draws: panels by unit, seconds since 1970, and the gaps."""
    panels: dict[str, list[dict[str, object]]] = {}
    found = _fetch(signals, frame, N_BUCKETS)
    for signal in signals:
        one = found.get(signal.pk)
        if one is None:
            continue
        panels.setdefault(signal.unit, []).append(
            {
                "device": signal.device_id,
                "key": signal.key.key,
                "label": signal.label,
                "t": [at / 1000 for at in one.t],
                "avg": _scaled(one.avg, signal.scale),
                "min": _scaled(one.min, signal.scale),
                "max": _scaled(one.max, signal.scale),
            }
        )
    bucket_s = (frame.end - frame.start).total_seconds() / N_BUCKETS
    return {
        "start": frame.start.timestamp(),
        "end": frame.end.timestamp(),
        "live": frame.is_live,
        "bucket_s": bucket_s,
        "panels": [{"unit": unit, "series": lines} for unit, lines in panels.items()],
        "gaps": gaps([one.t for one in found.values()], frame, bucket_s=bucket_s),
    }


def gaps(
    times: Iterable[Sequence[int]], frame: Window, *, bucket_s: float
) -> list[tuple[float, float]]:
    """Return the spans in which no signal came, in seconds since 1970.

    A bucket stands for its whole width, so that a gap begins at its end.
    """
    limit = max(SILENCE.total_seconds(), 2.5 * bucket_s)
    edges = sorted({at / 1000 for column in times for at in column})
    if not edges:
        return [(frame.start.timestamp(), frame.end.timestamp())]
    points = [frame.start.timestamp() - bucket_s, *edges, frame.end.timestamp()]
    return [
        (left + bucket_s, right)
        for left, right in pairwise(points)
        if right - left - bucket_s > limit
    ]


def summary(signals: Sequence[Signal], frame: Window, name: str) -> str:
    """Say in words what the chart shows, for those who do not see it."""
    lines = ", ".join(
        f"{signal.label} in {signal.unit}" if signal.unit else signal.label for signal in signals
    )
    span = f"from {moment(frame.start)} to {moment(frame.end)}"
    return f"{lines} of {name} {span}. The table has the figures."


def table(signals: Sequence[Signal], frame: Window) -> SeriesTable:
    found = _fetch(signals, frame, N_TABLE_ROWS)
    times = sorted({at for one in found.values() for at in one.t}, reverse=True)
    averages = {pk: dict(zip(one.t, one.avg, strict=True)) for pk, one in found.items()}
    rows = tuple(
        TableRow(
            datetime.fromtimestamp(at / 1000, UTC),
            tuple(
                figure(_rounded(averages.get(signal.pk, {}).get(at), signal.scale))
                for signal in signals
            ),
        )
        for at in times
    )
    width = length((frame.end - frame.start).total_seconds() / N_TABLE_ROWS)
    columns = tuple(
        f"{signal.label}, {signal.unit}" if signal.unit else signal.label for signal in signals
    )
    words = f"Averages of {width}, newest first. Times without a row had no reading."
    return SeriesTable(columns, rows, words)


def csv_rows(signals: Sequence[Signal], frame: Window) -> Iterator[list[str]]:
    """Yield the chart's buckets as rows: time, then avg, min, max and n of each signal."""
    found = _fetch(signals, frame, N_BUCKETS)
    yield [
        "from_utc",
        *(f"{s.key.key} {what}" for s in signals for what in ("avg", "min", "max", "n")),
    ]
    cells: dict[int, dict[int, tuple[float, float, float, int]]] = {
        pk: {at: (one.avg[i], one.min[i], one.max[i], one.n[i]) for i, at in enumerate(one.t)}
        for pk, one in found.items()
    }
    for at in sorted({at for one in found.values() for at in one.t}):
        row = [datetime.fromtimestamp(at / 1000, UTC).isoformat()]
        for signal in signals:
            values = cells.get(signal.pk, {}).get(at)
            row += [str(value) for value in values] if values else ["", "", "", ""]
        yield row


def _fetch(signals: Sequence[Signal], frame: Window, n_buckets: int) -> dict[int, KeySeries]:
    """Ask once for each device and return the series that have readings, by signal."""
    by_device: dict[int, list[Signal]] = {}
    for signal in signals:
        by_device.setdefault(signal.device_id, []).append(signal)
    found = {}
    for device_id, own in by_device.items():
        result = telemetry_selectors.series(
            device_id=device_id,
            keys=[signal.key.key for signal in own],
            start=frame.start,
            end=frame.end,
            n_buckets=n_buckets,
        )
        for signal in own:
            one = result.keys.get(signal.key.key)
            if one is not None and one.t:
                found[signal.pk] = one
    return found


def _scaled(values: Sequence[float], scale: float) -> list[float]:
    return [round(value * scale, 6) for value in values]


def _rounded(value: float | None, scale: float) -> float | None:
    return None if value is None else round(value * scale, 4)
