"""Bring the schemas of all factories up to date: in parallel, resumable, seen per factory."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, connection, connections
from django.utils import timezone

from tenants import schema
from tenants.models import Factory

log = structlog.get_logger()

# A migration waits for a lock only so long: behind it, the factory's own requests would queue up.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "15min"
_RUN_LOCK = 7062


class RunInProgress(Exception):
    """Another migration run is at work on this installation."""


@dataclass(frozen=True, slots=True)
class Outcome:
    schema_name: str
    n_applied: int
    error: str = ""


def pending() -> list[Factory]:
    """Return the factories whose schema lacks migrations that this code has. One query."""
    return list(
        Factory.objects.exclude(state__in=[Factory.State.CREATING, Factory.State.FAILED])
        .exclude(migrations_digest=schema.migrations_digest())
        .order_by("pk")
    )


def migrate_all(
    *,
    n_workers: int = 4,
    report: Callable[[Outcome, int, int], None] = lambda *_a: None,
    only: Sequence[str] = (),
) -> list[Outcome]:
    """Migrate what is pending; one factory that fails stops no other and is tried again next time.

    Raises:
        RunInProgress: another run holds the lock.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_RUN_LOCK])
        if not cursor.fetchone()[0]:
            raise RunInProgress
    try:
        factories = [f for f in pending() if not only or f.schema_name in only]
        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(max_workers=max(1, n_workers)) as pool:
            futures = [pool.submit(migrate_one, factory.schema_name) for factory in factories]
            for future in as_completed(futures):
                outcomes.append(future.result())
                report(outcomes[-1], len(outcomes), len(factories))
        return outcomes
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_RUN_LOCK])


def migrate_one(schema_name: str) -> Outcome:
    """Migrate one factory in this thread's own connection and write down what became of it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            cursor.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'")
        n_applied = schema.migrate(schema_name)
        Factory.objects.filter(schema_name=schema_name).update(
            migrations_digest=schema.migrations_digest(),
            migrated_at=timezone.now(),
            migration_error="",
        )
        return Outcome(schema_name, n_applied)
    except Exception as error:  # whatever a migration does wrong, the others must go on
        message = f"{type(error).__name__}: {error}"
        log.exception("migration.failed", schema=schema_name)
        _write_down(schema_name, message)
        return Outcome(schema_name, 0, message)
    finally:
        connections.close_all()


def _write_down(schema_name: str, message: str) -> None:
    connections.close_all()
    try:
        Factory.objects.filter(schema_name=schema_name).update(migration_error=message[:2000])
    except DatabaseError:
        log.warning("migration.status.lost", schema=schema_name)
