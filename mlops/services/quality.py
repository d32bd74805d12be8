"""Saying of lots in work how likely they are to be rejected, as soon as a stage is over."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from mlops import artifacts, kinds, selectors, serving
from mlops.models import Kind, Prediction, QualityPrediction
from mlops.quality import lots, predicting
from mlops.quality.model import Forecast, Forecaster, NoForecast
from mlops.quality.parts import Part
from mlops.quality.words import sentence_of
from production.models import InspectionPlan, Lot, Machine
from tenants import storage

log = structlog.get_logger()

State = Prediction.State
# Lots that were in work within this time are looked at.
LATELY: Final = timedelta(days=2)


def predict_quality(*, at: datetime, plan_id: UUID | None = None) -> int:
    """Say of each lot in work what is known now; return how many of it were new.

    Of one inspection plan, or of all.

    A lot of which nothing new is known (no further stage over, the same version in service) keeps
    what was said. Versions on trial and standing by are asked too.

    Raises:
        InspectionPlan.DoesNotExist: not in this factory.
    """
    n_new, kind = 0, kinds.of(Kind.QUALITY)
    for plan in kind.subjects() if plan_id is None else [kind.subject(plan_id)]:
        candidates = selectors.serving_order(subject_id=plan.pk, kind=Kind.QUALITY)
        if not candidates:
            continue
        try:
            served = serving.serve(candidates)
        except serving.NoModel as error:
            log.error("mlops.quality.no_model", plan_id=str(plan.pk), reason=str(error))
            continue
        n_new += _predict_of(plan, served, at)
    return n_new


def _predict_of(plan: InspectionPlan, served: serving.Served, at: datetime) -> int:
    found = lots.made_lately(plan, since=at - LATELY, at=at)
    judged = {one.lot.pk for one in lots.judged_lots(plan, at=at)}
    open_lots = [lot for lot in found if lot.pk not in judged]
    parts = lots.parts_of(open_lots, plan, at=at)
    known = selectors.newest_quality([lot.pk for lot in open_lots], plan_id=plan.pk)
    asked = [served, *_beside(plan, served)]
    n_new = 0
    for lot in open_lots:
        part = parts.get(lot.pk)
        if part is None:
            continue
        said, stages = known.get(lot.pk), _over(part, served.model)
        if said and said.version_id == served.version.pk and said.stages_known == stages:
            continue
        for number, one in enumerate(asked):
            _said(lot, plan, one, part, at, is_shadow=number > 0)
        n_new += 1
    return n_new


def _over(part: Part, model: Forecaster) -> list[str]:
    stages = model.model.plan.stages
    return list(stages[: part.complete(stages)])


def _beside(plan: InspectionPlan, served: serving.Served) -> list[serving.Served]:
    found = []
    for version in selectors.beside(subject_id=plan.pk, kind=Kind.QUALITY):
        if version.pk == served.version.pk:
            continue
        try:
            found.append(serving.Served(version, serving.load(version)))
        except (artifacts.ArtifactRefused, storage.StorageUnavailable) as error:
            log.warning("mlops.trial.not_asked", version_id=str(version.pk), reason=str(error))
    return found


def _said(
    lot: Lot, plan: InspectionPlan, served: serving.Served, part: Part, at: datetime, *,
    is_shadow: bool,
) -> QualityPrediction:  # fmt: skip
    model: Forecaster = served.model
    stages = _over(part, model)
    row = QualityPrediction(
        plan=plan, lot=lot, version=served.version, is_shadow=is_shadow, made_at=at,
        state=State.NOT_ENOUGH_DATA, stages_known=stages, message=served.note[:500],
        is_complete=len(stages) == len(model.model.plan.stages),
    )  # fmt: skip
    try:
        forecast = model.forecast(part)
    except NoForecast as error:
        row.message = str(error)[:500]
    else:
        _fill(row, forecast, model, plan, len(stages))
    row.save()
    return row


def _fill(
    row: QualityPrediction, forecast: Forecast, model: Forecaster, plan: InspectionPlan,
    n_stages: int,
) -> None:  # fmt: skip
    assert row.version is not None  # set by the caller
    good = forecast.intervals[lots.GOOD]
    row.state = State.OK
    row.chance = predicting.rejected_chance(forecast.probability)
    row.chance_low, row.chance_high = 1.0 - good.high, 1.0 - good.low
    row.chances = {name: p for name, p in forecast.probability.items() if name != lots.GOOD}
    row.limit = predicting.limit_of(model.model, plan, n_stages)
    row.reasons = _reasons(forecast)
    row.window = dict(row.version.details.get("window", {}))


def _reasons(forecast: Forecast) -> list[dict[str, Any]]:
    machines = {str(machine.pk): machine.name for machine in Machine.objects.only("name")}
    total = sum(reason.effect for reason in forecast.reasons) or 1.0
    return [
        {
            "signal": reason.column, "share": reason.effect / total,
            "sentence": sentence_of(reason, machines=machines),
            "value": reason.value, "usual": reason.usual,
        }
        for reason in forecast.reasons
    ]  # fmt: skip
