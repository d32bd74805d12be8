"""Alarm rules, the alarms they raised, and what became of each (ISA-18.2)."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class Severity(models.IntegerChoices):
    CRITICAL = 1, "Critical"
    HIGH = 2, "High"
    MEDIUM = 3, "Medium"
    LOW = 4, "Low"


def _person() -> models.ForeignKey:  # type: ignore[type-arg]
    """A person of the public schema: no constraint, a factory may live on another node."""
    return models.ForeignKey(
        "tenants.User",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
    )


class AlarmRule(models.Model):
    """What is watched for, on which machines, and who hears of it.

    A change of what is watched makes a new version, which applies to what is measured from
    `valid_from` on; what the version before has raised ends there.
    """

    class Scope(models.TextChoices):
        FACTORY = "factory", "The whole factory"
        LINE = "line", "A line"
        MACHINE_TYPE = "machine_type", "A kind of machine"
        MACHINE = "machine", "One machine"

    key = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    scope = models.CharField(max_length=12, choices=Scope.choices, default=Scope.FACTORY)
    line = models.ForeignKey(
        "production.Line", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    machine_type = models.ForeignKey(
        "production.MachineType", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    machine = models.ForeignKey(
        "production.Machine", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    severity = models.SmallIntegerField(choices=Severity.choices, default=Severity.MEDIUM)
    condition = models.JSONField()
    schedule = models.JSONField()
    # For how long a value counts after it was measured; then nobody knows.
    hold_s = models.FloatField(default=300.0)
    advice = models.TextField(blank=True, default="")
    # A latched alarm stays until a person resets it.
    latched = models.BooleanField(default=False)
    escalation = models.JSONField(default=list)
    enabled = models.BooleanField(default=True)
    version = models.IntegerField(default=1)
    valid_from = models.DateTimeField()
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    changed_by = _person()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(scope="factory", line=None, machine_type=None, machine=None)
                | Q(scope="line", line__isnull=False, machine_type=None, machine=None)
                | Q(scope="machine_type", line=None, machine_type__isnull=False, machine=None)
                | Q(scope="machine", line=None, machine_type=None, machine__isnull=False),
                name="alarm_rule_has_one_scope",
            ),
            models.CheckConstraint(
                condition=Q(severity__in=Severity.values), name="alarm_rule_severity_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AlarmPoint(models.Model):
    """A rule on one target: a machine, or a device that belongs to none. ISA-18.2's alarm."""

    rule = models.ForeignKey(AlarmRule, on_delete=models.CASCADE, related_name="points")
    machine = models.ForeignKey(
        "production.Machine", null=True, on_delete=models.CASCADE, related_name="+"
    )
    device = models.ForeignKey(
        "telemetry.Device", null=True, on_delete=models.CASCADE, related_name="+"
    )
    shelved_until = models.DateTimeField(null=True, blank=True)
    shelved_by = _person()
    shelve_reason = models.CharField(max_length=500, blank=True, default="")
    out_of_service_at = models.DateTimeField(null=True, blank=True)
    out_of_service_by = _person()
    out_of_service_reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "machine"], condition=Q(device=None), name="alarm_point_of_machine"
            ),
            models.UniqueConstraint(
                fields=["rule", "device"], condition=Q(machine=None), name="alarm_point_of_device"
            ),
            models.CheckConstraint(
                condition=Q(machine=None, device__isnull=False)
                | Q(machine__isnull=False, device=None),
                name="alarm_point_has_one_target",
            ),
        ]

    def __str__(self) -> str:
        return f"rule {self.rule_id} on {self.machine_id or self.device_id}"


class AlarmCheckpoint(models.Model):
    """What the past of a point means for what comes after `at` (telemetry.alarms.evaluation)."""

    point = models.ForeignKey(AlarmPoint, on_delete=models.CASCADE, related_name="checkpoints")
    at = models.DateTimeField()
    memory = models.JSONField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["point", "at"], name="alarm_checkpoint_is_unique")
        ]

    def __str__(self) -> str:
        return f"point {self.point_id} at {self.at}"


class AlarmFlood(models.Model):
    """More alarms from one cause than a person can read; they are shown and sent as one."""

    rule = models.ForeignKey(AlarmRule, null=True, on_delete=models.CASCADE, related_name="+")
    machine = models.ForeignKey(
        "production.Machine", null=True, on_delete=models.CASCADE, related_name="+"
    )
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    n_alarms = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.n_alarms} alarms since {self.started_at}"


class Alarm(models.Model):
    """One time that a point was on: [raised_at, cleared_at) of measured time.

    Late data may move these times (an event says so) or show that it never was on: then
    `withdrawn_at` is set and the row stays.
    """

    point = models.ForeignKey(AlarmPoint, on_delete=models.CASCADE, related_name="alarms")
    rule_version = models.IntegerField()
    severity = models.SmallIntegerField(choices=Severity.choices)
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)
    noticed_at = models.DateTimeField()
    # Since when it may be heard; NULL: suppressed by its schedule.
    sounded_at = models.DateTimeField(null=True, blank=True)
    evidence = models.JSONField(default=dict)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = _person()
    reset_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    n_escalations = models.IntegerField(default=0)
    flood = models.ForeignKey(
        AlarmFlood, null=True, on_delete=models.SET_NULL, related_name="alarms"
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["point"],
                condition=Q(cleared_at=None, withdrawn_at=None),
                name="alarm_is_on_once_a_point",
            ),
            models.CheckConstraint(
                condition=Q(cleared_at=None) | Q(cleared_at__gte=F("raised_at")),
                name="alarm_clears_after_it_was_raised",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["point", "raised_at"], name="alarm_of_point"),
            models.Index(fields=["-raised_at", "-id"], name="alarm_newest"),
            models.Index(
                fields=["severity"],
                condition=Q(withdrawn_at=None, reset_at=None),
                name="alarm_standing",
            ),
        ]

    def __str__(self) -> str:
        return f"alarm {self.pk} since {self.raised_at}"


class AlarmEvent(models.Model):
    """What happened to an alarm; rows are only ever added."""

    class Kind(models.TextChoices):
        RAISED = "raised", "Raised"
        SOUNDED = "sounded", "Its schedule began"
        ACKNOWLEDGED = "acknowledged", "Taken"
        CLEARED = "cleared", "Cleared"
        CORRECTED = "corrected", "Corrected by late data"
        WITHDRAWN = "withdrawn", "Withdrawn by late data"
        ESCALATED = "escalated", "Told to the next"
        SHELVED = "shelved", "Shelved"
        UNSHELVED = "unshelved", "Back from the shelf"
        OUT_OF_SERVICE = "out_of_service", "Out of service"
        IN_SERVICE = "in_service", "In service again"
        RESET = "reset", "Reset"
        COMMENT = "comment", "Comment"

    alarm = models.ForeignKey(Alarm, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=14, choices=Kind.choices)
    person = _person()
    text = models.CharField(max_length=1000, blank=True, default="")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["alarm", "id"], name="alarm_event_of_alarm")]

    def __str__(self) -> str:
        return f"alarm {self.alarm_id}: {self.kind} at {self.at}"


class AlarmWatch(models.Model):
    """Who evaluates the rules of this factory, until when, and how far it has seen. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    holder = models.CharField(max_length=80)
    until = models.DateTimeField()
    # Stored readings that changed before this have been answered.
    seen_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.holder} until {self.until}"
