"""Versions of models and what they predicted."""

import uuid

from django.db import models
from django.db.models import Q


class Kind(models.TextChoices):
    REMAINING_LIFE = "remaining_life", "Remaining life"


class ModelVersion(models.Model):
    """One trained model of one machine type; its artifact lies on S3.

    At most one version of a kind and machine type is the champion, which is the one that serves.
    """

    class Alias(models.TextChoices):
        CHAMPION = "champion", "In service"
        CHALLENGER = "challenger", "On trial"
        NONE = "", "Kept"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    machine_type = models.ForeignKey(
        "production.MachineType", on_delete=models.PROTECT, related_name="model_versions"
    )
    version = models.IntegerField()
    alias = models.CharField(max_length=10, choices=Alias.choices, blank=True, default=Alias.NONE)
    # The job that trained it: a job that is run again finds its version instead of a second one.
    job_id = models.UUIDField(unique=True)
    artifact_key = models.CharField(max_length=300)
    digest = models.CharField(max_length=64)
    # Empty: not yet in MLflow's book; scoring does not need it.
    mlflow_run_id = models.CharField(max_length=64, blank=True)
    unit = models.CharField(max_length=20)
    parameters = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    trained_on = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "machine_type", "version"], name="model_version_number"
            ),
            models.UniqueConstraint(
                fields=["kind", "machine_type"],
                condition=Q(alias="champion"),
                name="one_champion_a_kind_and_type",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"


class Prediction(models.Model):
    """What a model said about a machine at a moment, or why it could not."""

    class State(models.TextChoices):
        OK = "ok", "Predicted"
        NOT_ENOUGH_DATA = "not_enough_data", "Not enough data"
        REFUSED = "refused", "Refused"

    id = models.BigAutoField(primary_key=True)
    machine = models.ForeignKey(
        "production.Machine", on_delete=models.CASCADE, related_name="predictions"
    )
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="predictions"
    )
    made_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State.choices)
    message = models.CharField(max_length=500, blank=True)
    # Usage since the machine was last put right, in `unit`.
    usage_at = models.FloatField(null=True, blank=True)
    rul = models.FloatField(null=True, blank=True)
    rul_low = models.FloatField(null=True, blank=True)
    rul_high = models.FloatField(null=True, blank=True)
    # The interval reaches the model's horizon: `rul_high` means "or more".
    is_open_ended = models.BooleanField(default=False)
    unit = models.CharField(max_length=20, blank=True)
    level = models.FloatField(default=0.8)
    reasons = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["machine", "-made_at", "-id"], name="newest_prediction")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="ok")
                | Q(
                    rul__isnull=False,
                    rul_low__isnull=False,
                    rul_high__isnull=False,
                    version__isnull=False,
                ),
                name="prediction_says_what_it_claims",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.machine_id}: {self.state}"
