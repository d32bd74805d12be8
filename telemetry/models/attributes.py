"""What a device says of itself besides readings: firmware, serial number, settings."""

from django.db import models


class DeviceAttribute(models.Model):
    """The present value of one attribute; written by ingest (ThingsBoard's attributes API)."""

    pk = models.CompositePrimaryKey("device_id", "key")
    device_id = models.IntegerField()
    key = models.TextField()
    value = models.JSONField()
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "device_attribute"

    def __str__(self) -> str:
        return f"device {self.device_id}: {self.key}"
