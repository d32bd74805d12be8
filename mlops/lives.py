"""Lives: what a machine's signals did between being put right and failing.

A life is cut into steps of usage (a flight, an operating hour, a hundred strokes), so that a
machine that stood still for a week did not age by a week. Pure arithmetic, no Django.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# A life longer than this many steps is cut more coarsely: wear shows over tens of steps, and
# the cost of features grows with their number.
MAX_STEPS_OF_A_TYPICAL_LIFE = 400

# Preferred numbers (ISO 3, series R10): what a rough estimate is rounded to, so that a little
# more data does not change it.
PREFERRED = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0, 10.0)


class UnusableLives(ValueError):
    """The lives do not fit each other or hold nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Life:
    """One run of one unit.

    Attributes:
        key: names the run, unique in its set.
        group: names the unit; runs of one unit are never split between training and test
            where there are enough units.
        usage: (n,), strictly increasing, counted from the start of the life.
        values: (n, n_signals), NaN where a signal was silent.
        failed: the last step is the failure; otherwise the run goes on (censored).
    """

    key: str
    group: str
    usage: FloatArray
    values: FloatArray
    failed: bool

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.usage.shape != (len(self.values),):
            raise UnusableLives(f"Life {self.key}: one row of values per step of usage is needed.")
        if len(self.usage) == 0:
            raise UnusableLives(f"Life {self.key} has no steps.")
        if not np.all(np.diff(self.usage) > 0):
            raise UnusableLives(f"Life {self.key}: usage must increase from step to step.")

    def __len__(self) -> int:
        return len(self.usage)

    def remaining(self) -> FloatArray:
        """Return (n,) usage left at each step. Only a life that failed knows it."""
        if not self.failed:
            raise UnusableLives(f"Life {self.key} has not failed: what remains is unknown.")
        left: FloatArray = self.usage[-1] - self.usage
        return left

    def until(self, n_steps: int) -> Life:
        """Return the life as it was known after its first `n_steps` steps."""
        return Life(self.key, self.group, self.usage[:n_steps], self.values[:n_steps], failed=False)


def resample(
    *, usage: FloatArray, values: FloatArray, step: float
) -> tuple[FloatArray, FloatArray]:
    """Average readings into steps of usage.

    Step k holds the readings with usage in [k*step, (k+1)*step) and is stamped k*step; a step
    without readings is absent. A signal silent for a whole step is NaN in it.

    Args:
        usage: (n,) not decreasing.
        values: (n, n_signals).
        step: width in the unit of usage, > 0.

    Returns:
        usage and values of the steps.
    """
    if step <= 0:
        raise UnusableLives("A step of usage must be wider than zero.")
    index = np.floor(usage / step + 1e-9).astype(np.int64)
    steps, where = np.unique(index, return_inverse=True)
    known = ~np.isnan(values)
    sums = np.zeros((len(steps), values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, where, np.where(known, values, 0.0))
    np.add.at(counts, where, known)
    means: FloatArray = np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)
    return np.asarray(steps * step, dtype=np.float64), means


def step_for(*, lengths: Sequence[float], natural: float) -> float:
    """Choose the width of a step: the natural one, or wider where lives are long.

    Args:
        lengths: usage from start to end of each life.
        natural: the narrowest sensible step (1 cycle, 1 operating hour).
    """
    typical = float(np.median(np.asarray(lengths, dtype=float)))
    if typical / natural <= MAX_STEPS_OF_A_TYPICAL_LIFE:
        return natural
    return natural * float(
        np.ceil(preferred(typical / natural / (MAX_STEPS_OF_A_TYPICAL_LIFE / 2.0)))
    )


def preferred(value: float) -> float:
    """Round to the nearest preferred number (ISO 3, series R10), in proportion."""
    if value <= 0:
        raise ValueError("Preferred numbers are positive.")
    exponent = np.floor(np.log10(value))
    mantissa = value / 10.0**exponent
    nearest = min(PREFERRED, key=lambda number: abs(np.log(number / mantissa)))
    return float(np.round(nearest * 10.0**exponent, 10))


def typical_steps(lives: Sequence[Life]) -> float:
    """Return the median number of steps of the lives that ended in a failure."""
    lengths = [len(life) for life in lives if life.failed]
    if not lengths:
        raise UnusableLives("No life has ended in a failure yet.")
    return float(np.median(lengths))


def digest(lives: Sequence[Life], signals: Sequence[str]) -> str:
    """Name the exact data of a training: SHA-256 over every life, signal and value."""
    total = hashlib.sha256("\0".join(signals).encode())
    for life in lives:
        total.update(f"\1{life.key}\0{life.group}\0{life.failed}\0{len(life)}\0".encode())
        total.update(np.ascontiguousarray(life.usage, dtype="<f8").tobytes())
        total.update(np.ascontiguousarray(life.values, dtype="<f8").tobytes())
    return total.hexdigest()
