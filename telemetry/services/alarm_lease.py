"""Who evaluates a factory's rules: a row with a holder and an end."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from telemetry.models import AlarmWatch

LEASE = timedelta(seconds=10)


class NotMine(Exception):
    """Another watcher has the factory."""


def take(*, holder: str, at: datetime) -> AlarmWatch:
    """Take or renew the lease; until the caller's transaction ends nobody else can.

    Raises:
        NotMine: another watcher has it, or is at work just now.
    """
    row = AlarmWatch.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if row is None:
        try:
            with transaction.atomic():
                return AlarmWatch.objects.create(pk=1, holder=holder, until=at + LEASE)
        except IntegrityError as error:
            raise NotMine from error
    if row.holder != holder and row.until > at:
        raise NotMine
    row.holder, row.until = holder, at + LEASE
    row.save(update_fields=["holder", "until"])
    return row


def release(*, holder: str, at: datetime) -> None:
    """Let another watcher take the factory at once."""
    AlarmWatch.objects.filter(pk=1, holder=holder).update(until=at)
