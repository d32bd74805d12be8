from django.db import models


class Departure(models.Model):
    """The written record of a factory that was deleted; append-only, it outlives the factory.

    It names people by number and address, not by foreign key: a trigger refuses every change.
    """

    class Reason(models.TextChoices):
        PAYMENT = "payment", "Not paid"
        CANCELLED = "cancelled", "Cancelled"
        OWNER = "owner", "Asked for by an owner"

    factory_id = models.BigIntegerField()
    factory_name = models.CharField(max_length=80)
    schema_name = models.CharField(max_length=41, db_index=True)
    reason = models.CharField(max_length=9, choices=Reason.choices)
    asked_by_id = models.BigIntegerField(null=True, blank=True)
    asked_by = models.CharField(max_length=254, blank=True)
    member_ids = models.JSONField(default=list)  # who is told of it when they sign in
    founded_at = models.DateTimeField()
    steps = models.JSONField(default=list)  # [{"standing": ..., "at": ...}], oldest first
    exported_at = models.DateTimeField(null=True, blank=True)
    n_rows = models.BigIntegerField(default=0)
    n_readings = models.BigIntegerField(default=0)
    n_pictures = models.BigIntegerField(default=0)
    n_objects = models.BigIntegerField(null=True, blank=True)  # null: the store did not say
    removed_at = models.DateTimeField()
    digest = models.CharField(max_length=64)  # SHA-256 of all the above (tenants.leaving)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["factory_id"], name="one_departure_a_factory"),
        ]

    def __str__(self) -> str:
        return f"{self.factory_name}, deleted {self.removed_at:%Y-%m-%d}"


class MonthlyUse(models.Model):
    """How much of a monthly limit a factory has used: what a limit is enforced by.

    The row of (factory, meter, month) is changed by a conditional update, so that parallel
    requests cannot pass the limit together (tenants.limits).
    """

    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    meter = models.CharField(max_length=20)
    month = models.DateField()  # its first day, UTC
    n_used = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["factory", "meter", "month"], name="one_use_a_factory_meter_month"
            ),
            models.CheckConstraint(
                condition=models.Q(n_used__gte=0), name="monthly_use_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter} of factory {self.factory_id} in {self.month:%Y-%m}"
