"""How far two people who judged the same things agree, beyond what chance would bring."""

from collections import Counter
from collections.abc import Sequence


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa of two people's labels of the same things, at most 1 (always agree).

    0 is what two people reach who label at random, each with the shares that they used here.
    None without pairs, and where both only ever used one and the same label: then nothing tells
    agreement from habit.

    Source: Cohen, A Coefficient of Agreement for Nominal Scales (Educational and Psychological
    Measurement 20, 1960).
    """
    n = len(pairs)
    if not n:
        return None
    observed = sum(one == other for one, other in pairs) / n
    of_one = Counter(one for one, _ in pairs)
    of_other = Counter(other for _, other in pairs)
    by_chance = sum(of_one[label] * of_other[label] for label in of_one) / n**2
    if by_chance == 1.0:
        return None
    return (observed - by_chance) / (1.0 - by_chance)
