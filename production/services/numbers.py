"""Numbers that people say to each other: given out in order, without gaps."""

from django.db.models import F

from production.models import Counter


def take_numbers(series: str, n: int = 1) -> int:
    """Take the next `n` numbers of a series and return the first; call it in a transaction.

    The row of the series is held until the commit: take numbers after all other locks.
    """
    Counter.objects.get_or_create(name=series)
    Counter.objects.filter(name=series).update(last=F("last") + n)
    return Counter.objects.get(name=series).last - n + 1
