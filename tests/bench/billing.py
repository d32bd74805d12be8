"""The nightly proof over 1,000 factories: facts, ledger and Stripe's sums of 30 days by the hour.

Everything compared is real: PostgreSQL with a schema a factory, and the stand-in for Stripe as a
process of its own. Before the clock runs one factory is counted by the product itself, with six
meters that change in each of the 720 hours of November (readings, a machine more in every hour and
what it includes, images, planning minutes, archive): 4.3 million rows of the ledger in all. The
other 999 are copies of it. A copy's schema has only the tables that are counted from; planning,
which nothing does yet, is read from a table of the benchmark. In some factories the facts are
changed behind the ledger's back, so that the proof has something to find. What filling left to be
written to disk, gigabytes in minutes, is written before the clock runs: no night begins with that.

proof_1000x30_s: the whole proof, repairs included. Of it `ledger_s`, `facts_s` and, beside the
counting, `stripe_wait_s`; `own_cpu_s` is what this process computed. `stripe_at_limit_s` is what
the calls would take at the 20 a second that the settings allow at Stripe itself.
"""

import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from tests.bench.installation import ROOT, free_port, installation

N_FACTORIES = int(os.environ.get("BENCH_BILLING_FACTORIES", "1000"))
N_HOURS = 720
N_SPOILED = 3
HOUR = timedelta(hours=1)
START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + N_HOURS * HOUR
NIGHT = END + HOUR
WANTED = {"proof_1000x30_s": "at most 60"}
_COUNTED = (
    "reading_hour",
    "usage_delta",
    "telemetry_device",
    "mlops_inspectionimage",
    "production_inspection",
    "archive_change",
)
IMAGES_AN_HOUR = 3
_API_KEY = "sk_test_of_the_benchmark"


def run() -> dict[str, float]:
    """Fill the installation and the stand-in, prove, return the figures by id."""
    with installation("bench-billing") as (stack, environment):
        port, folder = free_port(), Path(environment["TAKT_VAR"]) / "stripe"
        os.environ.update(
            environment,
            DJANGO_SETTINGS_MODULE="config.settings",
            TAKT_DB_POOL="0",
            STRIPE_API_KEY=_API_KEY,
            STRIPE_API_BASE=f"http://127.0.0.1:{port}",
            STRIPE_READS_PER_S="100000",
        )
        import django

        django.setup()
        customers = _fill(folder, port)
        del stack
        with _standin(folder, port):
            return _measure(customers)


@contextmanager
def _standin(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "billing.sandbox", "--port", str(port)]
    command += ["--data-dir", str(folder), "--api-key", _API_KEY]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the stand-in for Stripe did not start")
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise TimeoutError("the stand-in for Stripe did not answer")


# -- filling ---------------------------------------------------------------------------------------
def _fill(folder: Path, port: int) -> list[str]:
    """Make the factories; return their customers at the stand-in, the template's first."""
    from django.db import connection

    _read_bench_facts()
    template = _template()
    with _standin(folder, port):
        customers = _customers(template)
    accounts = _copies(template, customers)
    _copy_schemas(template.factory.schema_name)
    _copy_ledger(template, accounts)
    _fill_standin(folder, template, customers)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE billing_ledgerentry, billing_ledgerdelivery")
    return customers


def _read_bench_facts() -> None:
    """Have planning, which no floor does yet, read from a table of the factory."""
    from django.db import connection

    from billing import facts
    from billing.counting import SourceHour

    @lru_cache(maxsize=4096)
    def moment(seconds: int) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)

    def planning(*, start: datetime, end: datetime) -> list[SourceHour]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM hour)::bigint, n FROM bench_fact"
                " WHERE hour >= %s AND hour < %s",
                [start, end],
            )
            return [SourceHour(moment(seconds), "", n) for seconds, n in cursor.fetchall()]

    facts.planning_minutes = planning


def _template() -> Any:
    """Make a factory by the product's own ways, and count its month."""
    from django.db import connection

    from billing import services as billing_services
    from billing.models import LedgerDelivery
    from telemetry.models import Device
    from tenants import services
    from tenants.context import factory_context
    from tenants.models import User

    owner = User.objects.create_user("owner@bench.example")
    factory = services.create_factory(name="bench0", owner=owner, stem="bench0")
    with factory_context(factory), connection.cursor() as cursor:
        devices = Device.objects.bulk_create(Device(name=f"device {i}") for i in range(N_HOURS + 1))
        first, *others = [device.pk for device in devices]
        cursor.execute(
            "INSERT INTO reading_hour (device_id, hour, n_readings, n_values, changed_at)"
            " SELECT d, h, 60, 180, h + interval '30 minutes' FROM unnest(%s::bigint[],"
            " %s::timestamptz[]) AS f(d, h)",
            [[first] * N_HOURS + others, [START + i * HOUR for i in range(N_HOURS)] * 2],
        )
        cursor.execute("CREATE TABLE bench_fact (hour timestamptz, n bigint)")
        cursor.execute(
            "INSERT INTO bench_fact SELECT %s + i * interval '1 hour', 2"
            " FROM generate_series(0, %s) AS i",
            [START, N_HOURS - 1],
        )
        cursor.execute(
            "INSERT INTO archive_change (device_id, at, n_bytes)"
            " SELECT %s, %s + i * interval '1 hour', 1000000 FROM generate_series(0, %s) AS i",
            [first, START, N_HOURS - 1],
        )
        _fill_images()
    billing_services.start_subscription(factory=factory, plan="plant", by=None, at=START)
    billing_services.roll_up(factory=factory, until=END, at=END)
    LedgerDelivery.objects.update(state="sent", sent_at=END, n_attempts=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_ledgerdelivery d SET counted_at = e.hour"
            " FROM billing_ledgerentry e WHERE e.id = d.entry_id"
        )
    return billing_services.account_for(factory)


def _fill_images() -> None:
    """Have some pictures taken in each hour, of a plan that nothing else knows."""
    from uuid import uuid4

    from django.db import connection

    from mlops.models import InspectionImage

    plan_id = uuid4()
    with connection.cursor() as cursor:
        # The plan need not be there: a copy's table has no foreign keys either.
        cursor.execute(
            "SELECT conname FROM pg_constraint WHERE contype = 'f'"
            " AND conrelid = 'mlops_inspectionimage'::regclass"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE mlops_inspectionimage DROP CONSTRAINT "{name}"')
    InspectionImage.objects.bulk_create(
        InspectionImage(
            plan_id=plan_id, source="api", taken_at=at, received_at=at, digest=f"{n:064}",
            width=1, height=1, n_bytes=1,
        )
        for n in range(N_HOURS * IMAGES_AN_HOUR)
        for at in [START + n // IMAGES_AN_HOUR * HOUR + timedelta(minutes=7)]
    )  # fmt: skip


def _customers(template: Any) -> list[str]:
    from billing.catalogue import ensure_meters
    from billing.gateways import gateway

    stripe = gateway()
    ensure_meters(stripe)
    return [
        stripe.create_customer(key=f"bench-{n}", name=f"bench{n}", email="", metadata={})
        for n in range(N_FACTORIES)
    ]


def _copies(template: Any, customers: list[str]) -> list[Any]:
    """Make the other accounts, with what the first has agreed on."""
    from billing.models import BillingAccount, LedgerCursor, PlanTerm, Subscription
    from tenants.models import Factory

    factories = Factory.objects.bulk_create(
        Factory(schema_name=f"bench_{n}", name=f"bench{n}", state=Factory.State.ACTIVE)
        for n in range(1, N_FACTORIES)
    )
    accounts = BillingAccount.objects.bulk_create(
        BillingAccount(
            factory=factory, name=factory.name, currency="EUR", stripe_customer_id=customer
        )
        for factory, customer in zip(factories, customers[1:], strict=True)
    )
    BillingAccount.objects.filter(pk=template.pk).update(stripe_customer_id=customers[0])
    subscription = Subscription.objects.get(account=template)
    Subscription.objects.filter(pk=subscription.pk).update(stripe_id="sub_bench0", status="active")
    Subscription.objects.bulk_create(
        Subscription(
            account=account, plan=subscription.plan, version=subscription.version,
            status="active", stripe_id=f"sub_{account.name}", started_at=subscription.started_at,
            metered_from=subscription.metered_from,
        )
        for account in accounts
    )  # fmt: skip
    for term in PlanTerm.objects.filter(account=template):
        PlanTerm.objects.bulk_create(
            PlanTerm(
                account=account, plan=term.plan, version=term.version, starts_at=term.starts_at
            )
            for account in accounts
        )
    cursor = LedgerCursor.objects.get(account=template)
    LedgerCursor.objects.bulk_create(
        LedgerCursor(
            account=account, counted_to=cursor.counted_to, changes_seen_at=cursor.changes_seen_at
        )
        for account in accounts
    )
    return accounts


def _copy_schemas(source: str) -> None:
    """Make the tables that are counted from in every factory's schema, and fill them alike."""
    from django.db import connection

    with connection.cursor() as cursor:
        for n in range(1, N_FACTORIES):
            cursor.execute(f"CREATE SCHEMA bench_{n}")
            for table in (*_COUNTED, "bench_fact"):
                cursor.execute(
                    f"CREATE TABLE bench_{n}.{table} (LIKE {source}.{table} INCLUDING ALL);"
                    f" INSERT INTO bench_{n}.{table} OVERRIDING SYSTEM VALUE"
                    f" SELECT * FROM {source}.{table}"
                )
                # As autovacuum has done by the night.
                cursor.execute(f"ANALYZE bench_{n}.{table}")


def _copy_ledger(template: Any, accounts: list[Any]) -> None:
    """Write the first account's rows for every other one."""
    from django.db import connection

    with connection.cursor() as cursor:
        for begin in range(0, len(accounts), 50):
            some = [account.pk for account in accounts[begin : begin + 50]]
            cursor.execute(
                "WITH copied AS (INSERT INTO billing_ledgerentry (account_id, meter, hour,"
                " billed_hour, quantity, revision, reason, identifier, written_at)"
                " SELECT a, meter, hour, billed_hour, quantity, revision, reason,"
                " replace(identifier, %s, replace(a::text, '-', '')), written_at"
                " FROM billing_ledgerentry, unnest(%s::uuid[]) AS a WHERE account_id = %s"
                " ORDER BY a, meter, hour RETURNING id, account_id, hour)"
                " INSERT INTO billing_ledgerdelivery (entry_id, account_id, state, counted_at,"
                " sent_at, n_attempts, error)"
                " SELECT id, account_id, 'sent', hour, %s, 1, '' FROM copied",
                [template.pk.hex, some, template.pk, END],
            )


def _fill_standin(folder: Path, template: Any, customers: list[str]) -> None:
    """Have the stand-in hold every row: 4.3 million calls would take hours."""
    from billing.catalogue import STRIPE_METERS
    from billing.models import LedgerEntry
    from billing.plans import Meter

    rows = [
        (STRIPE_METERS[Meter(m)].event_name, int(h.timestamp()), STRIPE_METERS[Meter(m)].sign * q)
        for m, h, q in LedgerEntry.objects.filter(account=template)
        .order_by("meter", "hour")
        .values_list("meter", "hour", "quantity")
    ]
    with sqlite3.connect(folder / "stripe.sqlite3") as store:
        store.executemany(
            "INSERT INTO meter_event (identifier, event_name, customer, at, value, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                (f"{customer}:{i}", name, customer, at, value, at)
                for customer in customers
                for i, (name, at, value) in enumerate(rows)
            ),
        )
    store.close()


# -- measuring -------------------------------------------------------------------------------------
def _measure(customers: list[str]) -> dict[str, float]:
    from django.db import connection

    from billing import services
    from billing.models import LedgerEntry
    from billing.services.proving import Took

    spoiled = secrets.SystemRandom().sample(range(1, N_FACTORIES), min(N_SPOILED, N_FACTORIES - 1))
    with connection.cursor() as cursor:
        for n in spoiled:
            cursor.execute(
                f"UPDATE bench_{n}.reading_hour SET n_readings = n_readings + 1 WHERE hour = %s",
                [START + 100 * HOUR],
            )
    n_rows, took = LedgerEntry.objects.count(), Took()
    os.sync()
    started, cpu = time.perf_counter(), time.process_time()
    run = services.prove(at=NIGHT, took=took)
    proof_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    # A fast proof that saw nothing would be worth nothing.
    if (run.n_differences, run.n_failed) != (len(spoiled), 0):
        raise RuntimeError(f"{run}: {len(spoiled)} were to be found, {run.n_failed} failed")
    started = time.perf_counter()
    again = services.prove(at=NIGHT)
    if again.n_differences:
        raise RuntimeError(f"after the repair: {again}")
    return {
        "proof_1000x30_s": proof_s,
        "own_cpu_s": cpu_s,
        "again_s": time.perf_counter() - started,
        "factories": float(len(customers)),
        "ledger_rows": float(n_rows),
        "sums": float(run.n_sums),
        "ledger_s": took.ledger_s,
        "facts_s": took.facts_s,
        "stripe_wait_s": took.stripe_wait_s,
        "stripe_calls": float(took.n_calls),
        "stripe_at_limit_s": took.n_calls / 20,
    }
