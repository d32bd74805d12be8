"""What is written down while an order is worked on: checks, labour, parts, photos, a signature."""

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Q

from production.models.maintenance import SparePart, person
from production.models.orders import WorkOrder


class CheckItem(models.Model):
    """A line of the checklist; with a unit it asks for a value."""

    order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="checks")
    position = models.PositiveSmallIntegerField()
    text = models.CharField(max_length=200)
    unit = models.CharField(max_length=20, blank=True)
    value = models.FloatField(null=True, blank=True)
    is_ok = models.BooleanField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = person()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "position"], name="check_position_in_order"),
            models.CheckConstraint(
                condition=Q(done_at=None, is_ok=None)
                | Q(done_at__isnull=False, is_ok__isnull=False),
                name="a_done_check_has_a_result",
            ),
        ]

    def __str__(self) -> str:
        return self.text


class LabourRow(models.Model):
    """Time that a person worked on an order. Money is in minor units of the order's currency."""

    order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="labour")
    worker = person()
    minutes = models.PositiveIntegerField()
    rate_minor_per_h = models.BigIntegerField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(minutes__gt=0), name="labour_takes_time"),
            models.CheckConstraint(
                condition=Q(rate_minor_per_h=None) | Q(rate_minor_per_h__gte=0),
                name="labour_rate_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.minutes} min on {self.order_id}"

    @property
    def cost_minor(self) -> int | None:
        if self.rate_minor_per_h is None:
            return None
        return round(self.minutes * self.rate_minor_per_h / 60)


class OrderPart(models.Model):
    """A part set aside for an order, used on it, or both; its price is that of the first use."""

    order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="parts")
    part = models.ForeignKey(SparePart, on_delete=models.PROTECT, related_name="order_parts")
    n_planned = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(0))
    n_used = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(0))
    unit_cost_minor = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "part"], name="part_once_in_an_order"),
            models.CheckConstraint(
                condition=Q(n_planned__gte=0, n_used__gte=0), name="order_part_is_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part_id} on {self.order_id}"

    @property
    def cost_minor(self) -> int | None:
        if self.unit_cost_minor is None:
            return None
        return round(self.n_used * self.unit_cost_minor)


class OrderPhoto(models.Model):
    """A picture of the work; the object lies on S3 under the factory's key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(WorkOrder, on_delete=models.PROTECT, related_name="photos")
    object_key = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # SHA-256 of what was sent
    n_bytes = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    added_at = models.DateTimeField()
    added_by = person()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "digest"], name="photo_once_in_an_order")
        ]

    def __str__(self) -> str:
        return self.object_key


class OrderSignature(models.Model):
    """Who says that the work was done as written: a name and, where drawn, the strokes."""

    order = models.OneToOneField(
        WorkOrder, primary_key=True, on_delete=models.PROTECT, related_name="signature"
    )
    name = models.CharField(max_length=80)
    # Polylines on a field of 600 x 200: [[x0, y0, x1, y1, ...], ...], whole numbers.
    strokes = models.JSONField(default=list, blank=True)
    signed_at = models.DateTimeField()
    signed_by = person()

    def __str__(self) -> str:
        return self.name
