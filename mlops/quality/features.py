"""One row of numbers a part: what each signal did in each stage, waits between, parameters.

Every column's name begins with its stage, so that what drives a defect of a late stage is
named with the stage where it came from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlops.lives import FloatArray
from mlops.quality.parts import Limits, Part, Plan, Readings, Stage
from mlops.tabular.table import Column, Table

SUMMARIES = ("mean", "spread", "lowest", "highest", "last", "slope per minute")
AT_LIMIT = "share of time at limit"
DURATION = "duration, s"
WAIT = "wait before, s"


def columns_of(plan: Plan, n_stages: int | None = None) -> tuple[Column, ...]:
    """Return the columns that are known once the first stages are over.

    Parameters come first, since they are known from the start.

    Args:
        n_stages: how many stages are over; all of them where not given.
    """
    columns = [Column(name) for name in plan.numbers]
    columns += [Column(name, levels) for name, levels in plan.categories.items()]
    for number, stage in enumerate(plan.stages[:n_stages]):
        waits = [WAIT] if number else []
        columns += [Column(f"{stage}: {what}") for what in [DURATION, *waits]]
        for signal in plan.signals[stage]:
            columns += [
                Column(f"{stage}: {signal}, {what}") for what in _summaries(plan, stage, signal)
            ]
    return tuple(columns)


def table_of(parts: Sequence[Part], plan: Plan, n_stages: int | None = None) -> Table:
    """Return one row a part, NaN where something is unknown.

    A level that training never saw is unknown.

    Args:
        n_stages: as in `columns_of`; what later stages did is not looked at.
    """
    columns = columns_of(plan, n_stages)
    rows = [_row(part, plan, n_stages) for part in parts]
    return Table(columns, np.array(rows, dtype=np.float64).reshape(len(parts), len(columns)))


def summarised(readings: Readings) -> FloatArray:
    """Return (6,) the `SUMMARIES` of one signal in one stage; NaN where nothing was read.

    Mean and slope weigh moments alike whatever the sampling: a signal that is read on change
    would otherwise be dominated by its restless moments.
    """
    known = readings.known
    if not len(known.values):
        return np.full(len(SUMMARIES), np.nan)
    times, values = known.times_s, known.values
    weights = _durations(times)
    mean = float(np.average(values, weights=weights))
    spread = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    return np.array(
        [mean, spread, values.min(), values.max(), values[-1], _slope(times, values, weights)]
    )


def _durations(times: FloatArray) -> FloatArray:
    """Return the time that each reading stands for: half of the way to its neighbours."""
    if len(times) < 2 or times[-1] == times[0]:
        return np.ones(len(times))
    middles = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2.0, times[-1:]])
    return np.diff(middles)


def _slope(times: FloatArray, values: FloatArray, weights: FloatArray) -> float:
    """Return the weighted least-squares slope per minute; unknown of a single moment."""
    minutes = (times - np.average(times, weights=weights)) / 60.0
    variance = float(np.average(minutes**2, weights=weights))
    if variance == 0.0:
        return float("nan")
    return float(np.average(minutes * values, weights=weights)) / variance


def _summaries(plan: Plan, stage: str, signal: str) -> tuple[str, ...]:
    return (*SUMMARIES, AT_LIMIT) if (stage, signal) in plan.limits else SUMMARIES


def _row(part: Part, plan: Plan, n_stages: int | None) -> list[float]:
    row = [_number(part.parameters.get(name)) for name in plan.numbers]
    for name, levels in plan.categories.items():
        entry = str(part.parameters.get(name))
        row.append(float(levels.index(entry)) if entry in levels else float("nan"))
    previous: Stage | None = None
    for number, name in enumerate(plan.stages[:n_stages]):
        stage = part.stages.get(name)
        row.append(_span(stage.started_s if stage else None, stage.ended_s if stage else None))
        if number:
            row.append(_span(previous.ended_s if previous else None,
                             stage.started_s if stage else None))  # fmt: skip
        for signal in plan.signals[name]:
            row += _read(stage, signal, plan.limits.get((name, signal)))
        previous = stage
    return row


def _number(value: object) -> float:
    if isinstance(value, str) or value is None:
        return float("nan")
    number = float(value)  # type: ignore[arg-type]
    return number if np.isfinite(number) else float("nan")


def _span(start_s: float | None, end_s: float | None) -> float:
    return float("nan") if start_s is None or end_s is None else end_s - start_s


def _read(stage: Stage | None, signal: str, limits: Limits | None) -> list[float]:
    readings = stage.signals.get(signal) if stage else None
    if readings is None:
        return [float("nan")] * (len(SUMMARIES) + (limits is not None))
    row = [float(x) for x in summarised(readings)]
    if limits is not None:
        known = readings.known
        share = (
            np.average(limits.reached(known.values), weights=_durations(known.times_s))
            if len(known.values)
            else np.nan
        )
        row.append(float(share))
    return row
