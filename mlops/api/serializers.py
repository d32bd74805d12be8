from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from mlops.kinds import Readiness
from mlops.models import ModelVersion, Prediction


class ReasonSerializer(serializers.Serializer[dict[str, object]]):
    """One signal's part in a prediction; the shares of the reasons given sum to 1."""

    signal = serializers.CharField()
    share = serializers.FloatField()
    sentence = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    usual = serializers.ListField(
        child=serializers.FloatField(), min_length=2, max_length=2, allow_null=True
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A spindle bearing that is wearing out",
            value={
                "machine": "8a1f8f5e-5a07-4e0b-a4a0-3f4f6f0b9a11",
                "machine_name": "Mill 3",
                "made_at": "2026-11-22T14:10:00Z",
                "state": "ok",
                "message": "",
                "version": 4,
                "usage_at": 71.0,
                "rul": 19.4,
                "rul_low": 13.1,
                "rul_high": 25.7,
                "is_open_ended": False,
                "unit": "h",
                "level": 0.8,
                "reasons": [
                    {
                        "signal": "vib_rms_mm_s",
                        "share": 0.71,
                        "sentence": "Vibration is 3.92 mm/s, above its usual 1.44 to 1.81 mm/s "
                        "and rising.",
                        "value": 3.92,
                        "usual": [1.44, 1.81],
                    }
                ],
            },
            response_only=True,
        )
    ]
)
class PredictionSerializer(serializers.ModelSerializer[Prediction]):
    """What is left of a machine, in `unit` of use, with the interval of `level`; or why that
    cannot be said. `is_open_ended`: `rul_high` means "or more"."""

    machine_name = serializers.CharField(source="machine.name", read_only=True)
    version = serializers.IntegerField(source="version.version", allow_null=True, read_only=True)
    reasons = ReasonSerializer(many=True, read_only=True)

    class Meta:
        model = Prediction
        fields = (
            "machine",
            "machine_name",
            "made_at",
            "state",
            "message",
            "version",
            "usage_at",
            "rul",
            "rul_low",
            "rul_high",
            "is_open_ended",
            "unit",
            "level",
            "reasons",
        )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A model in service",
            value={
                "id": "f3a1ce52-8f0e-4d15-8f57-0b8d2a5a3c77",
                "kind": "remaining_life",
                "machine_type": "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11",
                "machine_type_name": "Mill",
                "version": 4,
                "alias": "champion",
                "unit": "h",
                "metrics": {"n_lives": 14, "rmse_capped": 9.2, "coverage_90": 0.91},
                "trained_on": {"n_lives": 14, "n_machines": 3},
                "is_recorded": True,
                "created_at": "2026-11-22T14:02:11Z",
            },
            response_only=True,
        )
    ]
)
class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A trained model with its figures on lives it never saw."""

    machine_type_name = serializers.CharField(source="machine_type.name", read_only=True)
    is_recorded = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "kind",
            "machine_type",
            "machine_type_name",
            "version",
            "alias",
            "unit",
            "metrics",
            "trained_on",
            "is_recorded",
            "created_at",
        )

    def get_is_recorded(self, version: ModelVersion) -> bool:
        return bool(version.mlflow_run_id)


class ReadinessSerializer(serializers.Serializer[Readiness]):
    """Whether a machine type's history supports a model, in figures and in words."""

    is_ready = serializers.BooleanField()
    n_known = serializers.IntegerField()
    n_needed = serializers.IntegerField()
    message = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A type whose history is too short",
            value={
                "readiness": {
                    "is_ready": False,
                    "n_known": 3,
                    "n_needed": 9,
                    "message": "Not enough data: needs about 6 more failures of this kind "
                    "(3 of 9 known).",
                },
                "champion": None,
            },
            response_only=True,
        )
    ]
)
class TypeModelSerializer(serializers.Serializer[dict[str, object]]):
    """The model of a machine type, and whether one can be trained."""

    readiness = ReadinessSerializer()
    champion = ModelVersionSerializer(allow_null=True)


class TrainingSerializer(serializers.Serializer[dict[str, object]]):
    """A training that waits or runs."""

    job = serializers.UUIDField()
    state = serializers.CharField()
    progress = serializers.FloatField()
    message = serializers.CharField()
