"""What became of what a device sent: counters, the stream of the last items, data quality."""

from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from telemetry import selectors
from telemetry.api.views import device_with_health, find_device
from tenants.context import current_factory

MAX_STREAM = 200


class RefusalCountSerializer(serializers.Serializer[Any]):
    """How often a code was the reason for a refusal."""

    code = serializers.CharField()
    n = serializers.IntegerField()
    last_at = serializers.DateTimeField()
    last_message = serializers.CharField()


class CountersSerializer(serializers.Serializer[Any]):
    """Everything that a device sent: received = stored + duplicates + rejected, always."""

    device_id = serializers.IntegerField()
    n_received = serializers.IntegerField()
    n_stored = serializers.IntegerField()
    n_duplicates = serializers.IntegerField()
    n_rejected = serializers.IntegerField()
    last_seen_at = serializers.DateTimeField(allow_null=True)
    clock_offset_s = serializers.FloatField(allow_null=True)
    clock_seen_at = serializers.DateTimeField(allow_null=True)
    readings_last_minute = serializers.IntegerField()
    readings_per_min = serializers.FloatField(help_text="Over the last hour.")
    rejected = RefusalCountSerializer(many=True)


class StreamItemSerializer(serializers.Serializer[Any]):
    """A reading under its own time, or a refusal (with a code) under that of its arrival."""

    at = serializers.DateTimeField()
    values = serializers.DictField()
    code = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    item = serializers.CharField(allow_blank=True)


class StreamQuerySerializer(serializers.Serializer[Any]):
    n = serializers.IntegerField(min_value=1, max_value=MAX_STREAM, default=50)


class CheckSerializer(serializers.Serializer[Any]):
    """One check: 0 to 100, null where it cannot be said."""

    check = serializers.ChoiceField(choices=["gaps", "stuck", "range", "drift"])
    score = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()


class SignalQualitySerializer(serializers.Serializer[Any]):
    """How far a signal can be trusted: its worst check."""

    signal_id = serializers.IntegerField()
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field, not the field's label
    score = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()
    checks = CheckSerializer(many=True)


class QualitySerializer(serializers.Serializer[Any]):
    """The signals of a device, whichever needs a look first."""

    device_id = serializers.IntegerField()
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    signals = SignalQualitySerializer(many=True)
    n_left_out = serializers.IntegerField()


class QualityQuerySerializer(serializers.Serializer[Any]):
    hours = serializers.IntegerField(min_value=1, max_value=24, default=24)


class Counters(APIView):
    """What became of everything that a device sent."""

    required_permission = "telemetry.view"

    @extend_schema(
        responses=CountersSerializer,
        examples=[
            OpenApiExample(
                "A gateway whose clock is fast",
                value={
                    "device_id": 1, "n_received": 4810, "n_stored": 4790, "n_duplicates": 12,
                    "n_rejected": 8, "last_seen_at": "2026-11-17T10:42:07Z",
                    "clock_offset_s": 93.0, "clock_seen_at": "2026-11-17T10:42:07Z",
                    "readings_last_minute": 60, "readings_per_min": 59.8,
                    "rejected": [
                        {
                            "code": "not_finite", "n": 8, "last_at": "2026-11-17T10:40:00Z",
                            "last_message": "The value of 'vib' is not a finite number.",
                        }
                    ],
                },
                response_only=True,
            )
        ],
    )  # fmt: skip
    def get(self, request: Request, device_id: int) -> Response:
        """Show the counters, the rate, the clock and why readings were refused."""
        at = timezone.now()
        health = selectors.health(device_with_health(device_id))
        latest = selectors.latest_values([device_id]).get(device_id)
        body = {
            "device_id": device_id,
            **{
                name: getattr(latest, name, 0)
                for name in ("n_received", "n_stored", "n_duplicates", "n_rejected")
            },
            "last_seen_at": health.heard_at,
            "clock_offset_s": health.clock_offset_s,
            "clock_seen_at": health.clock_seen_at,
            "readings_last_minute": selectors.readings_last_minute(device_id=device_id, at=at),
            "readings_per_min": selectors.readings_per_min([device_id], at=at).get(device_id, 0.0),
            "rejected": selectors.refusal_counts(device_id),
        }
        return Response(CountersSerializer(body).data)


class Stream(APIView):
    """The last readings of a device among what was refused of it, newest first."""

    required_permission = "telemetry.view"

    @extend_schema(
        parameters=[OpenApiParameter("n", int, description="Items, up to 200. Default 50.")],
        responses=StreamItemSerializer(many=True),
    )
    def get(self, request: Request, device_id: int) -> Response:
        """Show what came last, as it came; a refused item says why."""
        device = find_device(device_id)
        asked = StreamQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        items = selectors.stream(device_id=device.pk, n=asked.validated_data["n"])
        return Response([asdict(item) for item in items])


class Quality(APIView):
    """How far each signal of a device can be trusted, and why."""

    required_permission = "telemetry.view"

    @extend_schema(
        parameters=[OpenApiParameter("hours", int, description="1 to 24. Default 24.")],
        responses=QualitySerializer,
        examples=[
            OpenApiExample(
                "A signal with a gap",
                value={
                    "device_id": 1, "start": "2026-11-16T10:42:00Z", "end": "2026-11-17T10:42:00Z",
                    "signals": [
                        {
                            "signal_id": 4, "key": "spindle_load_pct", "label": "Spindle load",
                            "score": 86,
                            "reason": "no reading for 14 % of the last 24 h, "
                            "longest 2 h 10 min from 03:12",
                            "checks": [
                                {
                                    "check": "range", "score": None,
                                    "reason": "no limits are set, and the unit tells none",
                                }
                            ],
                        }
                    ],
                    "n_left_out": 0,
                },
                response_only=True,
            )
        ],
    )  # fmt: skip
    def get(self, request: Request, device_id: int) -> Response:
        """Score gaps, stuck values, values out of range and drift; null where none can be told."""
        device = find_device(device_id)
        asked = QualityQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = selectors.device_quality(
            device_id=device.pk,
            at=timezone.now(),
            hours=asked.validated_data["hours"],
            zone=ZoneInfo(current_factory().time_zone),
        )
        signals = [
            {
                "signal_id": one.signal.pk,
                "key": one.signal.key.key,
                "label": one.signal.label,
                **asdict(one.quality),
            }
            for one in found.signals
        ]
        body = {
            "device_id": device.pk,
            "start": found.start,
            "end": found.end,
            "signals": signals,
            "n_left_out": found.n_left_out,
        }
        return Response(QualitySerializer(body).data)
