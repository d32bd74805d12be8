"""A running installation whose processes a test may kill."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import redis

from infra.local.stack import Stack
from tests.bench.factories import factories_made
from tests.bench.installation import ROOT, free_port, installation, post
from tests.resilience.reader import Reader

_START_TIMEOUT_S = 120.0
SCHEMA, NEIGHBOUR = "bench", "neighbour"


@dataclass
class Site:
    """An installation of its own with a web server; restarting what died is the test's part."""

    stack: Stack
    environment: dict[str, str]
    # That of the portal, and the one for devices alone.
    ports: tuple[int, int]
    tokens: dict[str, list[str]]
    reader: Reader
    web: "subprocess.Popen[bytes] | None" = None
    n_used: dict[str, int] = field(default_factory=dict)

    def take_devices(self, n: int, schema: str = SCHEMA) -> list[tuple[int, str]]:
        """Return ids and tokens of devices that nobody has used."""
        first = self.n_used.get(schema, 0)
        self.n_used[schema] = first + n
        tokens = self.tokens[schema][first : first + n]
        if len(tokens) < n:
            raise ValueError(f"factory {schema} has no {n} devices left")
        return [(first + i + 1, token) for i, token in enumerate(tokens)]

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect as the application's role."""
        address = self.environment["DATABASE_URL"]
        return psycopg.connect(address, autocommit=True, connect_timeout=10)

    # -- the web server --------------------------------------------------------------------------

    def start_web(self) -> None:
        """Start it as an installation does: it starts a dead worker again by itself."""
        command = [
            str(Path(sys.executable).parent / "granian"), "--interface", "rsgi",
            "--host", "127.0.0.1", "--port", str(self.ports[0]), "--http", "1", "--no-ws",
            "--respawn-failed-workers", "--respawn-interval", "0.2", "--log-level", "error",
            "config.rsgi:application",
        ]  # fmt: skip
        environment = self.environment | {"TAKT_DEVICE_ADDRESS": f"127.0.0.1:{self.ports[1]}"}
        self.web = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True)

    def wait_web(self) -> None:
        """Wait until it answers at all, the first time; it compiles every module."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                for port in self.ports:
                    post(port, "/api/v1/telemetry", "", b"[]")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop_web(self) -> None:
        if self.web is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()

    def kill_worker(self, _chance: random.Random) -> float:
        """kill -9 of the process that serves; its parent starts another."""
        assert self.web is not None
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    continue
                if parent == self.web.pid:
                    os.kill(int(entry.name), signal.SIGKILL)
        killed_at = time.monotonic()
        # granian gives up where a worker dies twice within 5.5 s; then it is started again whole,
        # as the launcher's supervisor does.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.web.wait(timeout=1.5)
            self.start_web()
        return killed_at

    def kill_parent(self, chance: random.Random) -> float:
        """kill -9 of the worker's parent alone; somebody ends the orphan and starts both again."""
        assert self.web is not None
        os.kill(self.web.pid, signal.SIGKILL)
        time.sleep(chance.uniform(0.0, 0.3))
        self.stop_web()
        killed_at = time.monotonic()
        self.start_web()
        return killed_at

    # -- PostgreSQL ------------------------------------------------------------------------------

    def kill_backend(self, chance: random.Random) -> float:
        """kill -9 of a backend, mostly that of ingest: the postmaster ends all and recovers."""
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = current_user"
                " AND pid <> pg_backend_pid()"
                " ORDER BY application_name = 'takt ingest' DESC, pid"
            ).fetchall()
        # Without one there is nothing to kill, which would be no round.
        place = 0 if chance.random() < 0.7 else chance.randrange(len(rows))
        os.kill(int(str(rows[place][0])), signal.SIGKILL)
        return time.monotonic()

    def kill_postmaster(self, chance: random.Random) -> float:
        """kill -9 of PostgreSQL's first process; somebody starts it again."""
        pid = self.stack.pid("postgres")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()
        time.sleep(chance.uniform(0.0, 0.3))
        self.stack.restart("postgres")
        return killed_at

    # -- Valkey ----------------------------------------------------------------------------------

    def starve_valkey(self, chance: random.Random) -> float:
        """Empty Valkey, then let it hang with its connections open, or kill it with -9."""
        address = self.environment["VALKEY_URL"]
        redis.Redis.from_url(address, socket_timeout=10).flushall()
        pid = self.stack.pid("valkey")
        assert pid is not None
        if chance.random() < 0.3:
            os.kill(pid, signal.SIGKILL)
            killed_at = time.monotonic()
            self.stack.restart("valkey")
            return killed_at
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(chance.uniform(0.3, 1.5))
        finally:
            os.kill(pid, signal.SIGCONT)
        return time.monotonic()


@contextmanager
def running_site(
    name: str, n_devices: dict[str, int], *, services: tuple[str, ...] = (), var: Path | None = None
) -> Iterator[Site]:
    """Start an installation with factories and their devices, and a web server."""
    with installation(name, services=services, var=var) as (stack, environment):
        tokens = factories_made(environment, n_devices)
        reader = Reader(environment)
        site = Site(stack, environment, (free_port(), free_port()), tokens, reader)
        try:
            site.start_web()
            site.wait_web()
            yield site
        finally:
            site.stop_web()
            reader.close()
