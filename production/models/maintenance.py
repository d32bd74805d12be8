"""Preventive plans, spare parts and the meters that plans count by."""

import uuid
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F, Q

from production.models.plant import Machine, MachineType, Status


def person(**options: Any) -> "models.ForeignKey[Any, Any]":
    """A person of the public schema: no constraint, a factory may live on another node."""
    return models.ForeignKey(
        "tenants.User", on_delete=models.DO_NOTHING, db_constraint=False, related_name="+",
        null=True, blank=True, **options,
    )  # fmt: skip


class SparePart(models.Model):
    """A part that is kept for repairs; what lies on the shelf is the sum of its movements."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    part_no = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    unit = models.CharField(max_length=12, default="pcs")
    # Order when below the least; do not lay in more than the most.
    min_quantity = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(0))
    max_quantity = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    lead_time_days = models.PositiveIntegerField(null=True, blank=True)
    unit_cost_minor = models.BigIntegerField(null=True, blank=True)
    machine_type = models.ForeignKey(
        MachineType, null=True, blank=True, on_delete=models.PROTECT, related_name="spare_parts"
    )
    component = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ACTIVE)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(min_quantity__gte=0)
                & (Q(max_quantity=None) | Q(max_quantity__gte=F("min_quantity"))),
                name="spare_part_limits_are_in_order",
            ),
            models.CheckConstraint(
                condition=Q(unit_cost_minor=None) | Q(unit_cost_minor__gte=0),
                name="spare_part_cost_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part_no} {self.name}"


class StockMovement(models.Model):
    """What came onto the shelf or left it. Append-only: a mistake is moved back."""

    class Reason(models.TextChoices):
        RECEIPT = "receipt", "Received"
        USE = "use", "Used"
        RETURN = "return", "Brought back"
        COUNT = "count", "Counted"
        SCRAP = "scrap", "Thrown away"

    id = models.BigAutoField(primary_key=True)
    part = models.ForeignKey(SparePart, on_delete=models.PROTECT, related_name="movements")
    quantity = models.DecimalField(max_digits=10, decimal_places=2)  # below zero: it left
    reason = models.CharField(max_length=8, choices=Reason.choices)
    order = models.ForeignKey(
        "production.WorkOrder",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="movements",
    )
    note = models.CharField(max_length=200, blank=True)
    moved_at = models.DateTimeField()
    by = person()
    request_id = models.UUIDField(null=True, blank=True, unique=True)

    class Meta:
        indexes = [models.Index(fields=["part", "moved_at"])]
        constraints = [
            models.CheckConstraint(condition=~Q(quantity=0), name="stock_movement_moves_something")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.part_id}"


class MaintenancePlan(models.Model):
    """Work that comes again: by the calendar, by a meter, or when a value passes a limit.

    It is for one machine or for every machine of a type; each has at most one open order of it.
    """

    class Trigger(models.TextChoices):
        CALENDAR = "calendar", "Every so many days"
        METER = "meter", "Every so many units of a meter"
        CONDITION = "condition", "When a value passes a limit"

    class Kind(models.TextChoices):
        PREVENTIVE = "preventive", "Preventive"
        INSPECTION = "inspection", "Inspection"

    class Beyond(models.TextChoices):
        ABOVE = "above", "rises above"
        BELOW = "below", "falls below"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.PREVENTIVE)
    machine = models.ForeignKey(
        Machine, null=True, blank=True, on_delete=models.PROTECT, related_name="plans"
    )
    machine_type = models.ForeignKey(
        MachineType, null=True, blank=True, on_delete=models.PROTECT, related_name="plans"
    )
    component = models.CharField(max_length=80, blank=True)
    instructions = models.TextField(blank=True, max_length=2000)
    priority = models.PositiveSmallIntegerField(default=3)
    trigger = models.CharField(max_length=9, choices=Trigger.choices)
    every_days = models.PositiveIntegerField(null=True, blank=True)
    first_due_on = models.DateField(null=True, blank=True)
    # The meter that is counted, or the value that is watched.
    value_key = models.CharField(max_length=128, blank=True)
    value_unit = models.CharField(max_length=20, blank=True)
    every_units = models.FloatField(null=True, blank=True)
    beyond = models.CharField(max_length=5, choices=Beyond.choices, blank=True)
    limit = models.FloatField(null=True, blank=True)
    # How long before its due day an order is made; for the others, how long there is to do it.
    lead_days = models.PositiveIntegerField(default=7)
    checklist = models.JSONField(default=list, blank=True)  # [{"text": ..., "unit": ...}]
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = person()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(machine=None, machine_type__isnull=False)
                | Q(machine__isnull=False, machine_type=None),
                name="plan_is_for_a_machine_or_a_type",
            ),
            models.CheckConstraint(
                condition=Q(trigger="calendar", every_days__gt=0, first_due_on__isnull=False)
                | (Q(trigger="meter", every_units__gt=0) & ~Q(value_key=""))
                | (Q(trigger="condition", limit__isnull=False) & ~Q(value_key="") & ~Q(beyond="")),
                name="plan_has_what_its_trigger_needs",
            ),
            models.CheckConstraint(
                condition=Q(priority__range=(1, 4)), name="plan_priority_is_1_to_4"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PlanPart(models.Model):
    """A part that each order of a plan sets aside."""

    plan = models.ForeignKey(MaintenancePlan, on_delete=models.CASCADE, related_name="parts")
    part = models.ForeignKey(SparePart, on_delete=models.PROTECT, related_name="plans")
    quantity = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "part"], name="part_once_in_a_plan"),
            models.CheckConstraint(
                condition=Q(quantity__gt=0), name="plan_part_quantity_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.part_id}"


class PlanAnchor(models.Model):
    """From where a plan counts on one machine: when, or at what reading, it was last done."""

    plan = models.ForeignKey(MaintenancePlan, on_delete=models.CASCADE, related_name="anchors")
    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="+")
    anchored_on = models.DateField()
    meter = models.FloatField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "machine"], name="one_anchor_a_plan_and_machine"
            )
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} on {self.machine_id}"


class MachineMeter(models.Model):
    """The newest value of what a plan counts or watches, as a person or a floor above told it."""

    machine = models.ForeignKey(Machine, on_delete=models.CASCADE, related_name="meters")
    key = models.CharField(max_length=128)
    value = models.FloatField()
    measured_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["machine", "key"], name="one_meter_a_key")]

    def __str__(self) -> str:
        return f"{self.key} of {self.machine_id}"
