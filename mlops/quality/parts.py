"""Parts as they went through the line, and what is read off them.

A part (or lot) goes through stages one after the other. Each stage leaves readings of signals
and the whole has parameters (recipe, material, tool). Any of it may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mlops.lives import FloatArray

Value = float | str | None

# A signal that fewer parts than this share have is no input: most parts could not be judged by it.
MIN_SHARE_KNOWN = 0.2


class UnusablePart(ValueError):
    """Readings do not fit each other."""


@dataclass(frozen=True, slots=True)
class Readings:
    """One signal during one stage.

    Attributes:
        times_s: (n,) seconds, never decreasing, on one clock for all stages of a part.
        values: (n,), NaN where the signal was silent.
    """

    times_s: FloatArray
    values: FloatArray

    def __post_init__(self) -> None:
        if self.times_s.ndim != 1 or self.times_s.shape != self.values.shape:
            raise UnusablePart("One time a value is needed.")
        if not np.all(np.isfinite(self.times_s)) or np.any(np.diff(self.times_s) < 0):
            raise UnusablePart("Times must be known and never decrease.")

    @property
    def known(self) -> Readings:
        """The readings that hold a number."""
        is_known = np.isfinite(self.values)
        return Readings(self.times_s[is_known], self.values[is_known])


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage did to a part.

    Attributes:
        started_s, ended_s: seconds on the clock of the readings; an end of None means that the
            part is still in it.
        signals: readings by the name of the signal.
    """

    started_s: float
    ended_s: float | None
    signals: Mapping[str, Readings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """One part or lot.

    Attributes:
        stages: by name; those not reached yet are absent.
        parameters: numbers, words, or None where unknown.
    """

    stages: Mapping[str, Stage]
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def complete(self, stages: Sequence[str]) -> int:
        """Return how many of these stages, from the first on, are over without a gap."""
        for number, name in enumerate(stages):
            stage = self.stages.get(name)
            if stage is None or stage.ended_s is None:
                return number
        return len(stages)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a signal is at its limit; None where there is none on that side."""

    low: float | None = None
    high: float | None = None

    def reached(self, values: FloatArray) -> FloatArray:
        """Return 1 where a value is at or beyond a limit, else 0."""
        low = -np.inf if self.low is None else self.low
        high = np.inf if self.high is None else self.high
        return np.asarray((values <= low) | (values >= high), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read off every part, in order.

    Attributes:
        stages: names, in the order in which parts go through them.
        signals: per stage, the names of its signals.
        limits: per stage and signal, where given.
        numbers: names of numeric parameters.
        categories: names of parameters that are words, with the levels seen in training.
    """

    stages: tuple[str, ...]
    signals: Mapping[str, tuple[str, ...]]
    limits: Mapping[tuple[str, str], Limits] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, parts: Sequence[Part], *, limits: Mapping[tuple[str, str], Limits] | None = None
    ) -> Plan:
        """Find out what parts have in common. Outcomes are not looked at.

        A parameter is a number where every known entry is one, else a category.
        """
        stages = _in_order(parts)
        enough = MIN_SHARE_KNOWN * len(parts)
        signals = {
            name: _often([stage.signals for part in parts if (stage := part.stages.get(name))],
                         enough)
            for name in stages
        }  # fmt: skip
        numbers, categories = [], {}
        for name in _often([_known(part.parameters) for part in parts], enough):
            entries = {v for part in parts if (v := part.parameters.get(name)) is not None}
            if any(isinstance(entry, str) for entry in entries):
                categories[name] = tuple(sorted(str(entry) for entry in entries))
            else:
                numbers.append(name)
        return cls(stages, signals, dict(limits or {}), tuple(numbers), categories)


def _known(parameters: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in parameters.items() if value is not None}


def _often(mappings: Sequence[Mapping[str, object]], enough: float) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for mapping in mappings:
        for name in mapping:
            counts[name] = counts.get(name, 0) + 1
    return tuple(sorted(name for name, n in counts.items() if n >= enough))


def _in_order(parts: Sequence[Part]) -> tuple[str, ...]:
    """Return the stages by how long after a part's first one they usually begin."""
    begun: dict[str, list[float]] = {}
    for part in parts:
        first = min((stage.started_s for stage in part.stages.values()), default=0.0)
        for name, stage in part.stages.items():
            begun.setdefault(name, []).append(stage.started_s - first)
    return tuple(sorted(begun, key=lambda name: (float(np.median(begun[name])), name)))
