"""The data set of a machine type: what production and telemetry know, as lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from django.db.models import Prefetch, prefetch_related_objects

from mlops import history
from mlops.history import Recording, Span
from mlops.lives import Life, step_for
from mlops.maintenance.reasons import SignalName
from production import selectors as production_selectors
from production.models import Failure, Machine, MachineType
from telemetry import selectors as telemetry_selectors
from telemetry.models import Device, Signal, SignalKey

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# What counts or says, rather than measures: it follows from how much a machine did, not from
# how it is.
NOT_MEASURED = frozenset(
    {Signal.Role.STATE, Signal.Role.COUNT, Signal.Role.ENERGY, Signal.Role.LIFE, Signal.Role.FAULT}
)
HOURS = "h"


def look_up(machines: Sequence[Machine]) -> None:
    """Fetch failures, devices and signals of many machines at once: three queries, and none for
    each machine when it is then asked for here. They hold as long as these objects do."""
    prefetch_related_objects(
        machines,
        Prefetch("failures", production_selectors.failures()),
        Prefetch("devices", telemetry_selectors.devices(include_retired=True)),
        Prefetch("devices__signals", Signal.objects.select_related("key").order_by("pk")),
    )


def _is_looked_up(machine: Machine) -> bool:
    return "devices" in getattr(machine, "_prefetched_objects_cache", ())


def failures_of(machine: Machine) -> list[Failure]:
    """Return the failures of a machine that stand, oldest first."""
    if _is_looked_up(machine):
        return list(machine.failures.all())
    return list(production_selectors.failures([machine.pk]))


def devices_of(machine: Machine) -> list[tuple[Device, list[Signal]]]:
    """Return the devices of a machine by name, retired ones too, each with its signals."""
    if _is_looked_up(machine):
        return [(device, list(device.signals.all())) for device in machine.devices.all()]
    devices = list(telemetry_selectors.devices_of([machine.pk]))
    signals = list(telemetry_selectors.signals_of([device.pk for device in devices]))
    return [(one, [s for s in signals if s.device_id == one.pk]) for one in devices]


@dataclass(frozen=True, slots=True)
class DataSet:
    """Lives of one machine type that ended in a failure of the kind that is predicted.

    Attributes:
        lives: in the order of their ends.
        ended_at: one a life.
    """

    signals: tuple[str, ...]
    unit: str
    step: float
    lives: list[Life]
    ended_at: list[datetime]
    n_machines: int


def counted_failures(machine_type: MachineType) -> list[Failure]:
    """Return the failures that end a life of the type's component, in order.

    A failure of another component interrupts a life but renews nothing; one that names no
    component counts.
    """
    ids = [m.pk for m in machines_of(machine_type)]
    rows = production_selectors.failures(ids)
    wanted = {"", machine_type.component} if machine_type.component else None
    return [row for row in rows if wanted is None or row.component in wanted]


def machines_of(machine_type: MachineType) -> list[Machine]:
    """Return the machines of a type, retired ones too: their lives still teach."""
    rows = production_selectors.machines(include_retired=True)
    return list(rows.filter(machine_type=machine_type))


@dataclass(frozen=True, slots=True)
class _Piece:
    """The readings of one life that ended."""

    key: str
    group: str
    ended_at: datetime
    recording: Recording


def build(machine_type: MachineType, *, at: datetime) -> DataSet:
    """Read the lives of a type that ended before `at`."""
    pieces, signals, n_machines = _pieces(machine_type, at)
    meter = machine_type.life_meter_key
    unit = machine_type.life_meter_unit if meter else HOURS
    usages = [history.usage_of(piece.recording) for piece in pieces]
    usages = [usage for usage in usages if len(usage) and usage[-1] > 0]
    if not usages or not signals:
        return DataSet(signals, unit, 1.0, [], [], n_machines)
    step = step_for(
        lengths=[float(usage[-1]) for usage in usages],
        natural=history.natural_step(usages, is_metered=bool(meter)),
    )
    found = [
        (
            piece.ended_at,
            history.life_of(
                piece.recording, signals=signals, step=step, key=piece.key, group=piece.group,
                failed=True,
            ),
        )
        for piece in sorted(pieces, key=lambda piece: (piece.ended_at, piece.key))
    ]  # fmt: skip
    kept = [(ended_at, life) for ended_at, life in found if life is not None and len(life) > 1]
    return DataSet(
        signals, unit, step, [life for _, life in kept], [at for at, _ in kept], n_machines
    )


def _pieces(machine_type: MachineType, at: datetime) -> tuple[list[_Piece], tuple[str, ...], int]:
    """Return the lives, the signals that at least half of the machines report, their number."""
    failures: dict[UUID, list[tuple[datetime, datetime | None]]] = {}
    for failure in counted_failures(machine_type):
        if failure.failed_at <= at:
            ended = (failure.failed_at, failure.restored_at)
            failures.setdefault(failure.machine_id, []).append(ended)
    machines = [m for m in machines_of(machine_type) if m.pk in failures]
    pieces: list[_Piece] = []
    seen: dict[str, int] = {}
    counting: set[str] = set()
    for machine in machines:
        whole = recording_of(
            machine, meter_key=machine_type.life_meter_key, start=BEGINNING, end=at
        )
        for key in whole.columns:
            seen[key] = seen.get(key, 0) + 1
        ends = [failed_at for failed_at, _restored_at in failures[machine.pk]]
        counting |= history.counters(whole, ends=ends)
        spans = history.spans(
            commissioned_at=machine.commissioned_at, failures=failures[machine.pk]
        )
        pieces += [
            _Piece(f"{machine.pk}/{number}", str(machine.pk), span.end, history.within(whole, span))
            for number, span in enumerate(spans, start=1)
            if span.end is not None
        ]
    shared = {key for key, n in seen.items() if 2 * n >= len(machines)}
    return pieces, tuple(sorted(shared - counting)), len(machines)


@dataclass(frozen=True, slots=True)
class Current:
    """The life that a machine is in, and its use a day of late (None: too short a time)."""

    life: Life
    usage_per_day: float | None


def current_life(
    machine: Machine, *, signals: Sequence[str], step: float, at: datetime
) -> Current | None:
    """Return the life that a machine is in, or None where it is down or never ran."""
    span = spans_of(machine, at=at)
    if not span or span[-1].end is not None:
        return None
    recording = recording_of(
        machine,
        meter_key=machine.machine_type.life_meter_key,
        start=span[-1].start or BEGINNING,
        end=at,
    )
    life = history.life_of(
        recording, signals=signals, step=step, key=str(machine.pk), group=str(machine.pk),
        failed=False,
    )  # fmt: skip
    if life is None:
        return None
    return Current(life, history.usage_per_day(recording, until=at))


def spans_of(machine: Machine, *, at: datetime) -> list[Span]:
    """Return the lives of a machine's component as they were known at a moment."""
    component = machine.machine_type.component
    wanted = {"", component} if component else None
    failures = [
        (f.failed_at, f.restored_at if f.restored_at and f.restored_at <= at else None)
        for f in failures_of(machine)
        if f.failed_at <= at and (wanted is None or f.component in wanted)
    ]
    return history.spans(commissioned_at=machine.commissioned_at, failures=failures)


def recording_of(machine: Machine, *, meter_key: str, start: datetime, end: datetime) -> Recording:
    """Read everything the devices of a machine reported in [start, end)."""
    parts = []
    for device, signals in devices_of(machine):
        part = _read(device.pk, signals, meter_key, start, end)
        if len(part.times):
            parts.append(part)
    if not parts:
        return Recording(np.zeros(0, np.int64), {}, None if not meter_key else np.zeros(0), None)
    return parts[0] if len(parts) == 1 else _united(parts)


def _read(
    device_id: int, signals: list[Signal], meter_key: str, start: datetime, end: datetime
) -> Recording:
    measured = sorted(
        signal.key.key
        for signal in signals
        if signal.key.kind == SignalKey.Kind.NUMBER
        and signal.role not in NOT_MEASURED
        and signal.key.key != meter_key
    )
    says_state = [
        signal.key.key
        for signal in signals
        if signal.role == Signal.Role.STATE and signal.key.kind == SignalKey.Kind.TEXT
    ][:1]
    asked = [*measured, *says_state, *([meter_key] if meter_key else [])]
    raw = telemetry_selectors.raw(
        device_id=device_id, keys=sorted(set(asked)), start=start, end=end
    )
    running = history.running_from_words(raw.texts(says_state[0])) if says_state else None
    return Recording(
        times=raw.times,
        columns={key: raw.columns[key] for key in measured},
        meter=raw.columns[meter_key] if meter_key else None,
        running=running,
    )


def _united(parts: list[Recording]) -> Recording:
    """Lay the devices of one machine over each other in time."""
    times = np.concatenate([part.times for part in parts])
    order = np.argsort(times, kind="stable")
    keys = sorted({key for part in parts for key in part.columns})
    columns = {
        key: np.concatenate(
            [part.columns.get(key, np.full(len(part.times), np.nan)) for part in parts]
        )[order]
        for key in keys
    }
    meter = None
    if any(part.meter is not None for part in parts):
        meter = np.concatenate(
            [np.full(len(p.times), np.nan) if p.meter is None else p.meter for p in parts]
        )[order]
    # Whether the machine is at work is said by one device; the others follow it.
    running = None
    spoken = [part for part in parts if part.running is not None]
    if spoken:
        speaker = spoken[0]
        assert speaker.running is not None
        place = np.searchsorted(speaker.times, times[order], side="right") - 1
        running = np.where(place >= 0, speaker.running[np.maximum(place, 0)], False)
    return Recording(times[order], columns, meter, running)


def names_of(machine: Machine) -> dict[str, SignalName]:
    """Return what people call the signals of a machine."""
    return {
        signal.key.key: SignalName(signal.label or signal.key.key, signal.unit)
        for _device, signals in sorted(devices_of(machine), key=lambda pair: pair[0].pk)
        for signal in signals
    }
