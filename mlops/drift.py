"""Whether what a machine reports is still what its model was trained on.

Each signal is looked at within its operating regime and against the range that training saw,
worn machines included, so that wear is not taken for drift. Readings one after the other are
alike, so that they count for fewer than they are; and many signals are looked at at once. When
several signals leave their ranges together, the machine is run in a new way (a product, a
speed): that is not drift, though the model has not learned it. Pure arithmetic, no Django.

Source: the effective number of a first-order autoregressive series, n (1 - r) / (1 + r)
(Bayley and Hammersley, 1946); Holm (1979) for many tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from mlops.lives import FloatArray
from mlops.regimes import Regimes

ALPHA: Final = 0.01
TAIL: Final = 0.005  # of training beyond each end of a range
# This share of the recent readings must be outside: less is not worth a person's time.
MIN_SHARE: Final = 0.3
MIN_STEPS: Final = 12
# Signals that leave together: two, as regimes themselves are told by (`regimes`).
MIN_TOGETHER: Final = 2
TOGETHER: Final = 0.5


@dataclass(frozen=True, slots=True)
class Reference:
    """What training saw.

    Attributes:
        ranges: (n_regimes, n_signals, 2), NaN where a signal was not known in a regime.
    """

    regimes: Regimes
    ranges: FloatArray

    @classmethod
    def of(cls, regimes: Regimes, values: FloatArray) -> Reference:
        """Describe rows (n, n_signals) of training."""
        labels = regimes.assign(values)
        ranges = np.full((len(regimes), values.shape[1], 2), np.nan)
        for regime in range(len(regimes)):
            rows = values[labels == regime]
            known = ~np.isnan(rows).all(axis=0) if len(rows) else np.zeros(0, dtype=np.bool_)
            if known.any():
                ends = np.nanquantile(rows[:, known], [TAIL, 1.0 - TAIL], axis=0)
                ranges[regime, known] = ends.T
        return cls(regimes, ranges)


class What(StrEnum):
    DRIFT = "input_drift"
    NEW_REGIME = "new_regime"


@dataclass(frozen=True, slots=True)
class Departure:
    """A signal, or several at once, outside of what training saw.

    Attributes:
        columns: the signals concerned, the strongest first.
        share: part of the recent steps outside.
        p_value: adjusted for the number of signals looked at.
        side: +1 above, -1 below its range (of the first signal).
        value: median of the first signal lately.
        usual: its range in the regime the machine is in now.
    """

    what: What
    columns: tuple[int, ...]
    share: float
    p_value: float
    side: int
    value: float
    usual: tuple[float, float]


def departures(reference: Reference, recent: FloatArray, *, n_machines: int = 1) -> list[Departure]:
    """Return what departs from training in the recent steps of one machine.

    Args:
        recent: (n_steps, n_signals) in the order of the reference, oldest first, NaN allowed.
        n_machines: how many machines are looked at alongside; their tests are counted in.

    Returns:
        Nothing where fewer than 12 steps are known.
    """
    if len(recent) < MIN_STEPS:
        return []
    labels = reference.regimes.assign(recent)
    low, high = reference.ranges[labels, :, 0], reference.ranges[labels, :, 1]
    margin = 0.05 * (high - low)
    above, below = recent > high + margin, recent < low - margin
    outside = above | below
    judged = ~np.isnan(recent) & ~np.isnan(low)
    tested = np.flatnonzero(judged.sum(axis=0) >= MIN_STEPS)
    raw = {int(c): _p_value(outside[judged[:, c], c], recent[judged[:, c], c]) for c in tested}
    found = _holm(raw, n_tests=len(raw) * max(1, n_machines))
    found = {c: p for c, p in found.items() if outside[judged[:, c], c].mean() >= MIN_SHARE}
    together, alone = _sorted_out(found, outside)

    def departure(what: What, columns: Sequence[int]) -> Departure:
        first = columns[0]
        side = 1 if above[:, first].sum() >= below[:, first].sum() else -1
        usual = (float(low[-1, first]), float(high[-1, first]))
        return Departure(
            what, tuple(columns), float(outside[judged[:, first], first].mean()),
            min(found[c] for c in columns), side, float(np.nanmedian(recent[:, first])), usual,
        )  # fmt: skip

    result = [departure(What.NEW_REGIME, together)] if together else []
    return result + [departure(What.DRIFT, [column]) for column in alone]


def _p_value(outside: npt.NDArray[np.bool_], values: FloatArray) -> float:
    """Return the chance of so many outside, were the signal as in training."""
    from scipy.stats import binom

    n = len(outside)
    effective = max(1.0, n * (1.0 - (r := _autocorrelation(values))) / (1.0 + r))
    share = float(outside.mean())
    return float(binom.sf(round(share * effective) - 1, max(1, round(effective)), 2 * TAIL))


def _autocorrelation(values: FloatArray) -> float:
    """Return the correlation of neighbours about their straight line, from 0 to 0.95."""
    time = np.arange(len(values)) - (len(values) - 1) / 2.0
    centred = values - values.mean()
    centred = centred - time * float(time @ centred) / float(time @ time)
    total = float(centred @ centred)
    if total <= 1e-12 * float(values @ values):
        return 0.95
    return float(np.clip(float(centred[1:] @ centred[:-1]) / total, 0.0, 0.95))


def _holm(raw: dict[int, float], *, n_tests: int) -> dict[int, float]:
    """Return the tests that hold, with adjusted p-values."""
    kept: dict[int, float] = {}
    for rank, (column, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        adjusted = p * (n_tests - rank)
        if adjusted > ALPHA:
            break
        kept[column] = adjusted
    return kept


def _sorted_out(
    found: dict[int, float], outside: npt.NDArray[np.bool_]
) -> tuple[list[int], list[int]]:
    """Part the signals that left together from those that left alone.

    Two have left together when they are outside in the same steps.
    """
    columns = sorted(found, key=lambda c: -float(outside[:, c].mean()))
    together: set[int] = set()
    for i, a in enumerate(columns):
        for b in columns[:i]:
            both = float((outside[:, a] & outside[:, b]).sum())
            either = float((outside[:, a] | outside[:, b]).sum())
            if both >= TOGETHER * either:
                together |= {a, b}
    if len(together) < MIN_TOGETHER:
        together = set()
    return [c for c in columns if c in together], [c for c in columns if c not in together]
