"""The readings themselves.

These tables are written by `telemetry.ingest` with statements of its own and read by
`telemetry.selectors`; they carry no foreign keys, which a row a microsecond could not afford.
A reading's values are an array in the order of its keyset (sorted ids of `SignalKey`); texts
are codes of `Word`, booleans 0 and 1.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class ReadingHot(models.Model):
    """A reading as it arrived, until its hour is sealed. Idempotent by its key."""

    pk = models.CompositePrimaryKey("device_id", "ts")
    device_id = models.IntegerField()
    ts = models.DateTimeField()
    keyset_id = models.IntegerField()
    vals = ArrayField(models.FloatField())

    class Meta:
        db_table = "reading_hot"

    def __str__(self) -> str:
        return f"device {self.device_id} at {self.ts}"


class Latest(models.Model):
    """The newest reading of a device, and how many it has sent. One update a group commit."""

    device_id = models.IntegerField(primary_key=True)
    ts = models.DateTimeField(null=True)
    keyset_id = models.IntegerField(null=True)
    vals = ArrayField(models.FloatField(), null=True)
    received_at = models.DateTimeField()
    n_received = models.BigIntegerField(default=0)
    n_stored = models.BigIntegerField(default=0)
    n_duplicates = models.BigIntegerField(default=0)
    n_rejected = models.BigIntegerField(default=0)
    # How far the device's clock is ahead (+) or behind (-), and when that was seen.
    clock_offset_s = models.FloatField(null=True)
    clock_seen_at = models.DateTimeField(null=True)
    # The last time that lies in a segment: a reading after it can only meet hot ones.
    packed_to = models.DateTimeField(null=True)
    # Before it nothing is taken any more: history was archived or has expired.
    closed_to = models.DateTimeField(null=True)

    class Meta:
        db_table = "latest"

    def __str__(self) -> str:
        return f"device {self.device_id}"


class ReadingHour(models.Model):
    """How much of a device was stored for one hour of measured time: what billing pulls.

    `n_readings` counts what receipts call stored, so the sum equals the receipts; `n_values`
    counts the values in them that were new. Written in the transaction of the readings.
    """

    pk = models.CompositePrimaryKey("device_id", "hour")
    device_id = models.IntegerField()
    hour = models.DateTimeField()
    n_readings = models.BigIntegerField()
    n_values = models.BigIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "reading_hour"
        # BRIN, because every commit changes the column: any other index would make each of
        # these updates write a new entry in every index of the table.
        indexes: ClassVar = [
            BrinIndex(fields=["changed_at"], name="hour_changed", pages_per_range=32)
        ]

    def __str__(self) -> str:
        return f"device {self.device_id} in {self.hour}"


class ReadingRevision(models.Model):
    """A value that was replaced by a different one for the same device, key and time."""

    device_id = models.IntegerField()
    ts = models.DateTimeField()
    keyset_id = models.IntegerField()
    vals = ArrayField(models.FloatField())
    replaced_at = models.DateTimeField()

    class Meta:
        db_table = "reading_revision"
        indexes: ClassVar = [models.Index(fields=["device_id", "ts"], name="revision_place")]

    def __str__(self) -> str:
        return f"device {self.device_id} at {self.ts}"
