"""Whether one model is better than another, as far as the cases both were judged on can say.

Both are judged on the same cases (lives, parts, alarms), so each case is a pair and what counts
is the difference. Cases are few: significance comes from flipping the signs of the differences,
which is exact for any number of them. Pure arithmetic, no Django.

Source: sign-flip permutation test after Fisher (The Design of Experiments, 1935, section 21);
Holm, A simple sequentially rejective multiple test procedure (1979), for the slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from mlops.lives import FloatArray

ALPHA: Final = 0.05
# With five pairs that all point one way the exact test reaches 1/32; with four it cannot.
MIN_CASES: Final = 5
# A slice is worse from this part of the usual loss on, if that is no chance.
WORSE_BY: Final = 0.1
MAX_EXACT: Final = 12
N_DRAWS: Final = 4000


class Outcome(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a challenger did beside another model on the same cases.

    Attributes:
        gain: mean loss of the other less that of the challenger; above 0: the challenger is
            better.
        low, high: 90 % interval of the gain.
        p_better, p_worse: chance of a gain at least as far up (down) if both were alike.
        worse_slices: slices (machines, products) on which it is worse beyond chance.
    """

    outcome: Outcome
    n_cases: int
    loss: float
    loss_of_other: float
    gain: float
    low: float
    high: float
    p_better: float
    p_worse: float
    worse_slices: tuple[str, ...]

    def as_evidence(self) -> dict[str, Any]:
        """Return the figures as JSON takes them."""
        return {**asdict(self), "outcome": str(self.outcome)}


def compare(
    challenger: Mapping[str, float], other: Mapping[str, float], slices: Mapping[str, str]
) -> Comparison:
    """Compare two models by their losses per case, on the cases that both have.

    Better: the gain is beyond chance and no slice is worse. Worse: the loss is beyond chance.
    Everything else is unclear, above all where there are fewer than 5 cases.

    Args:
        challenger, other: case -> loss, smaller is better.
        slices: case -> the machine or product that it belongs to.
    """
    keys = sorted(challenger.keys() & other.keys())
    mine = np.array([challenger[key] for key in keys], dtype=np.float64)
    theirs = np.array([other[key] for key in keys], dtype=np.float64)
    if len(keys) < MIN_CASES:
        loss, loss_of_other = (float(x.mean()) if len(x) else 0.0 for x in (mine, theirs))
        gain = loss_of_other - loss
        return Comparison(
            Outcome.UNCLEAR, len(keys), loss, loss_of_other, gain, gain, gain, 1.0, 1.0, ()
        )
    gains = theirs - mine
    worse = _worse_slices(gains, [slices[key] for key in keys], float(theirs.mean()))
    p_better, p_worse = sign_flip(gains), sign_flip(-gains)
    outcome = Outcome.UNCLEAR
    if p_worse <= ALPHA:
        outcome = Outcome.WORSE
    elif p_better <= ALPHA and not worse:
        outcome = Outcome.BETTER
    low, high = _interval(gains)
    return Comparison(
        outcome, len(keys), float(mine.mean()), float(theirs.mean()), float(gains.mean()),
        low, high, p_better, p_worse, worse,
    )  # fmt: skip


def sign_flip(gains: FloatArray) -> float:
    """Return the chance of a mean at least as large if each gain could as well be a loss.

    Exact up to 12 cases; above that by 4,000 drawn flips, the observed one counted in.
    """
    n = len(gains)
    observed = float(gains.sum())
    if n == 0 or not np.any(gains):
        return 1.0
    slack = 1e-9 * float(np.abs(gains).sum())
    if n <= MAX_EXACT:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return float(np.mean((1 - 2 * bits) @ gains >= observed - slack))
    signs = np.random.default_rng(0).choice(np.array([-1.0, 1.0]), (N_DRAWS, n))
    return float((1 + np.sum(signs @ gains >= observed - slack)) / (N_DRAWS + 1))


def _interval(gains: FloatArray) -> tuple[float, float]:
    draws = np.random.default_rng(0).integers(0, len(gains), (1000, len(gains)))
    means = gains[draws].mean(axis=1)
    return float(np.quantile(means, 0.05)), float(np.quantile(means, 0.95))


def _worse_slices(gains: FloatArray, of: list[str], usual: float) -> tuple[str, ...]:
    """Name the slices that lose more than a tenth of the usual loss, beyond chance."""
    names = sorted(set(of))
    found: list[tuple[float, str]] = []
    for name in names:
        own = gains[np.array([slice_ == name for slice_ in of])]
        if -float(own.mean()) > WORSE_BY * usual:
            found.append((sign_flip(-own), name))
    worse = []
    for rank, (p, name) in enumerate(sorted(found)):
        if p > ALPHA / (len(names) - rank):
            break
        worse.append(name)
    return tuple(sorted(worse))


def too_rarely_right(n_right: int, n: int, level: float) -> float:
    """Return the chance of at most `n_right` of `n` where each is right with chance `level`.

    What an interval that says 80 % has to answer for. Source: the binomial distribution.
    """
    from scipy.stats import binom

    return float(binom.cdf(n_right, n, level)) if n else 1.0


def so_often(n_found: int, n: int, share: float) -> float:
    """Return the chance of at least `n_found` of `n` where each has the chance `share`."""
    from scipy.stats import binom

    return float(binom.sf(n_found - 1, n, share)) if n else 1.0
