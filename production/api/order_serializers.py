"""Work orders as the API shows and takes them; money is in minor units of `currency`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from production import services
from production.models import (
    CheckItem,
    Failure,
    LabourRow,
    OrderPart,
    OrderPhoto,
    StockMovement,
    WorkOrder,
    WorkOrderEvent,
)

MACHINE = "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11"
REQUEST = "0b8f1d3e-7f5d-4a60-9a52-1f1d6f7f0c77"


def _example(name: str, value: dict[str, Any]) -> Any:
    return extend_schema_serializer(examples=[OpenApiExample(name, value, request_only=True)])


class CheckItemSerializer(serializers.ModelSerializer[CheckItem]):
    """A line of the checklist."""

    class Meta:
        model = CheckItem
        fields = ("id", "position", "text", "unit", "value", "is_ok", "done_at")


class LabourSerializer(serializers.ModelSerializer[LabourRow]):
    """Time that somebody worked."""

    worker = serializers.StringRelatedField[Any]()

    class Meta:
        model = LabourRow
        fields = ("id", "worker", "minutes", "rate_minor_per_h", "at")


class OrderPartSerializer(serializers.ModelSerializer[OrderPart]):
    """A part that is set aside, or was used."""

    part_no = serializers.CharField(source="part.part_no")
    name = serializers.CharField(source="part.name")

    class Meta:
        model = OrderPart
        fields = ("part", "part_no", "name", "n_planned", "n_used", "unit_cost_minor")


class PhotoSerializer(serializers.ModelSerializer[OrderPhoto]):
    """A picture; its content is at `photos/{id}` below the order."""

    class Meta:
        model = OrderPhoto
        fields = ("id", "n_bytes", "width", "height", "added_at")


class WorkOrderEventSerializer(serializers.ModelSerializer[WorkOrderEvent]):
    """What happened, and the state from then on."""

    by = serializers.StringRelatedField[Any]()

    class Meta:
        model = WorkOrderEvent
        fields = ("kind", "state", "at", "by", "text")


class OrderSerializer(serializers.ModelSerializer[WorkOrder]):
    """A work order, as lists show it."""

    machine_name = serializers.CharField(source="machine.name", read_only=True)
    first_checks = serializers.ListField(child=serializers.CharField())
    assigned_to = serializers.StringRelatedField[Any]()

    class Meta:
        model = WorkOrder
        fields = (
            "id", "label", "kind", "state", "machine", "machine_name", "component", "title",
            "reason", "first_checks", "priority", "due_from", "due_by", "currency",
            "waiting_cost_minor_per_day", "waiting_cost", "source", "source_ref", "n_findings",
            "plan", "mode", "mechanism", "cause", "detection", "failure", "verdict",
            "verdict_note", "verdict_at", "downtime_minutes", "created_at", "assigned_to",
            "scheduled_for", "started_at", "done_at", "closed_at",
        )  # fmt: skip
        read_only_fields = fields


class OrderDetailSerializer(OrderSerializer):
    """A work order with all that was written down on it."""

    checks = CheckItemSerializer(many=True)
    labour = LabourSerializer(many=True)
    parts = OrderPartSerializer(many=True)
    photos = PhotoSerializer(many=True)
    events = WorkOrderEventSerializer(many=True)
    signed_by = serializers.SerializerMethodField()

    class Meta(OrderSerializer.Meta):
        fields = (  # type: ignore[assignment]  # DRF takes any sequence of names
            *OrderSerializer.Meta.fields, "checks", "labour", "parts", "photos", "events",
            "signed_by",
        )  # fmt: skip
        read_only_fields = fields  # type: ignore[assignment]

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_signed_by(self, order: WorkOrder) -> str | None:
        signature = getattr(order, "signature", None)
        return signature.name if signature else None


@_example("With an id of the client's", {"request_id": REQUEST})
class RequestSerializer(serializers.Serializer[Any]):
    """A step that is taken once, however often it is sent."""

    request_id = serializers.UUIDField(
        required=False, help_text="Made by the client; the same id counts once."
    )


@_example(
    "A leak that an operator saw",
    {"machine": MACHINE, "title": "Coolant leaks at the pump", "priority": 2,
     "request_id": REQUEST},
)  # fmt: skip
class NewOrderSerializer(RequestSerializer):
    """Work that somebody asks for. With the right to plan it is approved at once."""

    machine = serializers.UUIDField()
    title = serializers.CharField(max_length=120)
    kind = serializers.ChoiceField(WorkOrder.Kind.choices, default=WorkOrder.Kind.CORRECTIVE)
    component = serializers.CharField(max_length=80, required=False)
    reason = serializers.CharField(max_length=2000, required=False)
    priority = serializers.IntegerField(min_value=1, max_value=4, default=3)
    due_from = serializers.DateTimeField(required=False)
    due_by = serializers.DateTimeField(required=False)


@_example("A few words", {"text": "Play measured, 0.04 mm", "request_id": REQUEST})
class WordsSerializer(RequestSerializer):
    """A step with a few words."""

    text = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


@_example("Tomorrow morning", {"scheduled_for": "2026-11-18T06:00:00Z", "assigned_to": None})
class ScheduleSerializer(RequestSerializer):
    """When it is done, and by whom (the id of a member's person)."""

    scheduled_for = serializers.DateTimeField(required=False, allow_null=True, default=None)
    assigned_to = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=2**31 - 1
    )


@_example(
    "The bearing was worn",
    {"verdict": "real", "note": "Outer race pitted, bearing replaced", "mode": "vibration",
     "mechanism": "mechanical", "cause": "operation", "detection": "condition_monitoring",
     "failed_at": "2026-11-17T10:28:00Z", "downtime_minutes": 95, "request_id": REQUEST},
)  # fmt: skip
class CompleteSerializer(RequestSerializer):
    """What was found. A finding needs a verdict; a real failure needs its mode."""

    verdict = serializers.ChoiceField(WorkOrder.Verdict.choices, required=False, default="")
    note = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)
    mode = serializers.ChoiceField(Failure.Mode.choices, required=False, default="")
    mechanism = serializers.ChoiceField(
        Failure.Mechanism.choices, default=Failure.Mechanism.UNKNOWN
    )
    cause = serializers.ChoiceField(Failure.Cause.choices, default=Failure.Cause.UNKNOWN)
    detection = serializers.ChoiceField(
        Failure.Detection.choices, default=Failure.Detection.INSPECTION
    )
    failed_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    downtime_minutes = serializers.IntegerField(
        min_value=0, max_value=10_000_000, required=False, allow_null=True, default=None
    )

    def code(self) -> services.FailureCode:
        names = ("mode", "mechanism", "cause", "detection", "failed_at")
        return services.FailureCode(**{name: self.validated_data[name] for name in names})


@_example(
    "The sensor was loose", {"text": "Sensor cable was loose, fixed", "verdict": "false_alarm"}
)
class RejectSerializer(RequestSerializer):
    """Why it will not be done; a false alarm is a label for the models."""

    text = serializers.CharField(max_length=500)
    verdict = serializers.ChoiceField(
        [(v.value, v.label) for v in (WorkOrder.Verdict.FALSE_ALARM, WorkOrder.Verdict.NOT_FOUND)],
        required=False, default="",
    )  # fmt: skip


@_example("An hour and a half", {"minutes": 90, "rate_minor_per_h": 6500, "request_id": REQUEST})
class NewLabourSerializer(RequestSerializer):
    """Time that the caller worked."""

    minutes = serializers.IntegerField(min_value=1, max_value=10_080)
    rate_minor_per_h = serializers.IntegerField(
        min_value=0, max_value=10**12, required=False, allow_null=True, default=None
    )


@_example("One bearing", {"part": MACHINE, "quantity": "1", "request_id": REQUEST})
class UsePartSerializer(RequestSerializer):
    """A part taken off the shelf; below zero it is brought back."""

    part = serializers.UUIDField()
    quantity = serializers.DecimalField(max_digits=9, decimal_places=2)


@_example("Play within limits", {"is_ok": True, "value": 0.02, "request_id": REQUEST})
class CheckSerializer(RequestSerializer):
    """The result of a line of the checklist."""

    is_ok = serializers.BooleanField()
    value = serializers.FloatField(
        required=False, allow_null=True, default=None, min_value=-1e12, max_value=1e12
    )


@_example("A name and a stroke", {"name": "Ada Krause", "strokes": [[10, 100, 300, 60, 590, 100]]})
class SignatureSerializer(RequestSerializer):
    """A name, and polylines x0, y0, x1, y1, ... on a field of 600 x 200."""

    name = serializers.CharField(max_length=80)
    strokes = serializers.ListField(
        child=serializers.ListField(
            child=serializers.IntegerField(min_value=0, max_value=600), max_length=8000
        ),
        required=False, default=list, max_length=200,
    )  # fmt: skip


class NewPhotoSerializer(RequestSerializer):
    """A picture: JPEG, PNG or WebP of at most 12 MB, sent as a form."""

    photo = serializers.FileField()


class MovementSerializer(serializers.ModelSerializer[StockMovement]):
    """What came onto the shelf or left it."""

    by = serializers.StringRelatedField[Any]()

    class Meta:
        model = StockMovement
        fields = ("id", "quantity", "reason", "order", "note", "moved_at", "by")


@_example("Four were received", {"quantity": "4", "reason": "receipt", "request_id": REQUEST})
class NewMovementSerializer(RequestSerializer):
    """A movement that is no use on an order."""

    quantity = serializers.DecimalField(max_digits=9, decimal_places=2)
    reason = serializers.ChoiceField(StockMovement.Reason.choices)
    note = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
