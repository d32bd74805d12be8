"""How far two people who judge the same things agree. Pure arithmetic."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `n` things, the share judged alike, and kappa: what of it is more than chance.

    `kappa` is None where it says nothing: nothing was judged, or both always said the same word.
    """

    n: int
    share: float | None
    kappa: float | None


def agreement(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Return how far the first and the second of each pair agree.

    Kappa is 1 for full agreement, 0 for what chance alone gives, below 0 for less.

    Source: Cohen, A Coefficient of Agreement for Nominal Scales, Educational and Psychological
    Measurement 20 (1960).
    """
    n = len(pairs)
    if not n:
        return Agreement(0, None, None)
    share = sum(one == other for one, other in pairs) / n
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    by_chance = sum(count * second[word] for word, count in first.items()) / n**2
    kappa = None if by_chance == 1 else (share - by_chance) / (1 - by_chance)
    return Agreement(n, share, kappa)
