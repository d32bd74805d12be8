"""What Stripe delivered."""

from django.db import models
from django.db.models import Q


class InboxEvent(models.Model):
    """An event that Stripe delivered: stored once, its effect applied once."""

    class State(models.TextChoices):
        RECEIVED = "received", "Waiting"
        DONE = "done", "Applied"
        IGNORED = "ignored", "Nothing to do"
        DEAD = "dead", "Given up"

    event_id = models.CharField(max_length=80, primary_key=True)
    kind = models.CharField(max_length=80)
    payload = models.JSONField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.RECEIVED)
    n_attempts = models.IntegerField(default=0)
    error = models.CharField(max_length=500, blank=True)
    received_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["received_at"], condition=Q(state="received"), name="inbox_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"
