"""Where to set the threshold, by what an escaped defect and a rejected good part cost.

Scores are those of pictures that the model had not seen. So few are known at first that counting
them would call a threshold free of escapes because nobody has seen one. So each side is smoothed:
log scores get a kernel as wide as their number demands, and every share gets a Beta posterior,
whose ends are shown beside it.

Sources: Drummond and Holte, Cost curves (Machine Learning, 2006), for choosing by expected cost;
Silverman, Density estimation (1986), for the width of the kernel; Brown, Cai and DasGupta, Interval
estimation for a binomial proportion (Statistical Science, 2001), for the Jeffreys interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy

from mlops.lives import FloatArray
from mlops.vision.limits import LEAST_SCORE, threshold_of

N_THRESHOLDS: Final = 200
LEAST_GOOD: Final = 5
LEVEL: Final = 0.9
LEAST_WIDTH: Final = 0.02  # of the kernel, in logarithms: scores as close as 2 % are alike


class UnusableCosts(ValueError):
    """A figure is out of range, or there is no score to choose by."""


@dataclass(frozen=True, slots=True)
class DefectClass:
    """Defects of one kind.

    Attributes:
        scores: (n,) of labelled pictures, out of sample.
        share: of all parts that have this defect, 0 to 1.
        escape_cost: of one such part that leaves, in minor units of money.
    """

    scores: FloatArray
    share: float
    escape_cost: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Parts a day, with the ends of an interval of `LEVEL`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """What one threshold is expected to do in a day."""

    threshold: float
    cost: float
    false_rejects: Estimate
    escapes: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Expected costs over thresholds.

    Attributes:
        thresholds, costs: (n_thresholds,) increasing thresholds, minor units of money a day.
        best: the cheapest threshold.
        is_one_sided: no defect has been seen; only false rejects could be weighed, and `best` is
            the threshold of the stated false-reject rate, not of a known optimum.
        sentence: how sure this is, for people.
    """

    thresholds: FloatArray
    costs: FloatArray
    best: Point
    is_one_sided: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class _Side:
    """The smoothed share of scores over a threshold."""

    logs: FloatArray
    width: float

    @classmethod
    def of(cls, scores: FloatArray) -> _Side:
        logs = np.log(np.maximum(scores, LEAST_SCORE))
        n = len(logs)
        spread = float(logs.std(ddof=1)) if n > 1 else 0.0
        return cls(logs, max(1.06 * spread * n**-0.2, LEAST_WIDTH))

    def over(self, thresholds: FloatArray) -> FloatArray:
        """Return the expected share above each threshold: kernel counts under Jeffreys' prior."""
        n = len(self.logs)
        return (n * self._kernel(thresholds) + 0.5) / (n + 1.0)

    def interval(self, threshold: float) -> tuple[float, float, float]:
        n, share = len(self.logs), float(self._kernel(np.array([threshold]))[0])
        over = scipy.stats.beta(n * share + 0.5, n * (1.0 - share) + 0.5)
        low, high = over.interval(LEVEL)
        return float(over.mean()), float(low), float(high)

    def _kernel(self, thresholds: FloatArray) -> FloatArray:
        at = np.log(np.maximum(thresholds, LEAST_SCORE))[:, None]
        return np.asarray(scipy.stats.norm.sf((at - self.logs) / self.width).mean(axis=1))


def choose(
    good: FloatArray, defects: Mapping[str, DefectClass], *, false_reject_cost: int,
    parts_a_day: float, false_reject_rate: float,
) -> CostCurve:  # fmt: skip
    """Return the expected cost a day over thresholds, and the cheapest of them.

    Args:
        good: (n,) scores of good pictures, out of sample.
        defects: by class; classes without scores are left out and named in the sentence.
        false_reject_cost: of one good part that is rejected, in minor units of money.
        parts_a_day: all parts, good and defective.
        false_reject_rate: what to hold to as long as no defect has been seen, 0 to 1.

    Raises:
        UnusableCosts: says which figure cannot be used.
    """
    _check(good, defects, false_reject_cost, parts_a_day, false_reject_rate)
    seen = {name: one for name, one in defects.items() if len(one.scores)}
    unseen = sorted(set(defects) - set(seen))
    good_share = 1.0 - sum(one.share for one in defects.values())
    good_side = _Side.of(good)
    sides = {name: _Side.of(one.scores) for name, one in seen.items()}
    stated = threshold_of(good, rate=false_reject_rate)
    thresholds = _thresholds([good, np.array([stated]), *(one.scores for one in seen.values())])
    rejected = good_side.over(thresholds)
    costs = parts_a_day * good_share * false_reject_cost * rejected
    for name, one in seen.items():
        escaping = 1.0 - sides[name].over(thresholds)
        costs = costs + parts_a_day * one.share * one.escape_cost * escaping
    at = int(np.argmin(costs)) if seen else int(np.searchsorted(thresholds, stated))
    best = Point(
        float(thresholds[at]), float(costs[at]),
        _estimate(good_side.interval(thresholds[at]), parts_a_day * good_share),
        {
            name: _estimate(_under(sides[name].interval(thresholds[at])), parts_a_day * one.share)
            for name, one in seen.items()
        },
    )  # fmt: skip
    sentence = _sentence(len(good), seen, unseen, false_reject_rate)
    return CostCurve(thresholds, costs, best, not seen, sentence)


def _check(
    good: FloatArray, defects: Mapping[str, DefectClass], false_reject_cost: int,
    parts_a_day: float, false_reject_rate: float,
) -> None:  # fmt: skip
    if len(good) < LEAST_GOOD:
        raise UnusableCosts(f"At least {LEAST_GOOD} scores of good pictures are needed.")
    if false_reject_cost < 0 or any(one.escape_cost < 0 for one in defects.values()):
        raise UnusableCosts("A cost cannot be below zero.")
    if not (np.isfinite(parts_a_day) and parts_a_day > 0):
        raise UnusableCosts("The parts a day must be above zero.")
    if not 0.0 < false_reject_rate < 1.0:
        raise UnusableCosts("The false-reject rate must lie between 0 and 1.")
    shares = [one.share for one in defects.values()]
    if any(share < 0.0 for share in shares) or not sum(shares) < 1.0:
        raise UnusableCosts("The shares of defects must be above zero and below one in sum.")


def _thresholds(scores: list[FloatArray]) -> FloatArray:
    """Return thresholds evenly spread in logarithms, from below all scores to above them."""
    joined = np.maximum(np.concatenate(scores), LEAST_SCORE)
    return np.geomspace(0.5 * float(joined.min()), 2.0 * float(joined.max()), N_THRESHOLDS)


def _under(over: tuple[float, float, float]) -> tuple[float, float, float]:
    value, low, high = over
    return 1.0 - value, 1.0 - high, 1.0 - low


def _estimate(shares: tuple[float, float, float], parts: float) -> Estimate:
    return Estimate(*(parts * share for share in shares))


def _sentence(n_good: int, seen: Mapping[str, DefectClass], unseen: list[str], rate: float) -> str:
    if not seen:
        return (
            f"No defect has been shown yet, so nothing is known about escapes. The threshold "
            f"rejects at most {rate:.1%} of good parts, as far as {n_good} pictures can tell."
        )
    counts = ", ".join(f"{len(one.scores)} of {name}" for name, one in sorted(seen.items()))
    said = f"From {n_good} good pictures and pictures of defects: {counts}."
    if unseen:
        said += f" Left out, because no picture shows it yet: {', '.join(unseen)}."
    return said
