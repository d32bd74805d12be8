"""What models say of lots and pieces that are being made or were just made."""

from django.db import models
from django.db.models import Q

from mlops.models.versions import ModelVersion, Prediction


class QualityPrediction(models.Model):
    """How likely a lot or serial passes an inspection plan, by what is known of its runs so far."""

    id = models.BigAutoField(primary_key=True)
    plan = models.ForeignKey(
        "production.InspectionPlan", on_delete=models.CASCADE, related_name="quality_predictions"
    )
    lot = models.ForeignKey(
        "production.Lot", on_delete=models.CASCADE, related_name="quality_predictions"
    )
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT,
        related_name="quality_predictions",
    )  # fmt: skip
    is_shadow = models.BooleanField(default=False)
    made_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=Prediction.State.choices)
    message = models.CharField(max_length=500, blank=True)
    # Operations whose runs were complete: the more, the surer.
    stages_known = models.JSONField(default=list)
    is_complete = models.BooleanField(default=False)
    # The chance to be rejected, with its interval, and that of each defect ({"underfill": 0.2}).
    chance = models.FloatField(null=True, blank=True)
    chance_low = models.FloatField(null=True, blank=True)
    chance_high = models.FloatField(null=True, blank=True)
    chances = models.JSONField(default=dict)
    # At and above this chance it is worth a look, by the costs of mistakes.
    limit = models.FloatField(null=True, blank=True)
    # [{"signal", "sentence", "share", ...}] and the range that would have avoided it.
    reasons = models.JSONField(default=list)
    window = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["lot", "plan", "-made_at", "-id"], name="newest_of_lot"),
            models.Index(fields=["plan", "-made_at", "-id"], name="newest_quality_predictions"),
            models.Index(fields=["version", "lot"], name="quality_of_version"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="ok")
                | Q(
                    version__isnull=False, chance__isnull=False, chance_low__isnull=False,
                    chance_high__isnull=False,
                ),
                name="quality_prediction_says_what_it_claims",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.lot_id}: {self.state}"
