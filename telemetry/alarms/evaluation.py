"""When a rule is on: evaluated over stored readings, piece by piece, to the same result.

`advance` takes a rule from one instant to a later one. What it must remember in between is a
`Checkpoint`, plain enough for JSON, so that the work can stop, be killed and go on, and so that
late data is answered by going back to the checkpoint before it. Cutting the time axis anywhere
changes nothing: that is what the tests hold against a brute-force reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from telemetry.alarms import conditions as c
from telemetry.alarms import judging
from telemetry.alarms.judging import MS, NOTHING, Memory, Series
from telemetry.alarms.steps import (
    FALSE,
    TRUE,
    UNKNOWN,
    States,
    Steps,
    Times,
    both,
    either,
    held,
    negated,
    steps,
)


@dataclass(frozen=True, slots=True)
class Watched:
    """What is evaluated: a condition, and for how long a value counts after it was measured."""

    condition: c.Condition
    hold_s: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that the past before `at` means for what comes then.

    Attributes:
        raised_at: since when the alarm is on, None where it is not.
        last: the newest sample of each signal, [time, value].
        memory: what each condition remembers, in the order of `conditions.walk`.
    """

    at: int
    raised_at: int | None
    last: dict[str, list[float]]
    memory: list[Memory]

    def as_json(self) -> dict[str, Any]:
        return {"raised_at": self.raised_at, "last": self.last, "memory": self.memory}

    @classmethod
    def from_json(cls, at: int, stored: Mapping[str, Any]) -> "Checkpoint":
        return cls(at, stored["raised_at"], dict(stored["last"]), list(stored["memory"]))


@dataclass(frozen=True, slots=True)
class Episode:
    """An alarm from `raised_at` until `cleared_at`, None while it is on; values at its start."""

    raised_at: int
    cleared_at: int | None
    evidence: dict[str, float]


def beginning(watched: Watched, at: int) -> Checkpoint:
    """Return the checkpoint of a rule that applies from `at` on and knows nothing yet."""
    memory = [
        {"from": at} if isinstance(node, c.NoData) else {} for node in c.walk(watched.condition)
    ]
    return Checkpoint(at, None, {}, memory)


def advance(
    watched: Watched, series: Mapping[str, Series], *, after: Checkpoint, until: int
) -> tuple[list[Episode], Checkpoint]:
    """Evaluate a rule over [after.at, until).

    Args:
        series: by key, with all samples of the range; others are ignored.

    Returns:
        The episodes that touch the range, and the checkpoint at its end.
    """
    if until <= after.at:
        return _episodes(after.raised_at, np.empty(0, np.int64), {}, after), after
    own = {
        key: series.get(key, NOTHING).between(after.at, until)
        for key in c.signals(watched.condition)
    }
    run = _Run(own, after, until, hold_ms=round(watched.hold_s * MS))
    changes = _changes(run.evaluate(watched.condition), is_on=after.raised_at is not None)
    episodes = _episodes(after.raised_at, changes, own, after)
    last = dict(after.last)
    for key, samples in own.items():
        if len(samples.times):
            last[key] = [int(samples.times[-1]), float(samples.values[-1])]
    is_on = bool(episodes) and episodes[-1].cleared_at is None
    raised_at = episodes[-1].raised_at if is_on else None
    return episodes, Checkpoint(until, raised_at, last, run.memory)


def _changes(result: Steps, *, is_on: bool) -> Times:
    """Return when the alarm turns on or off, in turns; unknown changes nothing."""
    known = result.states != UNKNOWN
    times, on = result.times[known], result.states[known] == TRUE
    turns: Times = times[np.append(is_on, on)[:-1] != on]
    return turns


def _episodes(
    raised_at: int | None, changes: Times, series: Mapping[str, Series], after: Checkpoint
) -> list[Episode]:
    times: list[int | None] = ([] if raised_at is None else [raised_at]) + changes.tolist()
    if len(times) % 2:
        times.append(None)
    return [
        Episode(start, end, _values_at(start, series, after))
        for start, end in zip(times[::2], times[1::2], strict=True)
        if start is not None
    ]


def _values_at(at: int, series: Mapping[str, Series], after: Checkpoint) -> dict[str, float]:
    """Return the newest value of each signal at a time of this range (else of its beginning)."""
    found = {key: last[1] for key, last in after.last.items()}
    for key, samples in series.items():
        place = int(np.searchsorted(samples.times, at, side="right"))
        if place:
            found[key] = float(samples.values[place - 1])
    found.pop("", None)
    return found


class _Run:
    """One stretch of time: every condition reads its memory and leaves a new one."""

    def __init__(
        self, series: Mapping[str, Series], after: Checkpoint, until: int, *, hold_ms: int
    ) -> None:
        self.memory: list[Memory] = []
        self._before = after.memory
        self._series = series
        self._last = after.last
        self._start = after.at
        self._end = until
        self._hold_ms = hold_ms

    def evaluate(self, node: c.Condition) -> Steps:
        place = len(self.memory)
        before = self._before[place]
        self.memory.append({})
        match node:
            case c.Threshold() | c.InState() | c.Rate():
                result, self.memory[place] = self._sampled(node, before)
            case c.NoData():
                result, self.memory[place] = self._no_data(node, before)
            case c.Duration():
                result, self.memory[place] = self._duration(node, before)
            case c.Repeat():
                result, self.memory[place] = self._repeat(node, before)
            case c.Not():
                result = negated(self.evaluate(node.condition))
            case c.AllOf() | c.AnyOf():
                join = both if isinstance(node, c.AllOf) else either
                result = self.evaluate(node.conditions[0])
                for child in node.conditions[1:]:
                    result = join(result, self.evaluate(child))
        return result

    def _sampled(
        self, node: c.Threshold | c.InState | c.Rate, before: Memory
    ) -> tuple[Steps, Memory]:
        """Judge each sample; between two limits it stays what it was (hysteresis)."""
        samples = self._series[node.signal]
        times = samples.times
        memory: Memory = {}
        if isinstance(node, c.InState):
            sets = judging.is_in(samples, node.words)
            resets = ~sets
        else:
            values = samples.values
            if isinstance(node, c.Rate):
                times, values, memory = judging.rates(samples, node, before)
            sets, resets = judging.beyond(values, node.limit)
        was_on, last_at = before.get("on", False), before.get("at")
        on = judging.latched(sets, resets, is_on=was_on)
        memory |= {"on": bool(on[-1]) if len(on) else was_on}
        memory |= {"at": int(times[-1]) if len(times) else last_at}
        if last_at is not None:
            times, on = np.append(last_at, times), np.append(was_on, on)
        states = np.where(on, TRUE, FALSE).astype(np.int8)
        return self._held(times, states, hold_ms=self._hold_ms, after=UNKNOWN), memory

    def _no_data(self, node: c.NoData, before: Memory) -> tuple[Steps, Memory]:
        last = self._last.get(node.signal)
        since = before["from"] if last is None else int(last[0])
        times = np.append(since, self._series[node.signal].times)
        states = np.full(len(times), FALSE, dtype=np.int8)
        hold_ms = round(node.minutes * 60 * MS)
        return self._held(times, states, hold_ms=hold_ms, after=TRUE), before

    def _duration(self, node: c.Duration, before: Memory) -> tuple[Steps, Memory]:
        child = self.evaluate(node.condition)
        begins = child.times.copy()
        if before.get("since") is not None and child.states[0] == TRUE:
            begins[0] = before["since"]
        is_true = child.states == TRUE
        due = begins[is_true] + round(node.for_s * MS)
        reached = due < child.ends[is_true]
        times = np.concatenate([child.times, np.maximum(due[reached], self._start)])
        states = np.concatenate(
            [np.where(is_true, FALSE, child.states), np.full(int(reached.sum()), TRUE)]
        ).astype(np.int8)
        order = np.argsort(times, kind="stable")
        since = int(begins[-1]) if child.states[-1] == TRUE else None
        return self._steps(times[order], states[order]), {"since": since}

    def _repeat(self, node: c.Repeat, before: Memory) -> tuple[Steps, Memory]:
        child = self.evaluate(node.condition)
        known = child.states != UNKNOWN
        on, at = child.states[known] == TRUE, child.times[known]
        was_on = np.append(before.get("on", False), on)[:-1]
        rises = np.append(np.array(before.get("rises", []), np.int64), at[on & ~was_on])
        # The k-th rise turns it on until the first of these k is older than the window.
        firsts, lasts = rises[: len(rises) - node.times + 1], rises[node.times - 1 :]
        outs = firsts + round(node.within_s * MS)
        close = lasts < outs
        result = _union(lasts[close], outs[close], start=self._start, end=self._end)
        memory = {
            "on": bool(on[-1]) if len(on) else before.get("on", False),
            "rises": rises[-node.times :].tolist(),
        }
        return result, memory

    def _held(self, times: Times, states: States, *, hold_ms: int, after: int) -> Steps:
        return held(times, states, hold_ms=hold_ms, after=after, start=self._start, end=self._end)

    def _steps(self, times: Times, states: States) -> Steps:
        return steps(times, states, start=self._start, end=self._end)


def _union(starts: Times, ends: Times, *, start: int, end: int) -> Steps:
    """True in any of some intervals, whose starts and ends both ascend; false elsewhere."""
    if len(starts) == 0:
        return steps(np.array([start], np.int64), np.array([FALSE], np.int8), start=start, end=end)
    opens = np.append(True, starts[1:] > ends[:-1])
    closes = np.append(opens[1:], True)
    first = min(start, int(starts[0])) - 1
    times = np.concatenate([[first], np.column_stack([starts[opens], ends[closes]]).ravel()])
    states = np.concatenate([[FALSE], np.tile([TRUE, FALSE], int(opens.sum()))])
    return steps(times.astype(np.int64), states.astype(np.int8), start=start, end=end)
