"""Why a forecast is what it is, in words that can be checked against the chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlops.features import START
from mlops.lives import FloatArray, Life
from mlops.maintenance.rul import RulModel
from mlops.trees import OnnxModel

N_REASONS = 3
# A signal whose level moved by less than half a usual spread over a window has no direction.
MOVED = 0.5


@dataclass(frozen=True, slots=True)
class SignalName:
    """What people call a signal."""

    label: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """One signal's part in a forecast.

    Attributes:
        share: weight beside the other reasons given; the shares sum to 1.
        value: recent mean in the signal's unit.
        usual: where nine in ten values of healthy machines lie in the same operating regime.
    """

    signal: str
    share: float
    sentence: str
    value: float | None
    usual: tuple[float, float] | None


def reasons_for(
    *, model: RulModel, life: Life, onnx: OnnxModel, names: Mapping[str, SignalName]
) -> list[Reason]:
    """Return the three signals that moved the forecast most, strongest first.

    Asks the model what it would have said had one signal stood at its healthy level all along;
    the difference is that signal's effect. This works for any model behind the same features.

    Returns:
        Fewer than three where fewer signals have any effect.
    """
    scores = model.spec.standardiser.transform(life.values)
    effects = np.abs(_effects(model, scores, float(life.usage[-1]), onnx))
    strongest = [int(i) for i in np.argsort(-effects, kind="stable")[:N_REASONS] if effects[i] > 0]
    total = float(sum(effects[i] for i in strongest))
    return [
        _reason(model, life, scores[:, i], int(model.spec.standardiser.kept[i]),
                float(effects[i]) / total, names)
        for i in strongest
    ]  # fmt: skip


def _effects(model: RulModel, scores: FloatArray, usage: float, onnx: OnnxModel) -> FloatArray:
    """Return (n_kept,) forecast with a signal at its healthy level, less the forecast."""
    last = model.spec.last(scores)
    rows = [model.spec.row(last, usage)]
    rows += [
        model.spec.row(last.without(i, usual=float(model.healthy.scores[i])), usage)
        for i in range(scores.shape[1])
    ]
    predicted = np.clip(onnx.predict(np.array(rows)), 0.0, model.cap)
    effects: FloatArray = predicted[1:] - predicted[0]
    return effects


def _reason(
    model: RulModel, life: Life, scores: FloatArray, column: int, share: float,
    names: Mapping[str, SignalName],
) -> Reason:  # fmt: skip
    key = model.signals[column]
    window = model.spec.steps(START)
    regimes = model.spec.standardiser.regimes.assign(life.values)
    recent = life.values[-window:, column][regimes[-window:] == regimes[-1]]
    value = float(np.nanmean(recent)) if not np.isnan(recent).all() else None
    low, high = (float(x) for x in model.healthy.usual[regimes[-1], column])
    usual = None if np.isnan(low) else (low, high)
    name = names.get(key, SignalName(key))
    sentence = _sentence(name, value, usual, _direction(scores, window))
    return Reason(key, share, sentence, value, usual)


def _direction(scores: FloatArray, window: int) -> str:
    """Compare the last window with the one before it."""
    if len(scores) < 2 * window:
        return ""
    change = float(scores[-window:].mean() - scores[-2 * window : -window].mean())
    return "" if abs(change) < MOVED else ("rising" if change > 0 else "falling")


def _sentence(
    name: SignalName, value: float | None, usual: tuple[float, float] | None, direction: str
) -> str:
    trend = f" and {direction}" if direction else ""
    if value is None:
        return f"{name.label} has been silent lately; its earlier course counts."
    unit = f" {name.unit}" if name.unit else ""
    amount = f"{name.label} is {written(value)}{unit}"
    if usual is None:
        return f"{amount}{trend}; what is usual is not known yet."
    low, high = usual
    width = high - low
    between = f"{written(low, width)} to {written(high, width)}{unit}"
    amount = f"{name.label} is {written(value, width)}{unit}"
    if value > high:
        return f"{amount}, above its usual {between}{trend}."
    if value < low:
        return f"{amount}, below its usual {between}{trend}."
    course = f", {direction}" if direction else ""
    return f"{amount}{course}, within its usual {between}."


def written(value: float, width: float = 0.0) -> str:
    """Write a number with as many digits as people read: 4 significant ones, no exponent.

    More, where the range beside it is so narrow that its ends would read alike.
    """
    if not np.isfinite(value):
        return "not known"
    decimals = 3 - _magnitude(value)
    if width > 0:
        decimals = max(decimals, 1 - _magnitude(width))
    text = f"{value:,.{min(max(decimals, 0), 6)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _magnitude(value: float) -> int:
    return int(np.floor(np.log10(abs(value)))) if value else 3
