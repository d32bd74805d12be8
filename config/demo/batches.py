"""Lots, cut from what simulated machines make: so a lot's readings are those that were posted.

A stretch of a machine's plan with one product is cut into lots of a size; what a lot is made from
is the newest batch that the machine before has finished.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from config.demo import noise
from config.demo.plan import Phase, crossing
from config.demo.simulator import SimulatedMachine

# A rest smaller than this share of a lot goes with the lot before it.
SMALLEST_SHARE = 0.4
N_MOMENTS = 40  # readings of a run that are averaged

Parameters = Mapping[str, str | float | int | bool | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """So many pieces of a product, made on one machine between two instants (seconds, UTC)."""

    machine: str
    product: str
    started: float
    ended: float
    n_pieces: int

    @property
    def tag(self) -> str:
        """Name it by day, machine and minute: "261126-M2-1437"."""
        kind, number = self.machine.rsplit(" ", 1)
        return f"{datetime.fromtimestamp(self.started, UTC):%y%m%d}-{kind[0]}{number}-" + (
            f"{datetime.fromtimestamp(self.started, UTC):%H%M}"
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on a lot: a batch on a machine, with its parameters."""

    operation: str
    sequence: int
    batch: Batch
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class MadeLot:
    """A lot with the steps that make it, first one first; the last one decides its quantity."""

    product: str  # item number
    code: str
    steps: tuple[Step, ...] = field(default=())

    @property
    def last(self) -> Batch:
        return self.steps[-1].batch

    @property
    def started(self) -> float:
        return self.steps[0].batch.started

    @property
    def ended(self) -> float:
        return self.last.ended


def cut(
    machine: SimulatedMachine, *, size: int, products: Sequence[str] = ()
) -> list[Batch]:  # fmt: skip
    """Cut all that a machine makes of some products (all by default) into batches of a size.

    The last stretch of the plan is left out, because a plan drawn further ahead may lengthen it.
    """
    plan, names = machine.plan, machine.spec.type.products
    changes = np.flatnonzero(np.diff(plan.product)) + 1
    firsts = [0, *changes.tolist()]
    out: list[Batch] = []
    for first, after in zip(firsts, changes.tolist(), strict=False):
        name = names[plan.product[first]]
        if not products or name in products:
            out += _cut_stretch(machine, name, first, after, size)
    return out


def _cut_stretch(
    machine: SimulatedMachine, product: str, first: int, after: int, size: int
) -> Iterator[Batch]:
    rate = (machine.spec.type.ideal_rate_per_h or 0.0) * machine.spec.pace
    output = machine.plan.output
    begin, n_made = float(output[first]), float(output[after] - output[first]) * rate
    n_batches = max(1, int(n_made / size + 1 - SMALLEST_SHARE))
    if n_made < SMALLEST_SHARE * size:
        return
    for k in range(n_batches):
        low = k * size
        high = n_made if k == n_batches - 1 else low + size
        yield Batch(
            machine.name, product, _leaving(machine, begin + low / rate),
            crossing(begin + high / rate, output, machine.plan.edges), int(high) - low,
        )  # fmt: skip


def _leaving(machine: SimulatedMachine, level: float) -> float:
    """Find when the output last stood at a level: when the next piece was begun."""
    output, edges = machine.plan.output, machine.plan.edges
    after = int(np.searchsorted(output, level, side="right"))
    low, high = float(output[after - 1]), float(output[after])
    begin, end = float(edges[after - 1]), float(edges[after])
    return begin + (level - low) / (high - low) * (end - begin)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Means of the signals of a run while its machine was at work."""

    means: Mapping[str, float]

    def __getitem__(self, key: str) -> float:
        return self.means[key]


def source_of(batch: Batch, sources: Sequence[Batch], *, lead_s: float) -> Batch | None:
    """Return the newest batch that had ended so long before this one began.

    `sources` are in the order of their ends.
    """
    n = bisect_right([source.ended for source in sources], batch.started - lead_s)
    return sources[n - 1] if n else None


def conditions(runs: Iterable[Batch], machines: Mapping[str, SimulatedMachine]) -> list[Conditions]:
    """Average what machines report during runs, in the minutes in which they were at work."""
    known: dict[Batch, Conditions] = {}
    runs = list(runs)
    for name in dict.fromkeys(run.machine for run in runs):
        mine = list(dict.fromkeys(run for run in runs if run.machine == name))
        known.update(zip(mine, _averaged(machines[name], mine), strict=True))
    return [known[run] for run in runs]


def _averaged(machine: SimulatedMachine, runs: Sequence[Batch]) -> list[Conditions]:
    times = [_moments(run) for run in runs]
    joined = np.concatenate(times)
    # The same minute may lie in two runs, and is measured once.
    ticks, back = np.unique(joined, return_inverse=True)
    columns = machine.readings(ticks).columns
    works = machine.plan.phase[machine.plan.at(joined / 1000.0)] == Phase.WORK
    keys = [signal.key for signal in machine.spec.type.signals]
    values = np.array([columns[key] for key in keys], dtype=np.float64)[:, back]
    bounds = np.cumsum([0, *(len(each) for each in times)])
    return [
        Conditions(
            dict(zip(keys, values[:, a:b][:, works[a:b]].mean(axis=1).tolist(), strict=True))
        )
        for a, b in pairwise(bounds.tolist())
    ]


def _moments(run: Batch) -> noise.IntArray:
    """Choose full minutes of a run, in which readings are posted, evenly."""
    minutes = np.arange(int(run.started // 60) + 1, int(run.ended // 60) + 1, dtype=np.int64)
    return np.asarray(minutes[:: max(1, len(minutes) // N_MOMENTS)] * 60_000)
