"""The lock of a device: whoever writes its readings holds its row of `latest` (docs/adr/0008)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from django.db import DatabaseError, connection, transaction

# Whoever cannot have it soon comes again later.
LOCK_TIMEOUT_MS = 250
STATEMENT_TIMEOUT_MS = 20_000
_BUSY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
)


class DeviceBusy(Exception):
    """Somebody else holds the device for longer than we wait."""


@dataclass(slots=True)
class Hold:
    """How long a device was held, once it is free again."""

    seconds: float = 0.0


@contextmanager
def locked(device_id: int) -> Iterator[Hold]:
    """Hold a device for the block, which is one transaction.

    Raises:
        DeviceBusy: it was locked by somebody else; nothing was written.
    """
    hold = Hold()
    began = time.monotonic()
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
                cursor.execute("SELECT 1 FROM latest WHERE device_id = %s FOR UPDATE", [device_id])
            began = time.monotonic()
            yield hold
    except DatabaseError as error:
        if isinstance(error.__cause__, _BUSY):
            raise DeviceBusy from error
        raise
    finally:
        hold.seconds = time.monotonic() - began
