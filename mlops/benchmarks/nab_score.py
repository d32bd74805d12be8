"""The NAB score: early detections of labelled windows, less false alarms, from 0 to 100.

Inside a window only the earliest detection counts, more the earlier it comes; outside, every
detection costs, little just after a window. A detector that says nothing has 0, one that finds
every window at its first row has 100.

Source: Lavin and Ahmad, Evaluating real-time anomaly detection algorithms: the Numenta anomaly
benchmark (ICMLA, 2015), standard profile; the first rows' rule and the position in a window as
in the scorer of numenta/NAB v1.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray

WEIGHT_TRUE: Final = 1.0
WEIGHT_FALSE: Final = 0.11
WEIGHT_MISSED: Final = 1.0
PROBATION: Final = 0.15
# A series' probation is never longer than that of one with 5,000 rows.
PROBATION_ROWS: Final = 5000
_FAR: Final = 3.0  # window widths behind a window from where a false alarm costs all


@dataclass(frozen=True, slots=True)
class Judged:
    """A series with its scores and what a detection would be worth at each row.

    Attributes:
        scores: (n,) of the rows after probation.
        worth: (n,) in units of one true detection.
        window: (n,) number of the window that a row lies in, -1 outside.
        n_windows: windows that have a row after probation.
    """

    scores: FloatArray
    worth: FloatArray
    window: IntArray
    n_windows: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one threshold gives over all series together.

    Attributes:
        score: 0 to 100, below 0 for a detector worse than none.
        precision: detections inside windows, of all detections.
        recall: windows found, of all windows.
    """

    threshold: float
    score: float
    precision: float
    recall: float


def scaled_sigmoid(position: FloatArray) -> FloatArray:
    """Return what a detection is worth: about 1 at -1, a window's start, and 0 at 0, its end."""
    worth = 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, _FAR))) - 1.0
    return np.where(position >= _FAR, -1.0, worth)


def probation_rows(n_rows: int) -> int:
    """Return how many first rows are not scored."""
    return int(min(np.floor(PROBATION * n_rows), PROBATION * PROBATION_ROWS))


def judge(scores: FloatArray, windows: Sequence[tuple[int, int]]) -> Judged:
    """Value every row of a series.

    Args:
        windows: first and last row of each, in order.
    """
    n = len(scores)
    worth, window = np.full(n, -WEIGHT_FALSE), np.full(n, -1, dtype=np.int64)
    best = float(scaled_sigmoid(np.array([-1.0]))[0])
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        inside = np.arange(first, last + 1)
        worth[inside] = WEIGHT_TRUE * scaled_sigmoid(-(last - inside + 1) / width) / best
        window[inside] = number
        end = windows[number + 1][0] if number + 1 < len(windows) else n
        behind = np.arange(last + 1, end)
        worth[behind] = WEIGHT_FALSE * scaled_sigmoid((behind - last) / max(width - 1, 1))
    start = probation_rows(n)
    kept = window[start:]
    names = np.unique(kept[kept >= 0])
    renumbered = np.where(kept >= 0, np.searchsorted(names, kept), -1).astype(np.int64)
    return Judged(scores[start:], worth[start:], renumbered, len(names))


def result_at(series: Sequence[Judged], threshold: float) -> Result:
    """Score detections at or above a threshold over all series together."""
    raw, n_windows, n_found, n_inside, n_detections = 0.0, 0, 0, 0, 0
    for one in series:
        detected = one.scores >= threshold
        outside = one.window < 0
        raw += float(one.worth[detected & outside].sum())
        n_windows += one.n_windows
        n_detections += int(detected.sum())
        n_inside += int((detected & ~outside).sum())
        for number in range(one.n_windows):
            rows = detected & (one.window == number)
            n_found += bool(rows.any())
            raw += float(one.worth[rows].max()) if rows.any() else -WEIGHT_MISSED
    span = (WEIGHT_TRUE + WEIGHT_MISSED) * n_windows
    return Result(
        threshold,
        100.0 * (raw + WEIGHT_MISSED * n_windows) / span if span else 0.0,
        n_inside / n_detections if n_detections else 0.0,
        n_found / n_windows if n_windows else 0.0,
    )


def best_result(series: Sequence[Judged]) -> Result:
    """Return the result of the threshold that serves all series together best.

    This is NAB's own protocol: one threshold for the whole corpus, chosen on it.
    """
    if not series:
        return Result(np.inf, 0.0, 0.0, 0.0)
    scores = np.concatenate([one.scores for one in series])
    worth = np.concatenate([one.worth for one in series])
    offsets = np.cumsum([0, *(one.n_windows for one in series)])
    window = np.concatenate(
        [np.where(one.window >= 0, one.window + offset, -1)
         for one, offset in zip(series, offsets, strict=False)]
    )  # fmt: skip
    order = np.argsort(-scores, kind="stable")
    gain = np.where(window < 0, worth, 0.0)[order]
    found = np.full(int(offsets[-1]), -WEIGHT_MISSED)
    for place in np.flatnonzero(window[order] >= 0):
        row = order[place]
        gain[place] = max(worth[row] - found[window[row]], 0.0)
        found[window[row]] = max(worth[row], found[window[row]])
    total = np.cumsum(gain)
    ranked = scores[order]
    # A threshold takes all rows of one score or none.
    total[:-1][ranked[1:] == ranked[:-1]] = -np.inf
    if not len(total) or total.max() <= 0:
        return result_at(series, np.inf)
    return result_at(series, float(ranked[int(np.argmax(total))]))
