"""Ingest against a plain DRF view, in one interleaved run on one PostgreSQL.

Both are served by one granian worker without TLS, on the same data, in turns, so that whatever
else the machine does meets both alike. A stretch is measured several times and the median of
the rounds is reported; ratios are medians of the ratios within a round.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from tests.bench import load
from tests.bench.installation import ROOT, installation, served

N_DEVICES = 256
N_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
VALUES_A_READING = 4


@dataclass(frozen=True)
class Case:
    name: str
    n_connections: int
    batch: int


CASES = (Case("singles32", 32, 1), Case("singles256", 256, 1), Case("batch", 16, 500))

MAKE_DEVICES = """
import sys, django; django.setup()
from tenants import credentials, services
from tenants.context import factory_context
from tenants.models import FactoryLimits, User
from telemetry.models import Device
owner = User.objects.create_user("bench@takt.example", "bench-password-1")
factory = services.create_factory(name="Bench", owner=owner, stem="bench")
FactoryLimits.objects.filter(factory=factory).update(readings_per_s=100_000_000)
with factory_context(factory):
    for i in range(int(sys.argv[1])):
        device = Device.objects.create(name=f"device {i}")
        print(credentials.issue_device_token(factory=factory, device_id=device.pk, name="bench"))
"""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    name: str
    port: int
    tokens: list[str]
    pids: tuple[int, ...]


def run() -> dict[str, float]:
    """Measure both sides and return the figures by id."""
    with installation() as (stack, environment):
        baseline = _baseline_environment(environment)
        ours_tokens = tokens_made(environment, N_DEVICES)
        drf_tokens = _output(
            [sys.executable, "-m", "tests.bench.drf_baseline", str(N_DEVICES)], baseline
        )
        database_pid = stack.pid("postgres")
        assert database_pid is not None
        with (
            served("config.asgi:application", interface="asginl", environment=environment) as ours,
            served(
                "tests.bench.drf_baseline:application",
                interface="wsgi",
                environment=baseline,
                options=("--blocking-threads", "4", "--backpressure", "512"),
            ) as drf,
        ):
            return _measure(
                Side("takt", ours[0], ours_tokens, (ours[1], database_pid)),
                Side("drf", drf[0], drf_tokens, (drf[1], database_pid)),
            )


def _baseline_environment(environment: dict[str, str]) -> dict[str, str]:
    address = environment["DATABASE_URL"]
    subprocess.run(
        [sys.executable, "-c",
         "import os, psycopg; c = psycopg.connect(os.environ['DATABASE_URL'], autocommit=True);"
         "c.execute('CREATE DATABASE baseline'); c.close()"],
        env=environment, check=True,
    )  # fmt: skip
    return {**environment, "BASELINE_DATABASE_URL": address.rpartition("/")[0] + "/baseline"}


def tokens_made(environment: dict[str, str], n_devices: int) -> list[str]:
    """Make factory `bench` with devices 1 to `n_devices` and return their tokens in order."""
    return _output(
        [sys.executable, "-W", "ignore", "-c", MAKE_DEVICES, str(n_devices)],
        {**environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
    )


def _output(command: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [line for line in done.stdout.split() if line.startswith("takt_dev_")]


def _cpu_s(roots: tuple[int, ...]) -> float:
    """CPU seconds used so far by processes and their descendants, ended children included."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(map(int, fields[11:15]))
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used.get(pid, 0) for pid in family) * tick_s


def _measure(ours: Side, drf: Side) -> dict[str, float]:
    figures: dict[str, list[float]] = {}
    first_at = datetime(2026, 1, 1, tzinfo=UTC)
    for side in (ours, drf):  # warm: caches, plans, first connections
        for case in CASES:
            first_at += timedelta(days=1)
            load.run(_plan(side, case, first_at, seconds=1.5))
    for _ in range(N_ROUNDS):
        for case in CASES:
            rates = {}
            for side in (ours, drf):
                first_at += timedelta(days=1)
                cpu_s = _cpu_s(side.pids)
                result = load.run(_plan(side, case, first_at, seconds=SECONDS))
                cpu_s = _cpu_s(side.pids) - cpu_s
                if result.n_errors:
                    raise RuntimeError(f"{side.name} {case.name}: {result.n_errors} refused")
                rates[side.name] = result.requests_per_s
                n_points = result.n_requests * case.batch * VALUES_A_READING
                name = f"{side.name}_{case.name}"
                figures.setdefault(f"{name}_per_s", []).append(result.requests_per_s)
                figures.setdefault(f"{name}_p50_ms", []).append(result.p50_ms)
                figures.setdefault(f"{name}_p99_ms", []).append(result.p99_ms)
                figures.setdefault(f"{name}_cpu_s_per_m", []).append(cpu_s / n_points * 1e6)
            figures.setdefault(f"{case.name}_vs_drf", []).append(rates["takt"] / rates["drf"])
    found = {name: median(values) for name, values in figures.items()}
    for side in (ours, drf):
        points = found[f"{side.name}_batch_per_s"] * 500 * VALUES_A_READING
        found[f"{side.name}_batch_points_per_s"] = points
    # The names under which later stages compare: server and database together.
    found["singles256_cpu_s_per_m"] = found["takt_singles256_cpu_s_per_m"]
    found["batch_cpu_s_per_m"] = found["takt_batch_cpu_s_per_m"]
    return found


def _plan(side: Side, case: Case, first_at: datetime, *, seconds: float) -> load.Plan:
    return load.Plan(
        port=side.port,
        path="/api/v1/telemetry",
        tokens=side.tokens,
        n_connections=case.n_connections,
        batch=case.batch,
        seconds=seconds,
        first_at=first_at.isoformat(),
    )
