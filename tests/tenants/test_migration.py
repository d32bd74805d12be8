"""Migrating many factories: what is pending, what fails, what resumes."""

import pytest
from django.db import connections

from tenants import migration, schema
from tenants.models import Factory


@pytest.fixture
def behind(acme, globex, monkeypatch):
    """Both factories lack a migration; the first one's breaks."""
    Factory.objects.update(migrations_digest="old")
    broken = {"acme"}

    def migrate(schema_name):
        if schema_name in broken:
            raise RuntimeError("column is missing")
        return 1

    monkeypatch.setattr(schema, "migrate", migrate)
    # One thread, the test's own: its transaction must see what the run writes.
    monkeypatch.setattr(migration, "ThreadPoolExecutor", SameThread)
    monkeypatch.setattr(connections, "close_all", lambda: None)
    return broken


class SameThread:
    def __init__(self, **_kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_args):
        pass

    def submit(self, function, *args):
        from concurrent.futures import Future

        future: Future = Future()
        future.set_result(function(*args))
        return future


def test_up_to_date_factories_are_not_touched(acme, globex):
    assert migration.pending() == []
    assert migration.migrate_all() == []


def test_a_factory_that_fails_stops_no_other_and_says_why(behind):
    outcomes = {o.schema_name: o for o in migration.migrate_all()}

    assert outcomes["globex"].error == ""
    assert "column is missing" in outcomes["acme"].error
    assert "column is missing" in Factory.objects.get(schema_name="acme").migration_error


def test_the_next_run_takes_up_only_what_failed(behind):
    migration.migrate_all()
    behind.clear()

    outcomes = migration.migrate_all()

    assert [o.schema_name for o in outcomes] == ["acme"]
    assert migration.pending() == []
    assert Factory.objects.get(schema_name="acme").migration_error == ""
