"""From past parts and their inspections to forecasts, one for every stage of the line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.quality.evidence import Area, Evidence, area_of
from mlops.quality.features import table_of
from mlops.quality.intervals import Neighbours
from mlops.quality.model import Past, QualityModel, StageModel
from mlops.quality.parts import Limits, Part, Plan
from mlops.quality.screening import Screened, screen
from mlops.regimes import IntArray
from mlops.tabular import training as tabular_training
from mlops.tabular.model import TabularModel
from mlops.tabular.reasons import effects_of
from mlops.tabular.table import Outcome, Table, UnusableTable
from mlops.tabular.training import Costs, Judged, Training
from mlops.trees import OnnxModel

Progress = Callable[[float, str], None]

# Drivers are ranked on this many bad parts, and this many of them are kept.
N_EXPLAINED = 50
N_DRIVERS = 6


@dataclass(frozen=True, slots=True)
class Learned:
    """What a table taught.

    Attributes:
        training: with a model wherever the base rate was beaten; whether it may be served says
            `evidence` alone.
        screened: the columns that were used, and why the others were not.
        random: forecasts with cases in random order; None where they were not made.
    """

    training: Training
    evidence: Evidence
    screened: Screened
    random: Judged | None

    @property
    def model(self) -> TabularModel | None:
        """The model to be served; None where skill is not shown."""
        return self.training.model if self.evidence.is_shown else None


@dataclass(frozen=True, slots=True)
class Known:
    """What could be said after so many stages.

    Attributes:
        n_stages: 0 are the parameters alone.
        evidence: None where nothing varies that is known by then.
    """

    n_stages: int
    evidence: Evidence | None
    metrics: Mapping[str, float]
    is_served: bool


@dataclass(frozen=True, slots=True)
class QualityTraining:
    """What was learnt of a line.

    Attributes:
        model: None where no stage shows skill.
        known: for 0, 1, ... all stages.
        last: what all stages together taught.
    """

    model: QualityModel | None
    known: tuple[Known, ...]
    last: Learned

    @property
    def sentence(self) -> str:
        return self.last.evidence.sentence


def learn(
    table: Table, outcome: Outcome, *, times: FloatArray | None = None,
    groups: Sequence[str] | IntArray | None = None, costs: Costs | None = None,
    with_random: bool = True, n_threads: int = 0,
) -> Learned:  # fmt: skip
    """Train on a table, and judge it in time order where times are known.

    Args:
        times: (n_cases,); a group counts as made when its first case was, so that it is never
            learnt from and judged.
        groups: lots; see `tabular.training.train`.
        with_random: also judge with cases in random order, for comparison.

    Raises:
        NotEnoughCases, UnusableTable: as `tabular.training.train`.
    """
    screened = screen(table)
    kept = screened.of(table)
    places = numbered(groups, len(table))
    begun = None if times is None else _begun(times, places)
    seen = tabular_training.train(
        kept, outcome, groups=places, times=begun, costs=costs, n_threads=n_threads
    )
    order = np.arange(len(table), dtype=np.float64) if begun is None else begun
    judged = area_of(seen.judged, outcome.codes, order)
    if begun is None:
        return Learned(seen, Evidence(seen.skill, judged, None), screened, seen.judged)
    random: Judged | None = None
    area: Area | None = None
    if with_random:
        random = tabular_training.cross_validated(
            kept, outcome, groups=places, costs=costs, n_threads=n_threads
        )
        area = area_of(random, outcome.codes, order)
    return Learned(seen, Evidence(seen.skill, area, judged), screened, random)


def numbered(groups: Sequence[str] | IntArray | None, n_cases: int) -> IntArray:
    """Return (n_cases,) the number of each case's group; each its own where not given."""
    if groups is None:
        return np.arange(n_cases, dtype=np.int64)
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], dtype=np.int64)


def _begun(times: FloatArray, places: IntArray) -> FloatArray:
    first = np.full(int(places.max()) + 1, np.inf)
    np.minimum.at(first, places, times)
    return np.asarray(first[places], dtype=np.float64)


def train(
    parts: Sequence[Part], outcome: Outcome, *, times: FloatArray | None = None,
    groups: Sequence[str] | IntArray | None = None, costs: Costs | None = None,
    limits: Mapping[tuple[str, str], Limits] | None = None, has_good: bool = True,
    n_threads: int = 0, progress: Progress = lambda _share, _message: None,
) -> QualityTraining:  # fmt: skip
    """Learn what becomes of parts, anew for what is known after each stage.

    Args:
        outcome: per part; the first class is the good one where `has_good`.
        times: (n_parts,) when each was finished; the gate then looks at later parts only.
        groups: lots; parts of one lot are one piece of evidence.
        limits: per stage and signal, where the signal is at its limit.

    Raises:
        NotEnoughCases: an outcome was seen too rarely.
        UnusableTable: rows do not fit, or nothing varies from part to part.
    """
    plan = Plan.of(parts, limits=limits)
    places = numbered(groups, len(parts))
    order = np.arange(len(parts), dtype=np.float64) if times is None else times
    known: list[Known] = []
    served: list[StageModel] = []
    learned: Learned | None = None
    n_all = len(plan.stages)
    for n_stages in range(n_all + 1):
        progress(n_stages / (n_all + 1), f"Learning from {n_stages} of {n_all} stages")
        table = table_of(parts, plan, n_stages)
        try:
            learned = learn(
                table, outcome, times=times, groups=places, costs=costs, n_threads=n_threads,
                with_random=n_stages == n_all,
            )  # fmt: skip
        except UnusableTable:
            if n_stages == n_all:
                raise
            known.append(Known(n_stages, None, {}, is_served=False))
            continue
        stage = _stage_model(n_stages, table, outcome, learned, order, places, int(has_good))
        known.append(Known(n_stages, learned.evidence, learned.training.metrics, stage is not None))
        served += [stage] if stage else []
    assert learned is not None  # the last table was usable, or it raised
    model = QualityModel(plan, outcome.classes, has_good, tuple(served)) if served else None
    return QualityTraining(model, tuple(known), learned)


def _stage_model(
    n_stages: int, table: Table, outcome: Outcome, learned: Learned, order: FloatArray,
    places: IntArray, first_bad: int,
) -> StageModel | None:  # fmt: skip
    model = learned.model
    if model is None:
        return None
    judged = learned.training.judged
    by_time = np.argsort(order[judged.rows], kind="stable")
    rows = judged.rows[by_time]
    kept = learned.screened.of(table)
    names = drivers(model, kept, outcome, first_bad)
    strongest = [[c.name for c in kept.columns].index(name) for name in names[:N_DRIVERS]]
    past = Table(tuple(kept.columns[i] for i in strongest), kept.values[:, strongest])
    return StageModel(
        n_stages, model,
        Neighbours.of(judged.probability[by_time], outcome.codes[rows], places[rows]),
        Past(past, outcome.codes, order, places),
    )  # fmt: skip


def drivers(model: TabularModel, table: Table, outcome: Outcome, first_bad: int) -> list[str]:
    """Return the columns by how much they raise the probability of bad outcomes that came about.

    Args:
        first_bad: code of the first outcome that nobody wants.
    """
    onnx = OnnxModel(model.serialised)
    total = np.zeros(len(table.columns))
    for code in range(first_bad, len(outcome.classes)):
        rows = np.flatnonzero(outcome.codes == code)[-N_EXPLAINED:]
        if len(rows):
            effects, _without = effects_of(
                model=model, table=table.take(rows), onnx=onnx, about=code
            )
            total += np.clip(effects, 0.0, None).sum(axis=0)
    return [table.columns[int(i)].name for i in np.argsort(-total, kind="stable") if total[i] > 0]
