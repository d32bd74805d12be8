"""Planned production as intervals: shifts without their breaks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from analytics.cues import IntArray
from production import selectors as production_selectors
from production.calendar import Shift
from production.models import Site

# What is looked at where a site has no shift now.
WITHOUT_SHIFT = timedelta(hours=8)
AROUND = timedelta(days=7)


@dataclass(frozen=True)
class Window:
    """The stretch that "now" is told in: the current shift, or the last hours without one."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class SiteCalendar:
    """A site's planned production around a period; `working` is None where it has no shifts."""

    zone: ZoneInfo
    window: Window
    working: IntArray | None
    shifts: tuple[Shift, ...]

    def back_at(self, at: datetime) -> datetime | None:
        """Say when planned production begins again, None while it runs or if not in sight."""
        if self.working is None:
            return None
        now_ms = round(at.timestamp() * 1000)
        for start, end in self.working.tolist():
            if start <= now_ms < end:
                return None
            if start > now_ms:
                return datetime.fromtimestamp(start / 1000, at.tzinfo)
        return None


def working_intervals(shifts: Iterable[Shift]) -> IntArray:
    """Lay shifts end to end, without their breaks: `(n, 2)` ms, ascending and apart."""
    spans: list[tuple[int, int]] = []
    for shift in shifts:
        pause = (shift.break_start, shift.break_end)
        if pause[0] is None or pause[1] is None:
            spans.append((_ms(shift.start), _ms(shift.end)))
        else:
            spans.append((_ms(shift.start), _ms(min(pause[0], shift.end))))
            spans.append((_ms(min(pause[1], shift.end)), _ms(shift.end)))
    joined: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return np.asarray(joined, dtype=np.int64).reshape(-1, 2)


def site_calendar(site: Site, *, start: datetime, end: datetime, at: datetime) -> SiteCalendar:
    """Read a site's calendar over `[start, end)` and find the shift of `at`. Two queries.

    A site without any shift a week around has no calendar: then all time counts as planned.
    """
    shifts = production_selectors.shifts_between(site=site, start=start - AROUND, end=end + AROUND)
    on: Sequence[Shift] = [s for s in shifts if s.start <= at < s.end]
    window = (
        Window(on[-1].name, on[-1].start, on[-1].end) if on else Window("", at - WITHOUT_SHIFT, at)
    )
    return SiteCalendar(
        zone=ZoneInfo(site.time_zone),
        window=window,
        working=working_intervals(shifts) if shifts else None,
        shifts=tuple(shifts),
    )


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
