"""Files of readings that people asked for."""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Export(models.Model):
    """Readings of some signals over a range, written into a file by a job and kept for a while."""

    class Form(models.TextChoices):
        CSV = "csv", "CSV"
        PARQUET = "parquet", "Parquet"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Being written"
        DONE = "done", "Ready"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        EXPIRED = "expired", "Removed"

    OPEN_STATES = (State.WAITING, State.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    signal_ids = ArrayField(models.IntegerField())
    start = models.DateTimeField()
    end = models.DateTimeField()
    form = models.CharField(max_length=8, choices=Form.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    progress = models.FloatField(default=0.0)
    message = models.CharField(max_length=500, blank=True, default="")
    n_tries = models.IntegerField(default=0)
    n_rows = models.BigIntegerField(null=True)
    n_bytes = models.BigIntegerField(null=True)
    # Who asked, by name: people live in public, and the list outlives a membership.
    asked_by = models.CharField(max_length=254, blank=True, default="")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    # The job that works on it, in public.
    job_id = models.UUIDField(null=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-created_at"], name="export_newest")]

    def __str__(self) -> str:
        return f"{self.get_form_display()} of {len(self.signal_ids)} signals ({self.state})"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN_STATES
