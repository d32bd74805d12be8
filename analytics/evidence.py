"""What is known about one machine, and what is expected of it."""

from dataclasses import dataclass

import numpy as np

from analytics.cues import FloatArray, IntArray


@dataclass(frozen=True)
class Samples:
    """One signal: ascending times in ms and values of the same length; NaN says nothing."""

    times: IntArray
    values: FloatArray

    def held_at(self, instants: IntArray) -> FloatArray:
        """Give the newest value at each instant, NaN before the first."""
        if len(self.times) == 0:
            return np.full(len(instants), np.nan)
        newest = np.searchsorted(self.times, instants, side="right") - 1
        return np.where(newest >= 0, self.values[np.maximum(newest, 0)], np.nan)


@dataclass(frozen=True)
class Evidence:
    """The signals of one machine that speak of its state.

    Attributes:
        seen: times of all good readings of the signals below, ascending, distinct.
        cues: state signals as `analytics.cues.Cue`; of several that speak the smallest wins.
        fault: 0 or 1. count: parts made, cumulative, no NaN. speed: parts per hour. power: kW.
    """

    seen: IntArray
    cues: tuple[Samples, ...] = ()
    fault: Samples | None = None
    count: Samples | None = None
    speed: Samples | None = None
    power: Samples | None = None

    @property
    def stepped(self) -> tuple[Samples, ...]:
        """The signals whose newest value holds until the next."""
        signals = (*self.cues, self.fault, self.speed, self.power)
        return tuple(signal for signal in signals if signal is not None)


@dataclass(frozen=True)
class Rules:
    """What is expected of a machine; None means not known.

    Attributes:
        expected_interval_s: time between readings; None takes it from the readings themselves.
        stop_limit_s: shorter stops are micro-stops; None: 120 s, or 2 ideal cycles + 10 s.
    """

    ideal_rate_per_h: float | None = None
    expected_interval_s: float | None = None
    stop_limit_s: float | None = None

    @property
    def stop_limit_ms(self) -> float:
        if self.stop_limit_s is not None:
            return self.stop_limit_s * 1000
        cycle_s = 3600 / self.ideal_rate_per_h if self.ideal_rate_per_h else 0.0
        return max(120.0, 2 * cycle_s + 10) * 1000
