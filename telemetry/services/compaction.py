"""Seal what is over: hot rows and open segments become one segment an hour, or more than that."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import structlog
from django.db import connection

from telemetry import windows
from telemetry.models import Segment
from telemetry.services import pieces
from telemetry.services.locking import DeviceBusy, locked
from telemetry.services.pieces import Piece
from telemetry.services.segments import Changed
from telemetry.times import from_us, to_us

log = structlog.get_logger()

# An hour is over when its last readings had time to come.
CLOSED_AFTER = timedelta(minutes=10)
# Promotion looks at windows that closed so long ago; a compaction that was away longer leaves
# smaller segments behind, which are only larger on disk.
PROMOTED_WITHIN = timedelta(hours=3)
# How large a piece is: a device waits for a piece to be written, a millisecond or two an hour at
# 1 Hz, and microseconds for each hot row that is removed.
MAX_HOT = 20_000
MAX_READINGS = 50_000
MAX_VALUES = 800_000
MAX_OPEN = 5_000


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of the closed hours of some devices."""

    devices: int = 0
    readings: int = 0
    written: int = 0
    removed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    # The longest time for which one device could not store anything.
    longest_lock_s: float = 0.0
    is_complete: bool = True

    def plus(self, other: "Compacted") -> "Compacted":
        return Compacted(
            self.devices + other.devices,
            self.readings + other.readings,
            self.written + other.written,
            self.removed + other.removed,
            self.skipped + other.skipped,
            self.seconds + other.seconds,
            max(self.longest_lock_s, other.longest_lock_s),
            self.is_complete and other.is_complete,
        )


def compact(
    *, at: datetime, device_ids: Sequence[int] | None = None, budget_s: float | None = None
) -> Compacted:
    """Seal the hours of some devices, or of all, that were over ten minutes before `at`.

    A piece at a time, each in a transaction of its own, oldest first. A device that somebody
    else keeps locked is left for the next time.

    Args:
        budget_s: begin no further piece after so many seconds.
    """
    began = time.monotonic()
    until = began + budget_s if budget_s is not None else float("inf")
    closed_us = closed_before(at)
    total = Compacted()
    for device_id in _devices_with_work(closed_us, device_ids):
        total = total.plus(_compact_device(device_id, closed_us, until))
        if time.monotonic() > until:
            total = total.plus(Compacted(is_complete=False))
            break
    else:
        since = max(0, closed_us - PROMOTED_WITHIN // timedelta(microseconds=1))
        total = total.plus(promote(since_us=since, closed_us=closed_us, device_ids=device_ids))
    return total.plus(Compacted(seconds=time.monotonic() - began))


def closed_before(at: datetime) -> int:
    """The end of the last hour that is over, in microseconds since 1970."""
    return to_us(at - CLOSED_AFTER) // windows.HOUR_US * windows.HOUR_US


def waits_for_compaction(*, at: datetime) -> bool:
    """Say whether something of the factory at work waits to be sealed."""
    return bool(_devices_with_work(closed_before(at), None, limit=1))


def _devices_with_work(
    closed_us: int, device_ids: Sequence[int] | None, limit: int | None = None
) -> list[int]:
    closed = from_us(closed_us)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id FROM latest l WHERE (%s::int[] IS NULL OR device_id = ANY(%s))"
            " AND (EXISTS (SELECT FROM reading_hot h"
            " WHERE h.device_id = l.device_id AND h.ts < %s)"
            " OR EXISTS (SELECT FROM segment s"
            " WHERE s.device_id = l.device_id AND s.level = 0 AND s.t0 < %s))"
            " ORDER BY device_id LIMIT %s",
            [*[None if device_ids is None else list(device_ids)] * 2, closed, closed, limit],
        )
        return [device_id for (device_id,) in cursor.fetchall()]


def _compact_device(device_id: int, closed_us: int, until: float) -> Compacted:
    total = Compacted(devices=1)
    while time.monotonic() < until:
        end_us = _end_of_piece(device_id, closed_us)
        if end_us is None:
            break
        try:
            total = total.plus(_compact_piece(device_id, end_us, closed_us))
        except (Changed, DeviceBusy):
            log.info("telemetry.compaction.skipped", device_id=device_id)
            return total.plus(Compacted(skipped=1))
    return total


def _end_of_piece(device_id: int, closed_us: int) -> int | None:
    """Find where the oldest piece of what is hot or open ends: a full hour; None: no piece."""
    closed = from_us(closed_us)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(ts), (SELECT ts FROM reading_hot WHERE device_id = %s AND ts < %s"
            " ORDER BY ts OFFSET %s LIMIT 1) FROM reading_hot WHERE device_id = %s AND ts < %s",
            [device_id, closed, MAX_HOT, device_id, closed],
        )
        first_hot, last_hot = cursor.fetchone()
        cursor.execute(
            "SELECT s.t0, s.n, cardinality(k.key_ids)"
            " FROM segment s JOIN telemetry_keyset k ON k.id = s.keyset_id"
            " WHERE s.device_id = %s AND s.level = 0 AND s.t0 < %s ORDER BY s.t0 LIMIT %s",
            [device_id, closed, MAX_OPEN],
        )
        opened = cursor.fetchall()
    firsts = [to_us(first_hot)] if first_hot else []
    ends = [closed_us]
    if last_hot:
        ends.append(to_us(last_hot))
    if opened:
        firsts.append(to_us(opened[0][0]))
        n = np.array([row[1] for row in opened], np.int64)
        n_values = np.cumsum(n * [row[2] for row in opened])
        over = (np.cumsum(n) > MAX_READINGS) | (n_values > MAX_VALUES)
        over[-1] |= len(opened) == MAX_OPEN
        if over.any():
            ends.append(to_us(opened[int(np.argmax(over))][0]))
    if not firsts:
        return None
    first_hour = min(firsts) // windows.HOUR_US
    return max(first_hour + 1, min(ends) // windows.HOUR_US) * windows.HOUR_US


def _compact_piece(device_id: int, end_us: int, closed_us: int) -> Compacted:
    try:
        return _replace(_read(device_id, end_us, closed_us))
    except Changed:
        # Again with the lock from the beginning, so that a device whose closed hours are filled
        # without a pause is compacted, too.
        with locked(device_id) as hold:
            done = _replace(_read(device_id, end_us, closed_us))
        return replace(done, longest_lock_s=hold.seconds)


def _read(device_id: int, end_us: int, closed_us: int) -> Piece:
    """Read a piece, or the earlier half of it where it meets too much that is sealed."""
    while True:
        try:
            return pieces.read(device_id, end_us=end_us, closed_us=closed_us)
        except pieces.TooMuch as too_much:
            n_hours = (end_us - too_much.first_us) // windows.HOUR_US
            end_us = too_much.first_us + max(1, n_hours // 2) * windows.HOUR_US


def _replace(piece: Piece) -> Compacted:
    if not piece.new and not piece.resealed:
        return Compacted()
    sealed = pieces.seal(piece)
    with locked(piece.device_id) as hold:
        pieces.write(piece, sealed)
    return Compacted(
        readings=sum(len(part.times) for part in piece.new),
        written=len(sealed.made),
        removed=len(piece.opened) + len(piece.resealed),
        longest_lock_s=hold.seconds,
    )


def promote(*, since_us: int, closed_us: int, device_ids: Sequence[int] | None = None) -> Compacted:
    """Unite the segments of larger windows that closed lately and hold few readings."""
    total = Compacted()
    for level in (Segment.Level.DAY, Segment.Level.MONTH, Segment.Level.YEAR):
        width_us = windows.WIDTH_US[level]
        # The ends in (since, closed].
        for end_us in range((since_us // width_us + 1) * width_us, closed_us + 1, width_us):
            start_us = end_us - width_us
            for device_id in _promotable(level, start_us, end_us, device_ids):
                try:
                    piece = pieces.read_window(
                        device_id, start_us=start_us, end_us=end_us, closed_us=closed_us
                    )
                    total = total.plus(_replace(piece))
                except (Changed, DeviceBusy):
                    continue  # whoever is at it looks at the same window
    return total


def _promotable(
    level: int, start_us: int, end_us: int, device_ids: Sequence[int] | None
) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.device_id FROM latest l CROSS JOIN LATERAL ("
            "  SELECT count(*) AS n_segments, sum(n) AS n FROM segment s"
            "  WHERE s.device_id = l.device_id AND s.t0 >= %s AND s.t0 < %s"
            "    AND s.level BETWEEN 1 AND %s) w"
            " WHERE w.n_segments > 1 AND w.n <= %s AND (%s::int[] IS NULL OR device_id = ANY(%s))"
            " ORDER BY l.device_id",
            [
                from_us(start_us), from_us(end_us), level - 1, windows.MAX_SEALED,
                *[None if device_ids is None else list(device_ids)] * 2,
            ],
        )  # fmt: skip
        return [device_id for (device_id,) in cursor.fetchall()]
