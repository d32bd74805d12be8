"""What was acknowledged is there, once, whatever was killed meanwhile."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis

from infra.local.stack import Stack
from tests.bench.ingest import tokens_made
from tests.bench.installation import ROOT, free_port, installation
from tests.resilience.ledger import Ledger, compare

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

N_CLIENTS = 4
N_ROUNDS = int(os.environ.get("RESILIENCE_ROUNDS", "1"))
RECOVERY_S = 30.0


@dataclass
class Site:
    """A running installation whose web server the test owns and may kill."""

    stack: Stack
    environment: dict[str, str]
    port: int
    tokens: list[str]
    web: "subprocess.Popen[bytes] | None" = None

    def start_web(self) -> None:
        command = [
            str(Path(sys.executable).parent / "granian"), "--interface", "asginl",
            "--host", "127.0.0.1", "--port", str(self.port), "--http", "1", "--no-ws",
            "--respawn-failed-workers", "--respawn-interval", "0.2", "--log-level", "error",
            "config.asgi:application",
        ]  # fmt: skip
        self.web = subprocess.Popen(command, env=self.environment, cwd=ROOT, start_new_session=True)

    def stop_web(self) -> None:
        if self.web is not None:
            os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.environment["DATABASE_URL"], autocommit=True)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with installation("resilience") as (stack, environment):
        tokens = tokens_made(environment, N_CLIENTS * N_ROUNDS * 8)
        found = Site(stack, environment, free_port(), tokens)
        found.start_web()
        yield found
        found.stop_web()


def kill_worker(site: Site) -> None:
    """kill -9 of the process that serves; its parent starts another."""
    assert site.web is not None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == site.web.pid:
                os.kill(int(entry.name), signal.SIGKILL)


def kill_server(site: Site) -> None:
    """kill -9 of parent and worker together; somebody starts it again."""
    site.stop_web()
    site.start_web()


def kill_backend(site: Site) -> None:
    """kill -9 of a PostgreSQL backend: the postmaster ends all and recovers."""
    with site.connect() as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'takt ingest'"
        ).fetchone()
        if row:
            os.kill(int(str(row[0])), signal.SIGKILL)


def restart_postgres(site: Site) -> None:
    site.stack.restart("postgres")


def empty_valkey(site: Site) -> None:
    redis.Redis.from_url(site.environment["VALKEY_URL"]).flushall()


FAULTS: list[Callable[[Site], None]] = [
    kill_worker,
    kill_server,
    kill_backend,
    restart_postgres,
    empty_valkey,
]


@pytest.mark.parametrize("seed", range(N_ROUNDS))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_acknowledged_is_lost_doubled_or_made_up(
    site: Site, tmp_path: Path, fault: Callable[[Site], None], seed: int
):
    chance = random.Random(seed)
    first = (FAULTS.index(fault) * N_ROUNDS + seed) * N_CLIENTS
    ledgers = [
        Ledger(tmp_path / f"{i}.jsonl", site.tokens[first + i], site.port, seed=i)
        for i in range(N_CLIENTS)
    ]
    stopped = threading.Event()
    clients = [threading.Thread(target=ledger.work_until, args=(stopped,)) for ledger in ledgers]
    for client in clients:
        client.start()
    _wait_for_some(ledgers)

    time.sleep(chance.uniform(0.05, 0.5))
    fault(site)
    time.sleep(chance.uniform(0.5, 1.5))
    stopped.set()
    for client in clients:
        client.join(timeout=60)

    deadline = time.monotonic() + RECOVERY_S
    for ledger in ledgers:
        ledger.finish(deadline)
    for i, ledger in enumerate(ledgers):
        assert ledger.acknowledged == set(ledger.sent)
        assert set(ledger.statuses) <= {0, 200, 503}
        device_id = first + i + 1
        assert compare(ledger, _stored(site, device_id)) == {"lost": 0, "double": 0, "phantom": 0}
        assert _counted(site, device_id) == (len(ledger.sent), len(ledger.sent))


def _wait_for_some(ledgers: list[Ledger]) -> None:
    deadline = time.monotonic() + RECOVERY_S
    while not all(ledger.acknowledged for ledger in ledgers):
        assert time.monotonic() < deadline, [ledger.statuses for ledger in ledgers]
        time.sleep(0.05)


def _stored(site: Site, device_id: int) -> list[tuple[int, dict[str, float]]]:
    with site.connect() as connection:
        rows = connection.execute(
            """
            SELECT (extract(epoch FROM h.ts) * 1000)::bigint, array_agg(k.key), array_agg(v.value)
            FROM bench.reading_hot h JOIN bench.telemetry_keyset s ON s.id = h.keyset_id,
            unnest(h.vals, s.key_ids) AS v(value, key_id)
            JOIN bench.telemetry_signalkey k ON k.id = v.key_id
            WHERE h.device_id = %s GROUP BY h.device_id, h.ts
            """,
            [device_id],
        ).fetchall()
    return [(int(str(ts)), dict(zip(keys, values, strict=True))) for ts, keys, values in rows]  # type: ignore[call-overload]


def _counted(site: Site, device_id: int) -> tuple[int, int]:
    """What the device is said to have stored, and what billing would count."""
    with site.connect() as connection:
        row = connection.execute(
            "SELECT (SELECT n_stored FROM bench.latest WHERE device_id = %s)::int,"
            " (SELECT sum(n_readings) FROM bench.reading_hour WHERE device_id = %s)::int",
            [device_id, device_id],
        ).fetchone()
    assert row is not None
    return int(str(row[0])), int(str(row[1]))
