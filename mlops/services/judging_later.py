"""Judging stored pictures by a job: those that were uploaded, and those a new version is to see."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Q

from mlops import selectors
from mlops.kinds import Progress
from mlops.models import InspectionImage, Kind
from mlops.picture_store import PictureGone
from mlops.services.looking import judge_image
from tenants import jobs
from tenants.context import current_factory
from tenants.models import Job

# Pictures that one job judges at most: a minute or two of one core.
MOST_JUDGED: Final = 500


def ask_to_judge(*, plan_id: UUID, image_ids: Iterable[UUID]) -> Job | None:
    """Queue the judging of a plan's pictures; None where no version serves, or there are none."""
    wanted = [str(image_id) for image_id in image_ids][:MOST_JUDGED]
    champion = selectors.champion(subject_id=plan_id, kind=Kind.VISION)
    if champion is None or not wanted:
        return None
    return jobs.enqueue(
        task="mlops.judge_images", kwargs={"image_ids": wanted}, factory=current_factory()
    )


def ask_to_judge_anew(*, plan_id: UUID) -> Job | None:
    """Queue what the version in service has not seen: the regression set and what waits."""
    champion = selectors.champion(subject_id=plan_id, kind=Kind.VISION)
    if champion is None:
        return None
    rows = InspectionImage.objects.filter(plan_id=plan_id).exclude(object_key="")
    rows = rows.filter(Q(is_kept=True) | Q(label=InspectionImage.Label.NONE))
    unseen = rows.exclude(verdicts__version=champion).order_by("-is_kept", "-taken_at", "pk")
    return ask_to_judge(plan_id=plan_id, image_ids=unseen.values_list("pk", flat=True))


def judge_images(*, image_ids: Sequence[UUID], at: datetime, progress: Progress) -> int:
    """Judge stored pictures by the version in service; return how many there were.

    Those that are gone are left out.

    Raises:
        InspectionImage.DoesNotExist: none of them is this factory's.
        tenants.storage.StorageUnavailable: the store is away; what was judged stays.
    """
    there = InspectionImage.objects.only("pk").in_bulk(image_ids)
    wanted = [image_id for image_id in image_ids if image_id in there]
    if not wanted:
        raise InspectionImage.DoesNotExist
    n_judged = 0
    for place, image_id in enumerate(wanted):
        progress(place / len(wanted), f"Judging picture {place + 1} of {len(wanted)}")
        try:
            judge_image(image_id=image_id, at=at)
        except PictureGone:
            continue
        n_judged += 1
    return n_judged
