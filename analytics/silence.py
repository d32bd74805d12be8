"""When nothing is known: the stretches without readings.

A machine is silent when its newest reading is older than three expected intervals (at least
60 s); the silence then began one expected interval after that reading. What is expected follows
the device: the median of its last gaps, so a device that is told to report more often is also
missed sooner.
"""

import numpy as np

from analytics.cues import FloatArray, IntArray

N_GAPS = 15  # gaps behind the rolling median: a few late readings do not move it
FIRST_GUESS_MS = 60_000.0
LEAST_LIMIT_MS = 60_000.0
INTERVALS_UNTIL_SILENT = 3


def expected_intervals(seen: IntArray) -> FloatArray:
    """Expect after each reading what the median of the `N_GAPS` gaps before it was, in ms."""
    gaps = np.diff(seen).astype(np.float64)
    if len(gaps) == 0:
        return np.full(len(seen), FIRST_GUESS_MS)
    first = float(np.median(gaps[:N_GAPS]))
    padded = np.concatenate([np.full(N_GAPS, first), gaps])
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_GAPS)
    return np.asarray(np.median(windows, axis=1))


def silences(seen: IntArray, *, until_ms: int, expected_ms: float | None = None) -> IntArray:
    """Find the silences after the first reading, the last of them still open at `until_ms`.

    Args:
        seen: ascending distinct times of good readings, at least one.

    Returns:
        (n, 2) `[start, end)` in ms, ascending and apart.
    """
    expected = expected_intervals(seen) if expected_ms is None else np.full(len(seen), expected_ms)
    nexts = np.append(seen[1:], max(until_ms, int(seen[-1])))
    limit = np.maximum(INTERVALS_UNTIL_SILENT * expected, LEAST_LIMIT_MS)
    silent = nexts - seen > limit
    starts = seen + np.rint(expected).astype(np.int64)
    return np.column_stack([starts[silent], nexts[silent]]).astype(np.int64)
