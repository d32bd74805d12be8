"""Simulated readings of the past: the demo's machines, and single signals over a long time."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from config.demo.machines import ACME
from config.demo.simulator import simulate
from tests.bench.recorded import Recording

SEED = 7
N_MACHINES = len(ACME.machines)
# A Thursday on which the demo's machines have worked for weeks.
THURSDAY = int(datetime(2026, 3, 5, 6, tzinfo=UTC).timestamp())
_DAYS_BEFORE = 30.0
_DAY_S = 86_400
# Readings at a time, so that a year at 1 Hz is never in memory as a whole.
_CHUNK = 500_000


def machines(*, hours: float) -> Iterator[Recording]:
    """Acme's machines at 1 Hz: numbers, counters, states and programs, as the demo posts them."""
    n = int(hours * 3600)
    simulated = simulate(
        ACME, seed=SEED, anchor=THURSDAY, days=_DAYS_BEFORE, until=THURSDAY + n + 1.0
    )
    for device, machine in enumerate(simulated):
        found = machine.readings(1000 * (THURSDAY + np.arange(n)))
        yield Recording(device, found.times_ms, found.columns)


def signals(
    *, device: int, start_s: int, seconds: int, step_s: int, decimals: dict[str, int]
) -> Iterator[Recording]:
    """Signals of one device that wander over days and tremble from reading to reading."""
    for first in range(start_s, start_s + seconds, _CHUNK * step_s):
        times_s = np.arange(first, min(first + _CHUNK * step_s, start_s + seconds), step_s)
        columns = {
            key: np.round(_values(times_s, seed=i), digits).tolist()
            for i, (key, digits) in enumerate(decimals.items())
        }
        yield Recording(device, 1000 * times_s, columns)


def _values(times_s: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.float64]:
    """Around 40: a daily and a weekly course, a slow drift within hours, and noise of 0.1."""
    chance = np.random.default_rng([seed, int(times_s[0])])
    slow = np.interp(times_s, times_s[::600], chance.normal(0, 1.5, len(times_s[::600])))
    day = 6 * np.sin(2 * np.pi * times_s / _DAY_S + seed)
    week = 3 * np.sin(2 * np.pi * times_s / (7 * _DAY_S))
    values: npt.NDArray[np.float64] = 40 + day + week + slow + chance.normal(0, 0.1, len(times_s))
    return values
