"""What a counter says: increments between readings, and when cycles were completed.

Derived from the sorted series, never by adding on arrival, so that a late reading simply
changes the two increments beside it.
"""

from dataclasses import dataclass

import numpy as np

from analytics.cues import FloatArray, IntArray

# Where a control's counter wraps: 16 and 32 bit registers and the usual decimal displays.
MODULI = (2**16, 10**5, 10**6, 10**7, 10**8, 10**9, 2**31, 2**32)


@dataclass(frozen=True)
class Increments:
    """Increments ending at each reading; the first is 0 (a baseline makes nothing)."""

    times: IntArray
    counted: FloatArray  # accepted increment
    n_resets: int
    n_rollovers: int
    jumps: IntArray  # indices of implausible increments: quarantined, counted as 0

    def total(self, *, start_ms: int, end_ms: int) -> float:
        """Sum what was counted in readings of `[start_ms, end_ms)`."""
        inside = (self.times >= start_ms) & (self.times < end_ms)
        return float(self.counted[inside].sum())


def increments(times: IntArray, counts: FloatArray, *, max_rate_per_h: float | None) -> Increments:
    """Turn counter readings into increments, seeing through rollovers, resets and jumps.

    Args:
        times: (n,) Unix milliseconds, ascending. counts: (n,), no NaN.
        max_rate_per_h: the fastest the machine can count; None accepts any rise.

    A rise is normal up to 1.5 x the fastest rate + 2; a fall is a rollover if a common modulus
    makes the increment plausible, otherwise a reset that counted from zero.
    """
    if len(times) == 0:
        return Increments(times, np.empty(0), 0, 0, np.empty(0, dtype=np.int64))
    rise = np.diff(counts, prepend=counts[:1])
    if max_rate_per_h is None:
        limit = np.full(len(times), np.inf)
    else:
        hours = np.diff(times, prepend=times[:1]) / 3_600_000
        limit = 1.5 * max_rate_per_h * hours + 2
    counted = rise.copy()
    fell: list[int] = np.flatnonzero(rise < 0).tolist()
    n_rollovers = 0
    for i in fell:
        wrapped = _wrapped(float(counts[i - 1]), float(counts[i]), float(limit[i]))
        n_rollovers += wrapped is not None
        counted[i] = counts[i] if wrapped is None else wrapped
    jumps = np.flatnonzero(counted > limit)
    counted[jumps] = 0.0
    return Increments(times, counted, len(fell) - n_rollovers, n_rollovers, jumps)


def _wrapped(before: float, after: float, limit: float) -> float | None:
    # Without a known fastest rate every wrap would look plausible: then a fall is a reset.
    if not np.isfinite(limit):
        return None
    for modulus in MODULI:
        if before < modulus and 0 <= modulus - before + after <= limit:
            return float(modulus - before + after)
    return None
