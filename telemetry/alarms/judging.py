"""Which samples turn a condition on, and which turn it off again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from telemetry.alarms import conditions as c
from telemetry.alarms.steps import Times

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Memory = dict[str, Any]
MS = 1000


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one signal: times in ms, ascending, each once; texts are codes of `words`.

    For the key "" only the times count: they are those of every reading of the target.
    """

    times: Times
    values: Values
    words: Mapping[int, str] | None = None

    def between(self, start: int, end: int) -> "Series":
        first, last = np.searchsorted(self.times, [start, end], side="left")
        return Series(self.times[first:last], self.values[first:last], self.words)


NOTHING = Series(np.empty(0, np.int64), np.empty(0, np.float64))


def beyond(values: Values, limit: c.Limit) -> tuple[Flags, Flags]:
    """Say which values turn the condition on, and which turn it off."""
    match limit.op:
        case ">":
            return values > limit.value, values <= limit.clear
        case ">=":
            return values >= limit.value, values < limit.clear
        case "<":
            return values < limit.value, values >= limit.clear
        case "<=":
            return values <= limit.value, values > limit.clear
        case "outside":
            outside = (values < limit.low) | (values > limit.high)
            return outside, (values >= limit.clear_low) & (values <= limit.clear_high)
        case _:
            inside = (values >= limit.low) & (values <= limit.high)
            return inside, (values < limit.clear_low) | (values > limit.clear_high)


def latched(sets: Flags, resets: Flags, *, is_on: bool) -> Flags:
    """Keep what was last said where a value says neither on nor off."""
    said = np.append(True, sets | resets)
    on = np.append(is_on, sets & ~resets)
    last_said = np.maximum.accumulate(np.where(said, np.arange(len(said)), 0))
    kept: Flags = on[last_said][1:].astype(np.bool_)
    return kept


def is_in(samples: Series, wanted: tuple[str | bool, ...]) -> Flags:
    if samples.words is None:  # yes or no, or a number: true is any value but 0
        truths = [word for word in wanted if isinstance(word, bool)]
        return np.isin(samples.values != 0, truths)
    folded = {word.casefold() for word in wanted if isinstance(word, str)}
    codes = [code for code, word in samples.words.items() if word.strip().casefold() in folded]
    return np.isin(samples.values, codes)


def rates(samples: Series, node: c.Rate, before: Memory) -> tuple[Times, Values, Memory]:
    """Change since the oldest sample of the window, per unit of time, for each new sample."""
    known = np.array(before.get("known", []), np.float64).reshape(-1, 2)
    times = np.append(known[:, 0].astype(np.int64), samples.times)
    values = np.append(known[:, 1], samples.values)
    window_ms = round(node.window_s * MS)
    new = np.arange(len(known), len(times))
    oldest = np.searchsorted(times, times[new] - window_ms, side="left")
    has_past = oldest < new
    new, oldest = new[has_past], oldest[has_past]
    per_ms = (values[new] - values[oldest]) / (times[new] - times[oldest])
    if len(times):
        kept = times >= times[-1] - window_ms
        known = np.column_stack([times[kept].astype(np.float64), values[kept]])
    return times[new], per_ms * (c.PER_S[node.per] * MS), {"known": known.tolist()}
