"""From stored readings to evidence: which signal of which device says what about a machine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from analytics.cues import IntArray, cues_of_booleans, cues_of_words
from analytics.evidence import Evidence, Samples
from telemetry import selectors as telemetry_selectors
from telemetry.models import Signal
from telemetry.selectors import LatestReading, RawResult, Value

Role = Signal.Role
_SPEAKING = (Role.STATE, Role.FAULT, Role.COUNT, Role.SPEED, Role.POWER)
# How a rate is written, and what makes it parts per hour. Other speeds (rpm) are no output.
_PER_HOUR = {"1/h": 1.0, "parts/h": 1.0, "pcs/h": 1.0, "1/min": 60.0, "parts/min": 60.0}


@dataclass
class MachineReadings:
    """What the devices of one machine have said in a period.

    Attributes:
        last_seen_at: of any device, also from before the period; None where nothing ever came.
        last_said_at: of a signal that speaks of the state, within the period.
        energy: power in kW. newest: the newest value of every key.
        is_linked: some signal speaks of the state.
    """

    evidence: Evidence
    last_seen_at: datetime | None = None
    last_said_at: datetime | None = None
    energy: Samples | None = None
    newest: dict[str, Value] = field(default_factory=dict)
    is_linked: bool = False


@dataclass
class _Collected:
    seen: list[IntArray] = field(default_factory=list)
    cues: list[Samples] = field(default_factory=list)
    by_role: dict[str, list[Samples]] = field(default_factory=dict)


def readings_of(
    machine_ids: Iterable[UUID], *, start: datetime, end: datetime
) -> dict[UUID, MachineReadings]:
    """Read the signals that speak of the state of machines in `[start, end)`.

    Seven queries, and six more a device that has such signals.
    """
    ids = list(machine_ids)
    devices = list(telemetry_selectors.devices_of(ids))
    device_ids = [device.pk for device in devices]
    signals: dict[int, list[Signal]] = {}
    for signal in telemetry_selectors.signals_of(device_ids):
        if signal.role in _SPEAKING:
            signals.setdefault(signal.device_id, []).append(signal)
    latest = telemetry_selectors.latest_values(device_ids)
    out: dict[UUID, MachineReadings] = {}
    for machine_id in ids:
        own = [device.pk for device in devices if device.machine_id == machine_id]
        collected = _Collected()
        for device_id in own:
            if device_id in signals:
                _collect(collected, device_id, signals[device_id], start=start, end=end)
        out[machine_id] = _readings(collected, own, latest)
        out[machine_id].is_linked = any(device_id in signals for device_id in own)
    return out


def _collect(
    into: _Collected, device_id: int, signals: Sequence[Signal], *, start: datetime, end: datetime
) -> None:
    keys = sorted({signal.key.key for signal in signals})
    raw = telemetry_selectors.raw(device_id=device_id, keys=keys, start=start, end=end)
    if len(raw.times):
        into.seen.append(raw.times)
    for signal in signals:
        samples = _samples(raw, signal.key.key, signal.scale)
        if len(samples.times) == 0:
            continue
        if signal.role == Role.STATE:
            into.cues.append(_cues(raw, signal, samples))
        else:
            name, scaled = _with_meaning(signal, samples)
            into.by_role.setdefault(name, []).append(scaled)


def _samples(raw: RawResult, key: str, scale: float) -> Samples:
    column = raw.columns[key]
    present = ~np.isnan(column)
    return Samples(raw.times[present], column[present] * scale)


def _cues(raw: RawResult, signal: Signal, samples: Samples) -> Samples:
    """Translate a state signal; each of its few words is looked up once."""
    key = signal.key.key
    if raw.kinds.get(key) == "b":
        return Samples(samples.times, cues_of_booleans(samples.values))
    if raw.kinds.get(key) != "s":
        return Samples(samples.times, np.full(len(samples.times), np.nan))
    codes, place = np.unique(raw.columns[key][~np.isnan(raw.columns[key])], return_inverse=True)
    words = RawResult(raw.times[: len(codes)], {key: codes}, raw.kinds).texts(key)
    return Samples(samples.times, cues_of_words(words)[place])


def _with_meaning(signal: Signal, samples: Samples) -> tuple[str, Samples]:
    """A speed that is not an output rate tells, like power, only whether the machine moves."""
    if signal.role != Role.SPEED:
        return signal.role, samples
    factor = _PER_HOUR.get(signal.unit)
    if factor is None:
        return "motion", Samples(samples.times, np.abs(samples.values))
    return signal.role, Samples(samples.times, samples.values * factor)


def _first(collected: _Collected, *roles: str) -> Samples | None:
    """Take one authoritative source a quantity: the first device that was given the role."""
    for role in roles:
        for samples in collected.by_role.get(role, []):
            return samples
    return None


def _readings(
    collected: _Collected, device_ids: Sequence[int], latest: Mapping[int, LatestReading]
) -> MachineReadings:
    seen = np.unique(np.concatenate(collected.seen)) if collected.seen else np.empty(0, np.int64)
    seen_at = [latest[pk].ts for pk in device_ids if pk in latest]
    power = _first(collected, Role.POWER)
    evidence = Evidence(
        seen=seen,
        cues=tuple(collected.cues),
        fault=_first(collected, Role.FAULT),
        count=_first(collected, Role.COUNT),
        speed=_first(collected, Role.SPEED),
        power=power or _first(collected, "motion"),
    )
    return MachineReadings(
        evidence=evidence,
        last_seen_at=max((at for at in seen_at if at is not None), default=None),
        last_said_at=instant(int(seen[-1])) if len(seen) else None,
        energy=power,
        newest={
            key: value
            for pk in device_ids
            if pk in latest
            for key, value in latest[pk].values.items()
        },
    )


def instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
