"""Which pieces and moments are inspected, and how often a lot is then accepted. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import comb, exp, lgamma, log, log1p

EVERY_PART, EVERY_NTH, PER_LOT = "every_part", "every_nth", "per_lot"
EVERY_MINUTES = "every_minutes"


@dataclass(frozen=True, slots=True)
class Rule:
    """How often is looked: `kind` is one of the four above, `n` (1 or more) its number."""

    kind: str
    n: int = 1


def is_due(rule: Rule, *, position: int, lot_size: int = 1) -> bool:
    """Say whether a piece is inspected.

    Args:
        position: from 1; of the piece in the stream of pieces for "every n-th" (the first of each
            n is looked at, so that a new set-up is seen at once), in its lot for "n of a lot".
        lot_size: pieces of the lot; the n looked at are spread evenly over it.
    """
    if rule.kind == EVERY_PART:
        return True
    if rule.kind == EVERY_NTH:
        return (position - 1) % rule.n == 0
    if rule.kind == PER_LOT:
        n = min(rule.n, lot_size)
        within = min(position, lot_size)
        return within * n // lot_size > (within - 1) * n // lot_size
    return False


def n_due(rule: Rule, *, lot_size: int, before: int = 0) -> int:
    """Count the pieces of a lot that are inspected; `before` pieces of the stream came earlier."""
    if rule.kind == EVERY_PART:
        return lot_size
    if rule.kind == PER_LOT:
        return min(rule.n, lot_size)
    if rule.kind == EVERY_NTH:
        return -(-(before + lot_size) // rule.n) - -(-before // rule.n)
    return 0


def due_pieces(rule: Rule, *, lot_size: int, before: int = 0) -> list[int]:
    """Return the pieces of a lot, counted from 1, that are inspected."""
    shift = before if rule.kind == EVERY_NTH else 0
    return [
        piece
        for piece in range(1, lot_size + 1)
        if is_due(rule, position=piece + shift, lot_size=lot_size)
    ]


def due_moments(
    rule: Rule, *, started_at: datetime, last_at: datetime | None, until: datetime, at_most: int
) -> list[datetime]:
    """Return the moments of a run that are due by `until`, after the last one, oldest first.

    They lie n minutes apart, from the start of the run; only the newest `at_most` are returned.
    """
    if rule.kind != EVERY_MINUTES:
        return []
    step = timedelta(minutes=rule.n)
    last = (until - started_at) // step
    first = 1 if last_at is None else (last_at - started_at) // step + 1
    first = max(first, 1, last - at_most + 1)
    return [started_at + step * number for number in range(first, last + 1)]


def acceptance_probability(
    defect_rate: float, *, n: int, acceptance_number: int, lot_size: int | None = None
) -> float:
    """Return how likely a lot is accepted whose pieces are defective at this rate.

    A sample of `n` pieces accepts its lot with at most `acceptance_number` defective ones.

    Args:
        defect_rate: 0 to 1.
        lot_size: pieces of the lot: hypergeometric, with the nearest whole number of defective
            ones; without it: binomial, a lot that is large against its sample.

    Source: Montgomery, Introduction to Statistical Quality Control, 7th ed., section 15.2.
    """
    if lot_size is not None:
        return _hypergeometric(round(defect_rate * lot_size), n, acceptance_number, lot_size)
    if defect_rate <= 0 or acceptance_number >= n:
        return 1.0
    if defect_rate >= 1:
        return 0.0
    total = sum(
        exp(_log_comb(n, k) + k * log(defect_rate) + (n - k) * log1p(-defect_rate))
        for k in range(acceptance_number + 1)
    )
    return min(total, 1.0)


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _hypergeometric(n_bad: int, n: int, acceptance_number: int, lot_size: int) -> float:
    n = min(n, lot_size)
    ways = sum(
        comb(n_bad, k) * comb(lot_size - n_bad, n - k)
        for k in range(min(acceptance_number, n, n_bad) + 1)
        if n - k <= lot_size - n_bad
    )
    return ways / comb(lot_size, n)


def operating_characteristic(
    rates: Sequence[float], *, n: int, acceptance_number: int, lot_size: int | None = None
) -> list[tuple[float, float]]:
    """Return (defect rate, probability of acceptance) at each rate."""
    return [
        (
            rate,
            acceptance_probability(
                rate, n=n, acceptance_number=acceptance_number, lot_size=lot_size
            ),
        )
        for rate in rates
    ]


def rate_accepted_at(probability: float, *, n: int, acceptance_number: int) -> float | None:
    """Return the defect rate at which a lot is accepted with this probability (binomial).

    None where every lot is accepted, because the sample may hold as many defective pieces as it
    has.
    """
    if acceptance_number >= n:
        return None
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        chance = acceptance_probability(middle, n=n, acceptance_number=acceptance_number)
        low, high = (middle, high) if chance > probability else (low, middle)
    return (low + high) / 2
