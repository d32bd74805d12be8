"""The kind of model that judges pictures of an inspection plan.

Its cases are the pictures that people have labelled, its slices the kinds of defects. What it
costs to be wrong about one is the loss: an escape 1, a false reject its price in escapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import numpy as np

from mlops import drift, selectors, serving
from mlops.artifacts import Bundle
from mlops.drift import Reference
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
from mlops.models import Finding, ImageVerdict, InspectionImage, Kind, ModelVersion, VisionSetup
from mlops.regimes import Regimes
from mlops.vision import lessons, visual
from mlops.vision.anomaly import LEAST_GOOD, TooFewGoodPictures
from mlops.vision.lessons import GOOD, Lesson
from mlops.vision.thresholds import limit_of
from mlops.vision.visual import FIGURES, VisualModel
from production import selectors as production_selectors
from production.models import InspectionPlan

Label = InspectionImage.Label

# More false rejects among good pictures than this, and no model is served.
MOST_FALSE: Final = 0.2
# Defects told from good ones no better than by chance: no model is served.
LEAST_AUROC: Final = 0.6
# Of the regression set, the newest of each sort.
MOST_KEPT: Final = 60
# Price of a false reject in escapes where the plan says nothing.
USUAL_RATIO: Final = 0.05
RECENT: Final = timedelta(days=7)
MOST_RECENT: Final = 60


@dataclass(frozen=True, slots=True)
class _Data:
    plan: InspectionPlan
    setup: VisionSetup
    lessons: Sequence[Lesson]


class VisualInspection(PlanKind):
    """Whether the part in a picture is as the good ones are, and where it is not."""

    code: ClassVar[str] = Kind.VISION.value
    level: ClassVar[float] = 0.9

    def readiness(self, subject: InspectionPlan) -> Readiness:
        rows = lessons.labelled(subject.pk)
        n_good = rows.filter(label=Label.GOOD).count()
        n_labelled = rows.count()
        missing = max(0, LEAST_GOOD - n_good)
        setup = selectors.vision_setup(subject)
        if setup.mode == VisionSetup.Mode.GOLDEN:
            has_one = setup.golden_id is not None
            message = (
                f"{n_labelled} labelled pictures are known: a golden one can be compared with."
                if has_one
                else "Not enough data: name one good picture as the golden one."
            )
            return Readiness(has_one, n_labelled, 1, message)
        if missing:
            message = (
                f"Not enough data: needs {missing} more good picture{'s' if missing != 1 else ''} "
                f"({n_good} of {LEAST_GOOD} known)."
            )
        else:
            message = f"{n_labelled} labelled pictures are known: a model can be trained."
        return Readiness(not missing, n_labelled, LEAST_GOOD, message)

    def snapshot(self, subject: InspectionPlan, *, at: datetime) -> Snapshot:
        found = list(lessons.lessons_of(lessons.chosen(subject.pk, at=at)))
        setup = selectors.vision_setup(subject)
        n_defects = sum(one.is_defective for one in found)
        return Snapshot(
            digest=lessons.digest_of(found),
            cases=[Case(one.key, one.slice, one.labelled_at) for one in found],
            signals=(),
            unit="",
            facts={
                "n_known": self.readiness(subject).n_known, "n_good": len(found) - n_defects,
                "n_defects": n_defects, "n_kept": sum(one.is_kept for one in found),
                "mode": setup.mode,
            },
            data=_Data(subject, setup, found),
        )  # fmt: skip

    def train(self, snapshot: Snapshot, *, progress: Progress) -> Trained:
        data: _Data = snapshot.data
        try:
            model = _learned(data, progress)
        except TooFewGoodPictures as error:
            raise NotReady(str(error)) from error
        progress(0.92, "Judging the regression set")
        losses = self.losses(model, snapshot, _apart(data.lessons))
        losses |= _left_out(model, data)
        good, bad = model.scores.good, model.scores.defects
        metrics = {
            "false_reject_share": float(np.mean(good > model.limit)) if len(good) else 0.0,
            "n_good": float(len(good)), "n_defects": float(len(bad)),
        }  # fmt: skip
        if len(bad):
            metrics["image_auroc"] = separation(good, bad)
            metrics["escape_share"] = float(np.mean(bad <= model.limit))
        return Trained(
            model=model,
            metrics=metrics,
            parameters={"mode": data.setup.mode, "limit": model.limit},
            losses=losses,
            baseline={},
            held_back=losses,
            weaknesses=_weaknesses(model),
            details={
                "figures": _usual_figures(model, data),
                "limit": model.limit, "good_scores": good.round(4).tolist(),
                "defect_scores": [
                    [slice_, round(float(score), 4)]
                    for slice_, score in zip(model.scores.slices, bad, strict=True)
                ],
            },
        )  # fmt: skip

    def worth(self, version: ModelVersion) -> Worth:
        share = float(version.metrics.get("false_reject_share", 0.0))
        auroc = version.metrics.get("image_auroc")
        told = f"Of good pictures, each judged by the others, it rejected {share:.0%}"
        evidence = {"false_reject_share": share, "image_auroc": auroc}
        if share > MOST_FALSE:
            most = f"{MOST_FALSE:.0%} is the most that is served"
            return Worth(False, f"{told}, where {most}. No model is served.", evidence)
        if auroc is not None and auroc < LEAST_AUROC:
            reason = (
                "It tells defective parts from good ones no better than chance "
                f"(AUROC {auroc:.2f}). No model is served."
            )
            return Worth(False, reason, evidence)
        return Worth(True, f"The first of its plan. {told}.", evidence)

    def proof(self, version: ModelVersion, champion: ModelVersion) -> Worth | None:
        """Judge the regression set by both: nothing that was right may become wrong.

        A version that mends what the one in service got wrong, and breaks nothing, serves at
        once; else what was found is left to the usual comparison.
        """
        plan = self.subject(version.subject_id)
        kept = list(lessons.lessons_of(regression_set(plan)))
        if not kept:
            return None
        setup, in_force = selectors.vision_setup(plan), _in_force(plan)
        now, was = (
            _verdicts(serving.load(one), kept, limit_of(one, setup, in_force))
            for one in (version, champion)
        )
        broken = [one for one in kept if was[one.key] == one.is_defective != now[one.key]]
        mended = [one for one in kept if now[one.key] == one.is_defective != was[one.key]]
        evidence = {
            "n_kept": len(kept),
            "n_right": sum(now[one.key] == one.is_defective for one in kept),
            "broken": [str(one.image_id) for one in broken],
            "mended": [str(one.image_id) for one in mended],
        }
        if broken:
            reason = (
                f"It gets {_pictures(len(broken))} of the regression set wrong that version "
                f"{champion.version} gets right."
            )
            return Worth(False, reason, evidence)
        if mended:
            reason = (
                f"It gets {_pictures(len(mended))} right that version {champion.version} got "
                f"wrong, and all others of the {len(kept)} kept ones as before."
            )
            return Worth(True, reason, evidence)
        return None

    def pack(self, model: VisualModel) -> Bundle:
        return visual.pack(model)

    def unpack(self, bundle: Bundle) -> VisualModel:
        return visual.unpack(bundle)

    def losses(
        self, model: VisualModel, snapshot: Snapshot, keys: Sequence[str]
    ) -> dict[str, float]:
        data, wanted = snapshot.data, set(keys)
        found = [one for one in data.lessons if one.key in wanted]
        verdicts = _verdicts(model, found, data.setup.limit or model.limit)
        ratio = price_of_reject(_in_force(data.plan))
        return {one.key: loss(verdicts[one.key], one.is_defective, ratio) for one in found}

    def outcomes(self, version: ModelVersion, *, at: datetime) -> list[Turned]:
        """Judge by what people said of pictures that were no case of the training.

        A version beside the one in service is asked only about pictures that somebody labelled.
        """
        plan = self.subject(version.subject_id)
        known = set(version.outcomes.values_list("case_key", flat=True))
        known |= {row[0] for row in version.cases}
        rows = lessons.labelled(plan.pk).filter(labelled_at__gt=version.created_at)
        images = [image for image in rows[:MOST_KEPT] if f"image-{image.pk}" not in known]
        said = dict(
            ImageVerdict.objects.filter(version=version, image__in=images, state="ok").values_list(
                "image_id", "verdict"
            )
        )
        if version.alias != ModelVersion.Alias.CHAMPION:
            missing = [image for image in images if image.pk not in said]
            said |= self._asked(version, plan, missing)
        ratio = price_of_reject(_in_force(plan))
        return [
            _turned(image, said[image.pk] == "fail", ratio) for image in images if image.pk in said
        ]

    def _asked(
        self, version: ModelVersion, plan: InspectionPlan, images: Sequence[InspectionImage]
    ) -> dict[Any, str]:
        model = serving.load(version)
        limit = limit_of(version, selectors.vision_setup(plan), _in_force(plan))
        return {
            one.image_id: "fail" if model.judge(one.pixels, limit=limit).score > limit else "pass"
            for one in lessons.lessons_of(images)
        }

    def findings(self, version: ModelVersion, *, at: datetime) -> list[Finding]:
        """Find that pictures are no longer taken as those that taught: light, focus, place."""
        reference = version.details.get("figures")
        rows = ImageVerdict.objects.filter(version=version, made_at__gt=at - RECENT)
        recent = [
            [float(row.get(name, np.nan)) for name in FIGURES]
            for row in rows.order_by("-made_at", "-pk").values_list("figures", flat=True)[
                :MOST_RECENT
            ]
        ]
        if not reference or not recent:
            return []
        seen = Reference(Regimes.single(), np.array([reference], dtype=np.float64))
        departures = drift.departures(seen, np.array(recent[::-1], dtype=np.float64))
        return [
            _drifted(version, FIGURES[column], departure)
            for departure in departures
            for column in departure.columns
        ]


def regression_set(plan: InspectionPlan) -> list[InspectionImage]:
    """Return the kept pictures of a plan, the newest of good and defective ones each."""
    rows = lessons.labelled(plan.pk).filter(is_kept=True)
    return [
        *rows.filter(label=Label.GOOD)[:MOST_KEPT], *rows.filter(label=Label.DEFECT)[:MOST_KEPT],
    ]  # fmt: skip


def _in_force(plan: InspectionPlan) -> InspectionPlan:
    """Return the version of a plan whose costs count."""
    return production_selectors.version_in_force(plan) or plan


def price_of_reject(plan: InspectionPlan) -> float:
    """Return what a false reject costs in escapes."""
    escape, reject = plan.escape_cost_minor, plan.false_reject_cost_minor
    if not escape or reject is None:
        return USUAL_RATIO
    return reject / escape


def loss(is_rejected: bool, is_defective: bool, ratio: float) -> float:
    """Return what a verdict costs, in escapes."""
    if is_rejected == is_defective:
        return 0.0
    return 1.0 if is_defective else ratio


def separation(good: FloatArray, bad: FloatArray) -> float:
    """Return how often a defective part scores higher than a good one (AUROC)."""
    above = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    return float(above)


def _learned(data: _Data, progress: Progress) -> VisualModel:
    def report(share: float, words: str) -> None:
        progress(0.9 * share, words)

    if data.setup.mode == VisionSetup.Mode.ANOMALY:
        return visual.by_good_pictures(data.lessons, report=report)
    first = next((one for one in data.lessons if one.image_id == data.setup.golden_id), None)
    if first is None or first.is_defective:
        raise NotReady("Not enough data: the golden picture has to be labelled good first.")
    return visual.by_golden_picture(first, data.lessons, report=report)


def _apart(found: Sequence[Lesson]) -> list[str]:
    """Name the good pictures that a model has not learned from."""
    used = {one.key for one in visual.taught(found)[0]}
    return [one.key for one in found if not one.is_defective and one.key not in used]


def _left_out(model: VisualModel, data: _Data) -> dict[str, float]:
    """Return the losses of the pictures that taught, each by what the others taught."""
    good, shown = visual.taught(data.lessons)
    limit, ratio = data.setup.limit or model.limit, price_of_reject(_in_force(data.plan))
    scores: Mapping[str, float] = {}
    if len(good) == len(model.scores.good):
        scores = dict(zip((one.key for one in good), model.scores.good, strict=True))
    scores = {**scores, **dict(zip((one.key for one in shown), model.scores.defects, strict=True))}
    return {
        one.key: loss(scores[one.key] > limit, one.is_defective, ratio)
        for one in (*good, *shown)
        if one.key in scores
    }


def _verdicts(model: VisualModel, found: Sequence[Lesson], limit: float) -> dict[str, bool]:
    """Return picture -> whether its part is rejected."""
    return {one.key: model.judge(one.pixels, limit=limit).score > limit for one in found}


def _turned(image: InspectionImage, is_rejected: bool, ratio: float) -> Turned:
    is_defective = image.label == Label.DEFECT
    codes = [region.defect_type.code for region in lessons.newest_regions(image)]
    slice_ = (codes[0] if codes else lessons.UNNAMED) if is_defective else GOOD
    assert image.labelled_at is not None  # it is labelled
    return Turned(
        f"image-{image.pk}", image.labelled_at, 1, loss(is_rejected, is_defective, ratio),
        is_rejected == is_defective, slice=slice_,
    )  # fmt: skip


def _drifted(version: ModelVersion, figure: str, departure: drift.Departure) -> Finding:
    words = {
        "brightness": "are brighter" if departure.side > 0 else "are darker",
        "sharpness": "are sharper" if departure.side > 0 else "are less sharp",
        "strangeness": "look different as a whole",
    }[figure]
    message = (
        f"Pictures {words} than those that taught ({departure.share:.0%} of the last ones): "
        "look at lamp, lens and camera first. Then teach some of the new pictures."
    )
    evidence = {
        "figure": figure, "share": departure.share, "p": departure.p_value,
        "value": departure.value, "usual": list(departure.usual),
    }  # fmt: skip
    return Finding(
        version=version, what=Finding.What.PICTURES, signal=figure, message=message,
        evidence=evidence,
    )  # fmt: skip


def _usual_figures(model: VisualModel, data: _Data) -> list[list[float]]:
    """Return the range of each of `FIGURES` over the good pictures."""
    good = [one for one in data.lessons if not one.is_defective]
    rows = []
    for one in good[-MOST_RECENT:]:
        figures = model.judge(one.pixels).figures
        rows.append([figures[name] for name in FIGURES])
    seen = Reference.of(Regimes.single(), np.array(rows, dtype=np.float64)).ranges[0]
    # A picture that taught lies at no distance from itself: half of what is foreign is usual.
    seen[FIGURES.index("strangeness"), 1] = 0.5 * model.acquisition.foreign
    return [[round(float(end), 4) for end in ends] for ends in seen]


def _weaknesses(model: VisualModel) -> list[str]:
    found = []
    if len(model.scores.good) < 20:
        found.append(
            f"It has seen {len(model.scores.good)} good parts only: 20 and more are better."
        )
    if not len(model.scores.defects):
        found.append("It has seen no defective part: how many it misses is not known.")
    for slice_ in sorted(set(model.scores.slices)):
        scores = [
            score for own, score in zip(model.scores.slices, model.scores.defects, strict=True)
            if own == slice_
        ]  # fmt: skip
        n_missed = sum(score <= model.limit for score in scores)
        if n_missed:
            found.append(f"Of {len(scores)} shown parts with {slice_} it would miss {n_missed}.")
    return found


def _pictures(n: int) -> str:
    return f"{n} picture{'' if n == 1 else 's'}"
