"""Stretches: what is measured in turns, and what came of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import psycopg

from tests.bench import bodies, load
from tests.bench.installation import cpu_s
from tests.bench.table import show

VALUES_A_READING = len(bodies.SIGNALS)
TELEMETRY = "/api/v1/telemetry"


@dataclass(frozen=True)
class Case:
    name: str
    n_connections: int
    batch: int


@dataclass(frozen=True)
class Side:
    """One of those that are compared: where it listens, how it is spoken to, what it runs as."""

    name: str
    port: int
    tokens: list[str]
    pids: tuple[int, ...]
    path: str = TELEMETRY
    form: str = "rows"
    ca_file: str = ""

    def plan(self, case: Case, *, seconds: float, first_at: str) -> load.Plan:
        return load.Plan(
            port=self.port,
            path=self.path,
            tokens=self.tokens,
            n_connections=case.n_connections,
            batch=case.batch,
            seconds=seconds,
            first_at=first_at,
            form=self.form,
            ca_file=self.ca_file,
        )

    def stretch(self, name: str, case: Case) -> "Stretch":
        def run(seconds: float, first_at: str) -> load.Result:
            return load.run(self.plan(case, seconds=seconds, first_at=first_at))

        return Stretch(name, run, self.pids, case.batch)


@dataclass(frozen=True)
class Stretch:
    """Something measured once a round."""

    name: str
    run: Callable[[float, str], load.Result]  # for so many seconds, with times from here on
    pids: tuple[int, ...]
    n_readings: int  # a request


@dataclass(frozen=True)
class Measured:
    """A stretch's outcome."""

    result: load.Result
    n_points: int  # acknowledged, after the end of the stretch too
    points_per_s: float
    cpu_s_per_m: float


def measured(stretch: Stretch, seconds: float, first_at: str) -> Measured:
    """Measure once.

    Raises:
        RuntimeError: it broke, or something was refused: then its speed says nothing.
    """
    used_s = cpu_s(stretch.pids)
    try:
        result = stretch.run(seconds, first_at)
    except (RuntimeError, psycopg.Error) as error:
        raise RuntimeError(f"{stretch.name}: {error}") from error
    used_s = cpu_s(stretch.pids) - used_s
    if result.n_errors:
        raise RuntimeError(f"{stretch.name}: {result.n_errors} requests refused")
    points_a_request = stretch.n_readings * VALUES_A_READING
    n_points = (result.n_requests + result.n_late) * points_a_request
    return Measured(
        result, n_points, result.requests_per_s * points_a_request, used_s / n_points * 1e6
    )


def figures_of(name: str, ones: Sequence[Measured]) -> dict[str, float]:
    """Return the medians of a stretch by id."""
    return {
        f"{name}_per_s": median(one.result.requests_per_s for one in ones),
        f"{name}_points_per_s": median(one.points_per_s for one in ones),
        f"{name}_p50_ms": median(one.result.p50_ms for one in ones),
        f"{name}_p99_ms": median(one.result.p99_ms for one in ones),
        f"{name}_cpu_s_per_m": median(one.cpu_s_per_m for one in ones),
    }


def show_rounds(rounds: Sequence[dict[str, Measured]]) -> None:
    """Print the medians of all rounds but the first, and the points of all of them."""
    rows = []
    for name in rounds[0]:
        ones = [found[name] for found in rounds[1:]]
        rows.append(
            [
                name,
                f"{median(one.result.requests_per_s for one in ones):,.0f}",
                f"{median(one.points_per_s for one in ones):,.0f}",
                f"{median(one.result.p50_ms for one in ones):,.1f}",
                f"{median(one.result.p99_ms for one in ones):,.1f}",
                f"{median(one.cpu_s_per_m for one in ones):,.2f}",
                f"{median(one.result.client_cpu_share for one in ones):.0%}",
                f"{sum(found[name].n_points for found in rounds):,}",
            ]
        )
    show(
        [
            "stretch",
            "requests/s",
            "points/s",
            "p50 ms",
            "p99 ms",
            "CPU s/M",
            "client CPU",
            "points",
        ],
        rows,
    )
