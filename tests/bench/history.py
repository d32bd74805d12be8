"""Sealed history: its size on disk, and how fast it is read.

Every reading comes in through the real door, in batches over HTTP. Then the closed hours are
sealed, the tables vacuumed and analysed as autovacuum would within minutes, and measured:

bytes_per_point: tables, indexes and TOAST of what holds the history, over its values; the larger
of the recorded sets together and the simulated machines. Each set lies in a factory of its own.
read_24h_ms: one of four signals, 24 h at 1 Hz, to 500 buckets. read_year_ms: one signal, 365 days
at BENCH_YEAR_STEP_S (10 by default, 3.2 million readings; 1 takes ten times as long to load), to
500 buckets. latest_1000_ms: the newest values of 1,000 devices. Each is the median of 15 calls of
the selector after one to warm up.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median

from tests.bench import recorded, simulated
from tests.bench.factories import factories_made
from tests.bench.installation import installation, served
from tests.bench.posting import Poster, speaks_columns
from tests.bench.recorded import DataSet, Recording
from tests.bench.table import show

YEAR_STEP_S = int(os.environ.get("BENCH_YEAR_STEP_S", "10"))
SIMULATED_H = float(os.environ.get("BENCH_SIMULATED_H", "2"))
N_LATEST = 1000
N_BUCKETS = 500
N_CALLS = 15
YEAR_S = 365 * 86_400
YEAR_FROM = int(datetime(2025, 10, 1, tzinfo=UTC).timestamp())
DAY_FROM = int(datetime(2026, 10, 5, tzinfo=UTC).timestamp())
FOUR = {"load_pct": 2, "vibration_mm_s": 3, "temperature_c": 1, "power_kw": 2}
ONE = {"temperature_c": 1}

WANTED = {
    "bytes_per_point": "at most 2.5",
    "read_24h_ms": "at most 100",
    "read_year_ms": "at most 300",
    "latest_1000_ms": "at most 50",
}
RECORDED = ("hydraulic_1hz", "cmapss", "nab")


@dataclass(frozen=True)
class Loaded:
    """A factory whose readings were posted, all acknowledged."""

    name: str
    text: str
    n_readings: int
    n_points: int
    took_s: float


@dataclass(frozen=True)
class Size:
    """What a factory's history takes on disk, and what waits to be sealed."""

    n_bytes: int
    n_rollup_bytes: int
    n_hot: int
    n_segments: int


def run() -> dict[str, float]:
    """Load, seal, measure; return the figures by id."""
    with installation("bench-history") as (_stack, environment):
        with served("config.rsgi:application", interface="rsgi", environment=environment) as (
            port,
            _pid,
        ):
            loaded = _load(port, environment)
        os.environ.update(environment, TAKT_DB_POOL="0", DJANGO_SETTINGS_MODULE="config.settings")
        import django

        django.setup()
        sizes = {one.name: _sealed(one.name) for one in loaded}
        _show(loaded, sizes)
        return {**_bytes_per_point(loaded, sizes), **_times()}


# -- loading -----------------------------------------------------------------------------------


def _sets() -> Iterator[DataSet]:
    yield from recorded.data_sets()
    yield DataSet(
        "simulated",
        f"the demo's 12 machines at 1 Hz, {SIMULATED_H:g} h",
        simulated.N_MACHINES,
        partial(simulated.machines, hours=SIMULATED_H),
    )
    day = partial(simulated.signals, device=0, start_s=DAY_FROM, seconds=86_400, step_s=1)
    yield DataSet("day", "1 device, 4 signals, 24 h at 1 Hz", 1, partial(day, decimals=FOUR))
    year = partial(
        simulated.signals, device=0, start_s=YEAR_FROM, seconds=YEAR_S, step_s=YEAR_STEP_S
    )
    yield DataSet(
        "year",
        f"1 device, 1 signal, 365 days every {YEAR_STEP_S} s",
        1,
        partial(year, decimals=ONE),
    )
    yield DataSet("floor", "1,000 devices, 4 signals, 1 reading each", N_LATEST, _newest)


def _newest() -> Iterator[Recording]:
    for device in range(N_LATEST):
        yield from simulated.signals(
            device=device, start_s=DAY_FROM, seconds=1, step_s=1, decimals=FOUR
        )


def _load(port: int, environment: dict[str, str]) -> list[Loaded]:
    sets = list(_sets())
    tokens = factories_made(environment, {"probe": 1, **{one.name: one.n_devices for one in sets}})
    as_columns = speaks_columns(port, tokens["probe"][0])
    loaded = []
    for one in sets:
        started = time.monotonic()
        poster = Poster(port, tokens[one.name], as_columns=as_columns)
        n_points = sum(poster.post(recording) for recording in one.recordings())
        poster.finish()
        took_s = time.monotonic() - started
        loaded.append(Loaded(one.name, one.text, poster.n_stored, n_points, took_s))
    return loaded


# -- sealing and size --------------------------------------------------------------------------


def _sealed(schema: str) -> Size:
    """Seal the closed hours of a factory, tidy its tables and measure them."""
    from django.db import connection
    from django.utils import timezone

    from telemetry import services
    from tenants.context import factory_context

    with factory_context(schema):
        services.compact(at=timezone.now())
        rows, sizes = {}, {}
        with connection.cursor() as cursor:
            for table in ("reading_hot", "segment", "rollup"):
                # FULL: what the open segments took is room for the next ones, not history.
                cursor.execute(f"VACUUM (FULL, ANALYZE) {table}")
                cursor.execute(f"SELECT count(*), pg_total_relation_size('{table}') FROM {table}")
                rows[table], sizes[table] = cursor.fetchone()
    # Once everything is sealed, the emptied hot table is room for what comes next.
    n_bytes = sizes["segment"] + (sizes["reading_hot"] if rows["reading_hot"] else 0)
    return Size(n_bytes, sizes["rollup"], rows["reading_hot"], rows["segment"])


def _bytes_per_point(loaded: list[Loaded], sizes: dict[str, Size]) -> dict[str, float]:
    def ratio(names: Sequence[str]) -> float:
        n_points = sum(one.n_points for one in loaded if one.name in names)
        return sum(sizes[one.name].n_bytes for one in loaded if one.name in names) / n_points

    names = [one.name for one in loaded if one.name != "floor"]
    figures = {f"bytes_per_point_{name}": ratio([name]) for name in names}
    figures["bytes_per_point_simulated"] = ratio(["simulated"])
    if any(name in RECORDED for name in names):
        figures["bytes_per_point_recorded"] = ratio(RECORDED)
    worst = ("bytes_per_point_recorded", "bytes_per_point_simulated")
    figures["bytes_per_point"] = max(figures[name] for name in worst if name in figures)
    return figures


def _show(loaded: list[Loaded], sizes: dict[str, Size]) -> None:
    rows = []
    for one in loaded:
        size = sizes[one.name]
        rows.append(
            [
                f"{one.name} ({one.text})",
                f"{one.n_readings:,}",
                f"{one.n_points:,}",
                f"{one.n_points / one.took_s:,.0f}",
                f"{size.n_segments:,}",
                f"{size.n_hot:,}",
                f"{size.n_bytes / 2**20:,.1f}",
                f"{size.n_bytes / one.n_points:,.2f}",
                f"{size.n_rollup_bytes / one.n_points:,.2f}",
            ]
        )
    show(
        [
            "set",
            "readings",
            "points",
            "loaded/s",
            "segments",
            "unsealed",
            "MB",
            "bytes/point",
            "rollups",
        ],
        rows,
    )
    if not any(size.n_segments for size in sizes.values()):
        print("  nothing is sealed: these are the rows as they came")


# -- reading -----------------------------------------------------------------------------------


def _times() -> dict[str, float]:
    from telemetry import selectors

    def read(key: str, start_s: int, seconds: int) -> int:
        start = datetime.fromtimestamp(start_s, UTC)
        found = selectors.series(
            device_id=1,
            keys=[key],
            start=start,
            end=start + timedelta(seconds=seconds),
            n_buckets=N_BUCKETS,
        )
        return sum(found.keys[key].n)

    def latest() -> int:
        return len(selectors.latest_values(range(1, N_LATEST + 1)))

    return {
        "read_24h_ms": _median_ms("day", lambda: read("load_pct", DAY_FROM, 86_400), 86_400),
        "read_year_ms": _median_ms(
            "year", lambda: read("temperature_c", YEAR_FROM, YEAR_S), -(-YEAR_S // YEAR_STEP_S)
        ),
        "latest_1000_ms": _median_ms("floor", latest, N_LATEST),
    }


def _median_ms(schema: str, call: Callable[[], int], expected: int) -> float:
    """Time a call; it answers how many readings it found, which must be all of them."""
    from tenants.context import factory_context

    took: list[float] = []
    with factory_context(schema):
        for _ in range(N_CALLS + 1):
            started = time.perf_counter()
            found = call()
            took.append(time.perf_counter() - started)
            if found != expected:
                raise RuntimeError(f"{schema}: {found:,} of {expected:,} readings were found")
    print(f"  {schema}: {expected:,} readings behind each answer")
    return median(took[1:]) * 1000
