"""The plant (ISA-95: site, area, line, machine), its calendar and its failures (ISO 14224)."""

import uuid

from django.db import models
from django.db.models import F, Q


class Status(models.TextChoices):
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


class Site(models.Model):
    """A place with its own time zone; its production day starts at `day_start`, local time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=80)
    time_zone = models.CharField(max_length=64)
    day_start = models.TimeField(default="06:00")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)

    def __str__(self) -> str:
        return self.name


class Area(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="areas")
    code = models.CharField(max_length=20)
    name = models.CharField(max_length=80)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "code"], name="area_code_in_site")]

    def __str__(self) -> str:
        return self.name


class Line(models.Model):
    """An ISA-95 work center: what is scheduled."""

    class Kind(models.TextChoices):
        PRODUCTION_LINE = "production_line", "Production line"
        PROCESS_CELL = "process_cell", "Process cell"
        PRODUCTION_UNIT = "production_unit", "Production unit"
        STORAGE_ZONE = "storage_zone", "Storage zone"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    area = models.ForeignKey(Area, on_delete=models.PROTECT, related_name="lines")
    code = models.CharField(max_length=20)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=16, choices=Kind.choices, default=Kind.PRODUCTION_LINE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["area", "code"], name="line_code_in_area")]

    def __str__(self) -> str:
        return self.name


class MachineType(models.Model):
    """Machines that are alike: they share models, ideal rates and the meter of their life."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    # The component whose remaining life is predicted, in the words of the floor.
    component = models.CharField(max_length=80, blank=True)
    # The signal that counts use ("cycle"); empty: operating hours.
    life_meter_key = models.CharField(max_length=128, blank=True)
    life_meter_unit = models.CharField(max_length=20, default="h")
    ideal_rate_per_h = models.FloatField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ideal_rate_per_h=None) | Q(ideal_rate_per_h__gt=0),
                name="machine_type_rate_is_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Machine(models.Model):
    """An ISA-95 work unit: the level at which KPIs are defined."""

    class State(models.TextChoices):
        COMMISSIONING = "commissioning", "Commissioning"
        ACTIVE = "active", "Active"
        MOTHBALLED = "mothballed", "Mothballed"
        RETIRED = "retired", "Retired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    asset_tag = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="machines")
    machine_type = models.ForeignKey(MachineType, on_delete=models.PROTECT, related_name="machines")
    state = models.CharField(max_length=13, choices=State.choices, default=State.ACTIVE)
    position = models.IntegerField(default=0)
    ideal_rate_per_h = models.FloatField(null=True, blank=True)
    cost_per_hour_minor = models.IntegerField(null=True, blank=True)
    commissioned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ideal_rate_per_h=None) | Q(ideal_rate_per_h__gt=0),
                name="machine_rate_is_positive",
            ),
            models.CheckConstraint(
                condition=Q(cost_per_hour_minor=None) | Q(cost_per_hour_minor__gte=0),
                name="machine_cost_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rate_per_h(self) -> float | None:
        """The nameplate rate in parts an hour; the machine's own, else its type's."""
        return self.ideal_rate_per_h or self.machine_type.ideal_rate_per_h


class ShiftPattern(models.Model):
    """A shift as people say it: local times on some weekdays, within a site's time zone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="shift_patterns")
    name = models.CharField(max_length=40)
    weekdays = models.CharField(max_length=7, default="1234567")  # ISO: 1 = Monday
    starts_at = models.TimeField()
    ends_at = models.TimeField()  # not after starts_at: the shift ends on the next day
    break_starts_at = models.TimeField(null=True, blank=True)
    break_minutes = models.IntegerField(default=0)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["site", "name", "valid_from"], name="shift_pattern_version"
            ),
            models.CheckConstraint(
                condition=Q(weekdays__regex=r"^[1-7]{1,7}$"), name="shift_weekdays_are_iso"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CalendarException(models.Model):
    """A day without shifts, whatever the patterns say."""

    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="calendar_exceptions")
    on = models.DateField()
    name = models.CharField(max_length=80)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "on"], name="one_exception_a_day")]

    def __str__(self) -> str:
        return f"{self.on}: {self.name}"


class Failure(models.Model):
    """A failure event (ISO 14224): how it showed, what happened, why, and how it was found.

    Append-only: a correction is a new row that supersedes the old one.
    """

    class Mode(models.TextChoices):
        BREAKDOWN = "breakdown", "Breakdown"
        FAILS_TO_START = "fails_to_start", "Fails to start"
        VIBRATION = "vibration", "Vibration"
        OVERHEATING = "overheating", "Overheating"
        LEAK = "leak", "Leak"
        LOW_OUTPUT = "low_output", "Low output"
        OTHER = "other", "Other"

    class Mechanism(models.TextChoices):
        MECHANICAL = "mechanical", "Mechanical"
        MATERIAL = "material", "Material"
        INSTRUMENT = "instrument", "Instrument"
        ELECTRICAL = "electrical", "Electrical"
        EXTERNAL = "external", "External"
        UNKNOWN = "unknown", "Not known"

    class Cause(models.TextChoices):
        DESIGN = "design", "Design"
        FABRICATION = "fabrication", "Fabrication or installation"
        OPERATION = "operation", "Operation or maintenance"
        MANAGEMENT = "management", "Management"
        UNKNOWN = "unknown", "Not known"

    class Detection(models.TextChoices):
        INSPECTION = "inspection", "Inspection"
        CONDITION_MONITORING = "condition_monitoring", "Condition monitoring"
        TEST = "test", "Test"
        ON_DEMAND = "on_demand", "On demand"
        BY_CHANCE = "by_chance", "By chance"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="failures")
    component = models.CharField(max_length=80, blank=True)
    failed_at = models.DateTimeField()
    restored_at = models.DateTimeField(null=True, blank=True)
    mode = models.CharField(max_length=16, choices=Mode.choices)
    mechanism = models.CharField(
        max_length=12, choices=Mechanism.choices, default=Mechanism.UNKNOWN
    )
    cause = models.CharField(max_length=12, choices=Cause.choices, default=Cause.UNKNOWN)
    detection = models.CharField(
        max_length=20, choices=Detection.choices, default=Detection.ON_DEMAND
    )
    note = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=40, blank=True)
    supersedes = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    recorded_by = models.ForeignKey(
        "tenants.User",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # no constraint across schemas: a factory may live on another node
        related_name="+",
    )
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["machine", "failed_at"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(restored_at=None) | Q(restored_at__gte=F("failed_at")),
                name="failure_is_restored_after_it_began",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.machine}: {self.mode} at {self.failed_at}"
