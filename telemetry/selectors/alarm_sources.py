"""Where the signals of a rule come from on each of its targets, and their samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from production import selectors as production_selectors
from production.models import Machine
from telemetry.alarms.judging import NOTHING, Series
from telemetry.alarms.sentences import Name
from telemetry.models import AlarmRule, Device, SignalKey
from telemetry.selectors import dictionary
from telemetry.selectors.devices import devices, signals_of
from telemetry.selectors.history import RawResult, raw


@dataclass(frozen=True, slots=True)
class Source:
    """A signal of a device; shown value = stored value * scale."""

    device_id: int
    key: str
    scale: float
    name: Name


@dataclass(frozen=True)
class Target:
    """A machine with its devices, or a device that belongs to no machine.

    Attributes:
        sources: by key; of two devices with one key the one that reported it first.
        keys: everything that each device reports, for "any reading at all".
    """

    name: str
    machine_id: UUID | None
    device_id: int | None
    site_id: UUID | None
    zone: ZoneInfo | None
    sources: Mapping[str, Source]
    keys: Mapping[int, tuple[str, ...]]

    @property
    def device_ids(self) -> tuple[int, ...]:
        return tuple(self.keys)

    @property
    def names(self) -> dict[str, Name]:
        return {key: source.name for key, source in self.sources.items()}

    def needs(self, keys: Iterable[str]) -> dict[int, set[str]]:
        """Return which keys of which devices a rule reads; "" is every key there is."""
        wanted: dict[int, set[str]] = {}
        for key in keys:
            if key == "":
                for device_id, own in self.keys.items():
                    wanted.setdefault(device_id, set()).update(own)
            elif key in self.sources:
                wanted.setdefault(self.sources[key].device_id, set()).add(key)
        return wanted


def targets() -> list[Target]:
    """Return everything that rules may watch: machines in use, devices without a machine."""
    of_machine: dict[UUID | None, list[Device]] = {}
    for device in devices():
        of_machine.setdefault(device.machine_id, []).append(device)
    reported = _sources([device.pk for own in of_machine.values() for device in own])
    found = []
    machines = production_selectors.machines().exclude(state=Machine.State.MOTHBALLED)
    for machine in machines:
        site = machine.line.area.site
        own = of_machine.get(machine.pk, [])
        zone = ZoneInfo(site.time_zone)
        found.append(_target(machine.name, machine.pk, None, site.pk, zone, own, reported))
    alone = of_machine.get(None, [])
    return found + [_target(d.name, None, d.pk, None, None, [d], reported) for d in alone]


def targets_of(rule: AlarmRule, among: Sequence[Target]) -> list[Target]:
    """Return the targets of a rule among all of a factory's."""
    if rule.scope == AlarmRule.Scope.FACTORY:
        return list(among)
    wanted = {
        AlarmRule.Scope.LINE: ("line_id", rule.line_id),
        AlarmRule.Scope.MACHINE_TYPE: ("machine_type_id", rule.machine_type_id),
        AlarmRule.Scope.MACHINE: ("pk", rule.machine_id),
    }
    column, value = wanted[AlarmRule.Scope(rule.scope)]
    ids = set(
        production_selectors.machines().filter(**{column: value}).values_list("pk", flat=True)
    )
    return [target for target in among if target.machine_id in ids]


def _sources(device_ids: Sequence[int]) -> dict[int, list[Source]]:
    found: dict[int, list[Source]] = {}
    for signal in signals_of(device_ids).order_by("first_seen_at", "pk"):
        name = Name(signal.label, signal.unit)
        source = Source(signal.device_id, signal.key.key, signal.scale, name)
        found.setdefault(signal.device_id, []).append(source)
    return found


def _target(
    name: str,
    machine_id: UUID | None,
    device_id: int | None,
    site_id: UUID | None,
    zone: ZoneInfo | None,
    own: Sequence[Device],
    reported: Mapping[int, Sequence[Source]],
) -> Target:
    sources: dict[str, Source] = {}
    for device in own:
        for source in reported.get(device.pk, ()):
            sources.setdefault(source.key, source)
    keys = {
        device.pk: tuple(dict.fromkeys(source.key for source in reported.get(device.pk, ())))
        for device in own
    }
    return Target(name, machine_id, device_id, site_id, zone, sources, keys)


@dataclass
class Read:
    """Readings of some devices as samples of signals, each made once however many rules ask."""

    among: Mapping[int, RawResult]
    made: dict[tuple[int, str], Series] = field(default_factory=dict)

    def series(self, target: Target, keys: Iterable[str]) -> dict[str, Series]:
        """Return the samples of a target's signals; within one millisecond the last one counts."""
        return {
            key: self._any(target) if key == "" else self._one(target.sources.get(key))
            for key in keys
        }

    def _any(self, target: Target) -> Series:
        times = [self.among[pk].times for pk in target.device_ids if pk in self.among]
        all_times = np.unique(np.concatenate(times)) if times else NOTHING.times
        return Series(all_times, np.zeros(len(all_times)))

    def _one(self, source: Source | None) -> Series:
        if source is None or source.device_id not in self.among:
            return NOTHING
        place = (source.device_id, source.key)
        if place not in self.made:
            self.made[place] = _samples(self.among[source.device_id], source)
        return self.made[place]


def _samples(read: RawResult, source: Source) -> Series:
    column = read.columns[source.key]
    present = ~np.isnan(column)
    times, values = read.times[present], column[present]
    if len(times):
        is_last = np.append(times[1:] != times[:-1], True)
        times, values = times[is_last], values[is_last]
    kind = read.kinds.get(source.key)
    if kind == SignalKey.Kind.TEXT:
        return Series(times, values, dictionary.words(set(values.astype(int).tolist())))
    return Series(times, values * source.scale if kind == SignalKey.Kind.NUMBER else values)


def readings(wanted: Mapping[int, Iterable[str]], *, start: datetime, end: datetime) -> Read:
    """Return the readings of some keys of some devices in [start, end)."""
    return Read(
        {
            device_id: raw(device_id=device_id, keys=sorted(keys), start=start, end=end)
            for device_id, keys in wanted.items()
            if keys
        }
    )
