"""What people have taught about a plan's pictures: the newest label of each, with its pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import cv2
import numpy as np
import structlog
from django.db.models import Prefetch, QuerySet

from mlops import picture_store, region_masks
from mlops.models import ImageLabel, ImageRegion, InspectionImage
from mlops.tabular.table import BoolArray
from mlops.vision import pictures
from mlops.vision.backbone import Pixels
from mlops.vision.boxes import Box, Labelled

log = structlog.get_logger()

Label = InspectionImage.Label
GOOD: Final = "good"
# A defect that nobody has named.
UNNAMED: Final = "defect"
# Learned from: the newest of each.
MOST_GOOD: Final = 200
MOST_DEFECTS: Final = 200
# Larger pictures are learned from at this size; defects of a few pixels of it are seen.
MOST_SIDE: Final = 1024


@dataclass(frozen=True, slots=True)
class Lesson:
    """One picture that somebody has labelled.

    Attributes:
        pixels: (height, width, 3), at most `MOST_SIDE` a side.
        mask: (height, width) where the defect is; None if nobody has marked it.
        boxes: what was marked, in these pixels.
        slice: the code of its defect that comes most often, or `GOOD`.
        is_kept: of the regression set: never among the good ones that are learned from.
    """

    image_id: UUID
    pixels: Pixels
    is_defective: bool
    mask: BoolArray | None
    boxes: Sequence[Labelled]
    slice: str
    is_kept: bool
    labelled_at: datetime

    @property
    def key(self) -> str:
        return f"image-{self.image_id}"


def labelled(plan_id: UUID) -> QuerySet[InspectionImage]:
    """Return the pictures of a plan that are labelled good or defective and still there."""
    rows = InspectionImage.objects.filter(plan_id=plan_id, label__in=[Label.GOOD, Label.DEFECT])
    regions = Prefetch("regions", ImageRegion.objects.select_related("defect_type"))
    labels = Prefetch("labels", ImageLabel.objects.order_by("-at", "-pk").prefetch_related(regions))
    return rows.exclude(object_key="").prefetch_related(labels).order_by("-labelled_at", "pk")


def chosen(plan_id: UUID, *, at: datetime) -> list[InspectionImage]:
    """Return the pictures that a model of a moment learns from, oldest label first."""
    rows = labelled(plan_id).filter(labelled_at__lte=at)
    good = rows.filter(label=Label.GOOD)
    found = [
        *good.filter(is_kept=False)[:MOST_GOOD],
        *good.filter(is_kept=True)[: MOST_GOOD // 2],
        *rows.filter(label=Label.DEFECT)[:MOST_DEFECTS],
    ]
    return sorted(found, key=lambda image: (image.labelled_at or at, str(image.pk)))


def lessons_of(images: Sequence[InspectionImage]) -> Iterator[Lesson]:
    """Fetch and decode pictures one by one; one that cannot be had is left out, and said so.

    Raises:
        tenants.storage.StorageUnavailable: the store is away.
    """
    for image in images:
        try:
            picture = pictures.decode(picture_store.content_of(image))
        except (picture_store.PictureGone, pictures.PictureRefused) as error:
            log.warning("vision.lesson.left_out", image_id=str(image.pk), reason=str(error))
            continue
        yield lesson_of(image, picture.pixels)


def lesson_of(image: InspectionImage, pixels: Pixels) -> Lesson:
    """Join a picture's pixels with what was said of it."""
    small, scale = shrunk(pixels)
    regions = newest_regions(image)
    codes = Counter(region.defect_type.code for region in regions)
    is_defective = image.label == Label.DEFECT
    assert image.labelled_at is not None  # it is labelled
    return Lesson(
        image_id=image.pk,
        pixels=small,
        is_defective=is_defective,
        mask=_mask(regions, pixels.shape[:2], small.shape[:2]) if regions else None,
        boxes=[
            Labelled(_box(region, scale), region.defect_type.code) for region in regions
        ],
        slice=(codes.most_common(1)[0][0] if codes else UNNAMED) if is_defective else GOOD,
        is_kept=image.is_kept,
        labelled_at=image.labelled_at,
    )  # fmt: skip


def newest_regions(image: InspectionImage) -> list[ImageRegion]:
    """Return what the newest label marks."""
    newest = next(iter(image.labels.all()), None)
    return [] if newest is None else list(newest.regions.all())


def digest_of(lessons: Sequence[Lesson]) -> str:
    """Name a data set by its content."""
    found = hashlib.sha256()
    for lesson in lessons:
        found.update(str(lesson.image_id).encode())
        found.update(lesson.slice.encode())
        found.update(bytes([lesson.is_kept]))
        found.update(b"" if lesson.mask is None else np.packbits(lesson.mask).tobytes())
    return found.hexdigest()


def shrunk(pixels: Pixels) -> tuple[Pixels, float]:
    """Return a picture of at most `MOST_SIDE` a side, and its pixels for one of the picture's."""
    scale = MOST_SIDE / max(pixels.shape[:2])
    if scale >= 1.0:
        return pixels, 1.0
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _box(region: ImageRegion, scale: float) -> Box:
    return Box(
        region.x * scale, region.y * scale,
        (region.x + region.width) * scale, (region.y + region.height) * scale,
    )  # fmt: skip


def _mask(
    regions: Sequence[ImageRegion], shape: tuple[int, ...], small: tuple[int, ...]
) -> BoolArray:
    whole = np.zeros(shape, dtype=np.uint8)
    for region in regions:
        place = whole[region.y : region.y + region.height, region.x : region.x + region.width]
        if region.mask is None:
            place[:] = 1
        else:
            place |= region_masks.unpacked(
                bytes(region.mask), width=region.width, height=region.height
            )
    if shape == small:
        return whole.astype(np.bool_)
    size = (small[1], small[0])
    shrunk = cv2.resize(whole.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk > 0.0)
