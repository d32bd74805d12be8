"""The windows of time that sealed readings are packed by, aligned to 1970.

They nest: an hour lies in one day, a day in one month of 30 days, a month in one year of 360.
Times are microseconds since 1970.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from telemetry.models import Segment

Int64s = npt.NDArray[np.int64]

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
MONTH_US: Final = 30 * DAY_US
YEAR_US: Final = 12 * MONTH_US
WIDTH_US: Final[dict[int, int]] = {
    Segment.Level.HOUR: HOUR_US,
    Segment.Level.DAY: DAY_US,
    Segment.Level.MONTH: MONTH_US,
    Segment.Level.YEAR: YEAR_US,
}
# A larger window is sealed as one segment if it holds no more: about what an hour at 1 Hz has.
MAX_SEALED: Final = 4096


def floor(times: Int64s, width_us: int) -> Int64s:
    """Return the start of the window of each time."""
    return times // width_us * width_us


def levels(hours: Int64s, times: Int64s, counts: Int64s, *, closed_us: int) -> Int64s:
    """Choose for each hour the largest window around it that is over and holds few readings.

    Args:
        hours: starts of the hours, each with a reading in `times`.
        times, counts: where all the readings of the windows around lie.
        closed_us: the end of what is over.
    """
    chosen = np.full(len(hours), int(Segment.Level.HOUR), np.int64)
    for level in (Segment.Level.DAY, Segment.Level.MONTH, Segment.Level.YEAR):
        width_us = WIDTH_US[level]
        starts = floor(hours, width_us)
        known, place = np.unique(floor(times, width_us), return_inverse=True)
        totals = np.bincount(place, counts)[np.searchsorted(known, starts)]
        chosen[(totals <= MAX_SEALED) & (starts + width_us <= closed_us)] = level
    return chosen


def overlapping(starts: Int64s, ends: Int64s, first: Int64s, last: Int64s) -> npt.NDArray[np.bool_]:
    """Say which spans, first to last, meet one of the windows (disjoint, ascending)."""
    if not len(starts):
        return np.zeros(len(first), bool)
    before = np.searchsorted(starts, last, side="right") - 1
    return np.asarray((before >= 0) & (ends[np.maximum(before, 0)] > first))
