"""Readings in buckets of time: least, mean, most and count, exact across gaps and late data.

Wide buckets are made of rollups (minutes, hours) where these are certain: a rollup says what is
sealed, so an hour with anything hot or open, and an hour that the range cuts, is read itself.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from telemetry import columns, packing
from telemetry.models import Rollup, Segment
from telemetry.selectors.cells import (
    Asked,
    Cells,
    Floats,
    Int64s,
    Span,
    archived,
    cells,
    hot,
    segments,
    united,
)
from telemetry.times import from_us

MS_US = 1000
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
# How long a row of rollups is, by the length of its buckets in seconds.
WINDOW_US = {
    Rollup.Level.MINUTE: 24 * HOUR_US,
    Rollup.Level.HOUR: 30 * 24 * HOUR_US,
}
# A bucket is made of this many rollups at least: its borders move by less than that share.
_LEAST = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Buckets of `width_us` from `origin_us` on; `level` of the rollups they are made of."""

    origin_us: int
    width_us: int
    level: Rollup.Level | None

    @staticmethod
    def of(span: Span, n_buckets: int) -> "Grid":
        """Choose at most `n_buckets` buckets that cover [start, end)."""
        start, end = span
        width = -(-(end - start) // n_buckets)
        level = next(
            (
                level
                for level in (Rollup.Level.HOUR, Rollup.Level.MINUTE)
                if width >= _LEAST * level * SECOND_US
            ),
            None,
        )
        # Borders are told in ms: finer ones would put a reading outside of its own bucket.
        unit = level * SECOND_US if level is not None else MS_US
        origin = start // unit * unit
        width = -(-width // unit) * unit
        if -(-(end - origin) // width) > n_buckets:
            width += unit
        return Grid(origin, width, level)


class Buckets:
    """Sums up cells and rollups: arrays (n_buckets, n_keys)."""

    def __init__(self, grid: Grid, span: Span, n_keys: int) -> None:
        self.grid = grid
        shape = (-(-(span[1] - grid.origin_us) // grid.width_us), n_keys)
        self.n = np.zeros(shape, np.int64)
        self.sum = np.zeros(shape)
        self.min = np.full(shape, np.nan)
        self.max = np.full(shape, np.nan)

    def add(self, times: Int64s, n: Floats, low: Floats, high: Floats, total: Floats) -> None:
        """Add rows in ascending order of time; NaN in low and high where n is 0."""
        if not len(times):
            return
        places = (times - self.grid.origin_us) // self.grid.width_us
        starts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        at = places[starts]
        self.n[at] += np.add.reduceat(n, starts).astype(np.int64)
        self.sum[at] += np.add.reduceat(total, starts)
        self.min[at] = np.fmin(self.min[at], np.fmin.reduceat(low, starts))
        self.max[at] = np.fmax(self.max[at], np.fmax.reduceat(high, starts))

    def add_cells(self, found: Cells) -> None:
        is_there = ~np.isnan(found.values)
        total = np.where(is_there, found.values, 0.0)
        self.add(found.times, is_there.astype(np.float64), found.values, found.values, total)


def buckets(of: Asked, span: Span, n_buckets: int) -> Buckets:
    """Return the buckets of some keys over [start, end)."""
    grid = Grid.of(span, n_buckets)
    out = Buckets(grid, span, len(of.keys))
    if not of.places:
        return out
    if grid.level is None:
        out.add_cells(cells(of, span))
        return out
    recent = hot(of, span)
    unsealed = segments(of, [span], levels=[Segment.Level.OPEN])
    uncertain = _hours(recent.times) | {h for part in unsealed for h in _hours(part.times)}
    uncertain |= {at // HOUR_US for at in span if at % HOUR_US}
    windows = _rollups(of, span, grid.level)
    for window in windows.values():
        _add_rollups(out, of, span, uncertain, *window)
    for gap in _uncertain_spans(span, uncertain, set(windows), grid.level):
        sealed = segments(of, [gap], levels=Segment.Level.values[1:])
        parts = [recent, *unsealed, *sealed, *archived(of, gap, ())]
        out.add_cells(united(parts, of, gap))
    return out


def _hours(times: Int64s) -> set[int]:
    return set(np.unique(times // HOUR_US).tolist())


def _rollups(of: Asked, span: Span, level: Rollup.Level) -> dict[int, tuple[int, bytes]]:
    """Return the rollups of the range by the start of their window: keyset and payload."""
    length = WINDOW_US[level]
    image = columns.copied(
        "SELECT t0, keyset_id, payload FROM rollup"
        " WHERE device_id = %s AND level = %s AND t0 > %s AND t0 < %s ORDER BY t0",
        [of.device_id, int(level), from_us(span[0] - length), from_us(span[1])],
    )
    return {t0: (keyset_id, payload) for t0, keyset_id, payload in columns.payloads(image)}


def _add_rollups(
    out: Buckets, of: Asked, span: Span, uncertain: set[int], keyset_id: int, payload: bytes
) -> None:
    places = of.places.get(keyset_id)
    if places is None:
        return  # what is sealed in this window has none of the keys
    wanted = [i for i, place in enumerate(places) if place is not None]
    times, found = packing.unpack(
        payload, [4 * (place - 1) + j for j in range(4) for place in places if place is not None]
    )
    keep = (times >= span[0]) & (times < span[1])
    if uncertain:
        keep &= ~np.isin(times // HOUR_US, np.fromiter(uncertain, np.int64, len(uncertain)))
    times, found = times[keep], found[keep]
    n, low, high, total = (
        _spread(part, wanted, len(places)) for part in np.split(found, 4, axis=1)
    )
    out.add(times, np.nan_to_num(n), low, high, np.nan_to_num(total))


def _spread(part: Floats, wanted: list[int], n_keys: int) -> Floats:
    whole: npt.NDArray[np.float64] = np.full((len(part), n_keys), np.nan)
    whole[:, wanted] = part
    return whole


def _uncertain_spans(
    span: Span, hours: set[int], windows: set[int], level: Rollup.Level
) -> list[Span]:
    """Return what has to be read itself: uncertain hours, and windows without rollups."""
    length = WINDOW_US[level]
    found = [(hour * HOUR_US, (hour + 1) * HOUR_US) for hour in hours]
    first = span[0] // length * length
    found += [(t, t + length) for t in range(first, span[1], length) if t not in windows]
    united_spans: list[Span] = []
    for start, end in sorted(found):
        start, end = max(start, span[0]), min(end, span[1])
        if start >= end:
            continue
        if united_spans and start <= united_spans[-1][1]:
            united_spans[-1] = (united_spans[-1][0], max(end, united_spans[-1][1]))
        else:
            united_spans.append((start, end))
    return united_spans
