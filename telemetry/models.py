"""Devices, what they report, and the readings themselves.

The reading tables are written by `telemetry.ingest` with statements of its own and read by
`telemetry.selectors`; they carry no foreign keys, which a row a microsecond could not afford.
A reading's values are an array in the order of its keyset (sorted ids of `SignalKey`); texts
are codes of `Word`, booleans 0 and 1.

Large requests will become packed rows of a `segment` table beside `reading_hot`, sealed by the
hour; whatever reads goes through `telemetry.selectors`, which then unites them.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class Device(models.Model):
    """Something that sends readings with a token of its own: a control, a sensor, a gateway."""

    name = models.CharField(max_length=120, unique=True)
    machine = models.ForeignKey(
        "production.Machine",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="devices",
    )
    note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class SignalKey(models.Model):
    """A key as sent, and the kind of its values. The same key may come in two kinds."""

    class Kind(models.TextChoices):
        NUMBER = "n", "Number"
        BOOLEAN = "b", "Yes or no"
        TEXT = "s", "Text"

    id = models.AutoField(primary_key=True)
    key = models.TextField()
    kind = models.CharField(max_length=1, choices=Kind.choices)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "kind"], name="signalkey_is_unique")
        ]

    def __str__(self) -> str:
        return f"{self.key} ({self.kind})"


class Keyset(models.Model):
    """The keys that come together in a reading: their ids, sorted."""

    id = models.AutoField(primary_key=True)
    key_ids = ArrayField(models.IntegerField(), unique=True)

    def __str__(self) -> str:
        return f"keyset {self.id}"


class Word(models.Model):
    """A text that was sent as a value; its id is what is stored in the readings."""

    id = models.AutoField(primary_key=True)
    text = models.TextField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["text"], name="word_is_unique")]

    def __str__(self) -> str:
        return self.text


class Signal(models.Model):
    """One key of one device, and what people call it."""

    class Role(models.TextChoices):
        NONE = "", "No role"
        STATE = "state", "State of the machine"
        COUNT = "count", "Counts parts"
        FAULT = "fault", "Fault"
        POWER = "power", "Power"
        SPEED = "speed", "Speed"
        ENERGY = "energy", "Energy"
        LIFE = "life", "Counts usage"

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="signals")
    key = models.ForeignKey(SignalKey, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=120)
    unit = models.CharField(max_length=24, blank=True, default="")
    role = models.CharField(max_length=8, choices=Role.choices, blank=True, default="")
    # Shown value = stored value * scale.
    scale = models.FloatField(default=1.0)
    first_seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["device", "key"], name="signal_is_unique"),
        ]

    def __str__(self) -> str:
        return self.label


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
