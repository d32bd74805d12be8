"""Why a forecast is what it is: each parameter's part, as data for sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.tabular.calibration import logit
from mlops.tabular.model import TabularModel
from mlops.tabular.table import Table
from mlops.trees import OnnxModel

N_REASONS = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """One parameter's part in a forecast.

    Attributes:
        effect: log-odds that the announced class gains from the parameter not being at its
            usual value; combinations with other parameters are counted with it.
        probability_without: what the forecast would be with the parameter at its usual value.
        value: as it is: a number, the name of a level, or None where unknown.
        usual: the usual value, likewise.
        between: where nine in ten usual values lie; None for categories.
    """

    column: str
    effect: float
    probability_without: float
    value: float | str | None
    usual: float | str | None
    between: tuple[float, float] | None

    @property
    def is_unusual(self) -> bool:
        """Whether the value lies outside of its usual range or is another level."""
        if self.between is None or not isinstance(self.value, float):
            return self.value != self.usual
        return not self.between[0] <= self.value <= self.between[1]


def reasons_for(
    *, model: TabularModel, table: Table, row: int, onnx: OnnxModel, about: int = 1
) -> list[Reason]:
    """Return the three parameters that raise the probability of a class most, strongest first.

    Asks the model what it would have said had one parameter been at its usual value, so a
    combination counts for both of its parameters. This works for any model behind the table.

    Args:
        row: the case.
        about: the class that is explained.

    Returns:
        Fewer than three where fewer parameters raise it at all.
    """
    values = table.values[row]
    effects, without = effects_of(
        model=model, table=table.take(np.array([row])), onnx=onnx, about=about
    )
    strongest = [
        int(i) for i in np.argsort(-effects[0], kind="stable")[:N_REASONS] if effects[0, i] > 0
    ]
    return [
        _reason(model, values, i, float(effects[0, i]), float(without[0, i])) for i in strongest
    ]


def effects_of(
    *, model: TabularModel, table: Table, onnx: OnnxModel, about: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Return what every parameter does to the forecast of every case.

    Returns:
        (n_cases, n_columns) log-odds that the class gains from the parameter not being at its
        usual value, and (n_cases, n_columns) its probability with the parameter at that value.
    """
    n_cases, n_columns = table.values.shape
    asked = np.repeat(table.values, n_columns, axis=0).reshape(n_cases, n_columns, n_columns)
    asked[:, np.arange(n_columns), np.arange(n_columns)] = model.usual
    flat = Table(table.columns, asked.reshape(-1, n_columns))
    without = model.predict(flat, onnx)[:, about].reshape(n_cases, n_columns)
    said = model.predict(table, onnx)[:, about]
    return logit(said)[:, None] - logit(without), without


def _reason(
    model: TabularModel, values: FloatArray, place: int, effect: float, without: float
) -> Reason:
    low, high = (float(x) for x in model.range[place])
    return Reason(
        column=model.columns[place].name, effect=effect, probability_without=without,
        value=_shown(model, place, float(values[place])),
        usual=_shown(model, place, float(model.usual[place])),
        between=None if np.isnan(low) else (low, high),
    )  # fmt: skip


def _shown(model: TabularModel, place: int, value: float) -> float | str | None:
    if np.isnan(value):
        return None
    levels = model.columns[place].levels
    return levels[int(value)] if levels else value
