"""A model of quality as it is served: one forecast for every stage that a part has behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.quality import windows
from mlops.quality.features import table_of
from mlops.quality.intervals import Interval, Neighbours
from mlops.quality.parts import Part, Plan
from mlops.regimes import IntArray
from mlops.tabular.model import TabularModel
from mlops.tabular.reasons import Reason, reasons_for
from mlops.tabular.table import Table
from mlops.trees import OnnxModel


class NoForecast(Exception):
    """Nothing can be said of the part yet; says why in plain words."""


@dataclass(frozen=True, slots=True)
class Past:
    """Past parts as far as windows are sought among them.

    Attributes:
        table: the parameters that drive the outcome most, strongest first.
        codes: (n_parts,) what became of each.
        order: (n_parts,) times, or the order of the parts.
        groups: (n_parts,) number of each part's lot.
    """

    table: Table
    codes: IntArray
    order: FloatArray
    groups: IntArray

    def window(self, classes: IntArray, asked: float) -> windows.Found:
        """Look for the window in which these outcomes are no more frequent than asked."""
        return windows.find(
            self.table, np.isin(self.codes, classes), asked=asked, order=self.order,
            columns=[column.name for column in self.table.columns], groups=self.groups,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class StageModel:
    """What is known once the first stages are over.

    Attributes:
        n_stages: how many stages it looks at; 0 are the parameters alone.
    """

    n_stages: int
    model: TabularModel
    neighbours: Neighbours
    past: Past


@dataclass(frozen=True, slots=True)
class QualityModel:
    """Everything that judging a part needs.

    Attributes:
        classes: outcomes; the first is the good one where `has_good`.
        stages: models that showed skill, by the number of stages they look at.
    """

    plan: Plan
    classes: tuple[str, ...]
    has_good: bool
    stages: tuple[StageModel, ...]

    @property
    def bad(self) -> IntArray:
        """Codes of the outcomes that nobody wants."""
        return np.arange(int(self.has_good), len(self.classes), dtype=np.int64)

    def at(self, n_stages: int) -> StageModel:
        """Return the model that knows most of what these first stages tell.

        Raises:
            NoForecast: none showed skill with so little known.
        """
        fitting = [stage for stage in self.stages if stage.n_stages <= n_stages]
        if fitting:
            return fitting[-1]
        needed = self.plan.stages[: self.stages[0].n_stages]
        raise NoForecast(
            f"Nothing can be said yet: forecasts show skill from the end of {needed[-1]} on."
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of one part.

    Attributes:
        probability: per outcome.
        intervals: per outcome.
        called: the outcome that is announced.
        about: the outcome that the reasons explain: the likeliest of those nobody wants.
        reasons: what raises its probability, strongest first; named by stage.
        known: stages that the forecast rests on.
        open: stages that it does not know of: not over yet, or of no help.
    """

    probability: Mapping[str, float]
    intervals: Mapping[str, Interval]
    called: str
    about: str
    reasons: tuple[Reason, ...]
    known: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def is_early(self) -> bool:
        """Whether stages are still to come."""
        return bool(self.open)


class Forecaster:
    """A model ready to judge parts."""

    def __init__(self, model: QualityModel) -> None:
        self.model = model
        self._onnx = {s.n_stages: OnnxModel(s.model.serialised) for s in model.stages}

    def forecast(self, part: Part) -> Forecast:
        """Judge a part by the stages that it has behind it.

        Raises:
            NoForecast: too little is known of it.
        """
        plan, classes = self.model.plan, self.model.classes
        stage = self.model.at(part.complete(plan.stages))
        onnx = self._onnx[stage.n_stages]
        table = restricted(table_of([part], plan, stage.n_stages), stage.model)
        said = stage.model.predict(table, onnx)
        about = int(self.model.bad[np.argmax(said[0, self.model.bad])])
        return Forecast(
            probability={name: float(p) for name, p in zip(classes, said[0], strict=True)},
            intervals={
                name: stage.neighbours.interval(float(said[0, code]), code)
                for code, name in enumerate(classes)
            },
            called=classes[int(stage.model.called(said)[0])],
            about=classes[about],
            reasons=tuple(
                reasons_for(model=stage.model, table=table, row=0, onnx=onnx, about=about)
            ),
            known=plan.stages[: stage.n_stages], open=plan.stages[stage.n_stages :],
        )  # fmt: skip

    def window(self, *, asked: float, n_stages: int | None = None) -> windows.Found:
        """Look for the operating window with no more bad parts than asked.

        Args:
            asked: share of parts, above 0 and below 1.
            n_stages: by what is known after so many stages; after all where not given.

        Raises:
            NoForecast: as `QualityModel.at`.
        """
        every = len(self.model.plan.stages)
        stage = self.model.at(every if n_stages is None else n_stages)
        return stage.past.window(self.model.bad, asked)


def restricted(table: Table, model: TabularModel) -> Table:
    """Return the columns that a model reads, in its order."""
    place_of = {column.name: place for place, column in enumerate(table.columns)}
    places = [place_of[column.name] for column in model.columns]
    return Table(model.columns, table.values[:, places])
