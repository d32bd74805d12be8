"""Two factories of their own, committed, because ingest writes over connections of its own."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis
from django.conf import settings
from django.db import connection

from telemetry import services as telemetry_services
from telemetry.ingest import dialects
from telemetry.ingest.app import IngestApp
from telemetry.models import Device
from tenants import services
from tenants.context import factory_context
from tenants.models import Factory, FactoryLimits, User
from tests.bench.installation import free_port, wait_for

ROOT = Path(__file__).resolve().parents[3]
TABLES = ("reading_hot", "segment", "latest", "usage_delta", "reading_revision")


async def until(holds: Callable[[], object], *, at_most_s: float = 10.0) -> None:
    """Wait until something holds in this process.

    Raises:
        TimeoutError: it does not.
    """
    async with asyncio.timeout(at_most_s):
        while not holds():  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Sender:
    """A device of a test factory with its token."""

    schema: str
    factory_id: int
    device_id: int
    token: str


@dataclass(frozen=True)
class Plant:
    """The test factories and how to make devices in them, committed."""

    schemas: tuple[str, ...]
    unblock: Callable[[], Any]

    def device(self, schema: str = "mills") -> Sender:
        with self.unblock(), self.inside(schema) as factory:
            n = Device.objects.count()
            device, token = telemetry_services.create_device(name=f"device {n}")
            return Sender(schema, factory.pk, device.pk, token)

    @contextmanager
    def inside(self, schema: str = "mills") -> Iterator[Factory]:
        with self.unblock(), factory_context(schema) as factory:
            yield factory


@pytest.fixture(scope="package")
def db(django_db_setup: None) -> None:
    """In this folder nothing is rolled back: no transaction is put around a test.

    The name is what makes pytest-django create the test database.
    """


@pytest.fixture(scope="package")
def plant(db: None, django_db_blocker: Any) -> Iterator[Plant]:
    """Factories `mills` and `bakery`, there for the tests of this folder only."""
    schemas = ("mills", "bakery")
    with django_db_blocker.unblock():
        for schema in schemas:
            owner = User.objects.create_user(f"owner@{schema}.example", "owner-password-1")
            services.create_factory(name=schema.title(), owner=owner, stem=schema)
        FactoryLimits.objects.filter(factory__schema_name__in=schemas).update(
            readings_per_s=1_000_000
        )
    yield Plant(schemas, django_db_blocker.unblock)
    with django_db_blocker.unblock():
        for schema in schemas:
            with connection.cursor() as cursor:
                cursor.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
            Factory.objects.filter(schema_name=schema).delete()
            User.objects.filter(email=f"owner@{schema}.example").delete()


@pytest.fixture
def mill(plant: Plant) -> Sender:
    return plant.device("mills")


@pytest.fixture
def oven(plant: Plant) -> Sender:
    """A device of the other factory."""
    return plant.device("bakery")


@pytest.fixture(scope="package")
def database_url(plant: Plant) -> str:
    of = connection.settings_dict
    return f"postgres://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Received, stored, duplicates, rejected."""
        b = self.body
        return b["received"], b["stored"], b["duplicates"], len(b["rejected"])


class Door:
    """Sends requests to an ASGI application as a server would."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def post(
        self,
        data: Any,
        *,
        sender: Sender | None = None,
        token: str | None = None,
        host: str = "localhost:8443",
        method: str = "POST",
        headers: dict[str, str] | None = None,
        receive: Any = None,
        path: str = dialects.PATH,
    ) -> Answer:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        sent = {"host": host, "content-length": str(len(body)), **(headers or {})}
        token = sender.token if sender else token
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        pieces: list[dict[str, Any]] = []

        async def whole() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            pieces.append(message)

        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
        }
        dialect = dialects.NATIVE if path == dialects.PATH else dialects.find(scope)
        assert dialect is not None
        # In a task of its own, as a server runs it.
        await asyncio.create_task(self.app.serve(dialect, scope, receive or whole, send))
        answered = {k.decode(): v.decode() for k, v in pieces[0]["headers"]}
        return Answer(pieces[0]["status"], answered, json.loads(pieces[1]["body"] or b"{}"))


@pytest.fixture
async def ingest(database_url: str) -> AsyncIterator[IngestApp]:
    app = IngestApp(
        database_url=database_url,
        valkey_url=settings.VALKEY_URL,
        base_url="https://localhost:8443",
        body_timeout_s=0.4,
    )
    await app.startup()
    yield app
    await app.shutdown()


@pytest.fixture
async def door(ingest: IngestApp) -> Door:
    return Door(ingest)


@dataclass(frozen=True)
class Server:
    """One way into the whole application, served as in an installation, its log at hand."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="package")
def servers(
    database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    """The port that devices share with the portal, and the one that is theirs alone."""
    log = tmp_path_factory.mktemp("served") / "log"
    port, device_port = free_port(), free_port()
    command = [
        str(Path(sys.executable).parent / "granian"), "--interface", "rsgi",
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--http", "1",
        "--no-ws", "--access-log", "config.rsgi:application",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "TAKT_DEVICE_ADDRESS": f"127.0.0.1:{device_port}",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(port, process)
            wait_for(device_port, process)
            yield {"portal": Server(port, log), "devices": Server(device_port, log)}
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(params=["portal", "devices"])
def server(request: pytest.FixtureRequest, servers: dict[str, Server]) -> Server:
    """Each of both in turn: they have to agree."""
    return servers[request.param]


@pytest.fixture
async def sql(database_url: str) -> AsyncIterator[Any]:
    """A connection that sees what is committed."""
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def set_limits(sql: Any) -> AsyncIterator[Callable[..., Any]]:
    """Change what a factory may send, for one test."""
    statement = (
        "UPDATE public.tenants_factorylimits SET {} = $1 WHERE factory_id ="
        " (SELECT id FROM public.tenants_factory WHERE schema_name = $2)"
    )
    usual = {
        "readings_per_s": 1_000_000, "distinct_keys_per_device": 500, "ingest_blocked": False,
        "device_readings_per_s": None, "token_in_path_allowed": True, "standing": "good",
        "standing_until": None, "capped_meters": "[]", "read_only": False,
    }  # fmt: skip
    changed: set[tuple[str, str]] = set()

    def forget_rates(schema: str) -> None:
        """As if nothing had been sent yet: a bucket that Valkey does not know is full."""
        client = redis.Redis.from_url(settings.VALKEY_URL)
        if keys := client.keys(f"takt:{schema}:rate*"):
            client.delete(*keys)
        client.close()

    async def change(schema: str, **limits: Any) -> None:
        for name, value in limits.items():
            changed.add((schema, name))
            forget_rates(schema)
            await sql.execute(statement.format(name), value, schema)

    yield change
    for schema, name in changed:
        if name.endswith("readings_per_s"):
            forget_rates(schema)
        await sql.execute(statement.format(name), usual[name], schema)
