"""Limits of a plan that a month or a number of people fills, exact under parallel requests."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from tenants.models import Factory, FactoryLimits


class LimitReached(Exception):
    """There is no room left this month; nothing was stored.

    Attributes:
        code: `plan_limit` where the plan has no more, `cap_reached` where the owner wants no more.
        retry_at: when the next month begins (UTC).
    """

    def __init__(self, code: str, message: str, *, retry_at: datetime) -> None:
        super().__init__(message)
        self.code = code
        self.retry_at = retry_at

    def seconds_from(self, at: datetime) -> int:
        """Return how long to wait, for Retry-After."""
        return max(1, int((self.retry_at - at).total_seconds()) + 1)


def month_of(at: datetime) -> date:
    """Return the first day of the calendar month (UTC) of a time."""
    return at.astimezone(UTC).date().replace(day=1)


def month_starts(at: datetime) -> tuple[datetime, datetime]:
    """Return when the calendar month (UTC) of a time begins, and when the next one does."""
    first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + timedelta(days=32)).replace(day=1)


def use(
    *,
    factory: Factory,
    meter: str,
    what: str,
    most: int | None,
    at: datetime,
    counted: Callable[[datetime, datetime], int],
    n: int = 1,
) -> None:
    """Use `n` of a month's limit, in the caller's transaction; call it as late as possible.

    The count is a row changed by one conditional statement: whoever comes at the same time waits
    for this transaction's end and then meets the new count.

    Args:
        what: the things that are counted, for people ("pictures").
        most: the plan's limit; None counts without one, so that a later one is exact.
        counted: how many there are in [start, end) by the facts themselves, without these; asked
            once a month, where there is no count yet.

    Raises:
        LimitReached: the owner's cap or the plan leaves no room.
    """
    start, end = month_starts(at)
    limits = FactoryLimits.objects.filter(factory=factory).only("capped_meters").first()
    if limits is not None and meter in limits.capped_meters:
        raise LimitReached(
            "cap_reached",
            f"The cap on this month's {what} is reached. It can be raised under Usage and bill.",
            retry_at=end,
        )
    if not _add(factory, meter, start.date(), n, most, lambda: counted(start, end)):
        raise LimitReached(
            "plan_limit",
            f"Your plan covers {most} {what} a month, and this month's are used. The next are"
            " possible from the first of the next month; a larger plan makes room at once.",
            retry_at=end,
        )


def _add(
    factory: Factory, meter: str, month: date, n: int, most: int | None, counted: Callable[[], int]
) -> bool:
    key: list[Any] = [factory.pk, meter, month]
    with transaction.atomic(), connection.cursor() as cursor:
        if not _is_counted(key):
            cursor.execute(
                "INSERT INTO public.tenants_monthlyuse (factory_id, meter, month, n_used)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [*key, counted()],
            )
        cursor.execute(
            "UPDATE public.tenants_monthlyuse SET n_used = n_used + %s"
            " WHERE factory_id = %s AND meter = %s AND month = %s"
            " AND (%s::bigint IS NULL OR n_used + %s <= %s::bigint)",
            [n, *key, most, n, most],
        )
        n_changed: int = cursor.rowcount
    return n_changed == 1


def _is_counted(key: list[Any]) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM public.tenants_monthlyuse"
            " WHERE factory_id = %s AND meter = %s AND month = %s",
            key,
        )
        return cursor.fetchone() is not None


def locked(factory: Factory) -> FactoryLimits:
    """Lock a factory's limits until the transaction ends, and return them.

    For what is counted by its rows: between the count and the new row nobody else counts.
    """
    return FactoryLimits.objects.select_for_update().get(factory=factory)
