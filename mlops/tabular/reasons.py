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
    asked = np.tile(values, (len(model.columns) + 1, 1))
    for place in range(len(model.columns)):
        asked[place + 1, place] = model.usual[place]
    said = model.predict(Table(table.columns, asked), onnx)[:, about]
    effects = logit(said[:1]) - logit(said[1:])
    strongest = [int(i) for i in np.argsort(-effects, kind="stable")[:N_REASONS] if effects[i] > 0]
    return [_reason(model, values, i, float(effects[i]), float(said[i + 1])) for i in strongest]


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
