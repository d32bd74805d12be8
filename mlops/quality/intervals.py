"""How far a probability can be trusted, from held-back cases with a similar forecast.

Of the held-back cases whose forecast was nearest, some turned out so and the others not: how
often is known up to a binomial interval. This asks nothing of the model or its calibration,
and it reads as a sentence: "of 160 parts with such a forecast 12 were rejects".

Source: Brown, Cai and DasGupta, Interval estimation for a binomial proportion (Statistical
Science, 2001), for Jeffreys' interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.calibration import logit, sigmoid

LEVEL = 0.9
# Neighbours grow slower than cases, so that with more cases they become more alike. Under 40 a
# rare outcome is seen too seldom among them to narrow anything.
MIN_NEIGHBOURS = 40
GROWTH = 2.0 / 3.0
MAX_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a probability lies in nine of ten cases, and what supports it.

    Attributes:
        n_similar: held-back cases with a similar forecast.
        n_so: how many of them turned out so.
    """

    low: float
    high: float
    n_similar: int
    n_so: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Held-back cases, what was said of them and what they became.

    Attributes:
        log_odds: (n, n_classes) of what was said before the outcome was known.
        codes: (n,) what they became.
        groups: (n,) number of the group (lot) of each: one group is one piece of evidence.
    """

    log_odds: FloatArray
    codes: IntArray
    groups: IntArray

    @classmethod
    def of(cls, probability: FloatArray, codes: IntArray, groups: IntArray) -> Neighbours:
        """Keep the latest held-back cases.

        Args:
            probability: (n, n_classes), oldest first.
        """
        return cls(logit(probability[-MAX_KEPT:]), codes[-MAX_KEPT:], groups[-MAX_KEPT:])

    def interval(self, probability: float, code: int) -> Interval:
        """Return the interval of one class's probability.

        What the neighbours showed is moved along by how far they lie from the case itself, so
        that a case at the edge of its neighbours is not given their middle.
        """
        own = float(logit(np.array([probability]))[0])
        scores = self.log_odds[:, code]
        n = min(len(scores), max(MIN_NEIGHBOURS, int(np.ceil(len(scores) ** GROWTH))))
        near = np.argsort(np.abs(scores - own), kind="stable")[:n]
        happened = (self.codes[near] == code).astype(np.float64)
        low, high = _jeffreys(happened, self.groups[near])
        said = float(logit(np.array([sigmoid(scores[near]).mean()]))[0])
        ends = sigmoid(logit(np.array([low, high])) + own - said)
        return Interval(
            low=0.0 if low == 0.0 else min(float(ends[0]), probability),
            high=1.0 if high == 1.0 else max(float(ends[1]), probability),
            n_similar=n, n_so=int(happened.sum()),
        )  # fmt: skip


def rate_interval(happened: FloatArray, groups: IntArray | None = None) -> tuple[float, float]:
    """Return the 90 % interval of a rate seen in independent groups (each case its own)."""
    return _jeffreys(happened, np.arange(len(happened)) if groups is None else groups)


def _jeffreys(happened: FloatArray, groups: IntArray) -> tuple[float, float]:
    """Count evidence: all cases where groups differ as single cases would, else fewer.

    The variance between group means says how many independent cases the groups are worth
    (Kish, Survey Sampling, 1965: the design effect).
    """
    n = len(happened)
    worth = n / _design_effect(happened, groups)
    seen = float(happened.mean()) * worth
    tail = (1.0 - LEVEL) / 2.0
    low = 0.0 if seen == 0.0 else float(scipy.stats.beta.ppf(tail, seen + 0.5, worth - seen + 0.5))
    full = seen >= worth - 1e-9
    high = 1.0 if full else float(scipy.stats.beta.ppf(1 - tail, seen + 0.5, worth - seen + 0.5))
    return low, high


def _design_effect(happened: FloatArray, groups: IntArray) -> float:
    _names, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    n, n_groups, rate = len(happened), len(counts), float(happened.mean())
    if n_groups == n:
        return 1.0
    alone = rate * (1.0 - rate) / n
    if n_groups < 2 or alone == 0.0:
        return n / n_groups
    residuals = np.bincount(place, weights=happened - rate)
    between = n_groups / (n_groups - 1.0) * float(residuals @ residuals) / n**2
    return float(np.clip(between / alone, 1.0, n / n_groups))
