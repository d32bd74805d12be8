"""Ingest against what people build by hand, in one interleaved run on one machine.

Takt and a DRF view (`drf_baseline`) are served by one process each without TLS: Takt at its port
for devices, and single readings also at that of the portal (`portal_...`), which the same process
serves by granian; the view by granian. COPY
(`copying`) goes straight into the same PostgreSQL; InfluxDB and VictoriaMetrics (`others`) run
beside it where they are installed. All get the same readings, in turns, so that whatever else
the machine does meets all alike. A stretch is measured several times and the median of the
rounds is reported; ratios are medians of the ratios within a round. CPU is that of server and
database together; of COPY, where the client is no part of a product, that of the database.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import psycopg

from infra.local.certificates import Certificates
from tests.bench import copying, flood, others
from tests.bench.factories import factories_made
from tests.bench.installation import ROOT, installation, served, served_takt
from tests.bench.posting import speaks_columns
from tests.bench.stretches import (
    TELEMETRY,
    Case,
    Measured,
    Side,
    Stretch,
    figures_of,
    measured,
    show_rounds,
)

N_DEVICES = 256
N_FACTORIES = 200
N_ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "2"))
WARM_S = 1.0

WANTED = {
    "batch_vs_copy": "at least 0.5",
    "batch_vs_keyed_copy": "at least 2.5",
    "singles32_vs_drf": "at least 20",
    "singles256_vs_drf": "at least 35",
    "batch_cpu_s_per_m": "at most 1.6",
    "singles256_cpu_s_per_m": "at most 45",
    "factories200_vs_1": "at least 0.6",
    "batch_vs_influx": "at least 1.0",
    "batch_vs_victoria": "at least 0.6",
    "flood_p95_ratio": "at most 2",
}
# The endings of the figures that `show_rounds` prints.
TABLED = ("_per_s", "_p50_ms", "_p99_ms", "_cpu_s_per_m")
# Points a second of the first over those of the second, where both were measured.
RATIOS = {
    "singles32_vs_drf": ("takt_singles32", "drf_singles32"),
    "singles256_vs_drf": ("takt_singles256", "drf_singles256"),
    "portal_singles32_vs_drf": ("portal_singles32", "drf_singles32"),
    "portal_singles256_vs_drf": ("portal_singles256", "drf_singles256"),
    "batch_vs_drf": ("takt_batch", "drf_batch"),
    "batch_vs_copy": ("takt_batch", "copy_heap"),
    "batch_vs_keyed_copy": ("takt_batch", "copy_keyed"),
    "batch_vs_influx": ("takt_batch", "influx_batch"),
    "batch_vs_victoria": ("takt_batch", "victoria_batch"),
    "columns_vs_rows": ("takt_columns", "takt_batch"),
    "factories200_vs_1": ("takt_factories200", "takt_factories1"),
}

SINGLES32 = Case("singles32", 32, 1)
SINGLES256 = Case("singles256", 256, 1)
BATCH = Case("batch", 16, 500)
MANY = Case("many", N_FACTORIES, 1)


def run() -> dict[str, float]:
    """Measure all sides and return the figures by id."""
    with installation() as (stack, environment):
        database_pid = stack.pid("postgres")
        assert database_pid is not None
        counts: dict[str, Callable[[], int]] = {"takt": partial(_stored_by_takt, environment)}
        with _stretches(environment, database_pid, counts) as stretches:
            rounds = _measure(stretches)
            show_rounds(rounds)
            for name, count in counts.items():
                print(f"  {count():,} points are stored by {name}")
        return _figures(rounds)


# -- who takes part ----------------------------------------------------------------------------


@contextmanager
def _stretches(
    environment: dict[str, str], database_pid: int, counts: dict[str, Callable[[], int]]
) -> Iterator[list[Stretch]]:
    """Start everybody and yield what is measured in a round, in its order.

    Who can say how many points it has stored is added to `counts`.
    """
    names = [f"many{i:03d}" for i in range(N_FACTORIES)]
    made = factories_made(
        environment, {"bench": N_DEVICES, **flood.FACTORIES, **dict.fromkeys(names, 1)}
    )
    baseline = _baseline_environment(environment)
    var = Path(environment["TAKT_VAR"])
    certificates = Certificates(var)
    with ExitStack() as running:
        portal_port, port, pid = running.enter_context(served_takt(environment))
        takt = Side("takt", port, made["bench"], (pid, database_pid))
        portal = replace(takt, name="portal", port=portal_port)
        _, port, pid = running.enter_context(served_takt(environment, certificates))
        authority = str(certificates.authority)
        tls = Side("tls", port, made["bench"], (pid, database_pid), ca_file=authority)
        port, pid = running.enter_context(
            served(
                "tests.bench.drf_baseline:application",
                interface="wsgi",
                environment=baseline,
                options=("--blocking-threads", "4", "--backpressure", "512"),
            )
        )
        drf = Side("drf", port, _drf_tokens(baseline), (pid, database_pid))
        copiers = running.enter_context(copying.copiers(baseline["BASELINE_DATABASE_URL"]))
        many = replace(takt, tokens=[made[name][0] for name in names])
        yield [
            takt.stretch("takt_singles32", SINGLES32),
            drf.stretch("drf_singles32", SINGLES32),
            portal.stretch("portal_singles32", SINGLES32),
            tls.stretch("singles32_tls", SINGLES32),
            takt.stretch("takt_singles256", SINGLES256),
            drf.stretch("drf_singles256", SINGLES256),
            portal.stretch("portal_singles256", SINGLES256),
            takt.stretch("takt_factories1", MANY),
            many.stretch("takt_factories200", MANY),
            takt.stretch("takt_batch", BATCH),
            *(
                Stretch(one.name, one.run, (database_pid,), copying.READINGS_A_COMMIT)
                for one in copiers
            ),
            *_others(running, var, counts),
            *_columns(takt),
            tls.stretch("batch_tls", BATCH),
            drf.stretch("drf_batch", BATCH),
            *(
                Stretch(name, run, takt.pids, 1)
                for name, run in flood.runners(port=takt.port, path=TELEMETRY, tokens=made)
            ),
        ]


def _baseline_environment(environment: dict[str, str]) -> dict[str, str]:
    address = environment["DATABASE_URL"]
    with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
        connection.execute("CREATE DATABASE baseline")
    return {**environment, "BASELINE_DATABASE_URL": address.rpartition("/")[0] + "/baseline"}


def _drf_tokens(environment: dict[str, str]) -> list[str]:
    command = [sys.executable, "-m", "tests.bench.drf_baseline", str(N_DEVICES)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def _others(
    running: ExitStack, var: Path, counts: dict[str, Callable[[], int]]
) -> Iterator[Stretch]:
    for name, database in (("influx", others.influx), ("victoria", others.victoria)):
        other = running.enter_context(database(var / name))
        if other is not None:
            counts[name] = other.count_points
            side = Side(name, other.port, [""], (other.pid,), others.WRITE_PATH, "lines")
            yield side.stretch(f"{name}_batch", BATCH)


def _columns(takt: Side) -> Iterator[Stretch]:
    """The batch as columns, where that form is understood."""
    if speaks_columns(takt.port, takt.tokens[0]):
        yield replace(takt, form="columns").stretch("takt_columns", BATCH)
    else:
        print("columns: left out, a body of columns is not understood")


# -- measuring ---------------------------------------------------------------------------------


def _measure(stretches: list[Stretch]) -> list[dict[str, Measured]]:
    first_at = datetime(2026, 1, 1, tzinfo=UTC)
    rounds: list[dict[str, Measured]] = []
    for n_round in range(N_ROUNDS + 1):  # the first one warms: caches, plans, connections
        found = {}
        for stretch in stretches:
            first_at += timedelta(days=1)
            seconds = SECONDS if n_round else WARM_S
            found[stretch.name] = measured(stretch, seconds, first_at.isoformat())
        rounds.append(found)
    return rounds


def _figures(rounds: list[dict[str, Measured]]) -> dict[str, float]:
    figures: dict[str, float] = {}
    counted = rounds[1:]
    for name in counted[0]:
        ones = [found[name] for found in counted]
        figures |= figures_of(name, ones)
    for name, (above, below) in RATIOS.items():
        if above in counted[0] and below in counted[0]:
            figures[name] = median(
                found[above].points_per_s / found[below].points_per_s for found in counted
            )
    figures["flood_p95_ratio"] = median(
        found[flood.DURING].result.p95_ms / found[flood.ALONE].result.p95_ms for found in counted
    )
    # The names under which later stages compare: server and database together.
    figures["singles256_cpu_s_per_m"] = figures["takt_singles256_cpu_s_per_m"]
    figures["batch_cpu_s_per_m"] = figures["takt_batch_cpu_s_per_m"]
    return figures


# -- showing -----------------------------------------------------------------------------------


def _stored_by_takt(environment: dict[str, str]) -> int:
    """Count the values that Takt says are stored, over all factories, by what billing pulls."""
    with psycopg.connect(environment["DATABASE_URL"], connect_timeout=10) as connection:
        schemas = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'reading_hour'"
        ).fetchall()
        total = 0
        # Hours, and what is not folded into them yet.
        for (schema,) in schemas:
            row = connection.execute(
                f'SELECT (SELECT coalesce(sum(n_values), 0) FROM "{schema}".reading_hour)'
                f" + (SELECT coalesce(sum(v), 0)"
                f' FROM "{schema}".usage_delta, unnest(n_values) AS v)'.encode()
            ).fetchone()
            total += row[0] if row else 0
    return total
