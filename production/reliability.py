"""The arithmetic of failures and spare parts: MTBF, MTTR, availability, Poisson stock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Outage:
    """One failure: from when to when; None while it is not restored."""

    failed_at: datetime
    restored_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often something failed and how long repairs took; times in hours.

    `mtbf_h` is None without a failure: then only the lower bound says something.
    """

    operating_h: float
    n_failures: int
    n_open: int
    mtbf_h: float | None
    mtbf_low_h: float | None
    mttr_h: float | None
    availability: float | None


def reliability(*, operating_h: float, outages: Sequence[Outage]) -> Reliability:
    """Sum failures up over the time that a machine worked.

    Args:
        operating_h: hours of running, reduced speed and set-up in the period.
        outages: the failures that began in the period. One that is not restored counts as a
            failure, and is left out of the time to restore.

    Source: ISO 22400-2:2014, MTBF and MTTR; inherent availability is MTBF / (MTBF + MTTR).
    """
    closed_h = [
        (outage.restored_at - outage.failed_at).total_seconds() / 3600
        for outage in outages
        if outage.restored_at is not None
    ]
    n = len(outages)
    mtbf_h = operating_h / n if n else None
    mttr_h = sum(closed_h) / len(closed_h) if closed_h else None
    availability = None
    if mtbf_h is not None and mttr_h is not None and mtbf_h + mttr_h > 0:
        availability = mtbf_h / (mtbf_h + mttr_h)
    low_h = mtbf_lower_bound(operating_h=operating_h, n_failures=n) if operating_h > 0 else None
    return Reliability(operating_h, n, n - len(closed_h), mtbf_h, low_h, mttr_h, availability)


def mtbf_lower_bound(
    *, operating_h: float, n_failures: int, confidence: float = CONFIDENCE
) -> float:
    """Return the MTBF in hours that is exceeded with `confidence`; defined without failures, too.

    It is 2T / chi2(confidence; 2n + 2) of a time-truncated test. Half that quantile is the mean
    of the Poisson law that shows at most n events with probability 1 - confidence, which needs
    no table.

    Source: IEC 60605-4; Meeker and Escobar, Statistical Methods for Reliability Data (1998), 7.
    """
    return operating_h / _mean_where(n_failures, 1 - confidence)


def poisson_cdf(n: int, mean: float) -> float:
    """Return the probability of at most `n` events where `mean` are expected."""
    if mean <= 0:
        return 1.0
    terms = (math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(n + 1))
    return min(1.0, math.fsum(terms))


def poisson_quantile(mean: float, level: float = CONFIDENCE) -> int:
    """Return the fewest events that are not exceeded with probability `level`."""
    n = 0
    while poisson_cdf(n, mean) < level:
        n += 1
    return n


def _mean_where(n: int, probability: float) -> float:
    """Return the mean at which at most `n` events have this probability (it falls in the mean)."""
    low, high = 0.0, n + 10.0
    while poisson_cdf(n, high) > probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if poisson_cdf(n, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2
