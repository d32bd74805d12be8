"""When a rule may sound: always, in or out of planned time, or in weekly windows of local time.

Outside its schedule an alarm is suppressed by design (ISA-18.2): it is evaluated and written
down, and sounds when the schedule begins and it is still on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from production.calendar import Pattern, Shift, shifts_between
from telemetry.alarms.parsing import BadCondition

MAX_WINDOWS = 20
Stretch = tuple[datetime, datetime]


class Kind(StrEnum):
    ALWAYS = "always"
    PLANNED = "planned"
    UNPLANNED = "unplanned"
    WEEKLY = "weekly"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule may sound; `windows` are local times on weekdays, for the weekly kind only."""

    kind: Kind = Kind.ALWAYS
    windows: tuple[Pattern, ...] = ()

    @property
    def needs_shifts(self) -> bool:
        return self.kind in (Kind.PLANNED, Kind.UNPLANNED)


def parse(tree: Any) -> Schedule:
    """Return the schedule that JSON describes: {"kind": "weekly", "windows": [...]}.

    Raises:
        BadCondition: something in it is not right; everything that is wrong is named.
    """
    errors: dict[str, str] = {}
    kinds = ", ".join(Kind)
    if not isinstance(tree, dict) or tree.get("kind") not in list(Kind):
        raise BadCondition({"schedule.kind": f"Expected one of {kinds}."})
    kind = Kind(tree["kind"])
    known = {"kind", "windows"} if kind == Kind.WEEKLY else {"kind"}
    for name in sorted(set(map(str, tree)) - known):
        errors[f"schedule.{name[:40]}"] = f"Not known here; use {', '.join(sorted(known))}."
    windows = []
    if kind == Kind.WEEKLY:
        listed = tree.get("windows")
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_WINDOWS:
            errors["schedule.windows"] = f"Expected a list of 1 to {MAX_WINDOWS} windows."
        else:
            windows = [
                _window(item, f"schedule.windows[{i}]", errors) for i, item in enumerate(listed)
            ]
    if errors:
        raise BadCondition(errors)
    return Schedule(kind, tuple(window for window in windows if window is not None))


def _window(item: Any, path: str, errors: dict[str, str]) -> Pattern | None:
    if not isinstance(item, dict) or set(item) != {"days", "from", "to"}:
        errors[path] = 'Expected {"days": "12345", "from": "06:00", "to": "22:00"}.'
        return None
    days = item["days"]
    if not isinstance(days, str) or not days or not set(days) <= set("1234567"):
        errors[f"{path}.days"] = "Expected digits of weekdays, 1 is Monday."
    times = []
    for name in ("from", "to"):
        try:
            times.append(time.fromisoformat(item[name]))
        except (TypeError, ValueError):
            errors[f"{path}.{name}"] = 'Expected a local time such as "06:00".'
    if any(key.startswith(path) for key in errors):
        return None
    return Pattern(
        "", frozenset(map(int, days)), times[0], times[1], None, 0, date(1970, 1, 2), None
    )


def as_json(schedule: Schedule) -> dict[str, Any]:
    if schedule.kind != Kind.WEEKLY:
        return {"kind": str(schedule.kind)}
    windows = [
        {
            "days": "".join(map(str, sorted(window.weekdays))),
            "from": window.starts_at.isoformat("minutes"),
            "to": window.ends_at.isoformat("minutes"),
        }
        for window in schedule.windows
    ]
    return {"kind": str(schedule.kind), "windows": windows}


def stretches(
    schedule: Schedule, zone: ZoneInfo, start: datetime, end: datetime, shifts: Sequence[Shift] = ()
) -> list[Stretch]:
    """Return when a rule may sound within [start, end), ascending and apart.

    Args:
        shifts: those that touch the range; needed where `schedule.needs_shifts`.
    """
    match schedule.kind:
        case Kind.ALWAYS:
            return [(start, end)]
        case Kind.WEEKLY:
            found = shifts_between(schedule.windows, zone, start, end)
            return _clipped([(one.start, one.end) for one in found], start, end)
        case Kind.PLANNED:
            return _clipped(_planned(shifts), start, end)
        case _:
            return _between(_clipped(_planned(shifts), start, end), start, end)


def first_moment(allowed: Sequence[Stretch], start: datetime, end: datetime) -> datetime | None:
    """Return when something that is on in [start, end) first meets a stretch, None if never."""
    return next((max(a, start) for a, b in allowed if a < end and b > start), None)


def _planned(shifts: Sequence[Shift]) -> list[Stretch]:
    found: list[Stretch] = []
    for shift in shifts:
        if shift.break_start is None or shift.break_end is None:
            found.append((shift.start, shift.end))
        else:
            found += [(shift.start, min(shift.break_start, shift.end))]
            found += [(shift.break_end, shift.end)]
    return found


def _clipped(found: Sequence[Stretch], start: datetime, end: datetime) -> list[Stretch]:
    merged: list[Stretch] = []
    for a, b in sorted(found):
        a, b = max(a, start).astimezone(UTC), min(b, end).astimezone(UTC)
        if a >= b:
            continue
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _between(found: Sequence[Stretch], start: datetime, end: datetime) -> list[Stretch]:
    edges = [start, *(edge for stretch in found for edge in stretch), end]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
