"""Devices, what they report, and the dictionaries that make numbers of names."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from telemetry.tags import MAX_TAG_LENGTH


class Device(models.Model):
    """Something that sends readings with a token of its own: a control, a sensor, a gateway."""

    class Origin(models.TextChoices):
        PERSON = "person", "Connected by a person"
        IMPORT = "import", "Imported from a list"
        CLAIM = "claim", "Claimed with a code"

    name = models.CharField(max_length=120, unique=True)
    machine = models.ForeignKey(
        "production.Machine",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="devices",
    )
    note = models.TextField(blank=True, default="")
    # A name rather than a row of its own: a group is its devices and holds nothing else.
    group = models.CharField(max_length=60, blank=True, default="", db_default="")
    tags = ArrayField(
        models.CharField(max_length=MAX_TAG_LENGTH), blank=True, default=list, db_default=[]
    )
    origin = models.CharField(
        max_length=6, choices=Origin.choices, default=Origin.PERSON, db_default=Origin.PERSON
    )
    # What a claiming gateway said of itself, and which code it used (its first characters).
    hardware_id = models.CharField(max_length=120, blank=True, default="", db_default="")
    claim_hint = models.CharField(max_length=12, blank=True, default="", db_default="")
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
    # Between which shown values a reading can be true; absent: no limit is declared.
    range_low = models.FloatField(null=True, blank=True)
    range_high = models.FloatField(null=True, blank=True)
    first_seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["device", "key"], name="signal_is_unique"),
            models.CheckConstraint(
                condition=models.Q(range_low=None)
                | models.Q(range_high=None)
                | models.Q(range_low__lt=models.F("range_high")),
                name="signal_range_is_not_empty",
            ),
        ]

    def __str__(self) -> str:
        return self.label
