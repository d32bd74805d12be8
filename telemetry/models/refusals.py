"""What was refused of a device, and why: written by ingest, shown on the device's page."""

from typing import ClassVar

from django.db import models


class RefusalCount(models.Model):
    """How many readings of a device were refused with a code; sums to `latest.n_rejected`."""

    pk = models.CompositePrimaryKey("device_id", "code")
    device_id = models.IntegerField()
    code = models.TextField()
    n = models.BigIntegerField()
    last_at = models.DateTimeField()
    last_message = models.TextField()

    class Meta:
        db_table = "refusal_count"

    def __str__(self) -> str:
        return f"device {self.device_id}: {self.n} x {self.code}"


class RefusedRequest(models.Model):
    """How many whole requests of a device were refused with a code, such as `malformed_json`.

    How many readings were in them is not known, so they stand outside of
    received = stored + duplicates + rejected. Counted in the memory of the web process and
    written every few seconds: a killed process takes the last of them along.
    """

    pk = models.CompositePrimaryKey("device_id", "code")
    device_id = models.IntegerField()
    code = models.TextField()
    n = models.BigIntegerField()
    last_at = models.DateTimeField()
    last_message = models.TextField()

    class Meta:
        db_table = "refused_request"

    def __str__(self) -> str:
        return f"device {self.device_id}: {self.n} requests, {self.code}"


class RefusedReading(models.Model):
    """One of the last readings refused; ingest keeps a bounded number a device."""

    device_id = models.IntegerField()
    at = models.DateTimeField()
    code = models.TextField()
    message = models.TextField()
    # What was sent, cut to a few hundred characters; never a token.
    item = models.TextField(blank=True, default="")

    class Meta:
        db_table = "refused_reading"
        indexes: ClassVar = [models.Index(fields=["device_id", "-at"], name="refused_by_device")]

    def __str__(self) -> str:
        return f"device {self.device_id} at {self.at}: {self.code}"
