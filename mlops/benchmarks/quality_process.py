"""A line in time: what its outputs will be in the next step, beside last value and moving average.

A CSV with a column of times and, for each output, `<name>_Actual` beside `<name>_Setpoint`.
Stages follow each other in the order of the columns: what stands before the outputs of a stage
belongs to it. An output is explained by process values of its own and earlier stages and by the
outputs of earlier stages, all of them known before the step begins.

Rows are put in the order of their times first. Rows of the same time have no order among
themselves and fall into one step. A step is a minute, or the usual distance of two times where
that is longer; the file must span `MIN_STEPS` of them. The first `SHARE_TO_LEARN` of the steps
is only learnt from.

Compared are mean absolute errors over the same readings: ours; the last value known; moving
averages over the last 1, 5 and 15 steps. "The" moving average of an output is the one with the
lowest error in the part to learn from. All of them use readings up to the beginning of the
step; readings of sensors that fell silent (exact zeros far from what is measured otherwise) are
left out for all alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.benchmarks import BadFolder, Say
from mlops.benchmarks.quality_forms import Texts
from mlops.lives import FloatArray
from mlops.quality import process, sensors
from mlops.quality.evidence import within_folds
from mlops.quality.process import Forecasts, Series
from mlops.quality.sensors import Sensor
from mlops.regimes import IntArray
from mlops.tabular import skill
from mlops.tabular.table import BoolArray, column_of

ACTUAL: Final = "actual"
SET_POINT: Final = "setpoint"
STEP_S: Final = 60.0
MIN_STEPS: Final = 60
MAX_STEPS: Final = 2_000
SHARE_TO_LEARN: Final = 0.2
# Steps that are compared as one: neighbours are not independent.
N_BLOCKS: Final = 20
# An output is out of tolerance beyond so many robust standard deviations from where it lay
# relative to its set point in the part to learn from; rarer than this it is not judged.
TOLERANCE: Final = 3.0
MIN_OUT: Final = 20
SIGNIFICANT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Output:
    """One measured output.

    Attributes:
        place: of its column, which puts it into the line.
    """

    name: str
    place: int
    values: FloatArray
    set_points: FloatArray


@dataclass(frozen=True, slots=True)
class Line:
    """A file as it is looked at.

    Attributes:
        steps: (n_rows,) the step of each row, never decreasing.
        places: (n_inputs,) columns of the process values.
        inputs: (n_rows, n_inputs).
    """

    steps: IntArray
    n_steps: int
    step_s: float
    names: tuple[str, ...]
    places: IntArray
    inputs: FloatArray
    outputs: tuple[Output, ...]

    @property
    def n_train(self) -> int:
        return int(self.n_steps * SHARE_TO_LEARN)


@dataclass(frozen=True, slots=True)
class Judged:
    """Mean absolute errors of one output, and whether its limits were foreseen.

    Attributes:
        averages: by length.
        usual: length of the moving average that was best in the part to learn from.
        p_value: of our being better than that by luck.
        auc: of foreseeing readings out of tolerance; NaN where there were too few.
    """

    ours: float
    rmse: float
    rmse_average: float
    alone: float
    last: float
    averages: dict[int, float]
    usual: int
    p_value: float
    auc: float
    forecasts: Forecasts


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return (actual, set point) for every output with both."""
    by_lower = {name.lower(): name for name in names}
    found = []
    for lower, name in by_lower.items():
        plain = lower.replace("set_point", SET_POINT)
        if SET_POINT in plain and (actual := by_lower.get(plain.replace(SET_POINT, ACTUAL))):
            found.append((actual, name))
    return found


def run(name: str, texts: Texts, times_s: FloatArray, say: Say) -> dict[str, float]:
    """Measure every live output of a line.

    Raises:
        BadFolder: the file is too short, or a column holds words.
    """
    line = _line(name, texts, times_s, say)
    looked_at = {o.name: sensors.look_at(o.values, o.set_points) for o in line.outputs}
    for output in line.outputs:
        if not looked_at[output.name].is_live:
            say(f"  left out: {output.name}: {looked_at[output.name].fault}")
    live = [output for output in line.outputs if looked_at[output.name].is_live]
    if not live:
        raise BadFolder(f"{name}: no output is live.")
    judged = {}
    for output in live:
        judged[output.name] = _judge(output, live, looked_at, line)
        _say_output(output.name, looked_at[output.name], judged[output.name], say)
    figures = _figures(list(judged.values())) | {
        "n_stuck": float(len(line.outputs) - len(live)), "n_steps": float(line.n_steps),
        "step_s": line.step_s,
    }  # fmt: skip
    _say_figures(figures, say)
    return {key: round(value, 4) for key, value in figures.items()}


def _line(name: str, texts: Texts, times_s: FloatArray, say: Say) -> Line:
    order = np.argsort(times_s, kind="stable")
    if np.any(np.diff(times_s) < 0):
        say(f"{name}: rows are not in the order of their times; they are put in it first")
    values = {n: _numbers(n, entries)[order] for n, entries in texts.items()}
    times, n_tied = times_s[order], len(times_s) - len(np.unique(times_s))
    step_s, steps = _steps(name, times)
    all_names = list(values)
    outputs = tuple(
        Output(actual, all_names.index(actual), values[actual], values[set_point])
        for actual, set_point in pairs_of(all_names)
    )
    taken = {n for pair in pairs_of(all_names) for n in pair}
    names = tuple(n for n in all_names if n not in taken)
    n_steps = int(steps[-1]) + 1
    say(
        f"{name}: {len(times)} rows, {len(outputs)} outputs, {len(names)} process values, "
        f"{n_steps} steps of {step_s:g} s"
    )
    if n_tied:
        say(f"  {n_tied} rows share their time with others: their order within it is not known")
    places = np.array([all_names.index(n) for n in names], dtype=np.int64)
    return Line(
        steps, n_steps, step_s, names, places,
        np.column_stack([values[n] for n in names]), outputs,
    )  # fmt: skip


def _numbers(name: str, entries: Sequence[str]) -> FloatArray:
    column, values = column_of(name, entries)
    if column.levels:
        raise BadFolder(f"{name!r} holds words; a process has numbers.")
    return values


def _steps(name: str, times_s: FloatArray) -> tuple[float, IntArray]:
    moments = np.unique(times_s)
    span = float(moments[-1] - moments[0])
    usual = float(np.median(np.diff(moments))) if len(moments) > 1 else 0.0
    step_s = max(STEP_S, usual, span / MAX_STEPS)
    steps = np.floor((times_s - times_s[0]) / step_s + 1e-9).astype(np.int64)
    if steps[-1] + 1 < MIN_STEPS:
        raise BadFolder(
            f"{name} spans {steps[-1] + 1} steps of {step_s:g} s, fewer than {MIN_STEPS}."
        )
    return step_s, steps


def _series(values: FloatArray, believed: BoolArray, line: Line) -> Series:
    return Series.of(values[believed], line.steps[believed], line.n_steps)


def _judge(
    output: Output, live: Sequence[Output], looked_at: Mapping[str, Sensor], line: Line
) -> Judged:
    """Forecast an output from what stands before it in the line."""
    before = line.places < output.place
    # Between outputs of one stage there is no process value.
    earlier = [o for o in live if np.sum(line.places < o.place) < np.sum(before)]
    inputs = [_series(x, np.isfinite(x), line).mean for x in line.inputs.T[before]]
    inputs += [_series(o.values, looked_at[o.name].believed, line).mean for o in earlier]
    names = [line.names[i] for i in np.flatnonzero(before)] + [o.name for o in earlier]
    believed = looked_at[output.name].believed
    values, steps = output.values[believed], line.steps[believed]
    matrix = np.column_stack(inputs) if inputs else np.empty((line.n_steps, 0))
    said = process.forecast(
        _series(output.values, believed, line), values, steps, matrix, tuple(names),
        n_train=line.n_train,
    )  # fmt: skip
    return _judged(said, values, steps, output.set_points[believed], line.n_train)


def _judged(
    said: Forecasts, values: FloatArray, steps: IntArray, set_points: FloatArray, n_train: int
) -> Judged:
    learnt, test = (steps > 0) & (steps < n_train), steps >= n_train
    if not learnt.any() or not test.any():
        raise BadFolder("An output is silent in the part to learn from or in the part judged.")

    def error(forecast: FloatArray, among: BoolArray) -> float:
        return float(np.mean(np.abs(values - forecast[steps])[among]))

    def squared(forecast: FloatArray) -> float:
        return float(np.sqrt(np.mean((values - forecast[steps])[test] ** 2)))

    usual = min(said.averages, key=lambda length: error(said.averages[length], learnt))
    average = said.averages[usual]
    gained = np.abs(values - average[steps]) - np.abs(values - said.ours[steps])
    return Judged(
        ours=error(said.ours, test), alone=error(said.alone, test), last=error(said.last, test),
        averages={length: error(one, test) for length, one in said.averages.items()},
        usual=usual, rmse=squared(said.ours), rmse_average=squared(average),
        p_value=_p_value(gained[test], steps[test]),
        auc=_auc(said.ours, values, steps, set_points, n_train), forecasts=said,
    )  # fmt: skip


def _p_value(gained: FloatArray, steps: IntArray) -> float:
    """Return how often no gain at all would look as good, neighbouring steps counting as one."""
    blocks = np.array_split(np.arange(int(steps[0]), int(steps[-1]) + 1), N_BLOCKS)
    sums = [
        gained[(steps >= block[0]) & (steps <= block[-1])].sum() for block in blocks if len(block)
    ]
    return skill.by_flips(np.array(sums), rng=np.random.default_rng(0))


def _auc(
    ours: FloatArray, values: FloatArray, steps: IntArray, set_points: FloatArray, n_train: int
) -> float:
    """Return the area of foreseeing readings out of tolerance by how far the forecast is off."""
    away = values - set_points
    learnt, test = (steps < n_train) & np.isfinite(away), (steps >= n_train) & np.isfinite(away)
    if not learnt.any():
        return float("nan")
    middle, spread = sensors.robust(away[learnt])
    is_out = np.abs(away - middle)[test] > TOLERANCE * spread
    if min(is_out.sum(), (~is_out).sum()) < MIN_OUT:
        return float("nan")
    # The set point is known beforehand: the one of the step before would do as well.
    expected = np.abs(ours[steps] - set_points - middle)[test]
    said = np.column_stack([-expected, expected])
    return within_folds(said, is_out.astype(np.int64), np.zeros(len(said), dtype=np.int64))


def _figures(judged: Sequence[Judged]) -> dict[str, float]:
    def share(is_so: Callable[[Judged], bool]) -> float:
        return float(np.mean([is_so(one) for one in judged]))

    figures = {
        "share_beating_moving_average": share(lambda x: x.ours < x.averages[x.usual]),
        "share_beating_moving_average_rmse": share(lambda x: x.rmse < x.rmse_average),
        "share_beating_best_moving_average": share(lambda x: x.ours < min(x.averages.values())),
        "share_beating_last_value": share(lambda x: x.ours < x.last),
        "share_helped_by_process_values": share(lambda x: x.ours < x.alone),
        "share_served": share(lambda x: x.p_value <= SIGNIFICANT),
        "n_live": float(len(judged)),
    }
    figures |= {
        f"share_beating_moving_average_{length}": share(lambda x, n=length: x.ours < x.averages[n])  # type: ignore[misc]
        for length in process.WINDOWS
    }
    relative = [np.log(x.ours / x.averages[x.usual]) for x in judged if x.averages[x.usual] > 0]
    figures["relative_mae"] = float(np.exp(np.mean(relative))) if relative else float("nan")
    areas = [one.auc for one in judged if np.isfinite(one.auc)]
    if areas:
        figures |= {"auc_time_ordered": float(np.mean(areas)), "n_with_limits": float(len(areas))}
    return figures


def _say_output(name: str, sensor: Sensor, judged: Judged, say: Say) -> None:
    averages = ", ".join(f"{n}: {error:.4g}" for n, error in judged.averages.items())
    lost = f"; {sensor.share_lost:.0%} of the readings lost" if sensor.share_lost > 0 else ""
    drivers = ", ".join(f"{n} ({delay} steps before)" for n, delay in judged.forecasts.drivers)
    say(
        f"  {name}: MAE {judged.ours:.4g}, last value {judged.last:.4g}, moving averages "
        f"({averages}; usual {judged.usual}), RMSE {judged.rmse:.4g} and {judged.rmse_average:.4g}"
        f"{'' if np.isnan(judged.auc) else f', AUC out of tolerance {judged.auc:.2f}'}{lost}"
    )
    say(
        f"    process values weigh {judged.forecasts.process_weight:.0%}, without them MAE "
        f"{judged.alone:.4g}; strongest: {drivers or 'none'}"
        f"{'' if judged.p_value <= SIGNIFICANT else '; no evidence of skill: not served'}"
    )


def _say_figures(figures: Mapping[str, float], say: Say) -> None:
    say(
        f"  {figures['n_live']:.0f} live outputs, {figures['n_stuck']:.0f} left out; MAE under the "
        f"moving average in {figures['share_beating_moving_average']:.0%}, under the best one in "
        f"hindsight in {figures['share_beating_best_moving_average']:.0%}, under the last value in "
        f"{figures['share_beating_last_value']:.0%}; RMSE under the moving average in "
        f"{figures['share_beating_moving_average_rmse']:.0%}"
    )
    say(
        f"  beyond luck (p <= {SIGNIFICANT}) in {figures['share_served']:.0%}; process values "
        f"lower the error in {figures['share_helped_by_process_values']:.0%}"
    )
    say(
        "  no accepted figure is published" if figures["share_served"] else
        "  no evidence of skill in time order: no model is served"
    )  # fmt: skip
