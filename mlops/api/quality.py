"""What models say of lots in work, over the API."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import generics, serializers

from mlops import selectors
from mlops.models import QualityPrediction
from production.models import Lot


class QualityReasonSerializer(serializers.Serializer[dict[str, Any]]):
    """One parameter's part in a forecast; the shares of the reasons given sum to 1."""

    signal = serializers.CharField(help_text="The stage and what of it.")
    share = serializers.FloatField()
    sentence = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A lot in work",
            value={
                "lot": "0e6f1f3a-0c62-4a55-8b37-1f5bb1a1e0c1",
                "lot_code": "F-2611-041",
                "plan": "9a8e4b52-6f0e-4d3e-9a0f-0f1a4a7f3c20",
                "plan_name": "Fill weight",
                "version": 2,
                "made_at": "2026-11-26T09:31:00Z",
                "state": "ok",
                "message": "",
                "stages_known": ["10 filling"],
                "is_complete": False,
                "chance": 0.61,
                "chance_low": 0.44,
                "chance_high": 0.76,
                "chances": {"underfill": 0.58, "overfill": 0.03},
                "limit": 0.12,
                "reasons": [
                    {
                        "signal": "10 filling: nozzle_bar, mean", "share": 0.8,
                        "sentence": "10 filling: nozzle_bar, mean is 1.55, usual is 1.9 to 2.2; "
                        "with its usual value the chance would be 4%.",
                    }
                ],
                "window": {},
            },
            response_only=True,
        )
    ]
)  # fmt: skip
class QualityPredictionSerializer(serializers.ModelSerializer[QualityPrediction]):
    """How likely a lot is to be rejected, by what is known of its runs so far."""

    lot_code = serializers.CharField(source="lot.code", read_only=True)
    plan_name = serializers.CharField(source="plan.name", read_only=True)
    version = serializers.IntegerField(
        source="version.version", default=None, allow_null=True, read_only=True
    )
    stages_known = serializers.ListField(child=serializers.CharField(), read_only=True)
    chances = serializers.DictField(child=serializers.FloatField(), read_only=True)
    reasons = QualityReasonSerializer(many=True, read_only=True)
    window = serializers.DictField(read_only=True)

    class Meta:
        model = QualityPrediction
        fields = (
            "lot", "lot_code", "plan", "plan_name", "version", "made_at", "state", "message",
            "stages_known", "is_complete", "chance", "chance_low", "chance_high", "chances",
            "limit", "reasons", "window",
        )  # fmt: skip


class QualityPredictions(generics.ListAPIView[QualityPrediction]):
    """What was said of lots, newest first."""

    required_permission = "mlops.view"
    serializer_class = QualityPredictionSerializer

    def get_queryset(self) -> QuerySet[QualityPrediction]:
        if getattr(self, "swagger_fake_view", False):
            return QualityPrediction.objects.none()
        return selectors.quality_predictions()


class LotQuality(generics.ListAPIView[QualityPrediction]):
    """What was said of one lot, newest first."""

    required_permission = "mlops.view"
    serializer_class = QualityPredictionSerializer

    def get_queryset(self) -> QuerySet[QualityPrediction]:
        if getattr(self, "swagger_fake_view", False):
            return QualityPrediction.objects.none()
        return selectors.quality_of_lot(get_object_or_404(Lot, pk=self.kwargs["lot_id"]).pk)
