"""A detector for a stream that comes without a past: it learns while it scores.

The views are those of the fitted detector, signal by signal. Each is measured against what it
has shown so far in this very stream: how far a deviation lies beyond what one row in 200
exceeds, in units of how far that lies beyond what one row in 20 exceeds. So the limit tightens
where the stream is calm, widens where it is wild, widens more where its tail is heavy, and
nothing has to be set per signal.

An exceptional stretch is announced once: a row is an announcement only where nothing in the
rows just before it was as strange.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np

from mlops.anomaly.views import N_VIEWS, WEIGHTS
from mlops.lives import FloatArray

# Rows before anything is said: one row in 200 must have had its chance. Level 1 serves before.
WARM_UP: Final = 200
RARE: Final = 0.995
OFTEN: Final = 0.95
# Where 1 row in 200 lies hardly beyond 1 in 20 (a view that is nearly constant), a deviation
# must still be larger by this logarithm (a third) to count as one unit.
THIN_TAIL: Final = 0.3
# Units beyond the rare row that are exceptional. On 31 public streams anything from 0.35 to 0.6
# does about as well, for either half of them.
MARGIN: Final = 0.5
# Announcements are this many rows apart, unless things get worse; 100 to 300 do alike.
QUIET_ROWS: Final = 150
# How much of the past is remembered: ten weeks at a row every five minutes.
MEMORY: Final = 20_000
# Part of the largest value ever seen that no limit goes below: a stream that has stood still
# would otherwise have a limit of nothing.
FLOOR: Final = 1e-3


@dataclass(frozen=True, slots=True)
class OnlineScore:
    """What is said about one row.

    Attributes:
        score: 0 up to what is rare here, 1 where it becomes exceptional; above 1 is anomalous.
        announced: the score where the row starts something new or worse, else 0.
        signal: column that deviates most.
    """

    score: float
    announced: float
    signal: int


class OnlineDetector:
    """Scores the rows of one stream as they come.

    Time a row grows with the logarithm of the memory; memory is at most 5 numbers a signal for
    each of 20,000 rows.
    """

    def __init__(self, n_signals: int) -> None:
        self._signals = [_Signal() for _ in range(n_signals)]
        self._recent: deque[tuple[int, float]] = deque()
        self._n_rows = 0

    def push(self, row: FloatArray) -> OnlineScore:
        """Score the next row (n_signals,); a NaN says nothing and teaches nothing."""
        scores = [
            signal.push(float(value)) for signal, value in zip(self._signals, row, strict=True)
        ]
        worst = int(np.argmax(scores))
        self._n_rows += 1
        return OnlineScore(scores[worst], self._announced(scores[worst]), worst)

    def score(self, values: FloatArray) -> FloatArray:
        """Return (n, 2) score and announcement of rows (n, n_signals) pushed one by one."""
        pushed = [self.push(row) for row in values]
        return np.array([(one.score, one.announced) for one in pushed]).reshape(-1, 2)

    def _announced(self, score: float) -> float:
        """Return the score if no row of the quiet period reached it, by a falling queue."""
        recent, now = self._recent, self._n_rows
        while recent and recent[0][0] < now - QUIET_ROWS:
            recent.popleft()
        announced = score if not recent or score > recent[0][1] else 0.0
        while recent and recent[-1][1] <= score:
            recent.pop()
        recent.append((now, score))
        return announced


class _Sorted:
    """The last values of a sequence, in order of size."""

    def __init__(self) -> None:
        self._sorted: list[float] = []
        self._queue: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._sorted)

    def add(self, value: float) -> None:
        insort(self._sorted, value)
        self._queue.append(value)
        if len(self._queue) > MEMORY:
            del self._sorted[bisect_left(self._sorted, self._queue.popleft())]

    def quantile(self, part: float) -> float:
        """Return the linearly interpolated quantile."""
        place = part * (len(self._sorted) - 1)
        low = int(place)
        high = min(low + 1, len(self._sorted) - 1)
        left, right = self._sorted[low], self._sorted[high]
        return left + (place - low) * (right - left)


class _Signal:
    """What is remembered of one signal."""

    def __init__(self) -> None:
        self._values = _Sorted()
        self._views = [_Sorted() for _ in range(N_VIEWS)]
        self._largest = [0.0] * N_VIEWS
        self._means = [0.0] * len(WEIGHTS)
        self._last = 0.0

    def push(self, value: float) -> float:
        """Return how exceptional the next value is, by what came before it alone."""
        if not np.isfinite(value):
            return 0.0
        if not len(self._values):
            self._last, self._means = value, [value] * len(WEIGHTS)
        level = self._values.quantile(0.5) if len(self._values) else value
        self._means = [
            mean + weight * (value - mean)
            for mean, weight in zip(self._means, WEIGHTS, strict=True)
        ]
        shown = [abs(value - self._last), *(abs(mean - level) for mean in self._means)]
        score = max(map(self._exceptional, range(N_VIEWS), shown))
        self._last = value
        self._values.add(value)
        for view, size in enumerate(shown):
            self._views[view].add(size)
        return score if len(self._values) > WARM_UP else 0.0

    def _exceptional(self, view: int, size: float) -> float:
        """Return how far a deviation lies beyond what is rare in its view so far.

        For a power-law tail this is the logarithm of how rare it is (Hill, A simple general
        approach to inference about the tail of a distribution, Annals of Statistics, 1975).
        """
        self._largest[view] = max(self._largest[view], size)
        past = self._views[view]
        if not len(past) or not size:
            return 0.0
        floor = FLOOR * self._largest[view]
        rare, often = past.quantile(RARE) + floor, past.quantile(OFTEN) + floor
        if size <= rare:
            return 0.0
        return log(size / rare) / (MARGIN * (THIN_TAIL + log(rare / often)))
