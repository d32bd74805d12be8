"""Remaining life as a kind of model: lives are its cases, failures its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

import numpy as np

from mlops import datasets, history, promotion, trees
from mlops.artifacts import ArtifactRefused, Bundle
from mlops.datasets import DataSet
from mlops.drift import Reference
from mlops.kinds import (
    Case,
    MachineKind,
    NotReady,
    Progress,
    Readiness,
    Snapshot,
    Trained,
    Turned,
    Watched,
    Worth,
)
from mlops.lives import Life, UnusableLives, digest
from mlops.maintenance import packing, rul
from mlops.maintenance.reasons import reasons_for
from mlops.maintenance.rul import RulModel
from mlops.models import Kind, ModelVersion, Prediction
from production.models import Machine, MachineType

CHANCE_DAYS: Final = (7, 14, 30)
# The latest quarter of the lives is held back to judge by, but no fewer than can be judged by.
HELD_BACK: Final = 0.25
MIN_HELD_BACK: Final = 5
# Fewer lives than this teach little about how one machine differs from the next.
FEW_LIVES: Final = 20
WATCHED_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to be asked."""

    rul: RulModel
    onnx: trees.OnnxModel


class RemainingLife(MachineKind):
    """How much longer a component will last, from lives that ended in its failure."""

    code: ClassVar[str] = Kind.REMAINING_LIFE.value
    level: ClassVar[float] = rul.LEVEL

    def readiness(self, machine_type: MachineType) -> Readiness:
        n_failures, needed = len(datasets.counted_failures(machine_type)), rul.MIN_LIVES
        if n_failures < needed:
            message = str(rul.NotEnoughLives(n_failures))
        else:
            message = f"{n_failures} failures are known: a model can be trained."
        return Readiness(n_failures >= needed, n_failures, needed, message)

    def snapshot(self, machine_type: MachineType, *, at: datetime) -> Snapshot:
        data = datasets.build(machine_type, at=at)
        return Snapshot(
            digest=digest(data.lives, data.signals),
            cases=[
                Case(life.key, life.group, ended_at)
                for life, ended_at in zip(data.lives, data.ended_at, strict=True)
            ],
            signals=data.signals,
            unit=data.unit,
            facts={
                "n_lives": len(data.lives),
                "n_machines": data.n_machines,
                "n_known": len(datasets.counted_failures(machine_type)),
            },
            data=data,
        )

    def train(self, snapshot: Snapshot, *, progress: Progress) -> Trained:
        data: DataSet = snapshot.data
        n_late = max(MIN_HELD_BACK, round(HELD_BACK * len(data.lives)))
        early, late = data.lives[:-n_late], data.lives[-n_late:]
        can_hold_back = len(early) >= rul.MIN_LIVES
        share = 0.55 if can_hold_back else 1.0
        try:
            training = rul.train(
                data.lives, signals=data.signals, step=data.step,
                progress=lambda part, message: progress(share * part, message),
            )  # fmt: skip
            held_back: dict[str, float] = {}
            if can_hold_back:
                earlier = rul.train(
                    early, signals=data.signals, step=data.step, cap=training.model.cap,
                    progress=lambda part, _message: progress(
                        share + (1.0 - share) * part, "Judging by the latest lives"
                    ),
                )  # fmt: skip
                held_back = _losses(_loaded(earlier.model), late)
        except (rul.NotEnoughLives, UnusableLives) as error:
            raise NotReady(str(error)) from error
        return Trained(
            model=training.model,
            metrics=training.metrics
            | ({"loss_held_back": float(np.mean(list(held_back.values())))} if held_back else {}),
            parameters=training.parameters,
            losses=training.losses,
            baseline=training.by_age,
            held_back=held_back,
            weaknesses=_weaknesses(training, data, has_held_back=bool(held_back)),
        )

    def worth(self, version: ModelVersion) -> Worth:
        """Ask for more than knowing how long lives usually last."""
        rows = [row for row in version.cases if row[3] is not None and row[4] is not None]
        found = promotion.compare(
            {row[0]: row[3] for row in rows},
            {row[0]: row[4] for row in rows},
            {row[0]: "" for row in rows},
        )
        if found.outcome == promotion.Outcome.BETTER:
            reason = (
                f"The first of its type. On {found.n_cases} cases that it had not seen it was off "
                f"by {found.loss:.0%}, knowing only their usual length by "
                f"{found.loss_of_other:.0%}."
            )
            return Worth(True, reason, found.as_evidence())
        reason = (
            "No evidence of skill: on cases that it had not seen it was no better than knowing "
            "only what is usual. No model is served."
        )
        return Worth(False, reason, found.as_evidence())

    def pack(self, model: RulModel) -> Bundle:
        return packing.pack(model)

    def unpack(self, bundle: Bundle) -> Loaded:
        return _loaded(packing.unpack(bundle))

    def losses(self, model: Loaded, snapshot: Snapshot, keys: Sequence[str]) -> dict[str, float]:
        wanted, data = set(keys), snapshot.data
        lives = [life for life in data.lives if life.key in wanted]
        return _losses(model, [_as_seen_by(model.rul, life, data.signals) for life in lives])

    def predict(self, model: Loaded, machine: Machine, *, at: datetime) -> Prediction:
        known = model.rul
        current = datasets.current_life(machine, signals=known.signals, step=known.step, at=at)
        try:
            if current is None:
                raise rul.TooLittleHistory(0, known.min_steps)
            forecast = known.forecast(current.life, model.onnx)
        except rul.TooLittleHistory as error:
            state = Prediction.State.NOT_ENOUGH_DATA
            return self.unsaid(machine, at=at, state=state, message=str(error))
        life, per_day = current.life, current.usage_per_day
        low, high = forecast.intervals[rul.LEVEL]
        reasons = reasons_for(
            model=known, life=life, onnx=model.onnx, names=datasets.names_of(machine)
        )
        return Prediction(
            machine=machine, made_at=at, level=rul.LEVEL, state=Prediction.State.OK,
            usage_at=float(life.usage[-1]),
            rul=forecast.rul, rul_low=low, rul_high=high, is_open_ended=forecast.open_ended,
            usage_per_day=per_day,
            chances={
                str(days): known.chance_within(forecast.rul, per_day * days)
                for days in CHANCE_DAYS
                if per_day is not None
            },
            reasons=[asdict(reason) for reason in reasons],
        )  # fmt: skip

    def unsaid(self, machine: Machine, *, at: datetime, state: str, message: str) -> Prediction:
        return Prediction(
            machine=machine, made_at=at, level=rul.LEVEL, state=state, message=message[:500]
        )

    def turned(self, version: ModelVersion, machine: Machine, *, at: datetime) -> list[Turned]:
        """Judge a life once it has ended in a failure, by all that was said during it.

        Right means: most of what was said within the horizon had the failure in its interval.
        """
        known = {row.case_key for row in version.outcomes.filter(machine=machine)}
        found = []
        for number, span in enumerate(datasets.spans_of(machine, at=at), start=1):
            key = f"{machine.pk}/{number}"
            if span.end is None or span.end <= version.created_at or key in known:
                continue
            said = version.predictions.filter(
                machine=machine, state=Prediction.State.OK,
                made_at__gte=span.start or datasets.BEGINNING, made_at__lt=span.end,
            )  # fmt: skip
            rows = list(said.order_by("made_at"))
            if not rows:
                continue
            recording = datasets.recording_of(
                machine, meter_key=machine.machine_type.life_meter_key,
                start=span.start or datasets.BEGINNING, end=span.end + timedelta(milliseconds=1),
            )  # fmt: skip
            usage = history.usage_of(recording)
            if len(usage):
                cap = float(version.parameters.get("cap", usage[-1]) or usage[-1])
                found.append(_turned(key, span.end, rows, float(usage[-1]), cap))
        return found

    def watched(self, model: Loaded, machine: Machine, *, at: datetime) -> Watched | None:
        known = model.rul
        if not known.ranges.size:
            return None
        current = datasets.current_life(machine, signals=known.signals, step=known.step, at=at)
        if current is None:
            return None
        reference = Reference(known.spec.standardiser.regimes, known.ranges)
        return Watched(known.signals, reference, current.life.values[-WATCHED_STEPS:])


def _loaded(model: RulModel) -> Loaded:
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf

    try:
        return Loaded(model, trees.OnnxModel(model.serialised))
    except (Fail, InvalidGraph, InvalidProtobuf) as error:
        raise ArtifactRefused("The stored model cannot be read by this version.") from error


def _losses(model: Loaded, lives: Sequence[Life]) -> dict[str, float]:
    """Return life -> mean absolute error in parts of the horizon, from the first forecast on."""
    known, first = model.rul, model.rul.min_steps
    found = {}
    for life in lives:
        if len(life) > first:
            rows = known.spec.matrix(life)[first - 1 :]
            predicted = np.clip(model.onnx.predict(rows), 0.0, known.cap)
            true = rul.targets_of(life, known.cap)[first - 1 :]
            found[life.key] = float(np.mean(np.abs(predicted - true))) / known.cap
    return found


def _as_seen_by(model: RulModel, life: Life, signals: Sequence[str]) -> Life:
    """Return a life with the columns of a model that was trained on other signals perhaps."""
    if tuple(signals) == model.signals:
        return life
    places = {key: place for place, key in enumerate(signals)}
    unknown = np.full(len(life), np.nan)
    columns = [life.values[:, places[key]] if key in places else unknown for key in model.signals]
    return Life(life.key, life.group, life.usage, np.column_stack(columns), life.failed)


def _turned(
    key: str, ended_at: datetime, rows: Sequence[Prediction], lasted: float, cap: float
) -> Turned:
    errors, n_near, n_within = [], 0, 0
    for row in rows:
        assert row.rul is not None
        assert row.rul_low is not None
        assert row.rul_high is not None
        left = max(0.0, lasted - (row.usage_at or 0.0))
        errors.append(abs(row.rul - min(left, cap)) / cap)
        if left <= cap:
            n_near += 1
            n_within += row.rul_low <= left <= row.rul_high
    return Turned(key, ended_at, len(rows), float(np.mean(errors)), 2 * n_within >= n_near)


def _weaknesses(training: rul.Training, data: DataSet, *, has_held_back: bool) -> list[str]:
    found = []
    if len(data.lives) < FEW_LIVES:
        found.append(f"It has seen {len(data.lives)} lives only: its intervals are wide.")
    if data.n_machines < 3:
        found.append(
            f"It has seen {data.n_machines} machine{'s' if data.n_machines > 1 else ''} only: on "
            "others of the type it may be further off."
        )
    if not has_held_back:
        found.append(
            "Too few lives to hold the latest back: it was judged by leaving lives out in turn."
        )
    worst = max(training.losses.items(), key=lambda item: item[1])
    typical = float(np.median(list(training.losses.values())))
    if worst[1] > 2.0 * typical:
        found.append(
            f"On its worst life it was off by {worst[1]:.0%} of the horizon, beside "
            f"{typical:.0%} usually."
        )
    model = training.model
    found.append(f"It sees wear at most {model.cap:g} {data.unit} ahead.")
    return found
