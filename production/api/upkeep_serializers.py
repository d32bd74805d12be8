"""Plans, spare parts and meters as the API shows and takes them."""

from dataclasses import fields as fields_of
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from production.models import MachineMeter, MaintenancePlan, PlanPart, SparePart
from production.services import PartFields, PlanFields


class PlanCheckSerializer(serializers.Serializer[Any]):
    """A line of the checklist; with a unit it asks for a value."""

    text = serializers.CharField(max_length=200)
    unit = serializers.CharField(max_length=20, required=False, default="", allow_blank=True)


@extend_schema_field({"type": "string", "pattern": r"^\d{1,7}(\.\d{1,2})?$", "example": "2.5"})
class Quantity(serializers.DecimalField):
    """How many of something; not below zero."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=9, decimal_places=2, min_value=Decimal(0), **options)


class PlanPartSerializer(serializers.ModelSerializer[PlanPart]):
    """A part that each order sets aside."""

    part = serializers.UUIDField(source="part_id")
    quantity = Quantity()

    class Meta:
        model = PlanPart
        fields = ("part", "quantity")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Every 90 days, announced a week before",
            value={
                "name": "Grease the spindle", "trigger": "calendar",
                "machine": "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11", "every_days": 90,
                "first_due_on": "2026-12-01", "lead_days": 7,
                "checklist": [{"text": "Play of the spindle", "unit": "mm"}],
            },
            request_only=True,
        )
    ]
)  # fmt: skip
class PlanSerializer(serializers.ModelSerializer[MaintenancePlan]):
    """Work that comes again, on one machine or on all machines of a type."""

    checklist = PlanCheckSerializer(many=True, required=False)
    parts = PlanPartSerializer(many=True, required=False)
    priority = serializers.IntegerField(min_value=1, max_value=4, default=3)
    every_days = serializers.IntegerField(
        min_value=1, max_value=36_500, required=False, allow_null=True
    )
    lead_days = serializers.IntegerField(min_value=0, max_value=3_650, default=7)
    every_units = serializers.FloatField(
        min_value=1e-9, max_value=1e15, required=False, allow_null=True
    )
    limit = serializers.FloatField(min_value=-1e15, max_value=1e15, required=False, allow_null=True)

    class Meta:
        model = MaintenancePlan
        fields = (
            "id", "name", "kind", "machine", "machine_type", "component", "instructions",
            "priority", "trigger", "every_days", "first_due_on", "value_key", "value_unit",
            "every_units", "beyond", "limit", "lead_days", "checklist", "parts", "is_enabled",
        )  # fmt: skip

    def plan_fields(self) -> PlanFields:
        """Return what the plan says after this change; what is not sent stays."""
        said: dict[str, Any] = {}
        if isinstance(self.instance, MaintenancePlan):
            said = current(self.instance)
        sent = dict(self.validated_data)
        for name in ("machine", "machine_type"):
            if name in sent:
                row = sent.pop(name)
                said[f"{name}_id"] = row.pk if row else None
        if "checklist" in sent:
            said["checklist"] = [(row["text"], row["unit"]) for row in sent.pop("checklist")]
        if "parts" in sent:
            said["parts"] = {row["part_id"]: row["quantity"] for row in sent.pop("parts")}
        return PlanFields(**(said | sent))


def current(plan: MaintenancePlan) -> dict[str, Any]:
    """Return what a plan says, as the fields of `PlanFields`."""
    said = {f.name: getattr(plan, f.name) for f in fields_of(PlanFields) if f.name != "parts"}
    said["checklist"] = [(row["text"], row.get("unit", "")) for row in plan.checklist]
    said["parts"] = {row.part_id: row.quantity for row in plan.parts.all()}
    return said


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A bearing that takes three weeks to come",
            value={
                "part_no": "7014-CD", "name": "Spindle bearing", "min_quantity": "2",
                "lead_time_days": 21, "unit_cost_minor": 18000, "component": "Spindle bearing",
            },
            request_only=True,
        )
    ]
)  # fmt: skip
class PartSerializer(serializers.ModelSerializer[SparePart]):
    """A spare part; `unit_cost_minor` is in minor units of the factory's currency."""

    min_quantity = Quantity(required=False)
    max_quantity = Quantity(required=False, allow_null=True)
    lead_time_days = serializers.IntegerField(
        min_value=0, max_value=3_650, required=False, allow_null=True
    )
    unit_cost_minor = serializers.IntegerField(
        min_value=0, max_value=10**12, required=False, allow_null=True
    )
    part_no = serializers.CharField(max_length=40)  # taken numbers are the service's to refuse

    class Meta:
        model = SparePart
        fields = (
            "id", "part_no", "name", "unit", "min_quantity", "max_quantity", "lead_time_days",
            "unit_cost_minor", "machine_type", "component", "status",
        )  # fmt: skip

    def part_fields(self) -> PartFields:
        """Return what is said of the part after this change; what is not sent stays."""
        said: dict[str, Any] = {}
        if isinstance(self.instance, SparePart):
            said = {f.name: getattr(self.instance, f.name) for f in fields_of(PartFields)}
        sent = dict(self.validated_data)
        if "machine_type" in sent:
            row = sent.pop("machine_type")
            said["machine_type_id"] = row.pk if row else None
        return PartFields(**(said | sent))


class StockSerializer(serializers.Serializer[Any]):
    """What lies on the shelf, what open orders wait for, and what will be needed.

    `unplanned` is null while the history is too short to name a rate.
    """

    part = serializers.UUIDField()
    stock = serializers.DecimalField(max_digits=12, decimal_places=2)
    reserved = serializers.DecimalField(max_digits=12, decimal_places=2)
    lead_days = serializers.IntegerField()
    planned = serializers.DecimalField(max_digits=12, decimal_places=2)
    unplanned = serializers.DecimalField(max_digits=12, decimal_places=2, allow_null=True)
    to_order = serializers.DecimalField(max_digits=12, decimal_places=2)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Hours of the spindle",
            value={"key": "spindle_h", "value": 4210.5, "measured_at": "2026-11-17T10:28:00Z"},
            request_only=True,
        )
    ]
)
class MeterSerializer(serializers.ModelSerializer[MachineMeter]):
    """The newest value of a meter that plans count by; an older one changes nothing."""

    value = serializers.FloatField(min_value=-1e15, max_value=1e15)

    class Meta:
        model = MachineMeter
        fields = ("key", "value", "measured_at")
