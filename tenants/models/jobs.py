import uuid

from django.db import models
from django.utils import timezone


class Job(models.Model):
    """A piece of work that must happen once, whatever becomes of broker and workers.

    The row is the fact; the message in the broker is a hint. See tenants.jobs.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Refused"  # it said why; trying again would not help
        DEAD = "dead", "Given up"  # it broke too often; staff may replay it

    OPEN_STATES = (State.QUEUED, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    factory = models.ForeignKey(
        "tenants.Factory", null=True, blank=True, on_delete=models.CASCADE, related_name="jobs"
    )
    task = models.CharField(max_length=100)
    kwargs = models.JSONField(default=dict)
    queue = models.CharField(max_length=20, default="default")
    key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001  NULL = not unique
    state = models.CharField(max_length=8, choices=State.choices, default=State.QUEUED)
    progress = models.FloatField(default=0.0)
    message = models.CharField(max_length=500, blank=True)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    n_attempts = models.IntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    not_before = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key"],
                condition=models.Q(state__in=["queued", "running"]),
                name="one_open_job_a_key",
            ),
        ]
        indexes = [
            models.Index(
                fields=["not_before"],
                condition=models.Q(state__in=["queued", "running"]),
                name="open_jobs",
            ),
            models.Index(fields=["factory", "-created_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.task} ({self.state})"
