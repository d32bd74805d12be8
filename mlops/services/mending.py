"""Mending what a model got wrong: a missed defect is taught, kept, and learned from at once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from mlops.kinds import NotReady
from mlops.models import InspectionImage, Kind
from mlops.services import labelling, training
from mlops.services.labelling import RegionSaid
from mlops.services.pictures import keep_picture
from tenants.models import Job, User


def fix_miss(
    *, image_id: UUID, regions: Sequence[RegionSaid], by: User | None, at: datetime,
    note: str = "", request_id: UUID | None = None,
) -> Job | None:  # fmt: skip
    """Teach a missed defect and ask for a version that finds it; None where none can be trained.

    The picture joins the regression set, so that no later version may miss it again. The new
    version serves only if nothing of the set that was judged right is judged wrong.

    Raises:
        PictureUnknown: no such picture, or its pixels are gone.
        LabelRefused: a region cannot be; nothing is written.
    """
    with transaction.atomic():
        labelling.label_picture(
            image_id=image_id, label=InspectionImage.Label.DEFECT, regions=regions, by=by, at=at,
            note=note or "Missed by the model.", request_id=request_id,
        )  # fmt: skip
        image = keep_picture(image_id=image_id, is_kept=True, by=by)
    return _learn(image, f"A defect was missed in {_named(image)}.", by)


def fix_false_alarm(
    *, image_id: UUID, by: User | None, at: datetime, note: str = "",
    request_id: UUID | None = None,
) -> Job | None:  # fmt: skip
    """Teach that a rejected part is good, and ask for a version that lets it pass.

    Errors as in `fix_miss`.
    """
    with transaction.atomic():
        labelling.label_picture(
            image_id=image_id, label=InspectionImage.Label.GOOD, by=by, at=at,
            note=note or "Rejected by the model, but good.", request_id=request_id,
        )  # fmt: skip
        # Learned from, not only looked at: what is kept is never among the good ones that teach.
        image = keep_picture(image_id=image_id, is_kept=False, by=by)
    return _learn(image, f"A good part was rejected in {_named(image)}.", by)


def _learn(image: InspectionImage, reason: str, by: User | None) -> Job | None:
    try:
        return training.request_training(
            subject_id=image.plan_id, by=by, kind=Kind.VISION, reason=reason
        )
    except NotReady:
        return None


def _named(image: InspectionImage) -> str:
    return f"picture {image.name or str(image.pk)[:8]}"
