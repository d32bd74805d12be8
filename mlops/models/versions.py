"""Versions of models, what became of them, what they predicted and whether it came true."""

import uuid

from django.db import models
from django.db.models import Q


class Kind(models.TextChoices):
    REMAINING_LIFE = "remaining_life", "Remaining life"
    ANOMALY = "anomaly", "Unusual behaviour"
    QUALITY = "quality", "Quality"
    VISION = "vision", "Visual inspection"


class ModelVersion(models.Model):
    """One trained model of one subject; its artifact lies on S3.

    The subject is a machine type or an inspection plan, as the kind has it. At most one version
    of a kind and subject is the champion, which is the one that serves.
    A challenger predicts beside it, unseen; the version that served before stands by in the same
    way, until the new one has proved itself.
    """

    class Alias(models.TextChoices):
        CHAMPION = "champion", "In service"
        CHALLENGER = "challenger", "On trial"
        STANDBY = "standby", "Standing by"
        NONE = "", "Kept"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    machine_type = models.ForeignKey(
        "production.MachineType", null=True, blank=True, on_delete=models.PROTECT,
        related_name="model_versions",
    )  # fmt: skip
    inspection_plan = models.ForeignKey(
        "production.InspectionPlan", null=True, blank=True, on_delete=models.PROTECT,
        related_name="model_versions",
    )  # fmt: skip
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
    # What each case taught: [key, slice, ended, loss when not seen, loss of the baseline, loss
    # when held back in time or null].
    cases = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    # Where the model is weak, in sentences.
    weaknesses = models.JSONField(default=list, db_default=models.Value([], models.JSONField()))
    # What the kind keeps for its pages: scores of pictures that were not seen, what broke.
    details = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(machine_type=None) ^ Q(inspection_plan=None),
                name="version_has_one_subject",
            ),
            models.UniqueConstraint(
                fields=["kind", "machine_type", "version"], name="model_version_number"
            ),
            models.UniqueConstraint(
                fields=["kind", "machine_type"],
                condition=Q(alias="champion"),
                name="one_champion_a_kind_and_type",
            ),
            models.UniqueConstraint(
                fields=["kind", "machine_type"],
                condition=Q(alias="challenger"),
                name="one_challenger_a_kind_and_type",
            ),
            models.UniqueConstraint(
                fields=["kind", "inspection_plan", "version"], name="model_version_number_of_plan"
            ),
            models.UniqueConstraint(
                fields=["kind", "inspection_plan"],
                condition=Q(alias="champion"),
                name="one_champion_a_kind_and_plan",
            ),
            models.UniqueConstraint(
                fields=["kind", "inspection_plan"],
                condition=Q(alias="challenger"),
                name="one_challenger_a_kind_and_plan",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.version}"

    @property
    def subject_id(self) -> uuid.UUID:
        """The machine type or inspection plan that it is of."""
        found = self.machine_type_id or self.inspection_plan_id
        assert found is not None  # by constraint
        return found


class Prediction(models.Model):
    """What a model said about a machine at a moment, or why it could not."""

    class State(models.TextChoices):
        OK = "ok", "Predicted"
        NOT_ENOUGH_DATA = "not_enough_data", "Not enough data"
        REFUSED = "refused", "Refused"

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(
        max_length=20, choices=Kind.choices, default=Kind.REMAINING_LIFE,
        db_default=Kind.REMAINING_LIFE,
    )  # fmt: skip
    machine = models.ForeignKey(
        "production.Machine", on_delete=models.CASCADE, related_name="predictions"
    )
    version = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="predictions"
    )
    # Made beside the version in service, to be compared with it; nobody acts on it.
    is_shadow = models.BooleanField(default=False, db_default=False)
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
    # Usage a day lately, and with it the chance of failure within so many days ({"7": 0.02});
    # a chance that cannot be told is null.
    usage_per_day = models.FloatField(null=True, blank=True)
    chances = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    # Of unusual behaviour: 100 as usual, towards 0; the score whose limit is 1; since when.
    health = models.FloatField(null=True, blank=True)
    score = models.FloatField(null=True, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    reasons = models.JSONField(default=list)

    class Meta:
        indexes = [
            models.Index(fields=["machine", "-made_at", "-id"], name="newest_prediction"),
            models.Index(fields=["version", "machine", "made_at"], name="predictions_of_version"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="ok")
                | Q(kind="anomaly", health__isnull=False, score__isnull=False)
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


class VersionEvent(models.Model):
    """Something that happened to a version: who did it, when and why. Append-only."""

    class What(models.TextChoices):
        TRAINED = "trained", "Trained"
        PROMOTED = "promoted", "Put into service"
        ON_TRIAL = "on_trial", "Put on trial"
        NOT_PROMOTED = "not_promoted", "Not put into service"
        RETIRED = "retired", "Taken out of service"
        ROLLED_BACK = "rolled_back", "Rolled back"

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    what = models.CharField(max_length=12, choices=What.choices)
    by = models.ForeignKey(
        "tenants.User",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # no constraint across schemas: a factory may live on another node
        related_name="+",
    )
    reason = models.CharField(max_length=500)
    # The figures that it rests on (`promotion.Comparison`).
    evidence = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["version", "-at", "-id"], name="events_of_version")]

    def __str__(self) -> str:
        return f"{self.version_id}: {self.what}"


class Outcome(models.Model):
    """How a version's predictions of one case turned out, once the truth was known."""

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="outcomes")
    # Empty: of no single machine.
    machine = models.ForeignKey(
        "production.Machine", null=True, blank=True, on_delete=models.CASCADE,
        related_name="outcomes",
    )  # fmt: skip
    # Where no other version may do worse: a machine, a class of defects.
    slice = models.CharField(max_length=80, blank=True, db_default="")
    # What became known: a failure, a verdict, an inspection.
    case_key = models.CharField(max_length=80)
    known_at = models.DateTimeField()
    # It was in service when it said so: people saw it.
    was_serving = models.BooleanField()
    n_predictions = models.IntegerField()
    # Comparable between versions on one case only; smaller is better.
    loss = models.FloatField()
    is_right = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "case_key"], name="one_outcome_a_case"),
            models.CheckConstraint(
                condition=Q(n_predictions__gt=0), name="outcome_rests_on_predictions"
            ),
        ]
        indexes = [models.Index(fields=["machine", "-known_at"], name="newest_outcomes")]

    def __str__(self) -> str:
        return f"{self.version_id}: {self.case_key}"


class Finding(models.Model):
    """What the watch over a serving model found: append-only, closed when it no longer holds."""

    class What(models.TextChoices):
        INPUT_DRIFT = "input_drift", "A signal has drifted"
        NEW_REGIME = "new_regime", "A new way of running"
        PREDICTION_DRIFT = "prediction_drift", "Predictions have shifted"
        CALIBRATION = "calibration", "Intervals no longer hold"
        LABELS = "labels", "No verdicts"
        PICTURES = "pictures", "Pictures have changed"

    id = models.BigAutoField(primary_key=True)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="findings")
    machine = models.ForeignKey(
        "production.Machine", null=True, blank=True, on_delete=models.CASCADE,
        related_name="findings",
    )  # fmt: skip
    what = models.CharField(max_length=16, choices=What.choices)
    signal = models.CharField(max_length=128, blank=True)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    message = models.CharField(max_length=500)
    evidence = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version", "machine", "what", "signal"],
                condition=Q(ended_at=None),
                nulls_distinct=False,
                name="one_open_finding_a_thing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.what}: {self.message}"
