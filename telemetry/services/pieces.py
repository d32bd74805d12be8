"""One bounded piece of a device's readings: what is there, and what shall be there instead.

It is read and packed without a lock, because packing takes longer than a device should wait, and
written under the lock of the device if nothing that was read has changed meanwhile.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from telemetry import tables, windows
from telemetry.models import Segment
from telemetry.services import rollups, segments
from telemetry.services.segments import Changed, Header, Images, NewSegment
from telemetry.tables import Int64s, KeyIds, Part, Table
from telemetry.times import from_us

# How many readings may be in memory at once, where more than an hour of them is at hand.
MAX_READINGS = 300_000


class TooMuch(Exception):
    """The piece, from `first_us`, meets more sealed readings than should be in memory at once."""

    def __init__(self, first_us: int) -> None:
        self.first_us = first_us
        super().__init__(first_us)


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows to be sealed, disjoint, in order of time."""

    levels: Int64s
    starts: Int64s
    ends: Int64s


@dataclass(slots=True)
class Piece:
    """What was read. `end_us` None: sealed segments only."""

    device_id: int
    end_us: int | None
    closed_us: int
    key_ids: dict[int, KeyIds] = field(default_factory=dict)
    images: Images = field(default_factory=dict)
    opened: list[Header] = field(default_factory=list)
    new: list[Part] = field(default_factory=list)
    # What open segments hold after the end: it stays open.
    left: list[Part] = field(default_factory=list)
    # Sealed segments around, and which of them are packed again.
    around: list[Header] = field(default_factory=list)
    resealed: list[Header] = field(default_factory=list)
    windows: Windows = field(init=False)
    table: Table = field(init=False)

    def learn_keysets(self, keyset_ids: set[int]) -> None:
        missing = keyset_ids - self.key_ids.keys()
        if missing:
            self.key_ids |= segments.key_ids_of(missing)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What shall be there instead of a piece."""

    made: list[NewSegment]
    rollups: list[rollups.Row]


def read(device_id: int, *, end_us: int, closed_us: int) -> Piece:
    """Read what is hot or open before `end_us`, and the sealed segments that it belongs to.

    Raises:
        TooMuch: an earlier end would be better.
        Changed: somebody else sealed meanwhile.
    """
    piece = Piece(device_id, end_us, closed_us)
    # In the order of the readers: what moves meanwhile is found twice rather than not at all.
    piece.images = segments.hot_images(device_id, end=from_us(end_us))
    piece.opened = segments.headers(
        device_id, condition="level = 0 AND t0 < %s", values=[from_us(end_us)]
    )
    piece.learn_keysets({*piece.images, *(one.keyset_id for one in piece.opened)})
    for part in segments.parts(device_id, piece.opened):
        before, after = part.cut(end_us)
        piece.new.append(before)
        if len(after.times):
            piece.left.append(after)
    # Last, because a hot row holds before an open segment's.
    piece.new += segments.hot_parts(piece.images, piece.key_ids)
    hours = _hours([part.times for part in piece.new])
    if len(hours):
        _gather(piece, hours)
    return piece


def read_window(device_id: int, *, start_us: int, end_us: int, closed_us: int) -> Piece:
    """Read the sealed segments of a window, to unite them."""
    piece = Piece(device_id, None, closed_us)
    found = segments.sealed_headers(device_id, start_us=start_us, end_us=end_us)
    hours = _hours([np.array([one.t0 for one in found], np.int64)])
    if len(hours):
        _gather(piece, hours)
    return piece


def _hours(times: list[Int64s]) -> Int64s:
    """The starts of the hours that have a reading."""
    found = [np.unique(windows.floor(some, windows.HOUR_US)) for some in times]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _gather(piece: Piece, hours: Int64s) -> None:
    """Find the windows around the hours and everything sealed in them.

    A sealed segment that meets a window may reach out of it; then its other hours are touched,
    too, and windows are looked for again.
    """
    years = windows.floor(hours, windows.YEAR_US)
    piece.around = segments.sealed_headers(
        piece.device_id, start_us=int(years[0]), end_us=int(years[-1]) + windows.YEAR_US
    )
    piece.learn_keysets({one.keyset_id for one in piece.around})
    first = np.array([one.t0 for one in piece.around], np.int64)
    last = np.array([one.t1 for one in piece.around], np.int64)
    counts = np.array([one.n for one in piece.around], np.int64)
    is_taken = np.zeros(len(first), bool)
    can_be_less = len(hours) > 1
    old: list[Part] = []
    while True:
        times = np.concatenate([first[~is_taken], *(p.times for p in (*old, *piece.new))])
        weights = np.ones(len(times), np.int64)
        n_left = int((~is_taken).sum())
        weights[:n_left] = counts[~is_taken]
        found = _windows(windows.levels(hours, times, weights, closed_us=piece.closed_us), hours)
        more = windows.overlapping(found.starts, found.ends, first, last) & ~is_taken
        if not more.any():
            break
        if counts[more].sum() + len(times) - n_left > MAX_READINGS and can_be_less:
            raise TooMuch(int(hours[0]))
        taken = [one for one, is_more in zip(piece.around, more, strict=True) if is_more]
        is_taken |= more
        old += segments.parts(piece.device_id, taken)
        piece.resealed += taken
        hours = _hours([hours, *(part.times for part in old)])
    piece.windows = found
    # The new ones last: a hot row holds before a sealed one.
    piece.table = tables.unite([*old, *piece.new], piece.key_ids)


def _windows(levels: Int64s, hours: Int64s) -> Windows:
    widths = np.array([windows.WIDTH_US.get(level, 1) for level in range(5)], np.int64)[levels]
    starts, place = np.unique(hours // widths * widths, return_index=True)
    return Windows(levels[place], starts, starts + widths[place])


def seal(piece: Piece) -> Sealed:
    """Pack a piece: a segment a window, and the rollups that it changes."""
    made = [*_sealed(piece), *_still_open(piece)]
    if piece.end_us is None:
        return Sealed(made, [])  # the readings are the same, and so are their rollups
    return Sealed(
        made,
        rollups.corrected(
            piece.device_id,
            piece.table,
            starts=piece.windows.starts,
            ends=piece.windows.ends,
            others=sorted(set(piece.around) - set(piece.resealed)),
            closed_us=piece.closed_us,
        ),
    )


def _sealed(piece: Piece) -> Iterator[NewSegment]:
    table = piece.table
    union: int | None = None
    for level, start, end in zip(
        piece.windows.levels, piece.windows.starts, piece.windows.ends, strict=True
    ):
        i, j = np.searchsorted(table.times, [start, end])
        used = np.unique(table.keysets[i:j])
        if len(used) == 1:
            keyset_id = int(used[0])
            values = table.values[i:j, table.columns(piece.key_ids[keyset_id])]
        else:
            # Of the whole piece, so that not every window makes a keyset of its own.
            union = union or segments.keyset_of(table.key_ids)
            keyset_id, values = union, table.values[i:j]
        yield from segments.packed(table.times[i:j], values, keyset_id=keyset_id, level=int(level))


def _still_open(piece: Piece) -> Iterator[NewSegment]:
    for part in piece.left:
        yield from segments.packed(
            part.times, part.values, keyset_id=part.keyset_id, level=Segment.Level.OPEN
        )


def write(piece: Piece, sealed: Sealed) -> None:
    """Put what was sealed in the place of the piece; the device is locked.

    Raises:
        Changed: the piece is no longer what lies there; nothing may be kept.
    """
    device_id = piece.device_id
    _check(piece)
    if piece.end_us is not None and piece.images:
        segments.remove_hot(device_id, end=from_us(piece.end_us))
    segments.remove(device_id, [*piece.opened, *piece.resealed])
    segments.insert(device_id, sealed.made)
    rollups.write(device_id, sealed.rollups)
    if sealed.made:
        segments.raise_packed_to(device_id, max(one.t1 for one in sealed.made))


def _check(piece: Piece) -> None:
    """See that nothing came, went or changed where the piece lies.

    Rollups need no look of their own: they change with sealed segments of their months.
    """
    if piece.end_us is not None:
        images = segments.hot_images(piece.device_id, end=from_us(piece.end_us))
        if images != piece.images:
            raise Changed
    start_us = int(windows.floor(piece.windows.starts[:1], windows.MONTH_US)[0])
    end_us = int(windows.floor(piece.windows.ends[-1:] - 1, windows.MONTH_US)[0])
    end_us += windows.MONTH_US
    there = segments.sealed_headers(piece.device_id, start_us=start_us, end_us=end_us)
    if there != [one for one in piece.around if one.t0 < end_us and one.t1 >= start_us]:
        raise Changed
