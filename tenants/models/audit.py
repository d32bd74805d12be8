from django.db import models


class AuditEntry(models.Model):
    """A sign-in or an administrative act; append-only, each entry chained to the one before.

    A database trigger refuses updates and deletions; an edit by someone who may drop the trigger
    breaks the chain (tenants.audit.verify).
    """

    factory = models.ForeignKey(
        "tenants.Factory",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # the record outlives the factory
        related_name="+",
    )
    at = models.DateTimeField()
    actor_id = models.BigIntegerField(null=True, blank=True)
    actor_name = models.CharField(max_length=254)
    action = models.CharField(max_length=80)
    target = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    entry_hash = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["factory", "-id"])]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor_name}: {self.action}"
