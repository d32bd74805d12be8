"""The search_path is set where it has to be, and only there."""

from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext

from tenants import schema
from tenants.connection import schemas
from tenants.context import factory_context
from tenants.database.base import DatabaseWrapper


def path_in_use() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        (path,) = cursor.fetchone()
    return str(path)


@pytest.fixture
def sent(monkeypatch):
    """The statements by which the search_path was set."""
    found = []
    plain = DatabaseWrapper.__mro__[1]._handle_search_path

    def noted(self, cursor=None):
        found.append(self.schema_name)
        plain(self, cursor)

    monkeypatch.setattr(DatabaseWrapper.__mro__[1], "_handle_search_path", noted)
    return found


def test_each_factory_s_statements_run_in_its_schema(acme, globex):
    for factory in (acme, globex, acme):
        with factory_context(factory):
            assert path_in_use() == f"{factory.schema_name}, public"
    assert path_in_use() == "public"


def test_it_is_set_once_for_many_statements(acme, sent):
    with factory_context(acme):
        paths = {path_in_use() for _ in range(5)}

    assert paths == {"acme, public"}
    assert sent == ["acme"]


def test_setting_it_is_none_of_the_counted_statements(acme):
    with CaptureQueriesContext(connection) as asked, factory_context(acme):
        path_in_use()

    assert [query["sql"] for query in asked] == ["SHOW search_path"]


def test_an_undone_savepoint_does_not_bring_another_factory_back(acme, globex):
    schemas.set_schema("acme")
    path_in_use()
    with transaction.atomic():
        schemas.set_schema("globex")
        assert path_in_use() == "globex, public"
        transaction.set_rollback(True)

    assert path_in_use() == "globex, public"


@pytest.mark.parametrize(
    "statement", ["SET search_path = globex", "SET LOCAL search_path = globex", "RESET ALL"]
)
def test_what_others_set_is_seen_and_set_right(in_acme, statement):
    assert path_in_use() == "acme, public"
    with connection.cursor() as cursor:
        cursor.execute(statement)

    assert path_in_use() == "acme, public"


def test_a_new_connection_starts_in_the_factory(acme):
    other: Any = connection.copy()
    try:
        other.set_schema("acme")
        with other.cursor() as cursor:
            cursor.execute("SHOW search_path")
            assert cursor.fetchone() == ("acme, public",)
    finally:
        other.close()


def test_a_server_that_tells_nothing_has_it_set_each_time(in_acme, sent, monkeypatch):
    monkeypatch.setattr(DatabaseWrapper, "_told", lambda _self: None)

    assert {path_in_use() for _ in range(3)} == {"acme, public"}
    assert sent == ["acme"] * 3


def test_a_server_that_has_gone_is_told_as_django_tells_it(acme):
    other: Any = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        other.set_schema("acme")

        with pytest.raises(OperationalError):
            other.cursor()
        assert not other.is_usable()
    finally:
        other.close()


# -- the shared schema -----------------------------------------------------------------------------
def test_the_shared_schema_notes_every_migration_and_has_no_factory_s_table(db):
    noted = MigrationRecorder(connection).applied_migrations()
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))

    assert sorted(noted) == list(schema.current_migrations())
    assert "tenants_factory" in tables
    assert not {"production_machine", "telemetry_device"} & tables


def test_content_types_and_permissions_are_there_for_a_factory_s_models_too(db):
    from django.apps import apps
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType

    known = set(ContentType.objects.values_list("app_label", "model"))
    models = {(m._meta.app_label, m._meta.model_name) for m in apps.get_models()}

    assert models <= known
    assert Permission.objects.filter(content_type__app_label="production").exists()
