"""Three-valued functions of time that change in steps: the arithmetic under every condition.

Times are whole milliseconds since 1970. A function covers [start, end): `states[i]` holds from
`times[i]` to the next time, `times[0]` is the start, and neighbours differ. Unknown is a value of
its own (Kleene's logic): it neither raises an alarm nor clears one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
States = npt.NDArray[np.int8]

FALSE, UNKNOWN, TRUE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Steps:
    """A step function over [times[0], end)."""

    times: Times
    states: States
    end: int

    @property
    def ends(self) -> Times:
        """Where each step ends."""
        return np.append(self.times[1:], self.end)


def steps(times: Times, states: States, *, start: int, end: int) -> Steps:
    """Make a step function of changes in order of time; of two at one time the later wins.

    Changes before the start say what holds at the start; nothing said yet is unknown.
    """
    first = int(np.searchsorted(times, start, side="right"))
    at_start = states[first - 1] if first else UNKNOWN
    last = int(np.searchsorted(times, end, side="left"))
    all_times = np.concatenate([[start], times[first:last]]).astype(np.int64)
    all_states = np.concatenate([[at_start], states[first:last]]).astype(np.int8)
    # Keep the last of several at one time, then only what differs from its neighbour.
    keep = np.append(all_times[1:] != all_times[:-1], True)
    all_times, all_states = all_times[keep], all_states[keep]
    differs = np.append(True, all_states[1:] != all_states[:-1])
    return Steps(all_times[differs], all_states[differs], end)


def held(times: Times, states: States, *, hold_ms: int, after: int, start: int, end: int) -> Steps:
    """Let each sample's state hold until the next one, for `hold_ms` at most, then `after`.

    Args:
        times: (n,) ascending; samples before the start say what holds there.
    """
    if len(times) == 0:
        return steps(times, states, start=start, end=end)
    expires = times + hold_ms
    is_silent = expires < np.append(times[1:], np.iinfo(np.int64).max)
    all_times = np.concatenate([times, expires[is_silent]])
    all_states = np.concatenate([states, np.full(int(is_silent.sum()), after, dtype=np.int8)])
    order = np.argsort(all_times, kind="stable")
    return steps(all_times[order], all_states[order], start=start, end=end)


def both(one: Steps, other: Steps) -> Steps:
    """True where both are; false where one is."""
    return _merged(one, other, np.minimum)


def either(one: Steps, other: Steps) -> Steps:
    """True where one is; false where both are."""
    return _merged(one, other, np.maximum)


def negated(one: Steps) -> Steps:
    return Steps(one.times, (TRUE - one.states).astype(np.int8), one.end)


def _merged(one: Steps, other: Steps, join: np.ufunc) -> Steps:
    times = np.union1d(one.times, other.times)
    left = one.states[np.searchsorted(one.times, times, side="right") - 1]
    right = other.states[np.searchsorted(other.times, times, side="right") - 1]
    return steps(times, join(left, right), start=int(times[0]), end=one.end)
