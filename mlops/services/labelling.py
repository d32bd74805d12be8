"""What people say of pictures. Nothing is overwritten: the newest word of each person counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from mlops import region_masks
from mlops.models import ImageLabel, ImageRegion, InspectionImage
from mlops.picture_store import PictureUnknown
from production import services as production_services
from production.models import DefectType, Verdict
from tenants.models import User

MAX_REGIONS: Final = 200
NOTE_LENGTH: Final = 500
# One good picture in so many goes into the regression set without being asked for.
KEEP_ONE_IN: Final = 4
Label = InspectionImage.Label
_VERDICTS: Final[Mapping[str, str]] = {
    Label.GOOD: Verdict.PASS, Label.DEFECT: Verdict.FAIL, Label.UNUSABLE: Verdict.UNCLEAR,
}  # fmt: skip


class LabelRefused(Exception):
    """What is said of a picture cannot be.

    Attributes:
        code: one of unknown_label, region_outside, unknown_defect, regions_need_a_defect,
            too_many_regions, mask_refused.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class RegionSaid:
    """Where a defect is seen: a box in pixels of the picture, from its upper left corner.

    Attributes:
        mask_png: what was painted, see `mlops.region_masks.mask_of`; None: the whole box.
    """

    defect_code: str
    x: int
    y: int
    width: int
    height: int
    mask_png: bytes | None = None


def label_picture(
    *,
    image_id: UUID,
    label: str,
    by: User | None,
    at: datetime,
    regions: Sequence[RegionSaid] = (),
    note: str = "",
    request_id: UUID | None = None,
) -> ImageLabel:
    """Write down what a person says a picture shows; "" takes back what was said.

    The picture carries the newest label, nobody needs to look at it any more, and the inspection
    that it belongs to is judged accordingly. One good picture in four goes into the regression
    set by itself. The same request labels once.

    Raises:
        PictureUnknown: no such picture.
        LabelRefused: the label, a region or a mask cannot be; nothing is written.
        production.services.Refused: the inspection cannot be judged so; nothing is written.
    """
    check_label(label)
    with transaction.atomic():
        rows = InspectionImage.objects.select_for_update(no_key=True, of=("self",))
        image = rows.filter(pk=image_id).first()
        if image is None:
            raise PictureUnknown("There is no such picture.")
        if request_id and (first := image.labels.filter(request_id=request_id).first()):
            return first
        drawn = _regions(image, label, regions)
        said = ImageLabel.objects.create(
            image=image, label=label, by=by, at=at, note=note[:NOTE_LENGTH], request_id=request_id
        )
        for region in drawn:
            region.label = said
        ImageRegion.objects.bulk_create(drawn)
        _mirror(image)
        if image.inspection_id and label:
            _judge(image.inspection_id, said, regions)
    return said


def check_label(label: str) -> None:
    """Check that there is such a label.

    Raises:
        LabelRefused: there is not.
    """
    if label not in Label.values:
        raise LabelRefused("unknown_label", "A label is good, defect, unusable, or empty.")


def is_kept_by_itself(digest: str) -> bool:
    """Say whether a good picture goes into the regression set by itself: one in four, by digest."""
    return int(digest[:8], 16) % KEEP_ONE_IN == 0


def _regions(
    image: InspectionImage, label: str, regions: Sequence[RegionSaid]
) -> list[ImageRegion]:
    """Return the rows of what was marked, all checked."""
    if len(regions) > MAX_REGIONS:
        raise LabelRefused("too_many_regions", f"A picture takes {MAX_REGIONS} regions at most.")
    if regions and label != Label.DEFECT:
        raise LabelRefused("regions_need_a_defect", "Only a defective part has marked regions.")
    known = DefectType.objects.in_bulk({said.defect_code for said in regions}, field_name="code")
    return [_region(image, said, known.get(said.defect_code)) for said in regions]


def _region(image: InspectionImage, said: RegionSaid, defect: DefectType | None) -> ImageRegion:
    if defect is None:
        raise LabelRefused("unknown_defect", f"There is no kind of defect {said.defect_code!r}.")
    is_inside = (
        min(said.x, said.y) >= 0
        and min(said.width, said.height) >= 1
        and said.x + said.width <= image.width
        and said.y + said.height <= image.height
    )
    if not is_inside:
        raise LabelRefused(
            "region_outside",
            f"A region lies outside of the picture, which has {image.width} x {image.height} "
            "pixels.",
        )
    mask = None
    if said.mask_png is not None:
        try:
            painted = region_masks.mask_of(
                said.mask_png, box=(said.x, said.y, said.width, said.height),
                picture_size=(image.width, image.height),
            )  # fmt: skip
        except region_masks.MaskRefused as error:
            raise LabelRefused("mask_refused", str(error)) from error
        mask = region_masks.packed(painted)
    return ImageRegion(
        defect_type=defect, x=said.x, y=said.y, width=said.width, height=said.height, mask=mask
    )


def _mirror(image: InspectionImage) -> None:
    """Let a picture, whose row is held, carry its newest label."""
    newest = image.labels.order_by("-at", "-pk")[0]
    image.label = newest.label
    image.labelled_at = newest.at if newest.label else None
    image.doubt = None
    image.is_kept = image.is_kept or (
        image.label == Label.GOOD and bool(image.object_key) and is_kept_by_itself(image.digest)
    )
    image.save(update_fields=["label", "labelled_at", "doubt", "is_kept"])


def _judge(inspection_id: UUID, said: ImageLabel, regions: Sequence[RegionSaid]) -> None:
    production_services.judge(
        inspection_id=inspection_id, verdict=_VERDICTS[said.label], at=said.at, by=said.by,
        note=said.note, defects=Counter(region.defect_code for region in regions),
        request_id=said.request_id,
    )  # fmt: skip
