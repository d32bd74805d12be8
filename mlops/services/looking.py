"""Looking at pictures: the version in service judges, an inspection is written down.

On the line a picture is judged before anything is stored, so that the verdict waits for neither
S3 nor MLflow: the model lies in this process or on this machine's disk, the picture's bytes in
PostgreSQL until S3 has them.
"""

from __future__ import annotations

import io
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import numpy as np
from django.db import transaction
from PIL import Image

from mlops import kinds, picture_store, selectors, serving
from mlops.models import ImageVerdict, InspectionImage, Kind
from mlops.services import pictures as picture_services
from mlops.vision import pictures
from mlops.vision.backbone import Pixels
from mlops.vision.thresholds import limit_of
from mlops.vision.visual import Looked
from production import selectors as production_selectors
from production import services as production_services
from production.models import DefectType, Inspection, InspectionPlan, Lot, Verdict
from tenants.models import User

State = ImageVerdict.State
# A score within so much of the limit, in parts of it, is worth a second look.
DOUBT_WITHIN: Final = 0.25
# A look without a model, or at a picture that cannot be used, tells people most.
FULL_DOUBT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Piece:
    """What was looked at: a lot by its code, a piece of it, the machine that made it."""

    lot_code: str = ""
    piece: str = ""
    machine_id: UUID | None = None


class LotUnknown(Exception):
    """The plan's product has no such lot."""


def inspect_picture(
    *,
    plan_id: UUID,
    content: bytes,
    at: datetime,
    source: str = InspectionImage.Source.API,
    name: str = "",
    taken_at: datetime | None = None,
    piece: Piece = Piece(),
    by: User | None = None,
    request_id: UUID | None = None,
) -> ImageVerdict:
    """Judge a picture of a part and write the inspection down; sent again, it is the same one.

    Without a lot the picture is judged and kept, and no inspection is written.

    Raises:
        InspectionPlan.DoesNotExist: not in this factory.
        mlops.vision.pictures.PictureRefused: it is no picture that is taken, and why.
        mlops.picture_store.TooManyPending: the object store has been away for too long.
        tenants.limits.LimitReached: the plan, or the owner's cap, takes no more this month.
        LotUnknown: the product has no such lot.
        production.services.Refused: the inspection cannot be written so.
    """
    plan = production_selectors.first_version(plan_id)
    lot = _lot(plan, piece.lot_code)
    image, _is_new = picture_services.add_picture(
        plan_id=plan.pk, content=content, source=source, at=at, taken_at=taken_at, name=name
    )
    known = selectors.newest_verdict(image)
    if known is not None and known.state != State.NO_MODEL:
        return known
    verdict = look(image, pictures.decode(content).pixels, plan=plan, at=at)
    with transaction.atomic():
        InspectionImage.objects.select_for_update(no_key=True).get(pk=image.pk)
        again = selectors.newest_verdict(image)
        if again is not None and again.state != State.NO_MODEL:
            return again
        if lot is not None and image.inspection_id is None:
            image.inspection = _inspected(
                plan, lot, piece, verdict, at=at, taken_at=image.taken_at, by=by,
                request_id=request_id,
            )  # fmt: skip
            image.save(update_fields=["inspection"])
        _keep(verdict)
    return verdict


def judge_image(*, image_id: UUID, at: datetime) -> ImageVerdict:
    """Judge a stored picture by the version in service, unless that has said something already.

    Raises:
        InspectionImage.DoesNotExist: not in this factory.
        mlops.picture_store.PictureGone: it is not kept any more.
        tenants.storage.StorageUnavailable: the store is away.
    """
    image = InspectionImage.objects.select_related("plan__product").get(pk=image_id)
    pixels = pictures.decode(picture_store.content_of(image)).pixels
    verdict = look(image, pixels, plan=image.plan, at=at)
    known = image.verdicts.filter(version=verdict.version, is_shadow=False)
    if (found := known.exclude(version=None).first()) is not None:
        return found
    _keep(verdict)
    return verdict


def look(
    image: InspectionImage, pixels: Pixels, *, plan: InspectionPlan, at: datetime
) -> ImageVerdict:
    """Return what the version in service says of a picture (not saved)."""
    candidates = selectors.serving_order(subject_id=plan.pk, kind=Kind.VISION)
    if not candidates:
        message = kinds.of(Kind.VISION).readiness(plan).message
        return _unsaid(image, State.NO_MODEL, message, at)
    try:
        served = serving.serve(candidates)
    except serving.NoModel as error:
        return _unsaid(image, State.REFUSED, str(error), at)
    setup = selectors.vision_setup(plan)
    in_force = production_selectors.version_in_force(plan) or plan
    return _said(image, pixels, served, limit_of(served.version, setup, in_force), at)


def _said(
    image: InspectionImage, pixels: Pixels, served: serving.Served, limit: float, at: datetime
) -> ImageVerdict:  # fmt: skip
    began = time.perf_counter()
    looked = served.model.judge(pixels, limit=limit)
    is_usable = not looked.complaints
    verdict = ImageVerdict(
        image=image, version=served.version, made_at=at,
        state=State.OK if is_usable else State.NOT_USABLE,
        message=served.note[:500] if is_usable else looked.complaints[0].sentence[:500],
        took_ms=round(1000.0 * (time.perf_counter() - began), 1),
        acquisition=[asdict(one) for one in looked.complaints], figures=looked.figures,
    )  # fmt: skip
    if is_usable:
        verdict.score, verdict.limit = looked.score, limit
        verdict.verdict = Verdict.FAIL if looked.score > limit else Verdict.PASS
        verdict.regions, verdict.heat = _regions(looked), _png(looked.heat)
    return verdict


def _unsaid(image: InspectionImage, state: str, message: str, at: datetime) -> ImageVerdict:
    return ImageVerdict(image=image, made_at=at, state=state, message=message[:500])


def _keep(verdict: ImageVerdict) -> None:
    """Save what was said, and how much a look by a person is worth while nobody has looked."""
    verdict.save()
    rows = InspectionImage.objects.filter(pk=verdict.image_id, label=InspectionImage.Label.NONE)
    rows.update(doubt=doubt_of(verdict))


def doubt_of(verdict: ImageVerdict) -> float:
    """Return how doubtful a verdict is: 1 at the limit, 0 from a quarter of it away."""
    if verdict.state != State.OK or verdict.score is None or verdict.limit is None:
        return FULL_DOUBT
    away = abs(verdict.score - verdict.limit) / (DOUBT_WITHIN * max(verdict.limit, 1e-9))
    return float(np.clip(1.0 - away, 0.0, 1.0))


def _regions(looked: Looked) -> list[dict[str, object]]:
    return [
        {
            "x": round(one.box.left), "y": round(one.box.top),
            "width": max(1, round(one.box.right - one.box.left)),
            "height": max(1, round(one.box.bottom - one.box.top)),
            "area": one.area, "label": one.label, "probability": round(one.score, 3),
        }
        for one in looked.found
    ]  # fmt: skip


def _png(heat: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(heat).save(out, "PNG")
    return out.getvalue()


def _lot(plan: InspectionPlan, code: str) -> Lot | None:
    if not code:
        return None
    found = Lot.objects.filter(product_id=plan.product_id, code=code).first()
    if found is None:
        raise LotUnknown(f"{plan.product.name} has no lot {code}.")
    return found


def _inspected(
    plan: InspectionPlan, lot: Lot, piece: Piece, verdict: ImageVerdict, *, at: datetime,
    taken_at: datetime, by: User | None, request_id: UUID | None,
) -> Inspection:  # fmt: skip
    """Write the inspection down under the version of the plan that is in force."""
    in_force = production_selectors.version_in_force(plan) or plan
    labels = Counter(str(one["label"]) for one in verdict.regions if one["label"])
    known = set(DefectType.objects.filter(code__in=labels).values_list("code", flat=True))
    return production_services.record_inspection(
        plan_id=in_force.pk, at=at, by=by, source=Inspection.Source.VISION, lot_id=lot.pk,
        piece=piece.piece, machine_id=piece.machine_id, inspected_at=min(taken_at, at),
        verdict=verdict.verdict or Verdict.UNCLEAR, request_id=request_id,
        defects={code: n for code, n in labels.items() if code in known},
        note=verdict.message[:500],
    )  # fmt: skip
