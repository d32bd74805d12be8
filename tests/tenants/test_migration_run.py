"""A real migration run over real schemas, one of which cannot be migrated."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
NEWEST = max(path.stem for path in (ROOT / "production" / "migrations").glob("0*.py"))
# Takes the newest production migration away from each factory; in `broken` its effect stays, so
# that applying it again fails there as a migration does that meets unexpected data.
PREPARE = """
from django.db import connection
from tenants import services
from tenants.models import Factory, User
owner = User.objects.create_user("owner@example.com")
for stem in ("first", "broken", "third"):
    services.create_factory(name=stem, owner=owner, stem=stem)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {stem}.django_migrations "
                       "WHERE app = 'production' AND name = 'NEWEST'")
""".replace("NEWEST", NEWEST)


@pytest.fixture
def database():
    address = os.environ["DATABASE_URL"]
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS migration_run WITH (FORCE)")
        admin.execute("CREATE DATABASE migration_run")
    yield address.rsplit("/", 1)[0] + "/migration_run"
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute("DROP DATABASE migration_run WITH (FORCE)")


def manage(database, *arguments, stdin=None):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.chain
def test_one_factory_that_fails_leaves_the_others_served_and_is_resumed(database):
    manage(database, "migrate_schemas", "--shared").check_returncode()
    manage(database, "shell", "-v0", stdin=PREPARE).check_returncode()
    with psycopg.connect(database, autocommit=True) as connection:
        for stem in ("first", "third"):  # here the migration has really not happened
            connection.execute(f"DROP SCHEMA {stem} CASCADE")
            connection.execute(f"CREATE SCHEMA {stem}")
        connection.execute("UPDATE tenants_factory SET migrations_digest = 'older'")

        run = manage(database, "migrate_factories", "--workers", "2")

        states: dict[str, bool] = dict(
            connection.execute("SELECT schema_name, migration_error = '' FROM tenants_factory")
        )
        assert run.returncode == 1
        assert "Failed: broken" in run.stderr
        assert states == {"first": True, "broken": False, "third": True}
        assert connection.execute("SELECT count(*) FROM first.production_site").fetchone() == (0,)

        connection.execute(
            "INSERT INTO broken.django_migrations (app, name, applied) "
            "VALUES ('production', %s, now())",
            (NEWEST,),
        )
        again = manage(database, "migrate_factories")

        assert again.returncode == 0, again.stderr
        assert "1/1 broken" in again.stdout
