"""Pictures of inspections: taken in once, brought to the object store, removed when old."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from mlops import picture_store, selectors
from mlops.models import InspectionImage, PendingPicture, VisionSetup
from mlops.picture_store import PictureUnknown
from mlops.services.labelling import check_label, label_picture
from mlops.vision import pictures
from production import selectors as production_selectors
from production.models import Inspection, InspectionPlan
from tenants import audit, jobs, limits, storage
from tenants.context import current_factory
from tenants.models import FactoryLimits, Meter, User

log = structlog.get_logger()

# Pictures of a plan that one pass of retention removes at most.
RETAIN_AT_A_TIME: Final = 500

Label = InspectionImage.Label


class SetupRefused(ValueError):
    """A setup contradicts itself; says how."""


@dataclass(frozen=True, slots=True)
class SetupFields:
    """What is said of how a plan's pictures are judged; costs in minor units of the currency.

    `limit` None: the one that costs least.
    """

    mode: str = VisionSetup.Mode.ANOMALY.value
    golden_id: UUID | None = None
    parts_per_day: float = 500.0
    defective_share: float = 0.01
    limit: float | None = None
    keep_days: int = 90
    escape_cost_minor: int | None = None
    false_reject_cost_minor: int | None = None

    @classmethod
    def of(cls, plan: InspectionPlan) -> SetupFields:
        """Return what is said now; defaults where nobody has said anything."""
        setup = selectors.vision_setup(plan)
        in_force = production_selectors.version_in_force(plan) or plan
        return cls(
            mode=setup.mode, golden_id=setup.golden_id, parts_per_day=setup.parts_per_day,
            defective_share=setup.defective_share, limit=setup.limit, keep_days=setup.keep_days,
            escape_cost_minor=in_force.escape_cost_minor,
            false_reject_cost_minor=in_force.false_reject_cost_minor,
        )  # fmt: skip


def add_picture(
    *,
    plan_id: UUID,
    content: bytes,
    source: str,
    at: datetime,
    taken_at: datetime | None = None,
    name: str = "",
    label: str = "",
    by: User | None = None,
    inspection_id: UUID | None = None,
) -> tuple[InspectionImage, bool]:
    """Take in a picture and say whether it is new; it is committed when this returns.

    It belongs to the plan's first version, and so to all. It is known by the digest of what was
    sent: sent again, also twice at once, the first one is returned. Its pixels wait in PostgreSQL
    until a job has brought them to the object store, so that a store that is away refuses nothing.

    Args:
        content: the file as it came.
        name: of the file; only what people may see of it is kept.
        taken_at: when the camera took it. None, or a time to come (the camera's clock is wrong):
            `at`.
        label: what it shows, said by `by`; where somebody has labelled it already, it is passed
            over.

    Raises:
        LabelRefused: there is no such label.
        mlops.vision.pictures.PictureRefused: it is no picture that is taken, and why.
        mlops.picture_store.TooManyPending: the object store has been away for too long.
        tenants.limits.LimitReached: the plan, or the owner's cap, takes no more this month.
        PictureUnknown: no such plan, or the inspection is not one of the plan's.
    """
    digest = hashlib.sha256(content).hexdigest()
    check_label(label)
    plan = _plan(plan_id)
    known = InspectionImage.objects.filter(plan=plan, digest=digest).first()
    if known is not None:
        return _labelled(known, label, by=by, at=at), False
    _check_whose(plan, inspection_id)
    drawn = picture_store.drawn(pictures.decode(content))
    picture_store.check_room(len(drawn.content))
    image = InspectionImage(
        plan=plan, inspection_id=inspection_id, source=source,
        taken_at=min(taken_at or at, at), received_at=at, digest=digest,
        name=picture_store.shown_name(name), width=drawn.width, height=drawn.height,
        n_bytes=len(drawn.content),
    )  # fmt: skip
    keys = picture_store.keys_of(plan_id=plan.pk, image_id=image.pk)
    image.object_key, image.thumbnail_key = keys
    with transaction.atomic():
        there, is_new = _insert(image, drawn, at=at)
        return _labelled(there, label, by=by, at=at), is_new


def _labelled(
    image: InspectionImage, label: str, *, by: User | None, at: datetime
) -> InspectionImage:
    if not label or image.labels.exists():
        return image
    return label_picture(image_id=image.pk, label=label, by=by, at=at).image


def _plan(plan_id: UUID) -> InspectionPlan:
    """Return the version of a plan that pictures belong to, the first."""
    try:
        return production_selectors.first_version(plan_id)
    except InspectionPlan.DoesNotExist as error:
        raise PictureUnknown(f"There is no inspection plan {plan_id}.") from error


def _check_whose(plan: InspectionPlan, inspection_id: UUID | None) -> None:
    """Check that an inspection was made under some version of the plan."""
    if inspection_id is None:
        return
    rows = Inspection.objects.filter(plan__product_id=plan.product_id, plan__name=plan.name)
    if not rows.filter(pk=inspection_id).exists():
        raise PictureUnknown(f"There is no inspection {inspection_id} of this plan.")


def _insert(
    image: InspectionImage, drawn: picture_store.Drawn, *, at: datetime
) -> tuple[InspectionImage, bool]:
    # Who sends the same at the same time waits here for the other's commit, then finds its row.
    InspectionImage.objects.bulk_create([image], ignore_conflicts=True)
    there = InspectionImage.objects.get(plan_id=image.plan_id, digest=image.digest)
    if there.pk != image.pk:
        return there, False
    picture_store.hold(there, drawn, at=at)
    _count(at)
    # One job brings all that wait. Last, because its key makes others wait for this commit.
    jobs.enqueue(
        task="mlops.store_pictures", kwargs={"image_id": str(there.pk)},
        factory=current_factory(), key="store-pictures",
    )  # fmt: skip
    return there, True


def _count(at: datetime) -> None:
    """Count a new picture against the month's limit; others who add one wait for this commit."""
    factory = current_factory()
    row = FactoryLimits.objects.filter(factory=factory).only("images_per_month").first()
    limits.use(
        factory=factory, meter=Meter.IMAGES, what="pictures",
        most=row.images_per_month if row else None, at=at,
        # All but the one that this transaction has just written.
        counted=lambda start, end: selectors.n_images(start=start, end=end) - 1,
    )  # fmt: skip


def store_pictures(*, image_id: UUID) -> int:
    """Bring a picture, and all that wait with it, to the object store; return how many it got.

    A store that is away is no error: they wait on, and the clock tries again.

    Raises:
        InspectionImage.DoesNotExist: not in this factory.
    """
    first = InspectionImage.objects.only("pk").get(pk=image_id)
    waiting = PendingPicture.objects.exclude(pk=first.pk).order_by("received_at", "pk")
    n_stored = 0
    try:
        for pk in [first.pk, *waiting.values_list("pk", flat=True)]:
            n_stored += picture_store.bring(pk)
    except storage.StorageUnavailable as error:
        log.warning("pictures.store.away", error=str(error), n_stored=n_stored)
    return n_stored


def store_waiting() -> None:
    """Queue the storing of pictures where some wait."""
    oldest = PendingPicture.objects.order_by("received_at", "pk").values_list("pk").first()
    if oldest is not None:
        jobs.enqueue(
            task="mlops.store_pictures", kwargs={"image_id": str(oldest[0])},
            factory=current_factory(), key="store-pictures",
        )  # fmt: skip


def keep_picture(*, image_id: UUID, is_kept: bool, by: User | None) -> InspectionImage:
    """Take a picture into the regression set, or out of it; a kept one is never removed.

    Raises:
        PictureUnknown: no such picture, or its pixels are gone.
    """
    rows = InspectionImage.objects.filter(pk=image_id)
    if is_kept:
        rows = rows.exclude(object_key="")
    if not rows.update(is_kept=is_kept):
        raise PictureUnknown("There is no such picture, or it is not kept any more.")
    audit.record(
        action="picture.kept" if is_kept else "picture.let_go", actor=by,
        target=f"inspection_image:{image_id}", factory=current_factory(),
    )  # fmt: skip
    return rows.get() if is_kept else InspectionImage.objects.get(pk=image_id)


def retain_pictures(*, at: datetime) -> int:
    """Remove the pixels of old pictures that nobody labelled; return how many lost theirs.

    What is in the regression set stays, and so does a plan's golden picture. Rows and verdicts
    stay. A store that is away is no error: the next pass goes on.
    """
    n_removed = 0
    try:
        for plan in InspectionPlan.objects.filter(images__isnull=False).distinct():
            n_removed += _retain_of(plan, at=at)
    except storage.StorageUnavailable as error:
        log.warning("pictures.store.away", error=str(error), n_removed=n_removed)
    return n_removed


def _retain_of(plan: InspectionPlan, *, at: datetime) -> int:
    setup = selectors.vision_setup(plan)
    old = InspectionImage.objects.filter(
        plan=plan, received_at__lt=at - timedelta(days=setup.keep_days), label=Label.NONE,
        is_kept=False,
    ).exclude(Q(object_key="") | Q(pk=setup.golden_id))  # fmt: skip
    wanted = old.order_by("received_at", "pk").values_list("pk", flat=True)[:RETAIN_AT_A_TIME]
    n_removed = 0
    for pk in list(wanted):
        with transaction.atomic():
            # Held, and looked at again: somebody may be labelling it right now.
            image = old.select_for_update(skip_locked=True, of=("self",)).filter(pk=pk).first()
            if image is None:
                continue
            picture_store.discard(image)
            InspectionImage.objects.filter(pk=pk).update(
                object_key="", thumbnail_key="", doubt=None
            )
            n_removed += 1
    return n_removed


@transaction.atomic
def save_setup(*, plan_id: UUID, fields: SetupFields, by: User | None) -> VisionSetup:
    """Say how the pictures of a plan are judged, and what mistakes cost.

    The setup lasts through revisions of the plan; the costs are those of the version in force.

    Raises:
        PictureUnknown: no such plan.
        SetupRefused: it contradicts itself; the text says how.
    """
    plan = _plan(plan_id)
    _check_setup(plan, fields)
    in_force = production_selectors.version_in_force(plan) or plan
    InspectionPlan.objects.filter(pk=in_force.pk).update(
        escape_cost_minor=fields.escape_cost_minor,
        false_reject_cost_minor=fields.false_reject_cost_minor,
    )
    setup, _ = VisionSetup.objects.update_or_create(
        plan=plan,
        defaults={
            "mode": fields.mode, "golden_id": fields.golden_id,
            "parts_per_day": fields.parts_per_day, "defective_share": fields.defective_share,
            "limit": fields.limit, "keep_days": fields.keep_days,
            "changed_by_id": by.pk if by else None,
        },
    )  # fmt: skip
    said = asdict(fields) | {"golden_id": str(fields.golden_id or "")}
    audit.record(
        action="vision.setup_saved", actor=by, target=f"inspection_plan:{plan.pk}",
        detail=said, factory=current_factory(),
    )  # fmt: skip
    return setup


def _check_setup(plan: InspectionPlan, fields: SetupFields) -> None:
    if not 0.0 < fields.parts_per_day <= 1e9:
        raise SetupRefused("Say how many parts are made a day, more than 0.")
    if not 0.0 <= fields.defective_share <= 1.0:
        raise SetupRefused("The share of defective parts is a number from 0 to 1.")
    if not 1 <= fields.keep_days <= 36_500:
        raise SetupRefused("Pictures are kept for at least a day, at most for a hundred years.")
    if fields.limit is not None and not math.isfinite(fields.limit):
        raise SetupRefused("The limit is a number, or empty for the one that costs least.")
    if any((cost or 0) < 0 for cost in (fields.escape_cost_minor, fields.false_reject_cost_minor)):
        raise SetupRefused("A cost is not below zero.")
    if fields.mode not in VisionSetup.Mode.values:
        raise SetupRefused(f"The mode is one of {', '.join(VisionSetup.Mode.values)}.")
    if fields.golden_id is None:
        if fields.mode == VisionSetup.Mode.GOLDEN:
            raise SetupRefused("Choose the golden picture that parts are compared with.")
        return
    found = InspectionImage.objects.filter(pk=fields.golden_id, plan=plan).exclude(object_key="")
    if not found.exists():
        raise SetupRefused("The golden picture is not one of this plan's, or is gone.")
