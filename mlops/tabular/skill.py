"""Whether a model knows more than the base rate, tested before anybody is shown a forecast.

Independent cases are groups (experiments, machines, lots), not rows: a thousand rows of one
experiment are one piece of evidence. What a model adds is measured per group as the mean gain
in log score over always saying how frequent each outcome is (Good, Rational decisions, 1952).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray

SIGNIFICANT = 0.05
N_FLIPS = 4_999
N_DRAWS = 1_000
# With labels dealt anew among few groups the whole training is repeated; with many the signs of
# the gains are flipped instead, which costs nothing.
MAX_GROUPS_TO_REFIT = 60
N_REFITS = 99
# Once so many shuffled labels did as well, it is settled that there is no evidence (Besag and
# Clifford, Sequential Monte Carlo p-values, Biometrika 1991).
ENOUGH_AS_GOOD = 10
# Normal quantiles of a one-sided test at 5 % that finds what is there in 8 of 10 trials.
_Z = 1.645 + 0.842
# An effect smaller than this, in standard deviations between groups, is not worth waiting for.
SMALLEST_EFFECT = 0.3


@dataclass(frozen=True, slots=True)
class Skill:
    """What a test against chance found.

    Attributes:
        gain: mean gain in log score per group, in nats.
        low, high: 90 % bootstrap interval of the gain, groups drawn.
        p_value: how often no skill at all would look this good or better.
        n_groups: independent cases.
        n_needed: about how many would show an effect as large as the one seen (or a small one,
            where none was seen); None where they were enough and showed nothing.
    """

    gain: float
    low: float
    high: float
    p_value: float
    n_groups: int
    n_needed: int | None

    @property
    def is_shown(self) -> bool:
        return self.p_value <= SIGNIFICANT and self.gain > 0

    @property
    def sentence(self) -> str:
        figures = (
            f"{self.gain:+.3f} nats over the base rate per independent case, 90 % interval "
            f"{self.low:+.3f} to {self.high:+.3f}, p = {self.p_value:.2g}, {self.n_groups} "
            "independent cases"
        )
        if self.is_shown:
            return f"Better than chance: {figures}."
        if self.n_needed is None:
            return (
                f"No evidence of skill: {figures}. More cases like these would not help; other "
                "parameters might."
            )
        more = self.n_needed - self.n_groups
        return f"No evidence of skill: {figures}. Needs about {more} more independent cases."


def group_gains(
    probability: FloatArray, base: FloatArray, codes: IntArray, places: IntArray
) -> FloatArray:
    """Return (n_groups,) the mean gain in log score of each group.

    Args:
        probability, base: (n, n_classes) what the model says and what the base rate says.
        codes: (n,) what happened.
        places: (n,) group of each case.
    """
    at = np.arange(len(codes)), codes
    gain = np.log(probability[at]) - np.log(base[at])
    _groups, place, counts = np.unique(places, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(place, weights=gain) / counts, dtype=np.float64)


def judge(gains: FloatArray, *, p_value: float | None = None, seed: int = 0) -> Skill:
    """Test gains of independent groups against no gain.

    Args:
        p_value: from `by_refits` where it was possible; else signs are flipped.
    """
    rng = np.random.default_rng(seed)
    mean = float(gains.mean())
    drawn = [gains[rng.integers(0, len(gains), len(gains))].mean() for _ in range(N_DRAWS)]
    low, high = np.quantile(drawn, [0.05, 0.95])
    flipped = by_flips(gains, rng=rng)
    # Both where both are known: the stricter one counts.
    found = flipped if p_value is None else max(flipped, p_value)
    return Skill(mean, float(low), float(high), found, len(gains), _needed(gains))


def by_flips(gains: FloatArray, *, rng: np.random.Generator) -> float:
    """Return the share of random signs under which the mean gain is as large.

    Without skill a model that says anything but the base rate loses on average, so symmetry
    around zero is the best case of having none. Source: Good, Permutation, Parametric and
    Bootstrap Tests of Hypotheses (2005), section 3.2.
    """
    as_good = 1
    for _ in range(N_FLIPS):
        signs = rng.integers(0, 2, len(gains)) * 2.0 - 1.0
        as_good += bool(signs @ gains >= gains.sum() - 1e-12)
    return as_good / (N_FLIPS + 1)


def by_refits(
    observed: float, statistic: Callable[[IntArray], float], n_groups: int, *, seed: int = 0
) -> float:
    """Return how often labels dealt anew among groups give as good a figure.

    Args:
        observed: the figure of the true labels.
        statistic: repeats everything (folds, proposals, trees, calibration) with the labels of
            group `order[i]` given to group i.
    """
    rng = np.random.default_rng(seed)
    as_good = 0
    for n_done in range(1, N_REFITS + 1):
        as_good += statistic(rng.permutation(n_groups).astype(np.int64)) >= observed - 1e-12
        if as_good >= ENOUGH_AS_GOOD:
            return as_good / n_done
    return (as_good + 1) / (N_REFITS + 1)


def _needed(gains: FloatArray) -> int | None:
    spread = float(gains.std(ddof=1)) if len(gains) > 1 else 0.0
    effect = float(gains.mean()) / spread if spread > 0 else 0.0
    needed = ceil((_Z / max(effect, SMALLEST_EFFECT)) ** 2)
    return needed if needed > len(gains) else None
