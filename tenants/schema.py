"""The tables of a factory: recorded once from the migrations, replayed for each sign-up.

Running the migrations for a new factory takes seconds to tens of seconds; replaying the
statements that they emitted takes a fraction of one (docs/adr/0002). `manage.py record_schema`
writes the recording whenever migrations change; `make check` refuses a stale one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from psycopg import ClientCursor

from tenants.connection import schemas
from tenants.models import Factory

RECORDING = Path(__file__).parent / "replay" / "factory_schema.json"
# What a migration may emit that changes nothing; everything else is recorded.
_READS = ("SELECT", "SET ", "SHOW ", "SAVEPOINT", "RELEASE", "ROLLBACK", "RESET")
_MIGRATIONS_TABLE = "django_migrations"


class StaleRecording(Exception):
    """The recorded statements belong to other migrations than this code has."""

    def __init__(self) -> None:
        super().__init__("The recorded schema is stale: run `python manage.py record_schema`.")


class SchemaExists(Exception):
    """A schema of this name is there already; it is not touched."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What migrating an empty schema emits: statements in order, and what they amount to."""

    source_digest: str
    migrations: tuple[tuple[str, str], ...]
    statements: tuple[str, ...]


@cache
def current_migrations() -> tuple[tuple[str, str], ...]:
    """Return every migration that this code knows, as (app, name), sorted."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return tuple(sorted((str(app), str(name)) for app, name in loader.disk_migrations))


@cache
def migrations_digest() -> str:
    """Return the digest by which a factory is known to be up to date."""
    return hashlib.sha256(json.dumps(current_migrations()).encode()).hexdigest()


@cache
def source_digest() -> str:
    """Return a digest of the text of all migrations that make a factory's tables."""
    digest = hashlib.sha256(migrations_digest().encode())
    for app in settings.TENANT_APPS:
        folder = Path(apps.get_app_config(app).path) / "migrations"
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def load_recording() -> Recording:
    """Return the recording.

    Raises:
        StaleRecording: the migrations have changed since.
    """
    if not RECORDING.exists():
        raise StaleRecording
    content = json.loads(RECORDING.read_text())
    if content["source_digest"] != source_digest():
        raise StaleRecording
    return Recording(
        content["source_digest"],
        tuple((app, name) for app, name in content["migrations"]),
        tuple(content["statements"]),
    )


def replay(schema_name: str, *, report: Callable[[float], None] = lambda _share: None) -> None:
    """Create a schema with a factory's tables; the caller's transaction makes it all or nothing.

    Each statement is sent by itself from here, never from within the database, so that a
    sharded cluster can follow (design: beyond one machine).

    Raises:
        SchemaExists: a schema has this name.
        StaleRecording: the recording does not fit this code.
    """
    recording = load_recording()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema_name])
        if cursor.fetchone():
            raise SchemaExists(schema_name)
        name = connection.ops.quote_name(schema_name)
        cursor.execute(f"CREATE SCHEMA {name}")
        cursor.execute(f"SET LOCAL search_path = {name}, public")
        for i, statement in enumerate(recording.statements):
            cursor.execute(statement, None)
            if i % 50 == 49:
                report((i + 1) / len(recording.statements))
        rows = ", ".join(["(%s, %s, now())"] * len(recording.migrations))
        values = [value for migration in recording.migrations for value in migration]
        insert = f"INSERT INTO {_MIGRATIONS_TABLE} (app, name, applied) VALUES {rows}"  # noqa: S608
        cursor.execute(insert, values)
    # The search_path that this connection believes in was changed behind its back.
    schemas.search_path_set_schemas = None


@contextmanager
def _inside(schema_name: str) -> Iterator[None]:
    previous = schemas.tenant
    # Without public on the path, so that its django_migrations is not taken for this schema's.
    schemas.set_schema(schema_name, include_public=False)
    try:
        MigrationRecorder(connection).ensure_schema()
        schemas.set_schema(schema_name)
        yield
    finally:
        schemas.set_tenant(previous)


def migrate(schema_name: str) -> int:
    """Run what is missing of the migrations in one schema; return how many were applied."""
    with _inside(schema_name):
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        executor.migrate(executor.loader.graph.leaf_nodes(), plan=plan)
        return len(plan)


def record() -> Recording:
    """Migrate an empty schema, keep what that emitted, and remove the schema again."""
    scratch = "takt_recording"
    emitted: list[str] = []

    def keep(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        text = str(sql).strip()
        # Django drops a foreign key in the same statement: "SET CONSTRAINTS ...; ALTER TABLE ...".
        is_read = text.upper().startswith(_READS) and "; ALTER" not in text.upper()
        if not is_read and _MIGRATIONS_TABLE not in text.split("(")[0]:
            if many:
                raise NotImplementedError("a migration used executemany, which is not recorded")
            cursor = ClientCursor(connection.connection)
            emitted.append(cursor.mogrify(text, params) if params else text)
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {scratch} CASCADE")
        cursor.execute(f"CREATE SCHEMA {scratch}")
    try:
        with connection.execute_wrapper(keep):
            migrate(scratch)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {scratch} CASCADE")
    # The table of migrations itself is made by the recorder, not by a migration.
    with connection.schema_editor(collect_sql=True) as editor:
        editor.create_model(MigrationRecorder.Migration)
        table = [statement.strip() for statement in editor.collected_sql]
    statements = (*table, *(s for s in emitted if scratch not in s))
    return Recording(source_digest(), current_migrations(), statements)


def write_recording(recording: Recording) -> None:
    RECORDING.parent.mkdir(exist_ok=True)
    content = {
        "source_digest": recording.source_digest,
        "migrations": recording.migrations,
        "statements": recording.statements,
    }
    RECORDING.write_text(json.dumps(content, indent=1) + "\n")
    load_recording.cache_clear()


def drop(factory: Factory) -> None:
    """Remove a factory's schema with everything in it."""
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(factory.schema_name)
        cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
