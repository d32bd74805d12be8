"""The tables of a factory, and its rows in public ones, as CSV that a spreadsheet cannot run."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from django.db import connection
from psycopg import sql

from tenants.context import current_factory, current_schema
from tenants.export_files import Content, ExportFile, csv_of, harmless, json_of
from tenants.models import AuditEntry, Credential, Factory, Invitation, Membership

_NUMBERS: Final = frozenset(
    {"smallint", "integer", "bigint", "real", "double precision", "numeric"}
)


def names_of_tables() -> list[str]:
    """Return the tables of the factory at work."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.relname",
            [current_schema()],
        )
        return [name for (name,) in cursor.fetchall()]


def row_counts() -> dict[str, int]:
    """Return how many rows each table of the factory at work has."""
    return {name: _count(name) for name in names_of_tables()}


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(_of_factory(table)))
        found: tuple[int] = cursor.fetchone()
        return found[0]


def _of_factory(table: str) -> sql.Identifier:
    return sql.Identifier(current_schema(), table)


def table_files(*, skip: frozenset[str]) -> Iterator[ExportFile]:
    """Yield each table of the factory at work as a CSV file, but for some."""
    for name in names_of_tables():
        if name not in skip:
            yield ExportFile(f"tables/{name}.csv", f"All rows of the table {name}.", rows_of(name))


def rows_of(table: str) -> Content:
    """Yield a table as CSV, a piece at a time, in one statement; say how many rows it has."""
    columns = _columns(table)
    is_text = [kind not in _NUMBERS for _name, kind in columns]
    statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(_of_factory(table))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        found = (
            [
                harmless(value) if safe and value is not None else value
                for value, safe in zip(row, is_text, strict=True)
            ]
            for row in copy.rows()
        )
        return (yield from csv_of([name for name, _kind in columns], found))


def _columns(table: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            [current_schema(), table],
        )
        return list(cursor.fetchall())


# -- what public tables hold of the factory


def account_files() -> Iterator[ExportFile]:
    """Yield the factory itself, its people, keys (never a secret) and audit log."""
    factory = current_factory()
    yield ExportFile("account/factory.json", "The factory.", json_of(_facts(factory)))
    lists: list[tuple[str, str, list[str], Callable[[], Iterable[Sequence[Any]]]]] = [
        ("people", "Who belongs to the factory.", ["email", "name", "role", "since"],
         lambda: Membership.objects.filter(factory=factory).order_by("pk").values_list(
             "user__email", "user__name", "role", "created_at").iterator()),
        ("invitations", "Who was invited.", ["email", "role", "at", "accepted_at"],
         lambda: Invitation.objects.filter(factory=factory).order_by("created_at", "pk")
         .values_list("email", "role", "created_at", "accepted_at").iterator()),
        ("keys", "Keys of devices and programs, without their secrets.",
         ["kind", "name", "hint", "device_id", "created_at", "revoked_at"],
         lambda: Credential.objects.filter(factory=factory).order_by("pk").values_list(
             "kind", "name", "hint", "device_id", "created_at", "revoked_at").iterator()),
        ("audit", "The audit log, with the hashes that chain it.",
         ["at", "actor", "action", "target", "detail", "previous_hash", "entry_hash"],
         lambda: _audit_rows(factory)),
    ]  # fmt: skip
    for name, about, header, rows in lists:
        yield ExportFile(f"account/{name}.csv", about, csv_of(header, map(_harmless, rows())))


def _audit_rows(factory: Factory) -> Iterator[Sequence[Any]]:
    entries = AuditEntry.objects.filter(factory=factory).order_by("id")
    for one in entries.iterator(chunk_size=2_000):
        detail = json.dumps(one.detail, ensure_ascii=False)
        yield (
            one.at, one.actor_name, one.action, one.target, detail, one.previous_hash,
            one.entry_hash,
        )  # fmt: skip


def _harmless(row: Sequence[Any]) -> list[Any]:
    return [harmless(value) if isinstance(value, str) else value for value in row]


def _facts(factory: Factory) -> dict[str, Any]:
    return {
        "name": factory.name,
        "schema": factory.schema_name,
        "time_zone": factory.time_zone,
        "currency": factory.currency,
        "created_at": factory.created_at.isoformat(),
    }
