"""Vibration: bursts as they were sampled, and what is known of the points they come from."""

import uuid

from django.db import models
from django.db.models import Q


class VibrationBurst(models.Model):
    """Acceleration sampled evenly at one point of a machine, with what was found in it.

    Known by (machine, point, taken_at), so that a burst may be posted again.
    """

    class Unit(models.TextChoices):
        G = "g", "g"
        M_S2 = "m/s2", "m/s²"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    machine = models.ForeignKey(
        "production.Machine", on_delete=models.CASCADE, related_name="vibration_bursts"
    )
    # As the people of the factory call it: "drive end, radial".
    point = models.CharField(max_length=80)
    taken_at = models.DateTimeField()
    received_at = models.DateTimeField()
    sample_rate_hz = models.FloatField()
    n_samples = models.IntegerField()
    # As it was sent; kept are m/s².
    unit = models.CharField(max_length=4, choices=Unit.choices)
    speed_rpm = models.FloatField(null=True, blank=True)
    load_percent = models.FloatField(null=True, blank=True)
    # (n_samples,) m/s² as little-endian float32, zlib; null once only the figures are kept.
    payload = models.BinaryField(null=True, blank=True)
    figures = models.JSONField(default=dict)
    diagnosis = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["machine", "point", "taken_at"], name="one_burst_a_point_and_time"
            ),
            models.CheckConstraint(
                condition=Q(n_samples__gte=256, n_samples__lte=262_144)
                & Q(sample_rate_hz__gte=100.0, sample_rate_hz__lte=200_000.0),
                name="burst_within_limits",
            ),
            models.CheckConstraint(
                condition=Q(speed_rpm=None) | Q(speed_rpm__gt=0.0), name="burst_turns"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.point}, {self.taken_at:%Y-%m-%d %H:%M}"


class BearingPlace(models.Model):
    """What is known of a measuring point: its bearing, and by which limits it is judged.

    Of one machine, or of every machine of a type that has no place of its own under this name.
    """

    class Group(models.TextChoices):
        LARGE = "group 1", "Over 300 kW"
        MEDIUM = "group 2", "15 to 300 kW"
        SMALL = "class I", "Up to 15 kW"

    class Support(models.TextChoices):
        RIGID = "rigid", "Rigid: a heavy foundation"
        FLEXIBLE = "flexible", "Flexible: springs, a light frame"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    machine = models.ForeignKey(
        "production.Machine", null=True, blank=True, on_delete=models.CASCADE,
        related_name="bearing_places",
    )  # fmt: skip
    machine_type = models.ForeignKey(
        "production.MachineType", null=True, blank=True, on_delete=models.CASCADE,
        related_name="bearing_places",
    )  # fmt: skip
    point = models.CharField(max_length=80)
    bearing = models.CharField(max_length=60, blank=True)
    n_elements = models.IntegerField(null=True, blank=True)
    element_mm = models.FloatField(null=True, blank=True)
    pitch_mm = models.FloatField(null=True, blank=True)
    angle_deg = models.FloatField(default=0.0)
    # Empty: not known, then no zone is named.
    machine_group = models.CharField(max_length=8, choices=Group.choices, blank=True)
    support = models.CharField(max_length=8, choices=Support.choices, default=Support.RIGID)
    nominal_rpm = models.FloatField(null=True, blank=True)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(machine=None) ^ Q(machine_type=None), name="place_on_one_or_a_type"
            ),
            models.UniqueConstraint(
                fields=["machine", "machine_type", "point"], nulls_distinct=False,
                name="one_place_a_point",
            ),
            models.CheckConstraint(
                condition=Q(n_elements=None, element_mm=None, pitch_mm=None)
                | Q(n_elements__gte=3, element_mm__gt=0.0, pitch_mm__gt=models.F("element_mm")),
                name="place_has_a_whole_geometry",
            ),
            models.CheckConstraint(
                condition=Q(angle_deg__gte=0.0, angle_deg__lt=90.0)
                & (Q(nominal_rpm=None) | Q(nominal_rpm__gt=0.0)),
                name="place_turns",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.point
