"""Shapes of the device API."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from production.models import Machine
from telemetry import selectors
from telemetry.models import Device, Signal
from telemetry.tags import MAX_TAG_LENGTH, MAX_TAGS, PATTERN
from tenants.models import Credential


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A control on the first mill",
            value={
                "name": "Mill 1",
                "machine": None,
                "group": "Hall 2",
                "tags": ["spindle", "line-a"],
                "note": "Behind the cabinet",
            },
            request_only=True,
        )
    ]
)
class DeviceSerializer(serializers.ModelSerializer[Device]):
    """Something that sends readings."""

    machine = serializers.PrimaryKeyRelatedField(
        queryset=Machine.objects.all(), allow_null=True, required=False
    )
    tags = serializers.ListField(
        child=serializers.RegexField(PATTERN, max_length=MAX_TAG_LENGTH, trim_whitespace=False),
        max_length=MAX_TAGS,
        required=False,
        help_text="Kept in lower case, sorted, each once.",
    )
    state = serializers.ChoiceField(choices=selectors.DeviceState.choices, read_only=True)
    last_seen_at = serializers.DateTimeField(source="heard_at", read_only=True, allow_null=True)
    clock_offset_s = serializers.FloatField(
        read_only=True, allow_null=True, help_text="How far its clock is ahead (+) of ours."
    )

    class Meta:
        model = Device
        fields = (
            "id", "name", "machine", "group", "tags", "note", "state", "last_seen_at",
            "clock_offset_s", "origin", "hardware_id", "created_at", "retired_at",
        )  # fmt: skip
        read_only_fields = ("id", "origin", "hardware_id", "created_at", "retired_at")
        # A taken name is a conflict, found by the service.
        extra_kwargs: ClassVar[dict[str, Any]] = {"name": {"validators": []}}


class FleetQuerySerializer(serializers.Serializer[Any]):
    """Which devices are listed."""

    q = serializers.CharField(required=False, max_length=80, default="", allow_blank=True)
    group = serializers.CharField(required=False, max_length=60, default="", allow_blank=True)
    tag = serializers.CharField(
        required=False, max_length=MAX_TAG_LENGTH, default="", allow_blank=True
    )
    state = serializers.ChoiceField(
        choices=selectors.FILTERS, required=False, default="", allow_blank=True
    )


class NewDeviceSerializer(DeviceSerializer):
    """A device just made, with its token, which is shown only now."""

    token = serializers.CharField(read_only=True)

    class Meta(DeviceSerializer.Meta):
        fields = (*DeviceSerializer.Meta.fields, "token")  # type: ignore[assignment]


class TokenSerializer(serializers.ModelSerializer[Credential]):
    """A token of a device; the token itself is not kept."""

    class Meta:
        model = Credential
        fields = ("id", "hint", "created_at", "expires_at", "revoked_at")


class NewTokenSerializer(serializers.Serializer[dict[str, str]]):
    """A token just made, shown only now."""

    token = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A vibration sensor gets its name and unit",
            value={
                "label": "Vibration",
                "unit": "mm/s",
                "role": "",
                "scale": 1.0,
                "range_low": 0.0,
                "range_high": 50.0,
            },
            request_only=True,
        )
    ]
)
class SignalSerializer(serializers.ModelSerializer[Signal]):
    """One key of one device and what people call it."""

    key = serializers.CharField(source="key.key", read_only=True)
    kind = serializers.ChoiceField(
        source="key.kind", choices=[("n", "number"), ("b", "yes or no"), ("s", "text")],
        read_only=True,
    )  # fmt: skip

    class Meta:
        model = Signal
        fields = (
            "id", "key", "kind", "label", "unit", "role", "scale", "range_low", "range_high",
            "first_seen_at",
        )  # fmt: skip
        read_only_fields = ("id", "first_seen_at")


class KeySeriesSerializer(serializers.Serializer[Any]):
    """Buckets of one key; a bucket without a reading is absent."""

    t = serializers.ListField(child=serializers.IntegerField(), help_text="ms since 1970")
    min = serializers.ListField(child=serializers.FloatField())
    avg = serializers.ListField(child=serializers.FloatField())
    max = serializers.ListField(child=serializers.FloatField())
    n = serializers.ListField(child=serializers.IntegerField())


class SeriesSerializer(serializers.Serializer[Any]):
    """Several keys of one device over a range."""

    device_id = serializers.IntegerField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    bucket_ms = serializers.FloatField()
    keys = serializers.DictField(child=KeySeriesSerializer())


class SeriesQuerySerializer(serializers.Serializer[Any]):
    """What to draw."""

    key = serializers.ListField(
        child=serializers.CharField(max_length=128), min_length=1, max_length=20
    )
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    n = serializers.IntegerField(min_value=1, max_value=5000, default=500)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["start"] >= attrs["end"]:
            raise serializers.ValidationError({"end": ["The end must lie after the start."]})
        if len(set(attrs["key"])) != len(attrs["key"]):
            raise serializers.ValidationError({"key": ["A key is asked for twice."]})
        return attrs


class LatestSerializer(serializers.Serializer[Any]):
    """The newest reading of a device and what it has sent in all."""

    device_id = serializers.IntegerField()
    ts = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField()
    values = serializers.DictField()
    n_received = serializers.IntegerField()
    n_stored = serializers.IntegerField()
    n_duplicates = serializers.IntegerField()
    n_rejected = serializers.IntegerField()


class RangeSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class RevisionSerializer(serializers.Serializer[Any]):
    """A value that was replaced by a different one for the same time."""

    ts = serializers.DateTimeField()
    key = serializers.CharField()
    value = serializers.JSONField()
    replaced_at = serializers.DateTimeField()
