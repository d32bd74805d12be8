from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from production.models import Failure, Line, Machine, MachineType


class LineSerializer(serializers.ModelSerializer[Line]):
    """A work center with the place it stands in."""

    area = serializers.CharField(source="area.name", read_only=True)
    site = serializers.CharField(source="area.site.name", read_only=True)
    time_zone = serializers.CharField(source="area.site.time_zone", read_only=True)

    class Meta:
        model = Line
        fields = ("id", "code", "name", "kind", "area", "site", "time_zone")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A mill whose spindle bearing wears by the hour",
            value={"name": "Mill", "component": "Spindle bearing", "ideal_rate_per_h": 40},
            request_only=True,
        )
    ]
)
class MachineTypeSerializer(serializers.ModelSerializer[MachineType]):
    """Machines that are alike and share a model of their wear."""

    class Meta:
        model = MachineType
        fields = (
            "id",
            "code",
            "name",
            "component",
            "life_meter_key",
            "life_meter_unit",
            "ideal_rate_per_h",
        )
        read_only_fields = ("id", "code")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A machine on the first line",
            value={
                "name": "Mill 3",
                "machine_type": "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11",
                "ideal_rate_per_h": 40,
                "cost_per_hour_minor": 6500,
            },
            request_only=True,
        )
    ]
)
class MachineSerializer(serializers.ModelSerializer[Machine]):
    """A work unit. `cost_per_hour_minor` is in minor units of the factory's currency."""

    machine_type_name = serializers.CharField(source="machine_type.name", read_only=True)
    line_name = serializers.CharField(source="line.name", read_only=True)

    class Meta:
        model = Machine
        fields = (
            "id",
            "asset_tag",
            "name",
            "line",
            "line_name",
            "machine_type",
            "machine_type_name",
            "state",
            "ideal_rate_per_h",
            "cost_per_hour_minor",
            "commissioned_at",
        )
        read_only_fields = ("id", "asset_tag")
        extra_kwargs = {"line": {"required": False}}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A bearing that broke down",
            value={
                "failed_at": "2026-11-17T10:28:00Z",
                "restored_at": "2026-11-17T13:05:00Z",
                "mode": "vibration",
                "mechanism": "mechanical",
                "detection": "condition_monitoring",
                "note": "Outer race worn, bearing 7014 replaced",
            },
            request_only=True,
        )
    ]
)
class FailureSerializer(serializers.ModelSerializer[Failure]):
    """A failure event in the words of ISO 14224; models learn from it."""

    class Meta:
        model = Failure
        fields = (
            "id",
            "machine",
            "component",
            "failed_at",
            "restored_at",
            "mode",
            "mechanism",
            "cause",
            "detection",
            "note",
            "source",
            "recorded_at",
        )
        read_only_fields = ("id", "machine", "source", "recorded_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        restored = attrs.get("restored_at")
        if restored is not None and restored < attrs["failed_at"]:
            raise serializers.ValidationError(
                {"restored_at": "This lies before the failure; give a later time."}
            )
        return attrs
