"""What happened to machines while their signals were drawn: the events on the explorer's axis.

Every kind of event is one function in `SOURCES`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.urls import reverse

from analytics import selectors as analytics_selectors
from frontend.words import STATE_WORDS
from mlops import selectors as mlops_selectors
from production import selectors as production_selectors
from production.models import Machine
from telemetry import selectors as telemetry_selectors
from telemetry.models import Device, Signal
from telemetry.selectors import alarms as alarm_selectors

MOST_EVENTS = 200
# States are worked out from every reading, and revisions read one by one: not for years.
LONGEST_FOR_STOPS = timedelta(days=2)
LONGEST_FOR_REVISIONS = timedelta(days=31)
SHORTEST_STOP_S = 60.0
STOPS = frozenset({"down", "setup"})


@dataclass(frozen=True)
class Event:
    """Something with a time, or a stretch of it; `path` leads to where it is explained."""

    start: datetime
    end: datetime | None
    kind: str
    label: str
    path: str


@dataclass(frozen=True)
class Scene:
    """What is looked at."""

    machines: tuple[Machine, ...]
    devices: tuple[Device, ...]
    start: datetime
    end: datetime
    now: datetime

    @property
    def span(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True)
class Events:
    rows: list[Event]
    left_out: str  # what is not looked for in so long a range, in words


def explorer_events(
    signals: Sequence[Signal], *, start: datetime, end: datetime, now: datetime
) -> Events:
    """Return what happened to the machines of some signals in [start, end), oldest first."""
    devices = {signal.device_id: signal.device for signal in signals}
    machines = {d.machine.pk: d.machine for d in devices.values() if d.machine is not None}
    scene = Scene(tuple(machines.values()), tuple(devices.values()), start, end, now)
    rows = [event for source in SOURCES for event in source(scene)]
    rows.sort(key=lambda event: event.start)
    words = []
    if scene.span > LONGEST_FOR_STOPS:
        words.append("Stops are shown in ranges of up to 2 days.")
    if len(rows) > MOST_EVENTS:
        words.append(f"The first {MOST_EVENTS} of {len(rows)} events are shown.")
    return Events(rows[:MOST_EVENTS], " ".join(words))


def _stops(scene: Scene) -> Iterable[Event]:
    if scene.span > LONGEST_FOR_STOPS:
        return
    for machine in scene.machines:
        timeline = analytics_selectors.machine_timeline(
            machine_id=machine.pk, start=scene.start, end=scene.end, at=scene.now
        )
        for part in timeline.segments:
            seconds = (part.end - part.start).total_seconds()
            if str(part.state) in STOPS and seconds >= SHORTEST_STOP_S:
                words = STATE_WORDS[str(part.state)].lower()
                yield Event(
                    part.start, part.end, "stop", f"{machine.name}: {words}", _page(machine)
                )


def _failures(scene: Scene) -> Iterable[Event]:
    rows = production_selectors.failures([machine.pk for machine in scene.machines])
    for row in rows.filter(failed_at__gte=scene.start, failed_at__lt=scene.end)[:MOST_EVENTS]:
        label = f"{row.machine.name}: failure, {row.get_mode_display().lower()}"
        yield Event(row.failed_at, None, "failure", label, _page(row.machine))


def _models(scene: Scene) -> Iterable[Event]:
    machines = {machine.machine_type: machine for machine in scene.machines}
    rows = mlops_selectors.model_versions().filter(
        machine_type__in=list(machines), created_at__gte=scene.start, created_at__lt=scene.end
    )
    for row in rows[:MOST_EVENTS]:
        if row.machine_type is not None:
            label = f"Model {row.version} for {row.machine_type.name}"
            yield Event(row.created_at, None, "model", label, _page(machines[row.machine_type]))


def _revisions(scene: Scene) -> Iterable[Event]:
    """Fold revisions that lie close together: a resent hour is one event, not 3,600."""
    if scene.span > LONGEST_FOR_REVISIONS:
        return
    for device in scene.devices:
        found = telemetry_selectors.revisions(device_id=device.pk, start=scene.start, end=scene.end)
        make = partial(_revised, device, f"{reverse('frontend:device', args=[device.pk])}")
        fold: list[datetime] = []
        for row in found:
            if fold and row["ts"] - fold[-1] > scene.span / 100:
                yield make(fold)
                fold = []
            fold.append(row["ts"])
        if fold:
            yield make(fold)


def _revised(device: Device, path: str, times: Sequence[datetime]) -> Event:
    n = len(times)
    label = f"{device.name}: {n} value{'s' if n > 1 else ''} revised"
    return Event(times[0], times[-1] if n > 1 else None, "revision", label, path)


def _alarms(scene: Scene) -> Iterable[Event]:
    ids = [machine.pk for machine in scene.machines]
    rows = alarm_selectors.between(machine_ids=ids, start=scene.start, end=scene.end)
    for row in rows[:MOST_EVENTS]:
        label = f"{alarm_selectors.target_name(row)}: {row.point.rule.name}"
        path = reverse("frontend:alarm", args=[row.pk])
        yield Event(row.raised_at, row.cleared_at, "alarm", label, path)


def _page(machine: Machine) -> str:
    return reverse("frontend:machine", args=[machine.pk])


SOURCES: tuple[Callable[[Scene], Iterable[Event]], ...] = (
    _alarms,
    _stops,
    _failures,
    _models,
    _revisions,
)
