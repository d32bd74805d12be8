"""What is told of a machine: its state, since when, one sentence and one figure. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from analytics import sentences
from analytics.kpis import ShiftSums
from analytics.states import State

_CYCLING = frozenset({State.RUN, State.SLOW})
NO_FIGURE = "\N{EN DASH}"


@dataclass(frozen=True)
class Segment:
    """One state on the timeline; `ratio` is the output against the ideal rate, where known."""

    state: State
    start: datetime
    end: datetime
    ratio: float | None = None
    n_micro_stops: int = 0


@dataclass(frozen=True)
class Figure:
    """One number with its unit and what stands beside it; an empty value means "not a number"."""

    value: str = ""
    unit: str = ""
    beside: str = ""


@dataclass(frozen=True)
class MachineTile:
    """One machine now.

    Attributes:
        since: start of the present state; `is_since_cut` where it began before we looked.
        note: one short sentence. figure: the one number that matters in this state.
        segments: the window (shift) up to now. oee: of the window, None where it cannot be said.
        lost_minor: what the present stop has cost, None without a cost per hour or a stop.
        last_seen_at: newest reading of any of its devices.
    """

    machine_id: UUID
    name: str
    state: State
    since: datetime | None
    is_since_cut: bool
    note: str
    figure: Figure
    window_start: datetime
    window_end: datetime
    segments: tuple[Segment, ...]
    sums: ShiftSums
    lost_minor: int | None = None
    last_seen_at: datetime | None = None
    ratio: float | None = None
    program: str = ""

    @property
    def oee(self) -> float | None:
        return self.sums.oee


@dataclass(frozen=True)
class Subject:
    """What is known of a machine when its tile is written.

    Attributes:
        segments: from before the window up to now, the last one still open.
        is_linked: some signal says what the machine does.
        power_kw: newest power, for machines that make no countable parts.
        back_at: when planned production begins again.
    """

    machine_id: UUID
    name: str
    rate_per_h: float | None
    cost_per_hour_minor: int | None
    segments: tuple[Segment, ...]
    is_linked: bool
    last_seen_at: datetime | None
    last_said_at: datetime | None
    program: str = ""
    power_kw: float | None = None
    back_at: datetime | None = None
    sums: ShiftSums = field(default_factory=ShiftSums)


@dataclass(frozen=True)
class Frame:
    """Where and when tiles are written."""

    now: datetime
    zone: ZoneInfo
    currency: str
    window_start: datetime
    window_end: datetime

    def clock(self, at: datetime) -> str:
        return sentences.clock(at, now=self.now, zone=self.zone)


def tile(subject: Subject, frame: Frame) -> MachineTile:
    """Say what a machine does now, in one state, one sentence and one figure."""
    present = subject.segments[-1]
    since: datetime | None = present.start
    if present.state == State.NODATA and subject.segments[0] is present:
        since = subject.last_said_at or subject.last_seen_at
    lost_minor = _lost_minor(subject, present, frame)
    shown = tuple(
        Segment(s.state, max(s.start, frame.window_start), s.end, s.ratio, s.n_micro_stops)
        for s in subject.segments
        if s.end > frame.window_start
    )
    return MachineTile(
        machine_id=subject.machine_id,
        name=subject.name,
        state=present.state,
        since=since,
        is_since_cut=present.state != State.NODATA and subject.segments[0] is present,
        note=_note(subject, present, frame),
        figure=_figure(subject, present, frame, lost_minor),
        window_start=frame.window_start,
        window_end=frame.window_end,
        segments=shown,
        sums=subject.sums,
        lost_minor=lost_minor,
        last_seen_at=subject.last_seen_at,
        ratio=present.ratio,
        program=subject.program,
    )


def _lost_minor(subject: Subject, present: Segment, frame: Frame) -> int | None:
    cost = subject.cost_per_hour_minor
    hours = (frame.now - present.start) / timedelta(hours=1)
    if cost is None:
        return None
    if present.state in {State.DOWN, State.IDLE, State.SETUP}:
        return round(cost * hours)
    if present.state == State.SLOW and present.ratio is not None:
        return round(cost * hours * (1 - min(present.ratio, 1.0)))
    return None


def _note(subject: Subject, present: Segment, frame: Frame) -> str:
    since = frame.clock(present.start)
    match present.state:
        case State.RUN:
            return subject.program or ("" if subject.segments[0] is present else f"Since {since}")
        case State.SLOW:
            share = sentences.percent(present.ratio) if present.ratio is not None else "Part"
            return f"{share} of rated speed since {since}"
        case State.DOWN:
            return f"Stopped at {since}. No reason yet."
        case State.IDLE:
            return f"Stands ready since {since}"
        case State.SETUP:
            return f"Set-up since {since}"
        case State.PLANNED:
            back = subject.back_at
            return f"Back at {frame.clock(back)}." if back else f"Since {since}"
        case State.NODATA:
            return _silence(subject, frame)


def _silence(subject: Subject, frame: Frame) -> str:
    if subject.last_seen_at is None:
        return "No reading yet. Connect a device."
    if not subject.is_linked:
        return "Link a signal that says what it does."
    return f"Last reading at {frame.clock(subject.last_said_at or subject.last_seen_at)}"


def _figure(subject: Subject, present: Segment, frame: Frame, lost_minor: int | None) -> Figure:
    rate = subject.rate_per_h
    if present.state in _CYCLING:
        if rate and present.ratio is not None:
            return Figure(_output(present.ratio * rate), "", f"of {_output(rate)} parts/h")
        if not rate and subject.power_kw is not None:
            return Figure(sentences.number(subject.power_kw), "kW", "")
        return Figure("", "", f"Rated {_output(rate)} parts/h" if rate else "")
    if present.state == State.NODATA:
        return Figure(NO_FIGURE, "", _before_silence(subject, frame))
    if present.state == State.PLANNED:
        return Figure("", "", "Not counted as a loss")
    lost = ""
    if lost_minor is not None and present.state != State.SETUP:
        lost = f"{sentences.money(lost_minor, currency=frame.currency)} lost so far"
    value, unit = _length((frame.now - present.start).total_seconds())
    return Figure(value, unit, lost)


def _before_silence(subject: Subject, frame: Frame) -> str:
    """Say what it did last, with its time, so that it cannot be taken for now."""
    known = [s for s in subject.segments if s.state != State.NODATA]
    if not known or known[-1].ratio is None or not subject.rate_per_h:
        return ""
    last = known[-1]
    made = (last.ratio or 0.0) * subject.rate_per_h
    return f"{_output(made)} parts/h at {frame.clock(last.end)}"


def _output(rate_per_h: float) -> str:
    # Counts are whole: more digits would only be the rounding of a few parts.
    return f"{rate_per_h:,.0f}" if rate_per_h >= 10 else sentences.number(rate_per_h)


def _length(seconds: float) -> tuple[str, str]:
    if seconds < 60:
        return str(int(seconds)), "s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return str(minutes), "min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}", "min"
    return str(minutes // (24 * 60)), "days"
