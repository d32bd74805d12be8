"""What can be asked about the floor: tiles, timelines, what needs a person, the plant's figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics import attention as attention_rows
from analytics import kpis, sentences
from analytics.attention import AttentionRow, Outlook
from analytics.calendars import SiteCalendar, Window, site_calendar
from analytics.counters import increments
from analytics.evidence import Rules
from analytics.grid import FASTEST_RATIO
from analytics.kpis import ShiftSums
from analytics.readings import MachineReadings, instant, milliseconds, readings_of
from analytics.states import State, StateInterval, state_intervals
from analytics.tiles import Frame, MachineTile, Segment, Subject, tile
from mlops import selectors as mlops_selectors
from production import selectors as production_selectors
from production.models import Machine
from tenants.context import current_factory

# Read from before the window, so that what held at its start is known.
LOOK_BACK = timedelta(hours=1)
# A power reading stands for the time up to the next one, but not for a silence.
LONGEST_HOLD_MS = 180_000
# Keys under which controls name what they make.
PROGRAM_KEYS = ("program", "product", "order", "job", "recipe")


@dataclass(frozen=True)
class PlantFigure:
    """A figure of the whole floor; `value` is None where it cannot be said."""

    label: str
    value: str | None
    unit: str
    below: str


@dataclass(frozen=True)
class Overview:
    """The page "Now": the shift, every machine, what needs a person, the figures."""

    at: datetime
    window: Window | None
    zone: ZoneInfo
    tiles: tuple[MachineTile, ...]
    attention: tuple[AttentionRow, ...]
    figures: tuple[PlantFigure, ...]


@dataclass(frozen=True)
class MachineTimeline:
    """The states of one machine over a period, up to now where it ends in the future."""

    machine_id: UUID
    start: datetime
    end: datetime
    segments: tuple[Segment, ...]
    sums: ShiftSums
    window: Window


def machine_tiles(*, at: datetime) -> list[MachineTile]:
    """Return one tile a machine, in the order of the floor."""
    return list(overview(at=at).tiles)


def attention(*, at: datetime) -> list[AttentionRow]:
    """Return what needs a person, the worst first."""
    return list(overview(at=at).attention)


def plant_figures(*, at: datetime) -> list[PlantFigure]:
    """Return the figures of the floor for the shift up to now."""
    return list(overview(at=at).figures)


def overview(*, at: datetime) -> Overview:
    """Return everything about now at once; a page that needs several parts asks for this.

    About ten queries, two a site, and six a device.
    """
    factory = current_factory()
    machines = list(production_selectors.machines())
    if not machines:
        return Overview(at, None, ZoneInfo(factory.time_zone), (), (), ())
    calendars: dict[UUID, SiteCalendar] = {}
    for machine in machines:
        site = machine.line.area.site
        if site.pk not in calendars:
            calendars[site.pk] = site_calendar(site, start=at, end=at, at=at)
    first = min(calendar.window.start for calendar in calendars.values())
    readings = readings_of([m.pk for m in machines], start=first - LOOK_BACK, end=at)
    tiles = []
    for machine in machines:
        calendar = calendars[machine.line.area.site_id]
        frame = _frame(calendar, at=at, currency=factory.currency)
        subject = _subject(machine, readings[machine.pk], calendar, at=at)
        tiles.append(tile(subject, frame))
    here = calendars[machines[0].line.area.site_id]
    frame = _frame(here, at=at, currency=factory.currency)
    rows = attention_rows.rows(tiles, outlooks=_outlooks(machines), frame=frame)
    return Overview(
        at=at,
        window=here.window,
        zone=here.zone,
        tiles=tuple(tiles),
        attention=tuple(rows),
        figures=tuple(_figures(machines, tiles, currency=factory.currency)),
    )


def machine_timeline(
    *, machine_id: UUID, start: datetime, end: datetime, at: datetime
) -> MachineTimeline:
    """Return the states of a machine in `[start, end)`, up to `at` where that is earlier.

    Raises:
        Machine.DoesNotExist: not in this factory.
    """
    machine = production_selectors.machine(machine_id)
    until = max(min(end, at), start)
    calendar = site_calendar(machine.line.area.site, start=start, end=until, at=at)
    readings = readings_of([machine.pk], start=start - LOOK_BACK, end=until)[machine.pk]
    intervals = _intervals(machine, readings, calendar, start=start, end=until)
    return MachineTimeline(
        machine_id=machine.pk,
        start=start,
        end=end,
        segments=_segments(intervals),
        sums=_sums(machine, readings, intervals, calendar),
        window=calendar.window,
    )


def _frame(calendar: SiteCalendar, *, at: datetime, currency: str) -> Frame:
    window = calendar.window
    return Frame(at, calendar.zone, currency, window.start, window.end)


def _intervals(
    machine: Machine,
    readings: MachineReadings,
    calendar: SiteCalendar,
    *,
    start: datetime,
    end: datetime,
) -> list[StateInterval]:
    return state_intervals(
        readings.evidence,
        start_ms=milliseconds(start),
        end_ms=milliseconds(end),
        rules=Rules(ideal_rate_per_h=machine.rate_per_h),
        working=calendar.working,
    )


def _segments(intervals: Sequence[StateInterval]) -> tuple[Segment, ...]:
    return tuple(
        Segment(i.state, instant(i.start_ms), instant(i.end_ms), i.ratio, i.n_micro_stops)
        for i in intervals
    )


def _subject(
    machine: Machine, readings: MachineReadings, calendar: SiteCalendar, *, at: datetime
) -> Subject:
    start = calendar.window.start
    intervals = _intervals(machine, readings, calendar, start=start - LOOK_BACK, end=at)
    shown = [i for i in intervals if i.end_ms > milliseconds(start)]
    power = readings.energy
    return Subject(
        machine_id=machine.pk,
        name=machine.name,
        rate_per_h=machine.rate_per_h,
        cost_per_hour_minor=machine.cost_per_hour_minor,
        segments=_segments(intervals),
        is_linked=readings.is_linked,
        last_seen_at=readings.last_seen_at,
        last_said_at=readings.last_said_at,
        program=_program(readings),
        power_kw=float(power.values[-1]) if power is not None else None,
        back_at=calendar.back_at(at),
        sums=_sums(machine, readings, _from(shown, milliseconds(start)), calendar),
    )


def _from(intervals: Sequence[StateInterval], start_ms: int) -> list[StateInterval]:
    return [replace(i, start_ms=max(i.start_ms, start_ms)) for i in intervals]


def _sums(
    machine: Machine,
    readings: MachineReadings,
    intervals: Sequence[StateInterval],
    calendar: SiteCalendar,
) -> ShiftSums:
    if not intervals:
        return ShiftSums()
    start_ms, end_ms = intervals[0].start_ms, intervals[-1].end_ms
    count, rate = readings.evidence.count, machine.rate_per_h
    n_parts = n_in_gaps = 0.0
    if count is not None:
        fastest = rate * FASTEST_RATIO if rate else None
        counted = increments(count.times, count.values, max_rate_per_h=fastest)
        n_parts = counted.total(start_ms=start_ms, end_ms=end_ms)
        # The first reading after a silence carries what was made during it.
        n_in_gaps = sum(
            counted.total(start_ms=i.end_ms, end_ms=i.end_ms + 1)
            for i in intervals
            if i.state == State.NODATA
        )
    energy = None
    if readings.energy is not None:
        energy = kpis.energy_kwh(
            readings.energy, start_ms=start_ms, end_ms=end_ms, longest_gap_ms=LONGEST_HOLD_MS
        )
    return kpis.shift_sums(
        intervals,
        working=calendar.working,
        n_parts=n_parts,
        ideal_rate_per_h=rate,
        has_count=count is not None,
        n_parts_in_gaps=n_in_gaps,
        energy_kwh=energy,
    )


def _program(readings: MachineReadings) -> str:
    for key in PROGRAM_KEYS:
        value = readings.newest.get(key)
        if isinstance(value, str) and value:
            return value
    return ""


def _outlooks(machines: Sequence[Machine]) -> list[Outlook]:
    """Return what the models say of each machine; one without a prediction is left out."""
    predictions = mlops_selectors.latest_predictions([machine.pk for machine in machines])
    out = []
    for machine in machines:
        found = predictions.get(machine.pk)
        if found is None or found.state != found.State.OK or found.is_open_ended:
            continue
        rul, low, high = found.rul or 0.0, found.rul_low or 0.0, found.rul_high or 0.0
        whole = (found.usage_at or 0.0) + rul
        out.append(
            Outlook(
                machine_id=machine.pk,
                name=machine.name,
                component=machine.machine_type.component,
                low=low,
                high=high,
                unit=found.unit,
                level=found.level,
                made_at=found.made_at,
                share_left=rul / whole if whole > 0 else 0.0,
            )
        )
    return out


def _figures(
    machines: Sequence[Machine], tiles: Sequence[MachineTile], *, currency: str
) -> list[PlantFigure]:
    whole = kpis.total(tile.sums for tile in tiles)
    costs = {machine.pk: machine.cost_per_hour_minor or 0 for machine in machines}
    lost_minor = sum(costs[t.machine_id] * t.sums.lost_ms / 3_600_000 for t in tiles)
    n_cycling = sum(t.state in {State.RUN, State.SLOW} for t in tiles)
    n_silent = sum(t.state == State.NODATA for t in tiles)
    silent = f"{n_silent} send no data" if n_silent else "All of them send data"
    coverage = whole.coverage
    below = "Without rejects: none are reported"
    if coverage is not None and coverage < kpis.PROVISIONAL_BELOW:
        below = f"Provisional: {sentences.percent(coverage)} of the time is known"
    energy = whole.energy_kwh
    per_part = f"{energy / whole.n_parts:.2g} kWh a part" if energy and whole.n_parts else ""
    return [
        PlantFigure("Working now", f"{n_cycling} of {len(tiles)}", "machines", silent),
        PlantFigure("OEE", f"{whole.oee * 100:.1f}" if whole.oee is not None else None, "%", below),
        PlantFigure("Parts made", f"{whole.n_parts:,.0f}", "", "This shift, all machines"),
        PlantFigure(
            "Time lost",
            sentences.length(whole.lost_ms / 1000),
            "",
            f"{sentences.money(round(lost_minor), currency=currency)} at your machine rates",
        ),
        PlantFigure("Energy", f"{energy:,.0f}" if energy is not None else None, "kWh", per_part),
    ]
