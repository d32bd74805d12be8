"""The recorded schema is what the migrations make, and arrives whole or not at all."""

from itertools import pairwise

import pytest
from django.db import connection, transaction

from tenants import schema

CATALOGUE = {
    "columns": """
        SELECT table_name, column_name, ordinal_position, column_default, is_nullable, udt_name,
               character_maximum_length, is_identity, identity_generation
        FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, 3""",
    "constraints": """
        SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k
        JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s ORDER BY 1, 2""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s"
    " ORDER BY 1, 2",
    "storage": """
        SELECT relname, relkind::text, reloptions, relpersistence::text FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s ORDER BY 1""",
    "sequences": """
        SELECT sequencename, start_value, increment_by, last_value FROM pg_sequences
        WHERE schemaname = %s AND sequencename NOT LIKE 'django_migrations%%' ORDER BY 1""",
}


def catalogue(name: str) -> dict[str, list[tuple[object, ...]]]:
    found = {}
    with connection.cursor() as cursor:
        for what, query in CATALOGUE.items():
            cursor.execute(query, [name])
            rows = [
                tuple(v.replace(f"{name}.", "") if isinstance(v, str) else v for v in row)
                for row in cursor.fetchall()
            ]
            found[what] = rows
    return found


@pytest.fixture
def scratch(db):
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA migrated_one")
    return "migrated_one"


def test_the_recording_is_current():
    assert schema.load_recording().migrations == schema.current_migrations()


@pytest.mark.slow
def test_a_replayed_schema_equals_a_migrated_one(scratch):
    schema.migrate(scratch)
    schema.replay("replayed_one")

    migrated, replayed = catalogue(scratch), catalogue("replayed_one")

    assert {what: replayed[what] for what in CATALOGUE} == migrated
    assert len(migrated["columns"]) > 50


def test_a_replayed_schema_knows_its_migrations(db):
    schema.replay("replayed_two")

    assert schema.migrate("replayed_two") == 0


def test_a_schema_that_exists_is_not_touched(acme):
    with pytest.raises(schema.SchemaExists):
        schema.replay("acme")


def test_a_replay_that_breaks_leaves_nothing(db, monkeypatch):
    whole = schema.load_recording()
    broken = schema.Recording(
        whole.source_digest, whole.migrations, (*whole.statements[:20], "CREATE TABLE nonsense (")
    )
    monkeypatch.setattr(schema, "load_recording", lambda: broken)

    with pytest.raises(Exception, match="syntax error"), transaction.atomic():
        schema.replay("half_made")

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'half_made'")
        assert cursor.fetchone() is None


def test_progress_is_reported_in_order(db):
    shares: list[float] = []

    schema.replay("replayed_three", report=shares.append)

    assert all(a < b for a, b in pairwise(shares))
