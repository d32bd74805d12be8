"""A model of outcomes as it is served."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular import calibration
from mlops.tabular.boosting import Heads
from mlops.tabular.derived import Design
from mlops.tabular.table import Column, Table, UnusableTable
from mlops.trees import OnnxModel


@dataclass(frozen=True, slots=True)
class TabularModel:
    """Everything scoring needs.

    Attributes:
        columns: of the tables it reads, in order.
        classes: names; of two, the second is the event.
        heads: what each output of the trees says.
        sigmoids: (n_outputs, 2) calibration.
        threshold: from this probability on the event is announced; of several classes the
            likeliest is announced and this is not used.
        usual: (n_columns,) what is usual where nothing happens: median or most frequent level.
        range: (n_columns, 2) between which nine in ten such values lie; NaN for categories.
    """

    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    heads: Heads
    design: Design
    sigmoids: FloatArray
    threshold: float
    usual: FloatArray
    range: FloatArray
    serialised: bytes

    def margins(self, table: Table, onnx: OnnxModel) -> FloatArray:
        """Return (n_cases, n_heads) what the trees say.

        Raises:
            UnusableTable: the columns are not those of training.
        """
        if table.columns != self.columns:
            raise UnusableTable("The columns are not those that the model was trained on.")
        return onnx.predict_all(self.design.matrix(table.values))

    def predict(self, table: Table, onnx: OnnxModel) -> FloatArray:
        """Return (n_cases, n_classes) calibrated probabilities.

        Raises:
            UnusableTable: the columns are not those of training.
        """
        log_odds = self.heads.log_odds(self.margins(table, onnx))
        return calibration.probabilities(log_odds, self.sigmoids)

    def called(self, probability: FloatArray) -> IntArray:
        """Return (n_cases,) the class that is announced."""
        return called(probability, self.threshold)

    def mode_shares(self, table: Table, onnx: OnnxModel) -> dict[str, FloatArray]:
        """Return (n_cases,) per mode: how probable it is among the others, summing to 1."""
        own = calibration.sigmoid(self.margins(table, onnx)) + calibration.SMALLEST
        shares = own / own.sum(axis=1, keepdims=True)
        return {name: shares[:, i] for i, name in enumerate(self.heads.names)}


def called(probability: FloatArray, threshold: float) -> IntArray:
    """Return (n_cases,) the class that is announced: by threshold of two, else the likeliest."""
    if probability.shape[1] == 2:
        return np.asarray(probability[:, 1] >= threshold, dtype=np.int64)
    return np.asarray(np.argmax(probability, axis=1), dtype=np.int64)
