"""A machine that can be asked what it measures at any instant.

Everything is a function of (seed, machine, anchor, time): history and live readings come from the
same formulas, so live goes on where history ends, at the same wear, in whatever steps it is read.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from config.demo import noise, plan
from config.demo.machines import BREAKS, FactorySpec, MachineSpec, SignalSpec
from config.demo.noise import FloatArray
from config.demo.plan import DAY_S, Life, Phase, Plan

type_words = {
    Phase.WORK: ("ACTIVE", "AUTOMATIC"),
    Phase.BREATHE: ("INTERRUPTED", "AUTOMATIC"),
    Phase.WAIT: ("READY", "AUTOMATIC"),
    Phase.SETUP: ("READY", "SETUP"),
    Phase.BREAK: ("READY", "AUTOMATIC"),
    Phase.FAULT: ("STOPPED", "AUTOMATIC"),
    Phase.REPAIR: ("STOPPED", "AUTOMATIC"),
}
EXECUTION = np.array([type_words[phase][0] for phase in Phase])
MODE = np.array([type_words[phase][1] for phase in Phase])
# Damage grows slowly, then fast: exp(4x) from 0 to 1, as bearings do.
STEEPNESS = 4.0

Values = dict[str, list[float | int | bool | str]]


@dataclass(frozen=True)
class Breakdown:
    """The end of one life."""

    failed_at: datetime
    restored_at: datetime | None


@dataclass(frozen=True)
class Readings:
    """Readings of one machine: ascending times in ms and a column for each key."""

    times_ms: noise.IntArray
    columns: Values

    def rows(self) -> list[dict[str, Any]]:
        """Give each reading in the form in which devices post it."""
        keys = list(self.columns)
        return [
            {"ts": ts, "values": dict(zip(keys, row, strict=True))}
            for ts, row in zip(
                self.times_ms.tolist(), zip(*self.columns.values(), strict=True), strict=True
            )
        ]


class SimulatedMachine:
    """One machine of a factory from `start` on; `anchor` is when the demonstration first began.

    `until` bounds what can be asked; a machine made with a later one has the same past.
    """

    def __init__(
        self, spec: MachineSpec, *, factory: FactorySpec, seed: int, anchor: float, days: float,
        until: float,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.name = spec.name
        self.seed = seed
        self.anchor = anchor
        # Whole days, so that the plan's days are the same whatever `until` is.
        self.start = (anchor // DAY_S - days) * DAY_S
        self.until = until
        self._path = f"{factory.stem}/{spec.name}"
        self._zone = factory.time_zone

    @cached_property
    def plan(self) -> Plan:
        return plan.draw_plan(
            seed=self.seed,
            name=self._path,
            start=self.start,
            end=self.until,
            habits=self.spec.type.habits,
            wear=self.spec.type.wear,
            loads=self.spec.type.loads,
            breaks=plan.daily_breaks(
                start=self.start, end=self.until, time_zone=self._zone,
                breaks=BREAKS if self.spec.type.speaks else (),
            ),
            scenes=self.spec.scenes,
            anchor=self.anchor,
            wear_at_anchor=self.spec.wear_at_anchor,
            product_at_anchor=self._staged_product,
        )  # fmt: skip

    @property
    def _staged_product(self) -> int | None:
        staged = self.spec.product_at_anchor
        return self.spec.type.products.index(staged) if staged else None

    def breakdowns(self, *, until: float) -> list[Breakdown]:
        """List the failures that happened before `until`; one may not be repaired yet."""
        return [
            Breakdown(
                failed_at=datetime.fromtimestamp(round(life.failed), UTC),
                restored_at=datetime.fromtimestamp(round(life.restored), UTC)
                if life.restored < until
                else None,
            )
            for life in self.plan.lives
            if life.failed < until
        ]

    def wear(self, times_s: FloatArray) -> FloatArray:
        """Give the share of its life that the machine has used, 0 to 1."""
        if not self.plan.lives:
            return np.zeros(len(times_s))
        lives = self.plan.lives
        which = np.searchsorted([life.start for life in lives], times_s, side="right") - 1
        which = np.clip(which, 0, len(lives) - 1)
        total = np.interp(times_s, self.plan.edges, self.plan.load_hours)
        begun = np.interp([life.start for life in lives], self.plan.edges, self.plan.load_hours)
        capacity = np.array([life.capacity for life in lives])
        used = (total - begun[which]) / capacity[which]
        return np.asarray(np.clip(used, 0.0, 1.0))

    def readings(self, times_ms: noise.IntArray) -> Readings:
        """Measure at the given times; each column is rounded as a control would send it."""
        times_s = times_ms / 1000.0
        at = self.plan.at(times_s)
        phase = self.plan.phase[at]
        output = np.interp(times_s, self.plan.edges, self.plan.output) * self.spec.pace
        hours = np.interp(times_s, self.plan.edges, self.plan.hours)
        columns: Values = {}
        if self.spec.type.speaks:
            rate = self.spec.type.ideal_rate_per_h or 0.0
            parts = output * rate
            columns["execution"] = EXECUTION[phase].tolist()
            columns["mode"] = MODE[phase].tolist()
            columns["part_count"] = np.floor(parts).astype(np.int64).tolist()
            columns["fault"] = ((phase == Phase.FAULT) | (phase == Phase.REPAIR)).tolist()
            columns["program"] = np.array(self.spec.type.products)[self.plan.product[at]].tolist()
        else:
            parts = hours * 60
        columns["run_hours"] = np.round(hours, 3).tolist()
        for signal in self.spec.type.signals:
            values = self._signal(signal, self._moments(signal, times_ms), parts)
            columns[signal.key] = np.round(values, signal.decimals).tolist()
        return Readings(times_ms, columns)

    def rows(self, times_ms: noise.IntArray) -> list[dict[str, Any]]:
        """Measure at the given times, in the form in which devices post it."""
        return self.readings(times_ms).rows()

    def _moments(self, signal: SignalSpec, times_ms: noise.IntArray) -> noise.IntArray:
        """A sticking sensor repeats what it said when it began to stick."""
        if signal.key != self.spec.sticking_signal:
            return times_ms
        # Once in three days, for about four hours: a hash of the day decides.
        day = times_ms // (DAY_S * 1000)
        lot = noise.uniform(noise.stream(self.seed, self._path, "stick"), day)
        begins = (day * DAY_S + (lot * 3 % 1) * 18 * 3600) * 1000
        sticks = (lot < 1 / 3) & (times_ms >= begins) & (times_ms < begins + 4 * 3_600_000)
        return np.where(sticks, begins.astype(np.int64), times_ms)

    def _signal(self, spec: SignalSpec, times_ms: noise.IntArray, parts: FloatArray) -> FloatArray:
        times_s = times_ms / 1000.0
        at = self.plan.at(times_s)
        if spec.lag_min:
            drive = self._lagged(spec, times_s, at)
        else:
            swing = 1 + spec.cycle * np.sin(2 * np.pi * (parts % 1.0))
            drive = self._effort(spec)[at] * swing
        damage = np.expm1(STEEPNESS * self.wear(times_s)) / np.expm1(STEEPNESS)
        own = noise.stream(self.seed, self._path, spec.key)
        value = spec.rest + (spec.work + spec.wear * damage) * drive
        value = value + spec.noise * noise.white(own, times_ms)
        if spec.drift:
            value = value + spec.drift * noise.smooth(own + 101, times_s, period_s=2700)
        if spec.ambient:
            value = value + spec.ambient * (self._room(times_s) - 21.0)
        return np.asarray(np.maximum(value, 0.0))

    def _room(self, times_s: FloatArray) -> FloatArray:
        """Room temperature: warm in the afternoon, and some weather."""
        daily = 2.2 * np.sin(2 * np.pi * (times_s / DAY_S - 0.42))
        weather = noise.stream(self.seed, "weather")
        slow = noise.smooth(weather, times_s, period_s=2.5 * DAY_S)
        return np.asarray(21.0 + daily + 1.4 * slow)

    def _effort(self, spec: SignalSpec) -> FloatArray:
        works = (self.plan.phase == Phase.WORK).astype(np.float64)
        effort = works if spec.is_held else works * self.plan.load * self.plan.ratio
        return np.asarray(effort)

    def _lagged(self, spec: SignalSpec, times_s: FloatArray, at: noise.IntArray) -> FloatArray:
        """Follow the effort as heat does: exactly, by the exponential on each stretch."""
        tau_s = spec.lag_min * 60
        target = self._effort(spec)
        cached = self._heats.get((tau_s, spec.is_held))
        if cached is None:
            cached = self._heats[tau_s, spec.is_held] = self._heat_at_edges(target, tau_s)
        past = times_s - self.plan.edges[at]
        return np.asarray(target[at] + (cached[at] - target[at]) * np.exp(-past / tau_s))

    def _heat_at_edges(self, target: FloatArray, tau_s: float) -> FloatArray:
        fade = np.exp(-np.diff(self.plan.edges) / tau_s)
        heat, at_edge = 0.0, np.empty(len(target))
        for i, (aim, keep) in enumerate(zip(target.tolist(), fade.tolist(), strict=True)):
            at_edge[i] = heat
            heat = aim + (heat - aim) * keep
        return at_edge

    @cached_property
    def _heats(self) -> dict[tuple[float, bool], FloatArray]:
        return {}

    @property
    def current_life(self) -> Life | None:
        return self.plan.lives[-1] if self.plan.lives else None


def simulate(
    factory: FactorySpec, *, seed: int, anchor: float, days: float, until: float
) -> list[SimulatedMachine]:
    """Make all machines of a factory."""
    return [
        SimulatedMachine(spec, factory=factory, seed=seed, anchor=anchor, days=days, until=until)
        for spec in factory.machines
    ]
