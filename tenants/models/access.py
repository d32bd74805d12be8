from django.db import models
from django.utils import timezone


class Credential(models.Model):
    """A token of a device or an API client, kept as its SHA-256 digest.

    Ingest reads this table with SQL of its own (telemetry.ingest.credentials) and learns of
    changes by `changed_at`, so every write sets it.
    """

    class Kind(models.TextChoices):
        DEVICE = "device", "Device"
        API = "api", "API key"

    factory = models.ForeignKey(
        "tenants.Factory", on_delete=models.CASCADE, related_name="credentials"
    )
    kind = models.CharField(max_length=6, choices=Kind.choices)
    device_id = models.IntegerField(null=True, blank=True)
    name = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=16)  # the first characters, to recognise it by
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(auto_now=True, db_index=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["factory", "device_id"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="device", device_id__isnull=False)
                | models.Q(kind="api", device_id__isnull=True),
                name="credential_names_a_device_or_is_an_api_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hint}… ({self.name})"


class Ticket(models.Model):
    """Hands a signed-in person over from the public host to a factory's host, once."""

    digest = models.BinaryField(max_length=32, unique=True)
    user = models.ForeignKey("tenants.User", on_delete=models.CASCADE, related_name="+")
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    next_path = models.CharField(max_length=500, default="/")
    # The session on the public host: when it ends, the one on the factory's host ends with it.
    origin_session_key = models.CharField(max_length=40)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"ticket of user {self.user_id} to factory {self.factory_id}"


class Meter(models.TextChoices):
    """What a cap may end for the rest of a month."""

    READINGS = "readings", "Readings"
    IMAGES = "images", "Pictures"
    PLANNING_MINUTES = "planning_minutes", "Planning minutes"


class FactoryLimits(models.Model):
    """What a factory may use: written down here by billing, read by the floors below.

    So that ingest never asks billing, and Stripe being away stops no device.
    """

    class Standing(models.TextChoices):
        GOOD = "good", "In good standing"
        PAST_DUE = "past_due", "Payment due"
        READ_ONLY = "read_only", "Read only"
        SUSPENDED = "suspended", "Suspended"

    factory = models.OneToOneField(
        "tenants.Factory", on_delete=models.CASCADE, primary_key=True, related_name="limits"
    )
    plan = models.CharField(max_length=20, default="start")
    max_machines = models.IntegerField(null=True, blank=True, default=2)
    history_days = models.IntegerField(null=True, blank=True, default=7)
    # After so many days readings lie in the archive, a little slower to read; none: never.
    archive_days = models.IntegerField(null=True, blank=True, default=None)
    # Models trained in a calendar month (UTC); none: as many as wanted.
    trainings_per_month = models.IntegerField(null=True, blank=True, default=20, db_default=20)
    # Members and open invitations together; none: as many as wanted.
    max_people = models.IntegerField(null=True, blank=True, default=3, db_default=3)
    # Pictures taken in for inspection in a calendar month (UTC); none: as many as wanted.
    images_per_month = models.IntegerField(null=True, blank=True)
    planning_minutes_per_month = models.IntegerField(null=True, blank=True)
    readings_per_s = models.IntegerField(default=5_000)
    distinct_keys_per_device = models.IntegerField(default=500)
    # The two that the doors read; `standing` says why and `standing_until` when the next step
    # comes. tenants.leaving sets all four together.
    read_only = models.BooleanField(default=False)
    ingest_blocked = models.BooleanField(default=False)
    standing = models.CharField(
        max_length=10, choices=Standing.choices, default=Standing.GOOD, db_default=Standing.GOOD
    )
    standing_until = models.DateTimeField(null=True, blank=True)
    # Meters that refuse until the month ends, because their cap is reached.
    capped_meters = models.JSONField(
        default=list, blank=True, db_default=models.Value([], models.JSONField())
    )
    # What one device may send of the factory's rate; null: all of it.
    device_readings_per_s = models.IntegerField(null=True, blank=True)
    # ThingsBoard's device API carries the token in the path, where proxies may write it down.
    token_in_path_allowed = models.BooleanField(default=True, db_default=True)
    changed_at = models.DateTimeField(auto_now=True, db_index=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(standing__in=["good", "past_due", "read_only", "suspended"]),
                name="standing_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"limits of factory {self.factory_id} ({self.plan})"
