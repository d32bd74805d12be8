"""Readings that are packed, what is derived from them, and where old ones lie.

A reading lies in exactly one segment, or in `reading_hot`, or in both: then the hot row holds,
because it is younger and complete (docs/adr/0008). Everything here but segments and archive
files can be made anew from them.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Segment(models.Model):
    """Readings of one device, packed (`telemetry.packing`), t0 and t1 the first and the last.

    A large request becomes one OPEN segment. The compactor seals closed hours into one segment
    an hour or, where a device sends seldom, a day, a month or a year of it.
    """

    class Level(models.IntegerChoices):
        OPEN = 0, "As it arrived"
        HOUR = 1, "An hour"
        DAY = 2, "A day"
        MONTH = 3, "30 days"
        YEAR = 4, "360 days"

    pk = models.CompositePrimaryKey("device_id", "t0", "t1", "digest")
    device_id = models.IntegerField()
    t0 = models.DateTimeField()
    t1 = models.DateTimeField()
    # Of the payload, so that two different ones of the same span have different keys.
    digest = models.BigIntegerField()
    n = models.IntegerField()
    keyset_id = models.IntegerField()
    level = models.SmallIntegerField(choices=Level.choices)
    codec = models.SmallIntegerField()
    payload = models.BinaryField()

    class Meta:
        db_table = "segment"
        indexes: ClassVar = [
            models.Index(fields=["device_id"], condition=models.Q(level=0), name="segment_open"),
        ]

    def __str__(self) -> str:
        return f"device {self.device_id}, {self.n} readings from {self.t0}"


class Rollup(models.Model):
    """Minutes of a day, or hours of 30 days, of what is sealed: count, least, most and sum.

    The payload is packed with the starts of the buckets as times, and four columns a key of the
    keyset: n, min, max, sum. A window with few readings has no row: reading them is as fast.
    """

    class Level(models.IntegerChoices):
        MINUTE = 60, "Minutes of a day"
        HOUR = 3600, "Hours of 30 days"

    pk = models.CompositePrimaryKey("device_id", "level", "t0")
    device_id = models.IntegerField()
    level = models.SmallIntegerField(choices=Level.choices)
    t0 = models.DateTimeField()
    keyset_id = models.IntegerField()
    payload = models.BinaryField()

    class Meta:
        db_table = "rollup"

    def __str__(self) -> str:
        return f"device {self.device_id} from {self.t0} by {self.level} s"


class UsageDelta(models.Model):
    """What one commit added to the hours of some devices, until it is folded into them.

    One row of arrays a commit costs the database a tenth of a row a device and hour.
    """

    at = models.DateTimeField()
    device_ids = ArrayField(models.IntegerField())
    # Hours since 1970, of measured time.
    hours = ArrayField(models.IntegerField())
    n_readings = ArrayField(models.IntegerField())
    n_values = ArrayField(models.IntegerField())

    class Meta:
        db_table = "usage_delta"

    def __str__(self) -> str:
        return f"{len(self.device_ids)} devices at {self.at}"


class ArchiveFile(models.Model):
    """Sealed readings of a device that lie as a Parquet file on S3."""

    pk = models.CompositePrimaryKey("device_id", "t0")
    device_id = models.IntegerField()
    t0 = models.DateTimeField()
    t1 = models.DateTimeField()
    n = models.BigIntegerField()
    key = models.TextField()
    sha256 = models.BinaryField(max_length=32)
    n_bytes = models.BigIntegerField()
    archived_at = models.DateTimeField()

    class Meta:
        db_table = "archive_file"

    def __str__(self) -> str:
        return f"device {self.device_id} from {self.t0}: {self.key}"


class ArchiveChange(models.Model):
    """How many bytes came to the archive, or left it (below zero): what billing pulls.

    A trigger on `archive_file` writes it, whatever adds or removes a file; never changed.
    """

    device_id = models.IntegerField()
    at = models.DateTimeField(db_index=True)
    n_bytes = models.BigIntegerField()

    class Meta:
        db_table = "archive_change"

    def __str__(self) -> str:
        return f"device {self.device_id} at {self.at}: {self.n_bytes:+d} bytes"


class ForgottenHour(models.Model):
    """An hour (UTC) of measured time whose readings were removed, and why.

    Its rollups stay as they were then, whatever comes late (`telemetry.services.forgetting`).
    """

    hour = models.DateTimeField(primary_key=True)
    reason = models.CharField(max_length=40)
    forgotten_at = models.DateTimeField()
    n_readings = models.BigIntegerField(default=0)

    class Meta:
        db_table = "forgotten_hour"

    def __str__(self) -> str:
        return f"{self.hour}: {self.reason}"
