"""Pictures of inspections: what was taken, what people marked in it, what models said of it."""

import uuid

from django.db import models
from django.db.models import Q

from mlops.models.versions import ModelVersion
from production.models.maintenance import person


class VisionSetup(models.Model):
    """How the pictures of an inspection plan are judged, and what mistakes are expected to cost.

    The costs of an escape and of a false reject are the plan's (`production.InspectionPlan`).
    """

    class Mode(models.TextChoices):
        ANOMALY = "anomaly", "From good pictures only"
        GOLDEN = "golden", "Against a golden picture"

    plan = models.OneToOneField(
        "production.InspectionPlan", primary_key=True, on_delete=models.CASCADE,
        related_name="vision",
    )  # fmt: skip
    mode = models.CharField(max_length=7, choices=Mode.choices, default=Mode.ANOMALY)
    golden = models.ForeignKey(
        "mlops.InspectionImage", null=True, blank=True, on_delete=models.SET_NULL,
        related_name="+",
    )  # fmt: skip
    parts_per_day = models.FloatField(default=500.0)
    defective_share = models.FloatField(default=0.01)
    # Empty: the limit that costs least; else one set by hand, in units of the score.
    limit = models.FloatField(null=True, blank=True)
    # Pictures are kept so long; those that people labelled, and the regression set, for good.
    keep_days = models.PositiveIntegerField(default=90)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = person()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(parts_per_day__gt=0.0)
                & Q(defective_share__gte=0.0, defective_share__lte=1.0),
                name="vision_setup_is_possible",
            ),
            models.CheckConstraint(
                condition=Q(keep_days__gte=1), name="pictures_are_kept_for_a_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.mode}"


class InspectionImage(models.Model):
    """A picture of one part, drawn anew and stored on S3 under the factory.

    Known by (plan, digest of what was sent), so that it may be sent again.
    """

    class Source(models.TextChoices):
        UPLOAD = "upload", "Uploaded"
        API = "api", "By API"
        FOLDER = "folder", "From a folder"

    class Label(models.TextChoices):
        NONE = "", "Not judged"
        GOOD = "good", "Good"
        DEFECT = "defect", "Defective"
        UNUSABLE = "unusable", "Not usable"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    plan = models.ForeignKey(
        "production.InspectionPlan", on_delete=models.PROTECT, related_name="images"
    )
    # Empty: sent to teach, not to judge a part.
    inspection = models.ForeignKey(
        "production.Inspection", null=True, blank=True, on_delete=models.PROTECT,
        related_name="images",
    )  # fmt: skip
    source = models.CharField(max_length=6, choices=Source.choices)
    taken_at = models.DateTimeField()
    received_at = models.DateTimeField()
    name = models.CharField(max_length=120, blank=True)  # of the file, for people
    digest = models.CharField(max_length=64)
    # Both empty once retention has removed the picture; what was found stays.
    object_key = models.CharField(max_length=300, blank=True)
    thumbnail_key = models.CharField(max_length=300, blank=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    n_bytes = models.PositiveIntegerField()
    # What people say it is; that of the newest label.
    label = models.CharField(max_length=8, choices=Label.choices, blank=True)
    labelled_at = models.DateTimeField(null=True, blank=True)
    # Of the regression set: every new version has to judge it right before it serves.
    is_kept = models.BooleanField(default=False)
    # How much a look by a person is worth: 0 (clear) to 1; null once somebody has looked.
    doubt = models.FloatField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["plan", "-taken_at", "-id"], name="newest_images"),
            models.Index(
                fields=["plan", "-doubt"], condition=Q(doubt__isnull=False), name="review_queue"
            ),
            models.Index(fields=["inspection"], name="images_of_inspection"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["plan", "digest"], name="a_picture_once_a_plan"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.pk)


class PendingPicture(models.Model):
    """The bytes of a picture until they are in the object store: committed with its row."""

    image = models.OneToOneField(
        InspectionImage, primary_key=True, on_delete=models.CASCADE, related_name="pending"
    )
    content = models.BinaryField()
    thumbnail = models.BinaryField()
    received_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.image_id}: {len(self.content)} bytes"


class ImageLabel(models.Model):
    """What one person said a picture shows. Append-only: the newest of each person counts."""

    id = models.BigAutoField(primary_key=True)
    image = models.ForeignKey(InspectionImage, on_delete=models.CASCADE, related_name="labels")
    label = models.CharField(max_length=8, choices=InspectionImage.Label.choices)
    by = person()
    at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    request_id = models.UUIDField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["image", "-at", "-id"], name="newest_labels")]
        constraints = [
            models.UniqueConstraint(fields=["image", "request_id"], name="a_request_labels_once"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.label}"


class ImageRegion(models.Model):
    """Where a person saw which defect: a box, with a mask where it was painted."""

    id = models.BigAutoField(primary_key=True)
    label = models.ForeignKey(ImageLabel, on_delete=models.CASCADE, related_name="regions")
    defect_type = models.ForeignKey(
        "production.DefectType", on_delete=models.PROTECT, related_name="regions"
    )
    # Pixels of the stored picture, from its upper left corner.
    x = models.PositiveIntegerField()
    y = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    # (height, width) bits, packed by rows and deflated; null: the whole box.
    mask = models.BinaryField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(width__gte=1, height__gte=1), name="region_has_an_area"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.defect_type_id} in {self.label_id}"


class ImageVerdict(models.Model):
    """What a version said of a picture, or why it could not."""

    class State(models.TextChoices):
        OK = "ok", "Judged"
        NOT_USABLE = "not_usable", "The picture is not usable"
        NO_MODEL = "no_model", "No model yet"
        REFUSED = "refused", "Refused"

    id = models.BigAutoField(primary_key=True)
    image = models.ForeignKey(InspectionImage, on_delete=models.CASCADE, related_name="verdicts")
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT,
        related_name="image_verdicts",
    )  # fmt: skip
    # Made beside the version in service, to be compared with it; nobody acts on it.
    is_shadow = models.BooleanField(default=False)
    made_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State.choices)
    message = models.CharField(max_length=500, blank=True)
    # "pass", "fail" or "unclear"; empty where it was not judged.
    verdict = models.CharField(max_length=7, blank=True)
    score = models.FloatField(null=True, blank=True)
    limit = models.FloatField(null=True, blank=True)
    took_ms = models.FloatField(null=True, blank=True)
    # [{"x", "y", "width", "height", "score", "area", "label", "probability"}], worst first.
    regions = models.JSONField(default=list)
    # What was wrong with the taking of the picture: [{"code", "sentence", ...}].
    acquisition = models.JSONField(default=list)
    # Figures of the picture that are watched for drift: {"brightness": ..., "sharpness": ...}.
    figures = models.JSONField(default=dict)
    # A small grey picture (PNG) of where it is unlike the good ones.
    heat = models.BinaryField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["image", "-made_at", "-id"], name="newest_image_verdicts"),
            models.Index(fields=["version", "-made_at"], name="image_verdicts_of_version"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["image", "version"], name="one_verdict_a_picture_and_version"
            ),
            models.CheckConstraint(
                condition=~Q(state="ok")
                | Q(version__isnull=False, score__isnull=False, limit__isnull=False),
                name="image_verdict_says_what_it_claims",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.verdict or self.state}"
