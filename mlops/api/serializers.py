from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from mlops.kinds import Readiness
from mlops.models import Finding, ModelVersion, Outcome, Prediction, VersionEvent
from mlops.selectors import TrackRecord


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
                "kind": "remaining_life",
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
                "usage_per_day": 14.2,
                "chances": {"7": 0.94, "14": 0.98, "30": None},
                "health": None,
                "score": None,
                "since": None,
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
    """What a model says of a machine, or why it cannot.

    remaining_life: what is left, in `unit` of use, with the interval of `level`
    (`is_open_ended`: `rul_high` means "or more"), and the `chances` of failure within so many
    days (null: cannot be told). anomaly: `health` from 100 (as usual) towards 0, the `score`
    whose limit is 1, and `since` when the machine has been unusual.
    """

    machine_name = serializers.CharField(source="machine.name", read_only=True)
    version = serializers.IntegerField(source="version.version", allow_null=True, read_only=True)
    chances = serializers.DictField(child=serializers.FloatField(allow_null=True), read_only=True)
    reasons = ReasonSerializer(many=True, read_only=True)

    class Meta:
        model = Prediction
        fields = (
            "kind",
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
            "usage_per_day",
            "chances",
            "health",
            "score",
            "since",
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
                "inspection_plan": None,
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

    machine_type_name = serializers.CharField(
        source="machine_type.name", default=None, allow_null=True, read_only=True
    )
    is_recorded = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "kind",
            "machine_type",
            "machine_type_name",
            "inspection_plan",
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


class VersionEventSerializer(serializers.ModelSerializer[VersionEvent]):
    """Something that happened to a version, and why."""

    by = serializers.CharField(allow_null=True, read_only=True)

    class Meta:
        model = VersionEvent
        fields = ("at", "what", "by", "reason", "evidence")


class OutcomeSerializer(serializers.ModelSerializer[Outcome]):
    """How what a version said of one case turned out. Losses are comparable within a case."""

    machine_name = serializers.CharField(
        source="machine.name", default=None, allow_null=True, read_only=True
    )

    class Meta:
        model = Outcome
        fields = (
            "case_key", "machine", "machine_name", "known_at", "was_serving", "n_predictions",
            "loss", "is_right",
        )  # fmt: skip


class ModelDetailSerializer(ModelVersionSerializer):
    """A model version with its card, its history and its outcomes."""

    events = VersionEventSerializer(many=True, read_only=True)
    outcomes = OutcomeSerializer(many=True, read_only=True)
    weaknesses = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta(ModelVersionSerializer.Meta):
        fields = (*ModelVersionSerializer.Meta.fields, "weaknesses", "events", "outcomes")  # type: ignore[assignment]  # a longer tuple is one all the same


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A reason", value={"reason": "Fits the new spindle better."}, request_only=True
        )
    ]
)
class DecisionSerializer(serializers.Serializer[dict[str, object]]):
    """Why a person overrules what was decided."""

    reason = serializers.CharField(max_length=300)


class FindingSerializer(serializers.ModelSerializer[Finding]):
    """Something that the watch over a model found."""

    version = serializers.IntegerField(source="version.version", read_only=True)
    machine_name = serializers.CharField(
        source="machine.name", default=None, allow_null=True, read_only=True
    )

    class Meta:
        model = Finding
        fields = (
            "id", "version", "machine", "machine_name", "what", "signal", "found_at", "seen_at",
            "message", "evidence",
        )  # fmt: skip


class ReadinessSerializer(serializers.Serializer[Readiness]):
    """Whether a machine type's history supports a model, in figures and in words."""

    is_ready = serializers.BooleanField()
    n_known = serializers.IntegerField()
    n_needed = serializers.IntegerField()
    message = serializers.CharField()


class TrackRecordSerializer(serializers.Serializer[TrackRecord]):
    """How often what was shown came true."""

    n_right = serializers.IntegerField()
    n = serializers.IntegerField()


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
                "track_record": {"n_right": 0, "n": 0},
            },
            response_only=True,
        )
    ]
)
class SubjectModelSerializer(serializers.Serializer[dict[str, object]]):
    """The model of a machine type, and whether one can be trained."""

    readiness = ReadinessSerializer()
    track_record = TrackRecordSerializer()
    champion = ModelVersionSerializer(allow_null=True)


class TrainingSerializer(serializers.Serializer[dict[str, object]]):
    """A training that waits or runs."""

    job = serializers.UUIDField()
    state = serializers.CharField()
    progress = serializers.FloatField()
    message = serializers.CharField()
