"""Many factories: a migration run with nothing to do, and a sign-up until it is usable."""

import os
import subprocess
import sys
import time
from statistics import median

from tests.bench.installation import ROOT, installation

N_FACTORIES = 300
N_ORDINARY = 5


def run() -> dict[str, float]:
    """Return `noop_migrate_300_s`, `signup_s` and what the ordinary ways take.

    `signup_s` is the median from the request of a factory to its open portal, job included but
    without the wait for a worker; `signup_by_migrations_s` is the same by running the migrations.
    `noop_ordinary_s_per_factory` is django-tenants' own command on factories with nothing to do.
    """
    with installation("bench-tenants") as (_stack, environment):
        os.environ.update(environment, TAKT_DB_POOL="0", DJANGO_SETTINGS_MODULE="config.settings")
        return _measure()


def _measure() -> dict[str, float]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tenants import schema, services
    from tenants.models import Factory, User

    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA migrated")
    started = time.perf_counter()
    schema.migrate("migrated")
    by_migrations_s = time.perf_counter() - started

    sign_ups: list[float] = []
    for n in range(N_FACTORIES):
        owner, _ = User.objects.get_or_create(email=f"owner{n // 5}@example.com")
        started = time.perf_counter()
        services.create_factory(name=f"Factory {n}", owner=owner)
        sign_ups.append(time.perf_counter() - started)

    names = list(Factory.objects.values_list("schema_name", flat=True)[:N_ORDINARY])
    started = time.perf_counter()
    for name in names:
        call_command("migrate_schemas", schema_name=name, verbosity=0)
    ordinary_s = (time.perf_counter() - started) / N_ORDINARY
    return {
        "noop_migrate_300_s": _command_s("migrate_factories"),
        "python_and_django_start_s": _command_s("version"),
        "noop_ordinary_s_per_factory": ordinary_s,
        "signup_s": median(sign_ups),
        "signup_by_migrations_s": by_migrations_s,
        "factories": float(Factory.objects.count()),
    }


def _command_s(command: str) -> float:
    """Return the seconds that a management command takes as a process of its own."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "manage.py", command], cwd=ROOT, check=True, capture_output=True
    )
    return time.perf_counter() - started
