"""What a simulated machine goes through: its phases, products and lives.

The plan is drawn day by day, each day from a generator of its own, so that a plan drawn further
into the future keeps its past. Times are seconds since 1970 (UTC).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from zoneinfo import ZoneInfo

import numpy as np

from config.demo.noise import FloatArray, IntArray, stream

DAY_S = 86_400


class Phase(IntEnum):
    """What a machine is doing; where two claim an instant, the larger wins."""

    WORK = 0
    BREATHE = 1  # a pause of seconds between two parts
    WAIT = 2  # able, but without material, operator or order
    SETUP = 3
    BREAK = 4
    FAULT = 5  # a stop that clears in minutes
    REPAIR = 6  # the end of a life


@dataclass(frozen=True)
class Habits:
    """How often things happen in 24 h, and how long they take in minutes."""

    breathes_per_day: float = 14
    waits_per_day: float = 3
    wait_min: tuple[float, float] = (4, 22)
    setups_per_day: float = 2.4
    setup_min: tuple[float, float] = (12, 34)
    faults_per_day: float = 0.7
    fault_min: tuple[float, float] = (5, 38)
    slows_per_day: float = 0.35
    slow_min: tuple[float, float] = (25, 100)
    slow_ratio: tuple[float, float] = (0.58, 0.82)


@dataclass(frozen=True)
class Wear:
    """How a machine wears out: its life in hours of work at full load, and its repairs."""

    mean_life_h: float = 105
    spread: float = 0.16
    repair_h: tuple[float, float] = (1.2, 4.5)


@dataclass(frozen=True)
class Scene:
    """Something put at a chosen instant, in minutes from the first start of the demonstration."""

    phase: Phase
    from_min: float
    to_min: float
    ratio: float = 1.0

    def slowness(self, anchor: float) -> tuple[float, float, float]:
        return anchor + self.from_min * 60, anchor + self.to_min * 60, self.ratio


@dataclass(frozen=True)
class Life:
    """One life: it begins at `start`, ends at `failed` and is followed by a repair."""

    number: int
    start: float
    failed: float
    restored: float
    capacity: float  # load hours it lasts


@dataclass(frozen=True)
class Plan:
    """Piecewise constant facts on `[edges[i], edges[i + 1])`, and the lives across them.

    `hours`, `load_hours` and `output` are running totals at the edges: hours of work, the same
    weighted with load, and hours of work at full speed (times the rate these are parts).
    """

    edges: FloatArray
    phase: IntArray
    ratio: FloatArray
    product: IntArray
    load: FloatArray
    hours: FloatArray
    load_hours: FloatArray
    output: FloatArray
    lives: tuple[Life, ...]

    def at(self, times: FloatArray) -> IntArray:
        """Find the stretch each instant lies in."""
        found = np.searchsorted(self.edges, times, side="right") - 1
        return np.asarray(np.clip(found, 0, len(self.phase) - 1), dtype=np.int64)


@dataclass(frozen=True)
class _Events:
    start: list[float]
    end: list[float]
    phase: list[Phase]
    slow: list[tuple[float, float, float]]


def draw_plan(
    *,
    seed: int,
    name: str,
    start: float,
    end: float,
    habits: Habits,
    wear: Wear | None,
    loads: Sequence[float],
    breaks: FloatArray,
    scenes: Sequence[Scene] = (),
    anchor: float,
    wear_at_anchor: float | None = None,
    product_at_anchor: int | None = None,
) -> Plan:
    """Draw what a machine goes through from `start` to `end`.

    Args:
        loads: load factor of each product it makes.
        breaks: (n, 2) planned breaks.
        wear_at_anchor: the share of its life used at `anchor`, where it should be chosen.
        product_at_anchor: which product it makes at `anchor`, where it should be chosen.
    """
    events = _draw_events(seed, name, start=start, end=end, habits=habits)
    events.slow.extend(scene.slowness(anchor) for scene in scenes if scene.ratio < 1)
    edges, phase, ratio = _paint(events, breaks, scenes, start=start, end=end, anchor=anchor)
    product = _products(
        seed, name, edges, phase, n_products=len(loads), anchor=anchor, at_anchor=product_at_anchor
    )
    load = np.asarray(loads)[product]
    lives: tuple[Life, ...] = ()
    if wear is not None:
        totals = _running(np.diff(edges), (phase == Phase.WORK) * load * ratio)
        lives = _draw_lives(
            seed, name, edges, totals, wear, end=end, anchor=anchor, used=wear_at_anchor
        )
        edges, phase, ratio, product, load = _with_repairs(
            lives, edges, phase, ratio, product, load
        )
    works = (phase == Phase.WORK).astype(np.float64)
    length = np.diff(edges)
    return Plan(
        edges=edges,
        phase=phase,
        ratio=ratio,
        product=product,
        load=load,
        hours=_running(length, works),
        load_hours=_running(length, works * load * ratio),
        output=_running(length, works * ratio),
        lives=lives,
    )


def daily_breaks(
    *, start: float, end: float, time_zone: str, breaks: Sequence[tuple[time, int]]
) -> FloatArray:
    """Lay breaks, given as local start and minutes, on every day between two instants."""
    zone = ZoneInfo(time_zone)
    first: date = datetime.fromtimestamp(start, zone).date() - timedelta(days=1)
    n_days = int((end - start) / DAY_S) + 3
    spans = [
        (began := datetime.combine(first + timedelta(days=day), at, zone).timestamp(),
         began + minutes * 60)
        for day in range(n_days)
        for at, minutes in breaks
    ]  # fmt: skip
    return np.asarray(sorted(spans), dtype=np.float64).reshape(-1, 2)


def _running(length_s: FloatArray, weight: FloatArray) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(length_s * weight) / 3600])


def _draw_events(seed: int, name: str, *, start: float, end: float, habits: Habits) -> _Events:
    events = _Events([], [], [], [])
    kinds = [
        (Phase.BREATHE, habits.breathes_per_day, (0.4, 1.5)),
        (Phase.WAIT, habits.waits_per_day, habits.wait_min),
        (Phase.SETUP, habits.setups_per_day, habits.setup_min),
        (Phase.FAULT, habits.faults_per_day, habits.fault_min),
    ]
    for day in range(int(start // DAY_S), int(end // DAY_S) + 1):
        rng = np.random.default_rng([stream(seed, name, "day") & 0xFFFFFFFF, seed, day])
        for phase, per_day, minutes in kinds:
            n = int(rng.poisson(per_day))
            begins = day * DAY_S + rng.uniform(0, DAY_S, n)
            # Most stops are short: the square keeps the long ones rare.
            lengths = minutes[0] + (minutes[1] - minutes[0]) * rng.uniform(0, 1, n) ** 2
            events.start.extend(begins)
            events.end.extend(begins + lengths * 60)
            events.phase.extend([phase] * n)
        n = int(rng.poisson(habits.slows_per_day))
        begins = day * DAY_S + rng.uniform(0, DAY_S, n)
        lengths = rng.uniform(*habits.slow_min, n) * 60
        ratios = rng.uniform(*habits.slow_ratio, n)
        events.slow.extend(zip(begins, begins + lengths, ratios, strict=True))
    return events


def _paint(
    events: _Events,
    breaks: FloatArray,
    scenes: Sequence[Scene],
    *,
    start: float,
    end: float,
    anchor: float,
) -> tuple[FloatArray, IntArray, FloatArray]:
    """Resolve overlapping events into stretches: the stronger phase covers the weaker."""
    spans = [*zip(events.start, events.end, events.phase, strict=True)]
    spans += [(float(a), float(b), Phase.BREAK) for a, b in breaks]
    staged = [(anchor + s.from_min * 60, anchor + s.to_min * 60, s.phase) for s in scenes]
    cuts = [t for span in [*spans, *staged, *events.slow] for t in span[:2]]
    cuts += [start + day * DAY_S for day in range(int((end - start) / DAY_S) + 1)]
    edges = np.unique(np.clip(np.asarray(cuts, dtype=np.float64), start, end))
    edges = np.unique(np.concatenate([edges, [start, end]]))
    phase = np.zeros(len(edges) - 1, dtype=np.int64)
    ratio = np.ones(len(edges) - 1)
    # A staged scene has the last word: it is what the first visitor is shown.
    for begin, stop, kind in [*sorted(spans, key=lambda span: span[2]), *staged]:
        first, last = np.searchsorted(edges, [begin, stop])
        phase[first:last] = kind
    for begin, stop, share in events.slow:
        first, last = np.searchsorted(edges, [begin, stop])
        ratio[first:last] = share
    return edges, phase, ratio


def _products(
    seed: int,
    name: str,
    edges: FloatArray,
    phase: IntArray,
    *,
    n_products: int,
    anchor: float,
    at_anchor: int | None,
) -> IntArray:
    """Change the product with every set-up; which comes next is drawn from the set-up's time.

    Where one is chosen for the anchor, all are turned so that it is made then.
    """
    is_setup = phase == Phase.SETUP
    begins = np.flatnonzero(is_setup & ~np.concatenate([[False], is_setup[:-1]]))
    draws = [
        np.random.default_rng([stream(seed, name, "product") & 0xFFFFFFFF, seed, int(edges[i])])
        for i in begins
    ]
    product = np.zeros(len(phase), dtype=np.int64)
    current = 0
    for k, i in enumerate(begins):
        current = (current + 1 + int(draws[k].integers(max(n_products - 1, 1)))) % n_products
        product[i:] = current
    if at_anchor is not None:
        then = int(np.searchsorted(edges, anchor, side="right")) - 1
        product = (product + at_anchor - product[then]) % n_products
    return product


def _draw_lives(
    seed: int,
    name: str,
    edges: FloatArray,
    totals: FloatArray,
    wear: Wear,
    *,
    end: float,
    anchor: float,
    used: float | None,
) -> tuple[Life, ...]:
    """Use up one life after another; the last may end after the plan does."""
    lives: list[Life] = []
    begin, number = float(edges[0]), 0
    while begin < end:
        rng = np.random.default_rng([stream(seed, name, "life") & 0xFFFFFFFF, seed, number])
        capacity = wear.mean_life_h * float(np.exp(rng.normal(0, wear.spread)))
        repair_s = 3600 * float(rng.uniform(*wear.repair_h))
        at_begin = float(np.interp(begin, edges, totals))
        if used is not None and begin <= anchor:
            so_far = float(np.interp(anchor, edges, totals)) - at_begin
            capacity = _fitting(so_far, used, wear) or capacity
        at_end = at_begin + capacity
        if at_end >= totals[-1]:
            lives.append(Life(number, begin, float("inf"), float("inf"), capacity))
            break
        failed = crossing(at_end, totals, edges)
        lives.append(Life(number, begin, failed, failed + repair_s, capacity))
        begin, number = failed + repair_s, number + 1
    return tuple(lives)


def _fitting(so_far: float, used: float, wear: Wear) -> float | None:
    """Choose a life so that its share used at the anchor is as wanted, or that the next one can be.

    Only believable lengths are chosen; None leaves the life as it was drawn.
    """
    shortest, longest = 0.55 * wear.mean_life_h, 1.7 * wear.mean_life_h
    if shortest < so_far / used < longest:
        return so_far / used
    before = so_far - used * wear.mean_life_h
    return before if shortest < before < longest else None


def crossing(level: float, totals: FloatArray, edges: FloatArray) -> float:
    """Find when a running total first reaches a level that lies above its beginning."""
    after = int(np.searchsorted(totals, level, side="left"))
    low, high = float(totals[after - 1]), float(totals[after])
    begin, end = float(edges[after - 1]), float(edges[after])
    return begin + (level - low) / (high - low) * (end - begin)


def _with_repairs(
    lives: Sequence[Life],
    edges: FloatArray,
    phase: IntArray,
    ratio: FloatArray,
    product: IntArray,
    load: FloatArray,
) -> tuple[FloatArray, IntArray, FloatArray, IntArray, FloatArray]:
    ends = [t for life in lives for t in (life.failed, life.restored) if t < edges[-1]]
    cut = np.unique(np.concatenate([edges, ends]))
    source = np.searchsorted(edges, cut[:-1], side="right") - 1
    new_phase = phase[source].copy()
    for life in lives:
        first, last = np.searchsorted(cut, [life.failed, life.restored])
        new_phase[first:last] = Phase.REPAIR
    return cut, new_phase, ratio[source], product[source], load[source]
