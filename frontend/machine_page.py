"""Everything that the page of one machine shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.http import urlencode

from analytics import selectors as analytics_selectors
from frontend import floor, health_card, life_card, series
from frontend.floor import ShiftRow, Stop
from frontend.formats import clock, day, figure, moment
from frontend.health_card import HealthCard
from frontend.life import LifeCard
from frontend.tiles import Figure, Tile
from production.models import Machine
from telemetry import selectors as telemetry_selectors
from telemetry.models import Device, Signal
from telemetry.selectors import LatestReading

MOST_FIGURES = 5


@dataclass
class Group:
    """The machines of one line."""

    name: str
    tiles: list[Tile]


@dataclass(frozen=True)
class RangeLink:
    label: str
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class SignalChoice:
    id: int
    label: str
    unit: str
    is_chosen: bool


@dataclass(frozen=True)
class ChartCard:
    heading: str
    ranges: tuple[RangeLink, ...]
    range: str
    has_signals: bool
    summary: str
    data_url: str
    csv_url: str
    table_url: str
    choices: tuple[SignalChoice, ...]
    callout: str = ""


@dataclass(frozen=True)
class DeviceLine:
    name: str
    url: str
    last_at: datetime | None
    n_signals: int


@dataclass(frozen=True)
class MachinePage:
    name: str
    url: str
    work_url: str
    label_url: str
    vibration_url: str
    reliability_url: str
    line: str
    state: str
    since: datetime | None
    under: str
    device_ids: str
    figures: tuple[Figure, ...]
    devices: tuple[DeviceLine, ...]
    chart: ChartCard
    life: LifeCard
    health: HealthCard
    shifts: list[ShiftRow]
    axis: tuple[str, ...]
    states_seen: tuple[str, ...]
    stops: tuple[Stop, ...]
    n_more_stops: int
    may_connect: bool
    connect_url: str
    refresh_at: int | None


@dataclass(frozen=True)
class Chosen:
    """The signals and the time that a chart, a table or a file is made of."""

    machine: Machine
    devices: Sequence[Device]
    all_signals: Sequence[Signal]
    signals: Sequence[Signal]
    latest: dict[int, LatestReading]
    frame: series.Window


def choose(machine: Machine, *, now: datetime, range_code: str, wanted: Sequence[str]) -> Chosen:
    devices = list(telemetry_selectors.devices_of([machine.pk]))
    ids = [device.pk for device in devices]
    signals = list(telemetry_selectors.signals_of(ids)) if ids else []
    latest = telemetry_selectors.latest_values(ids) if ids else {}
    numbers = series.drawable(signals)
    first_at = min((signal.first_seen_at for signal in signals), default=None)
    last_at = max((last.ts for last in latest.values() if last.ts), default=None)
    if machine.commissioned_at and (first_at is None or machine.commissioned_at < first_at):
        first_at = machine.commissioned_at
    frame = series.window(range_code, now=now, first_at=first_at, last_at=last_at)
    return Chosen(machine, devices, signals, series.choose(numbers, wanted), latest, frame)


def build(
    machine: Machine,
    *,
    now: datetime,
    range_code: str,
    wanted: Sequence[str],
    may_connect: bool,
    may_train: bool,
) -> MachinePage:
    chosen = choose(machine, now=now, range_code=range_code, wanted=wanted)
    segments = analytics_selectors.machine_timeline(
        machine_id=machine.pk, start=now - timedelta(hours=24), end=now, at=now
    ).segments
    present = segments[-1] if segments else None
    # What began before the 24 hours has no known start.
    is_cut = len(segments) < 2
    stops, n_more = floor.stops(segments, now=now)
    shifts = floor.eight_hours(segments, now=now, name=machine.name)
    state = str(present.state) if present else "nodata"
    last_at = max((last.ts for last in chosen.latest.values() if last.ts), default=None)
    return MachinePage(
        name=machine.name,
        url=reverse("frontend:machine", args=[machine.pk]),
        work_url=reverse("frontend:machine-work", args=[machine.asset_tag]),
        label_url=reverse("frontend:machine-label", args=[machine.pk]),
        vibration_url=reverse("frontend:machine-vibration", args=[machine.pk]),
        reliability_url=reverse("frontend:machine-reliability", args=[machine.pk]),
        line=machine.line.name,
        state=state,
        since=present.start if present and not is_cut else None,
        under=_under(machine),
        device_ids=" ".join(str(device.pk) for device in chosen.devices),
        figures=_figures(chosen, now),
        devices=_device_lines(chosen),
        chart=_chart(chosen, wanted),
        life=life_card.of_machine(machine, may_train=may_train),
        health=health_card.of_machine(machine),
        shifts=shifts,
        axis=tuple(f"{hour} h" if hour in (0, 8) else str(hour) for hour in range(9)),
        states_seen=tuple(dict.fromkeys(str(part.state) for part in segments)),
        stops=stops,
        n_more_stops=n_more,
        may_connect=may_connect,
        connect_url=f"{reverse('frontend:start')}?machine={machine.pk}" if may_connect else "",
        refresh_at=floor.next_change([(state, last_at)], now=now),
    )


def _under(machine: Machine) -> str:
    parts = [machine.machine_type.name]
    if machine.rate_per_h:
        parts.append(f"rated {figure(machine.rate_per_h)} parts/h")
    return ", ".join(parts) + "."


def _figures(chosen: Chosen, now: datetime) -> tuple[Figure, ...]:
    """Show the newest value of the signals that say most, each with its age where it is old."""
    found = []
    for signal in series.choose(series.drawable(chosen.all_signals), []) + _others(chosen):
        last = chosen.latest.get(signal.device_id)
        value = last.values.get(signal.key.key) if last else None
        if last is None or last.ts is None or not isinstance(value, int | float):
            continue
        age = now - last.ts
        below = "Now" if age < timedelta(minutes=1) else f"At {moment(last.ts, now)}"
        found.append(
            Figure(
                label=signal.label,
                value=figure(value * signal.scale),
                unit=signal.unit,
                below=below,
                live=f"{signal.device_id}:{signal.key.key}" if signal.scale == 1.0 else "",
                at=last.ts,
                is_none=age > series.SILENCE,
            )
        )
    return tuple(found[:MOST_FIGURES])


def _others(chosen: Chosen) -> list[Signal]:
    first = {signal.pk for signal in series.choose(series.drawable(chosen.all_signals), [])}
    return [s for s in series.drawable(chosen.all_signals) if s.pk not in first]


def _device_lines(chosen: Chosen) -> tuple[DeviceLine, ...]:
    lines = []
    for device in chosen.devices:
        last = chosen.latest.get(device.pk)
        lines.append(
            DeviceLine(
                name=device.name,
                url=reverse("frontend:device", args=[device.pk]),
                last_at=last.ts if last else None,
                n_signals=sum(signal.device_id == device.pk for signal in chosen.all_signals),
            )
        )
    return tuple(lines)


def _chart(chosen: Chosen, wanted: Sequence[str]) -> ChartCard:
    machine, frame = chosen.machine, chosen.frame
    url = reverse("frontend:machine", args=[machine.pk])
    numbers = series.drawable(chosen.all_signals)
    drawn = {signal.pk for signal in chosen.signals}
    kept = [("signal", str(signal.pk)) for signal in chosen.signals] if wanted else []

    def query(code: str) -> str:
        return urlencode([("range", code), *kept])

    def data(name: str) -> str:
        address = reverse(f"frontend:{name}", args=[machine.pk])
        drawn_now = [("signal", str(signal.pk)) for signal in chosen.signals]
        return f"{address}?{urlencode([('range', frame.code), *drawn_now])}"

    if chosen.signals:
        summary = series.summary(chosen.signals, frame, machine.name)
    else:
        summary = "Charts draw numbers. The first number that a device sends appears here."
    return ChartCard(
        heading=" and ".join(dict.fromkeys(s.label for s in chosen.signals)) or "Readings",
        ranges=tuple(
            RangeLink(label, f"{url}?{query(code)}", code == frame.code)
            for code, (label, _span) in series.RANGES.items()
        ),
        range=frame.code,
        has_signals=bool(chosen.signals),
        summary=summary,
        data_url=data("machine-series"),
        csv_url=data("machine-csv"),
        table_url=data("machine-table"),
        choices=tuple(SignalChoice(s.pk, s.label, s.unit, s.pk in drawn) for s in numbers),
        callout=""
        if frame.code != "all"
        else f"{day(frame.start)}, {clock(frame.start)} to {day(frame.end)}, {clock(frame.end)}.",
    )
