import uuid
from datetime import datetime, timedelta

from django.db import models

from tenants.models.people import User

LONGEST = timedelta(hours=24)


class SupportRole(models.TextChoices):
    """What a visitor of Takt's staff may do in a factory: never what owners and admins may."""

    VIEWER = "support_viewer", "Look only"
    ENGINEER = "support_engineer", "Look and help"


class SupportAccess(models.Model):
    """A visit to a factory's portal that one of Takt's staff asked for and its people decide on."""

    class Ending(models.TextChoices):
        DECLINED = "declined", "Declined"
        UNANSWERED = "unanswered", "Not answered"
        REVOKED = "revoked", "Ended by the factory"
        TIME = "time", "Time was up"
        LEFT = "left", "No longer one of Takt's staff"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    reason = models.CharField(max_length=500)
    asked_at = models.DateTimeField()
    granted_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    granted_at = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    role = models.CharField(max_length=16, blank=True, choices=SupportRole.choices)
    ended_at = models.DateTimeField(null=True, blank=True)
    ending = models.CharField(max_length=10, blank=True, choices=Ending.choices)

    class Meta:
        verbose_name = "support access"
        verbose_name_plural = "support access"
        constraints = [
            models.UniqueConstraint(
                fields=["factory", "asked_by"],
                condition=models.Q(ended_at=None),
                name="one_open_support_access_a_person",
            ),
            models.CheckConstraint(
                condition=models.Q(granted_at=None, until=None, role="")
                | models.Q(
                    granted_at__isnull=False,
                    until__lte=models.F("granted_at") + LONGEST,
                    role__in=SupportRole.values,
                ),
                name="support_access_is_granted_for_a_day_at_most",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at=None, ending="")
                | (models.Q(ended_at__isnull=False) & ~models.Q(ending="")),
                name="support_access_ends_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["factory", "-asked_at"], name="support_access_of_factory"),
        ]

    def __str__(self) -> str:
        return f"{self.asked_by} to {self.factory}"

    @property
    def is_asked(self) -> bool:
        """Say whether the factory has not decided yet."""
        return self.granted_at is None and self.ended_at is None

    def is_running(self, at: datetime) -> bool:
        """Say whether there is consent now (who asked must be staff too: `tenants.support`)."""
        return self.ended_at is None and self.until is not None and self.until > at
