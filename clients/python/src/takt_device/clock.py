"""How far this machine's clock is off, learned from the times in the server's answers."""

from __future__ import annotations

import time
from collections import deque
from statistics import median

_N_SAMPLES = 16


def steady_s() -> float:
    """Return seconds that no setting of the clock moves and no sleep of the machine stops."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class ServerClock:
    """The server's time as a distance from the steady clock.

    Measured against the steady clock, the estimate stays right when somebody sets the wall
    clock: only the offset that is told changes, at once.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_N_SAMPLES)

    def learn(self, *, server_s: float, sent_s: float, answered_s: float) -> None:
        """Take the time in an answer; `sent_s` and `answered_s` are of the steady clock."""
        self._samples.append((answered_s - sent_s, server_s - (sent_s + answered_s) / 2))

    def offset_s(self) -> float | None:
        """Return server's clock less this machine's, None before the first answer.

        The median over the faster half of the last answers: what was under way for long says
        little, and one wild answer says nothing.
        """
        samples = sorted(self._samples)
        if not samples:
            return None
        distance_s = median(d for _, d in samples[: (len(samples) + 1) // 2])
        return distance_s + steady_s() - time.time()
