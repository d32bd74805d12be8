"""Pictures of inspections as the API shows and takes them; places are in pixels of the picture."""

import base64
import binascii
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from mlops import region_masks, services
from mlops.models import ImageLabel, ImageRegion, ImageVerdict, InspectionImage, VisionSetup
from mlops.selectors import Disagreement, PairAgreement
from mlops.services import RegionSaid, SetupFields

PICTURE = "3c1e5a52-3c5f-4f0e-9a3f-6a1f7f2d9b10"
REQUEST = "0b8f1d3e-7f5d-4a60-9a52-1f1d6f7f0c77"
MAX_SIDE = 1_000_000
MAX_MASK_TEXT = region_masks.MAX_BYTES * 4 // 3 + 4
LABELS = [value for value in InspectionImage.Label.values if value]
LABEL_FILTERS = [*LABELS, "none"]
SOURCES = [InspectionImage.Source.API.value, InspectionImage.Source.FOLDER.value]
# A field called `label` or `source` hides an attribute of DRF's of that name; hence the ignores.


def _example(name: str, value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample(name, value, request_only=True)])


class PictureSerializer(serializers.ModelSerializer[InspectionImage]):
    """A picture. `is_there` is false once its pixels were removed because nobody needed them."""

    is_there = serializers.SerializerMethodField()
    lot = serializers.SerializerMethodField()
    piece = serializers.SerializerMethodField()

    class Meta:
        model = InspectionImage
        fields = (
            "id", "plan", "inspection", "lot", "piece", "source", "taken_at", "received_at",
            "name", "width", "height", "n_bytes", "label", "labelled_at", "is_kept", "doubt",
            "is_there",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_there(self, image: InspectionImage) -> bool:
        return bool(image.object_key)

    def get_lot(self, image: InspectionImage) -> str:
        lot = image.inspection.lot if image.inspection else None
        return lot.code if lot else ""

    def get_piece(self, image: InspectionImage) -> str:
        return image.inspection.piece if image.inspection else ""


class FoundRegionSerializer(serializers.Serializer[Any]):
    """Where a model saw something, in pixels of the picture."""

    x = serializers.IntegerField()
    y = serializers.IntegerField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    score = serializers.FloatField(required=False, allow_null=True)
    area = serializers.FloatField(required=False, allow_null=True)
    label = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, allow_null=True
    )
    probability = serializers.FloatField(required=False, allow_null=True)


class AcquisitionSerializer(serializers.Serializer[Any]):
    """What was wrong with the taking of a picture."""

    code = serializers.CharField()
    sentence = serializers.CharField()


class ImageVerdictSerializer(serializers.ModelSerializer[ImageVerdict]):
    """What a version said of a picture. Without `verdict`, `state` and `message` say why."""

    version = serializers.IntegerField(source="version.version", default=None, allow_null=True)
    regions = FoundRegionSerializer(many=True)
    acquisition = AcquisitionSerializer(many=True)
    inspection = serializers.UUIDField(source="image.inspection_id", allow_null=True)

    class Meta:
        model = ImageVerdict
        fields = (
            "image", "inspection", "state", "verdict", "score", "limit", "regions", "acquisition",
            "message", "version", "made_at", "took_ms",
        )  # fmt: skip
        read_only_fields = fields


class SaidRegionSerializer(serializers.ModelSerializer[ImageRegion]):
    """Where a person saw which defect; `mask` is a PNG of the box, in base64."""

    defect = serializers.CharField(source="defect_type.code")
    mask = serializers.SerializerMethodField()

    class Meta:
        model = ImageRegion
        fields = ("defect", "x", "y", "width", "height", "mask")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_mask(self, region: ImageRegion) -> str | None:
        if region.mask is None:
            return None
        mask = region_masks.unpacked(
            bytes(region.mask), width=region.width, height=region.height
        )  # fmt: skip
        return base64.b64encode(region_masks.png_of(mask)).decode()


class SaidLabelSerializer(serializers.ModelSerializer[ImageLabel]):
    """What somebody said of a picture."""

    by = serializers.StringRelatedField[Any]()
    regions = SaidRegionSerializer(many=True)

    class Meta:
        model = ImageLabel
        fields = ("label", "by", "at", "note", "regions")


class PictureDetailSerializer(PictureSerializer):
    """A picture with everything that people said of it and the newest verdict of a model."""

    labels = SaidLabelSerializer(many=True)
    verdict = serializers.SerializerMethodField()

    class Meta(PictureSerializer.Meta):
        fields = (  # type: ignore[assignment]  # DRF takes any sequence of names
            *PictureSerializer.Meta.fields, "labels", "verdict",
        )  # fmt: skip
        read_only_fields = fields  # type: ignore[assignment]

    @extend_schema_field(ImageVerdictSerializer(allow_null=True))
    def get_verdict(self, image: InspectionImage) -> dict[str, Any] | None:
        found = self.context["verdict"]
        return dict(ImageVerdictSerializer(found).data) if found else None


class PictureFieldsSerializer(serializers.Serializer[Any]):
    """What may be said of a picture that is sent."""

    label = serializers.ChoiceField(LABELS, required=False)  # type: ignore[assignment]
    taken_at = serializers.DateTimeField(required=False)
    name = serializers.CharField(required=False, max_length=1000)
    source = serializers.ChoiceField(SOURCES, required=False)  # type: ignore[assignment]
    lot = serializers.CharField(required=False, max_length=60)
    piece = serializers.CharField(required=False, max_length=60)


class PictureFileSerializer(serializers.Serializer[Any]):
    """The file of a form."""

    picture = serializers.FileField(allow_empty_file=True)


class JudgeFieldsSerializer(serializers.Serializer[Any]):
    """What may be said of a picture that is to be judged."""

    lot = serializers.CharField(required=False, max_length=60)
    piece = serializers.CharField(required=False, max_length=60)
    machine = serializers.UUIDField(required=False)
    taken_at = serializers.DateTimeField(required=False)
    name = serializers.CharField(required=False, max_length=1000)
    source = serializers.ChoiceField(SOURCES, required=False)  # type: ignore[assignment]
    request_id = serializers.UUIDField(required=False)


class JudgePictureSerializer(PictureFileSerializer, JudgeFieldsSerializer):
    """A picture of a part. With `lot` (and `piece`, `machine`) an inspection is written down."""


class NewPictureSerializer(PictureFileSerializer, PictureFieldsSerializer):
    """A picture of a part: JPEG, PNG, BMP, TIFF or WebP, at most 25 MB and 40 megapixels.

    With `lot` (and `piece`) it belongs to the newest inspection of them under this plan.
    """


class PictureFilterSerializer(serializers.Serializer[Any]):
    """Which pictures are asked for."""

    label = serializers.ChoiceField(LABEL_FILTERS, required=False)  # type: ignore[assignment]
    since = serializers.DateTimeField(required=False)
    kept = serializers.ChoiceField(["true", "false"], required=False)


class NewRegionSerializer(serializers.Serializer[Any]):
    """Where a defect is. `mask`: a PNG in base64 of the size of the box or of the picture."""

    defect = serializers.SlugField(max_length=40)
    x = serializers.IntegerField(min_value=0, max_value=MAX_SIDE)
    y = serializers.IntegerField(min_value=0, max_value=MAX_SIDE)
    width = serializers.IntegerField(min_value=1, max_value=MAX_SIDE)
    height = serializers.IntegerField(min_value=1, max_value=MAX_SIDE)
    mask = serializers.CharField(required=False, allow_null=True, max_length=MAX_MASK_TEXT)


@_example(
    "A scratch",
    {
        "label": "defect",
        "regions": [{"defect": "scratch", "x": 210, "y": 96, "width": 140, "height": 12}],
        "note": "Beside the bore",
        "request_id": REQUEST,
    },
)
class NewLabelSerializer(serializers.Serializer[Any]):
    """What you say that a picture shows; an empty label takes back what was said."""

    label = serializers.ChoiceField(LABELS, allow_blank=True)  # type: ignore[assignment]
    regions = NewRegionSerializer(many=True, required=False)
    note = serializers.CharField(required=False, allow_blank=True, max_length=500)
    request_id = serializers.UUIDField(required=False, allow_null=True)

    def said_regions(self) -> list[RegionSaid]:
        """Return the regions.

        Raises:
            mlops.services.LabelRefused: a mask is not in base64.
        """
        return [
            RegionSaid(
                one["defect"], one["x"], one["y"], one["width"], one["height"],
                _bytes(one.get("mask")),
            )
            for one in self.validated_data.get("regions", ())
        ]  # fmt: skip


def _bytes(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise services.LabelRefused("mask_refused", "A mask is a PNG in base64.") from error


@_example("Into the regression set", {"is_kept": True})
class KeepSerializer(serializers.Serializer[Any]):
    """Whether a picture is of the regression set."""

    is_kept = serializers.BooleanField()


@_example(
    "Half a percent defective, an escape costs 400.00",
    {
        "mode": "anomaly", "golden": None, "parts_per_day": 500.0, "defective_share": 0.005,
        "limit": None, "keep_days": 90, "escape_cost_minor": 40_000,
        "false_reject_cost_minor": 1_200,
    },
)  # fmt: skip
class SetupSerializer(serializers.Serializer[SetupFields]):
    """How a plan's pictures are judged; costs are in minor units of the factory's currency.

    `limit` null: the one that costs least. `golden` is the picture that parts are compared with.
    """

    mode = serializers.ChoiceField(VisionSetup.Mode.choices)
    golden = serializers.UUIDField(source="golden_id", allow_null=True)
    parts_per_day = serializers.FloatField(min_value=1e-9, max_value=1e9)
    defective_share = serializers.FloatField(min_value=0.0, max_value=1.0)
    limit = serializers.FloatField(allow_null=True)
    keep_days = serializers.IntegerField(min_value=1, max_value=36_500)
    escape_cost_minor = serializers.IntegerField(allow_null=True, min_value=0, max_value=2**53)
    false_reject_cost_minor = serializers.IntegerField(
        allow_null=True, min_value=0, max_value=2**53
    )

    def setup_fields(self) -> SetupFields:
        return SetupFields(**self.validated_data)


class DisagreementSerializer(serializers.Serializer[Disagreement]):
    """A picture that people label differently: their ids and newest labels."""

    image = PictureSerializer()
    labels = serializers.DictField(child=serializers.CharField())


class PairAgreementSerializer(serializers.Serializer[PairAgreement]):
    """How far two people agree; `kappa` leaves out what chance alone would bring."""

    one = serializers.StringRelatedField[Any]()
    other = serializers.StringRelatedField[Any]()
    n = serializers.IntegerField()
    share = serializers.FloatField()
    kappa = serializers.FloatField(allow_null=True)


class DisagreementsSerializer(serializers.Serializer[Any]):
    """Where people disagree about the pictures of a plan."""

    images = DisagreementSerializer(many=True)
    pairs = PairAgreementSerializer(many=True)
