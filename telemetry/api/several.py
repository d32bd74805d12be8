"""Signals of several devices over one range: what the explorer draws, for programs."""

from dataclasses import asdict
from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from telemetry import selectors
from tenants.api.errors import ErrorSerializer

MAX_SIGNALS = 16
_AT = {"type": "string", "format": "date-time"}
_SIGNALS = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "minItems": 1,
    "maxItems": MAX_SIGNALS,
}
_BUCKETS = {"type": "integer", "minimum": 1, "maximum": selectors.MAX_BUCKETS, "default": 500}


class SeveralQuerySerializer(serializers.Serializer[Any]):
    """Which signals, over which time, how finely."""

    signal = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**31 - 1),
        min_length=1,
        max_length=MAX_SIGNALS,
    )
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    n = serializers.IntegerField(
        min_value=1, max_value=selectors.MAX_BUCKETS, default=500, required=False
    )


class SignalLineSerializer(serializers.Serializer[Any]):
    """One signal: buckets, or single readings where there are few."""

    signal = serializers.IntegerField()
    device_id = serializers.IntegerField()
    key = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # DRF's fields have labels too
    unit = serializers.CharField()
    is_raw = serializers.BooleanField(help_text="Each point is a reading, not a bucket.")
    t = serializers.ListField(child=serializers.IntegerField(), help_text="ms since 1970")
    min = serializers.ListField(child=serializers.FloatField())
    avg = serializers.ListField(child=serializers.FloatField())
    max = serializers.ListField(child=serializers.FloatField())
    n = serializers.ListField(child=serializers.IntegerField())


class SeveralSerializer(serializers.Serializer[Any]):
    """Lines on one time axis, in the order asked for."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    lines = SignalLineSerializer(many=True)


_EXAMPLE = {
    "start": "2026-11-17T10:00:00Z",
    "end": "2026-11-17T11:00:00Z",
    "lines": [
        {
            "signal": 12, "device_id": 3, "key": "spindle_load_pct", "label": "Spindle load",
            "unit": "%", "is_raw": False, "t": [1795428000000], "min": [12.0], "avg": [48.3],
            "max": [91.5], "n": [1800],
        },
        {
            "signal": 40, "device_id": 9, "key": "t1", "label": "Oil", "unit": "°C",
            "is_raw": True, "t": [1795428061000, 1795429861000], "min": [41.7, 42.0],
            "avg": [41.7, 42.0], "max": [41.7, 42.0], "n": [1, 1],
        },
    ],
}  # fmt: skip


class SeveralSeries(APIView):
    """Signals of several devices over one range."""

    required_permission = "telemetry.view"

    @extend_schema(
        operation_id="series_retrieve",
        parameters=[
            OpenApiParameter(
                "signal", _SIGNALS, required=True,
                description=f"Ids of signals; repeat it, up to {MAX_SIGNALS} times.",
            ),
            OpenApiParameter("start", _AT, required=True),
            OpenApiParameter("end", _AT, required=True),
            OpenApiParameter("n", _BUCKETS, description="Buckets at most."),
        ],
        responses={200: SeveralSerializer, 400: ErrorSerializer},
        examples=[OpenApiExample("Two machines", value=_EXAMPLE, response_only=True)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Min, average, max and count per bucket; the readings themselves where there are few.

        A signal that is not there is answered by 404; one that sent nothing has empty columns.
        """
        query: dict[str, Any] = dict(request.query_params.items())
        asked = SeveralQuerySerializer(
            data={**query, "signal": request.query_params.getlist("signal")}
        )
        asked.is_valid(raise_exception=True)
        start, end = asked.validated_data["start"], asked.validated_data["end"]
        wanted = list(dict.fromkeys(asked.validated_data["signal"]))
        rows = selectors.signals(ids=wanted).in_bulk()
        if len(rows) < len(wanted):
            raise Http404
        if start >= end:
            raise serializers.ValidationError({"end": ["The end must lie after the start."]})
        signals = [rows[pk] for pk in wanted]
        found = selectors.lines(
            signals=signals, start=start, end=end, n_buckets=asked.validated_data["n"]
        )
        nothing = selectors.Line(False, [], [], [], [], [])
        lines = [
            {
                "signal": signal.pk,
                "device_id": signal.device_id,
                "key": signal.key.key,
                "label": signal.label,
                "unit": signal.unit,
                **asdict(found.get(signal.pk, nothing)),
            }
            for signal in signals
        ]
        return Response({"start": start, "end": end, "lines": lines})
