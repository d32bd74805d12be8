"""The kind of model that says of lots in work whether an inspection plan will reject them.

Its cases are the lots that the plan has judged, its slices what became of them. Only what later
lots confirm is served: forecasts are judged in the order of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

import numpy as np

from mlops.artifacts import Bundle
from mlops.kinds import (
    Case,
    NotReady,
    PlanKind,
    Progress,
    Readiness,
    Snapshot,
    Trained,
    Turned,
    Worth,
)
from mlops.lives import FloatArray
from mlops.models import Kind, ModelVersion, Prediction
from mlops.quality import lots, packing, training, windows
from mlops.quality.lots import GOOD, REJECTED, Judged
from mlops.quality.model import Forecaster, NoForecast, QualityModel
from mlops.quality.parts import Part, Plan
from mlops.quality.training import QualityTraining
from mlops.tabular.folds import NotEnoughCases
from mlops.tabular.table import Outcome, UnusableTable
from mlops.tabular.training import Costs
from production import selectors as production_selectors
from production.models import InspectionPlan

# Fewer judged lots, or fewer rejected ones, are not even tried.
LOTS_NEEDED: Final = 60
REJECTS_NEEDED: Final = 8
# Kinds of defects in fewer lots than this are learned as one.
LEAST_OF_A_KIND: Final = 10
# A window is sought that halves the rejects.
ASKED_OF_USUAL: Final = 0.5
SMALLEST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Data:
    plan: InspectionPlan
    judged: Sequence[Judged]
    parts: Sequence[Part]


class Quality(PlanKind):
    """Whether a lot that is being made will pass, what drives it, and what would avoid it."""

    code: ClassVar[str] = Kind.QUALITY.value
    level: ClassVar[float] = 0.7
    ask_again: ClassVar[str] = "mlops.predict_quality"

    def readiness(self, subject: InspectionPlan) -> Readiness:
        n, n_bad = lots.counts(subject)
        missing, missing_bad = max(0, LOTS_NEEDED - n), max(0, REJECTS_NEEDED - n_bad)
        if missing or missing_bad:
            message = (
                f"Not enough data: {n} lots with runs are judged, {n_bad} of them rejected; "
                f"{LOTS_NEEDED} and {REJECTS_NEEDED} are needed."
            )
        else:
            message = (
                f"{n} judged lots are known, {n_bad} of them rejected: a model can be trained."
            )
        return Readiness(not missing and not missing_bad, n, LOTS_NEEDED, message)

    def snapshot(self, subject: InspectionPlan, *, at: datetime) -> Snapshot:
        judged = lots.judged_lots(subject, at=at)
        parts = lots.parts_of([one.lot for one in judged], subject, at=at)
        kept = [one for one in judged if one.lot.pk in parts]
        counts = Counter(one.outcome for one in kept)
        return Snapshot(
            digest=lots.digest_of(kept, parts),
            cases=[Case(_key(one), one.outcome, one.judged_at) for one in kept],
            signals=sorted({
                f"{name}: {signal}"
                for part in parts.values()
                for name, stage in part.stages.items()
                for signal in stage.signals
            }),
            unit="",
            facts={
                "n_known": self.readiness(subject).n_known, "n_lots": len(kept),
                "n_rejected": len(kept) - counts[GOOD], "outcomes": dict(counts),
            },
            data=_Data(subject, kept, [parts[one.lot.pk] for one in kept]),
        )  # fmt: skip

    def train(self, snapshot: Snapshot, *, progress: Progress) -> Trained:
        data: _Data = snapshot.data
        outcome = outcome_of([one.outcome for one in data.judged])
        try:
            found = training.train(
                data.parts, outcome, times=_times(data.judged), costs=costs_of(data.plan),
                n_threads=1, progress=lambda share, words: progress(0.9 * share, words),
            )  # fmt: skip
        except (NotEnoughCases, UnusableTable) as error:
            raise NotReady(f"Not enough data: {error}") from error
        progress(0.95, "Looking for a window that would have avoided rejects")
        # A model without any stage says nothing: it is kept, so that the page says why.
        model = found.model or QualityModel(Plan.of(data.parts), outcome.classes, True, ())
        said = found.last.training.judged
        rejected = 1.0 - said.probability[:, 0]
        is_bad = outcome.codes[said.rows] > 0
        keys = [_key(data.judged[row]) for row in said.rows]
        losses = dict(zip(keys, _log_losses(rejected, is_bad).tolist(), strict=True))
        usual = np.full(len(is_bad), float(np.mean(outcome.codes > 0)))
        return Trained(
            model=model,
            metrics={
                **{name: float(v) for name, v in found.last.training.metrics.items()},
                "reject_share": float(usual[0]) if len(usual) else 0.0,
            },
            parameters={"n_stages_served": len(model.stages)},
            losses=losses,
            baseline=dict(zip(keys, _log_losses(usual, is_bad).tolist(), strict=True)),
            held_back=losses,
            weaknesses=_weaknesses(found),
            details={
                "is_shown": found.model is not None, "sentence": found.sentence,
                "stages": [
                    {"n_stages": one.n_stages, "is_served": one.is_served,
                     "words": one.evidence.sentence if one.evidence else ""}
                    for one in found.known
                ],
                "window": _window(model, float(np.mean(outcome.codes > 0))),
            },
        )  # fmt: skip

    def worth(self, version: ModelVersion) -> Worth:
        """Serve what later lots confirm; the evidence was taken in the order of time."""
        sentence = str(version.details.get("sentence", ""))
        is_shown = bool(version.details.get("is_shown"))
        words = f"The first of its plan. {sentence}" if is_shown else sentence
        return Worth(is_shown, words, {"is_shown": is_shown})

    def proof(self, version: ModelVersion, champion: ModelVersion) -> Worth | None:
        """A version without skill in time order never serves."""
        return None if version.details.get("is_shown") else self.worth(version)

    def pack(self, model: QualityModel) -> Bundle:
        return packing.pack(model)

    def unpack(self, bundle: Bundle) -> Forecaster:
        return Forecaster(packing.unpack(bundle))

    def losses(
        self, model: Forecaster, snapshot: Snapshot, keys: Sequence[str]
    ) -> dict[str, float]:
        """Return lot -> logarithmic loss of the chance to be rejected."""
        data, wanted, found = snapshot.data, set(keys), {}
        for one, part in zip(data.judged, data.parts, strict=True):
            if _key(one) not in wanted:
                continue
            try:
                chance = rejected_chance(model.forecast(part).probability)
            except NoForecast:
                continue
            found[_key(one)] = _log_loss(chance, is_bad=one.outcome != GOOD)
        return found

    def outcomes(self, version: ModelVersion, *, at: datetime) -> list[Turned]:
        """Judge the last word on each lot before its inspection by what that found."""
        plan = self.subject(version.subject_id)
        known = set(version.outcomes.values_list("case_key", flat=True))
        turned = []
        for one in lots.judged_lots(plan, at=at):
            if _key(one) in known or one.judged_at <= version.created_at:
                continue
            said = version.quality_predictions.filter(
                lot=one.lot, state=Prediction.State.OK, made_at__lte=one.judged_at
            ).order_by("made_at")
            rows = list(said.values_list("chance", "limit"))
            if rows:
                turned.append(_turned(one, rows))
        return turned


def _turned(one: Judged, rows: Sequence[tuple[float | None, float | None]]) -> Turned:
    chance, limit = rows[-1]
    assert chance is not None  # by constraint
    assert limit is not None  # written with it
    is_bad = one.outcome != GOOD
    return Turned(
        _key(one), one.judged_at, len(rows), _log_loss(chance, is_bad=is_bad),
        (chance >= limit) == is_bad, slice=one.outcome,
    )  # fmt: skip


def _key(one: Judged) -> str:
    return f"lot-{one.lot.pk}"


def outcome_of(names: Sequence[str]) -> Outcome:
    """Return outcomes as codes: good first, then kinds of defects; rare kinds count as one."""
    counts = Counter(name for name in names if name != GOOD)
    often = sorted(name for name, n in counts.items() if n >= LEAST_OF_A_KIND)
    others = sum(n for name, n in counts.items() if name not in often)
    classes = (GOOD, *often, *([REJECTED] if others and REJECTED not in often else []))
    place = {name: code for code, name in enumerate(classes)}
    codes = np.array([place.get(name, place.get(REJECTED, 0)) for name in names], dtype=np.int64)
    return Outcome(classes, codes)


def costs_of(plan: InspectionPlan) -> Costs | None:
    """Return what mistakes cost by the version of the plan that is in force, if that is said."""
    in_force = production_selectors.version_in_force(plan) or plan
    escape, reject = in_force.escape_cost_minor, in_force.false_reject_cost_minor
    return Costs(false_alarm=reject, miss=escape) if escape and reject else None


def limit_of(model: QualityModel, plan: InspectionPlan, n_stages: int) -> float:
    """Return the chance from which a lot is worth a look: by costs, else as trained."""
    costs = costs_of(plan)
    if costs is not None:
        return costs.threshold
    stage = model.at(n_stages)
    return stage.model.threshold if len(model.classes) == 2 else 0.5


def rejected_chance(probability: Mapping[str, float]) -> float:
    """Return the chance that a lot is rejected for whatever reason."""
    return float(1.0 - probability[GOOD])


def _times(judged: Sequence[Judged]) -> FloatArray:
    return np.array([one.judged_at.timestamp() for one in judged], dtype=np.float64)


def _log_loss(chance: float, *, is_bad: bool) -> float:
    return float(_log_losses(np.array([chance]), np.array([is_bad]))[0])


def _log_losses(chances: FloatArray, is_bad: Any) -> FloatArray:
    held = np.clip(chances, SMALLEST, 1.0 - SMALLEST)
    return np.asarray(-np.log(np.where(is_bad, held, 1.0 - held)), dtype=np.float64)


def _window(model: QualityModel, usual: float) -> dict[str, Any]:
    """Return the operating window that would have halved the rejects, or why there is none."""
    if not model.stages or not 0.0 < usual < 1.0:
        return {}
    found = Forecaster(model).window(asked=ASKED_OF_USUAL * usual)
    return window_as_json(found, model)


def window_as_json(found: windows.Found, model: QualityModel) -> dict[str, Any]:
    """Return a window as pages and the API show it."""
    window = found.window
    if window is None:
        return {"sentence": found.sentence, "bounds": []}
    levels = dict(model.plan.categories)
    return {
        "sentence": found.sentence, "rate": window.rate, "low": window.low, "high": window.high,
        "n_parts": window.n_parts, "rate_outside": window.rate_outside,
        "bounds": [
            {
                "column": bound.column,
                "low": None if bound.levels else bound.low,
                "high": None if bound.levels else bound.high,
                "levels": [levels[bound.column][code] for code in bound.levels],
            }
            for bound in window.bounds
        ],
    }  # fmt: skip


def _weaknesses(found: QualityTraining) -> list[str]:
    told = []
    first = next((one for one in found.known if one.is_served), None)
    if first is not None and first.n_stages:
        told.append(f"It says nothing before {first.n_stages} of the stages are over.")
    n_judged = int(found.last.training.metrics.get("n_judged", 0))
    if n_judged < 200:
        told.append(f"Only {n_judged} later lots have put it to the test.")
    return told
