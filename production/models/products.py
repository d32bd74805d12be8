"""What is made: products, orders, lots and serials, and the runs of operations that make them."""

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from production.models.maintenance import person
from production.models.plant import Machine


class Product(models.Model):
    """A material definition (ISA-95): an item that is made or bought."""

    class Tracking(models.TextChoices):
        LOT = "lot", "By lot"
        SERIAL = "serial", "By serial number"

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        RELEASED = "released", "Released"
        OBSOLETE = "obsolete", "Obsolete"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item_no = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    unit = models.CharField(max_length=12, default="pcs")
    tracking = models.CharField(max_length=6, choices=Tracking.choices, default=Tracking.LOT)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RELEASED)
    # What one unit has cost when it is finished: what scrapping it loses.
    unit_cost_minor = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(unit_cost_minor=None) | Q(unit_cost_minor__gte=0),
                name="product_cost_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_no} {self.name}"


class ProductionOrder(models.Model):
    """So much of a product by a date."""

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        RELEASED = "released", "Released"
        RUNNING = "running", "Running"
        HELD = "held", "Held"
        COMPLETED = "completed", "Completed"
        CLOSED = "closed", "Closed"
        CANCELLED = "cancelled", "Cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=40, unique=True)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="orders")
    quantity = models.DecimalField(max_digits=14, decimal_places=3)
    due_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.RELEASED)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quantity__gt=0), name="order_quantity_is_positive"
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.number


class Lot(models.Model):
    """An identified quantity of a product; a serial is a lot of quantity 1.

    Its state is that of its newest event.
    """

    class State(models.TextChoices):
        CREATED = "created", "In production"
        AVAILABLE = "available", "Available"
        HELD = "held", "Held"
        RELEASED = "released", "Released"
        CONSUMED = "consumed", "Consumed"
        SHIPPED = "shipped", "Shipped"
        RECALLED = "recalled", "Recalled"
        SCRAPPED = "scrapped", "Scrapped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="lots")
    code = models.CharField(max_length=60)
    is_serial = models.BooleanField(default=False)
    # The lot of which a serial or a handling unit is a part.
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    order = models.ForeignKey(
        ProductionOrder, null=True, blank=True, on_delete=models.PROTECT, related_name="lots"
    )
    quantity = models.DecimalField(max_digits=14, decimal_places=3, default=Decimal(1))
    state = models.CharField(max_length=9, choices=State.choices, default=State.CREATED)
    made_at = models.DateTimeField()
    expires_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["-made_at", "-id"], name="newest_lots")]
        constraints = [
            models.UniqueConstraint(fields=["product", "code"], name="lot_code_in_product"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="lot_holds_something"),
            models.CheckConstraint(
                condition=Q(is_serial=False) | Q(quantity=1), name="serial_is_one_piece"
            ),
            models.CheckConstraint(
                condition=Q(parent=None) | ~Q(parent=F("id")), name="lot_is_not_its_own_parent"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class LotEvent(models.Model):
    """Something that happened to a lot: from here on it is in this state. Append-only."""

    id = models.BigAutoField(primary_key=True)
    lot = models.ForeignKey(Lot, on_delete=models.CASCADE, related_name="events")
    state = models.CharField(max_length=9, choices=Lot.State.choices)
    at = models.DateTimeField()
    by = person()
    text = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["lot", "at"])]

    def __str__(self) -> str:
        return f"{self.lot_id}: {self.state}"


class OperationRun(models.Model):
    """One operation on one lot: which machine made it, when, and with which parameters.

    Readings meet it by machine and time.
    """

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        FINISHED = "finished", "Finished"
        ABORTED = "aborted", "Aborted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="runs")
    # The step as people call it ("20 milling"); runs of one lot come in the order of `sequence`.
    operation = models.CharField(max_length=60)
    sequence = models.PositiveIntegerField(default=10)
    run_no = models.PositiveIntegerField(default=1)
    machine = models.ForeignKey(Machine, on_delete=models.PROTECT, related_name="runs")
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    # Set points, tool, recipe, material: {"feed_mm_min": 800, "tool": "T12"}.
    parameters = models.JSONField(default=dict, blank=True)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(fields=["machine", "started_at"]),
            models.Index(fields=["operation", "-started_at"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["lot", "operation", "run_no"], name="run_number_in_lot_and_operation"
            ),
            models.CheckConstraint(
                condition=Q(state="running", ended_at=None)
                | Q(state__in=("finished", "aborted"), ended_at__gte=F("started_at")),
                name="run_that_ended_says_when",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operation} of {self.lot_id}"
