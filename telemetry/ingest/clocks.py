"""How far a device's clock is ahead of ours, learned from what it sends anyway.

The `Date` header of a request says it outright. Else the newest time in a small request does,
where it can be told from a backlog: a time that lies ahead is a clock that is ahead; times that
trail ours by the same distance, request after request, are a clock that is behind, while a
backlog catches up.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime

from telemetry.times import to_us

SECOND_US = 1_000_000
# So often a device is looked at, and so often at most its offset is written down again.
LOOK_US = 2 * SECOND_US
WRITE_US = 60 * SECOND_US
# A change of more than this is written at once.
CHANGE_S = 1.0
# More readings than these in a request are a backlog.
MAX_LIVE = 16
# This many looks over this long, no further apart than that, are a pattern.
_N_LOOKS = 5
_PATTERN_US = 20 * SECOND_US
_SPREAD_US = 2 * SECOND_US


class Clock:
    """What is known of one device's clock. Times and distances in microseconds."""

    __slots__ = ("_high", "_low", "_n", "_since", "due", "written_at", "written_s")

    def __init__(self) -> None:
        # The next look; the common request asks no more than whether it is time.
        self.due = 0
        self.written_at = 0
        self.written_s: float | None = None
        self._since = self._n = self._low = self._high = 0

    def look(self, *, now: int, newest: int | None, n_readings: int, date: bytes) -> float | None:
        """Take one request in; returns the offset in seconds (+ ahead) when it is to be written.

        `newest` is the newest time the device itself gave, refused ones included.
        """
        self.due = now + LOOK_US
        said = _said(date)
        if said is not None:
            # The header counts whole seconds and was true half a second ago on average.
            offset: int | None = said + SECOND_US // 2 - now
        elif newest is None or n_readings > MAX_LIVE:
            return None
        else:
            offset = self._from_reading(now, newest - now)
        if offset is None:
            return None
        offset_s = offset / SECOND_US
        is_old = now - self.written_at >= WRITE_US
        if not is_old and self.written_s is not None and abs(offset_s - self.written_s) <= CHANGE_S:
            return None
        self.written_at, self.written_s = now, offset_s
        return offset_s

    def _from_reading(self, now: int, lead: int) -> int | None:
        low, high = min(lead, self._low), max(lead, self._high)
        if self._n == 0 or high - low > _SPREAD_US:
            self._since, self._n, low, high = now, 0, lead, lead
        self._n += 1
        self._low, self._high = low, high
        if lead > 0:
            return lead
        # The least delayed of them is nearest to the clock.
        is_pattern = self._n >= _N_LOOKS and now - self._since >= _PATTERN_US
        return high if is_pattern else None


def _said(date: bytes) -> int | None:
    if not date:
        return None
    try:
        at: datetime = parsedate_to_datetime(date.decode("latin-1"))
        return to_us(at)
    except (ValueError, TypeError, OverflowError):
        return None
