from datetime import timedelta
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from analytics.states import State

LONGEST_TIMELINE = timedelta(days=31)


class SegmentSerializer(serializers.Serializer[Any]):
    """One state without interruption; `ratio` is the output against the ideal rate, if known."""

    state = serializers.ChoiceField(choices=[state.value for state in State])
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    ratio = serializers.FloatField(allow_null=True)
    n_micro_stops = serializers.IntegerField()


class FigureSerializer(serializers.Serializer[Any]):
    value = serializers.CharField(allow_blank=True)
    unit = serializers.CharField(allow_blank=True)
    beside = serializers.CharField(allow_blank=True)


class SumsSerializer(serializers.Serializer[Any]):
    """Sums over the period; ratios are null where they cannot be said."""

    busy_ms = serializers.IntegerField()
    cycling_ms = serializers.IntegerField()
    unknown_ms = serializers.IntegerField()
    idle_ms = serializers.IntegerField()
    down_ms = serializers.IntegerField()
    setup_ms = serializers.IntegerField()
    n_parts = serializers.FloatField()
    energy_kwh = serializers.FloatField(allow_null=True)
    coverage = serializers.FloatField(allow_null=True)
    availability = serializers.FloatField(allow_null=True)
    performance = serializers.FloatField(allow_null=True)
    oee = serializers.FloatField(allow_null=True)


class TileSerializer(serializers.Serializer[Any]):
    """One machine now."""

    machine_id = serializers.UUIDField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[state.value for state in State])
    since = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)
    figure = FigureSerializer()
    lost_minor = serializers.IntegerField(allow_null=True)
    last_seen_at = serializers.DateTimeField(allow_null=True)
    window_start = serializers.DateTimeField()
    window_end = serializers.DateTimeField()
    segments = SegmentSerializer(many=True)
    sums = SumsSerializer()


class AttentionSerializer(serializers.Serializer[Any]):
    """One thing that needs a person; severity 1 is the worst."""

    severity = serializers.IntegerField()
    machine_id = serializers.UUIDField()
    subject = serializers.CharField()
    sentence = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    cost = serializers.CharField(allow_blank=True)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A mill that is down",
            value={
                "at": "2026-11-17T10:42:00Z",
                "tiles": [
                    {
                        "machine_id": "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11",
                        "name": "Mill 3",
                        "state": "down",
                        "since": "2026-11-17T10:28:00Z",
                        "note": "Stopped at 10:28. No reason yet.",
                        "figure": {"value": "14", "unit": "min", "beside": "€38 lost so far"},
                        "lost_minor": 3800,
                        "last_seen_at": "2026-11-17T10:41:58Z",
                    }
                ],
                "attention": [
                    {
                        "severity": 1,
                        "subject": "Mill 3",
                        "sentence": "has been down for 14 min. Nobody has said why.",
                        "since": "2026-11-17T10:28:00Z",
                        "cost": "€38 lost so far",
                    }
                ],
            },
            response_only=True,
        )
    ]
)
class FloorSerializer(serializers.Serializer[Any]):
    """The floor now: every machine, and what needs a person, the worst first."""

    at = serializers.DateTimeField()
    tiles = TileSerializer(many=True)
    attention = AttentionSerializer(many=True)


class PeriodSerializer(serializers.Serializer[Any]):
    """A period; without a start the 8 hours before its end, without an end up to now."""

    start = serializers.DateTimeField(required=False)
    end = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start, end = attrs.get("start"), attrs.get("end")
        if start is not None and end is not None:
            if end <= start:
                raise serializers.ValidationError({"end": "This is not after the start."})
            if end - start > LONGEST_TIMELINE:
                raise serializers.ValidationError({"start": "At most 31 days at a time."})
        return attrs


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Twenty minutes of a mill",
            value={
                "machine_id": "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11",
                "start": "2026-11-17T10:20:00Z",
                "end": "2026-11-17T10:40:00Z",
                "segments": [
                    {
                        "state": "run",
                        "start": "2026-11-17T10:20:00Z",
                        "end": "2026-11-17T10:28:00Z",
                        "ratio": 0.97,
                        "n_micro_stops": 1,
                    },
                    {
                        "state": "down",
                        "start": "2026-11-17T10:28:00Z",
                        "end": "2026-11-17T10:40:00Z",
                        "ratio": None,
                        "n_micro_stops": 0,
                    },
                ],
            },
            response_only=True,
        )
    ]
)
class TimelineSerializer(serializers.Serializer[Any]):
    """The states of a machine over a period, without hole or overlap, up to now."""

    machine_id = serializers.UUIDField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    segments = SegmentSerializer(many=True)
    sums = SumsSerializer()
