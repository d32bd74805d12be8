from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mlops import kinds, selectors, services
from mlops.api.serializers import (
    DecisionSerializer,
    FindingSerializer,
    ModelDetailSerializer,
    ModelVersionSerializer,
    PredictionSerializer,
    TrainingSerializer,
    TypeModelSerializer,
)
from mlops.models import Finding, Kind, ModelVersion, Prediction
from production import selectors as production_selectors
from production.models import MachineType
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.models import User

KIND = OpenApiParameter(
    "kind", str, enum=list(Kind.values), description="Which kind; remaining_life if not given."
)


def _kind(request: Request) -> str:
    """Return the kind of model that is asked for.

    Raises:
        ValidationError: there is no such kind.
    """
    kind = request.query_params.get("kind", Kind.REMAINING_LIFE.value)
    if kind not in kinds.codes():
        raise ValidationError({"kind": [f"One of {', '.join(kinds.codes())}."]})
    return kind


@extend_schema_view(get=extend_schema(parameters=[KIND]))
class Predictions(generics.ListAPIView[Prediction]):
    """The newest prediction of each machine, the most pressing first."""

    required_permission = "mlops.view"
    serializer_class = PredictionSerializer
    pagination_class = None

    def get_queryset(self) -> QuerySet[Prediction]:
        return Prediction.objects.none()  # for the API's description only

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        machines = production_selectors.machines().values_list("pk", flat=True)
        found = selectors.latest_predictions(list(machines), kind=_kind(request)).values()
        rows = sorted(found, key=_pressing)
        return Response(PredictionSerializer(rows, many=True).data)


def _pressing(prediction: Prediction) -> tuple[bool, float, str]:
    left = prediction.health if prediction.kind == Kind.ANOMALY else prediction.rul
    return left is None, left or 0.0, str(prediction.machine_id)


@extend_schema_view(get=extend_schema(parameters=[KIND]))
class MachinePredictions(generics.ListAPIView[Prediction]):
    """Everything predicted for a machine, newest first."""

    required_permission = "mlops.view"
    serializer_class = PredictionSerializer

    def get_queryset(self) -> QuerySet[Prediction]:
        if getattr(self, "swagger_fake_view", False):
            return Prediction.objects.none()
        machine = get_object_or_404(
            production_selectors.machines(include_retired=True), pk=self.kwargs["machine_id"]
        )
        return selectors.predictions_of(machine.pk, kind=_kind(self.request))


@extend_schema_view(get=extend_schema(parameters=[KIND]))
class Models(generics.ListAPIView[ModelVersion]):
    """Model versions, newest first."""

    required_permission = "mlops.view"
    serializer_class = ModelVersionSerializer

    def get_queryset(self) -> QuerySet[ModelVersion]:
        if getattr(self, "swagger_fake_view", False):
            return ModelVersion.objects.none()
        return selectors.model_versions(_kind(self.request))


class Model(generics.RetrieveAPIView[ModelVersion]):
    """A model version with what happened to it and how its predictions turned out."""

    required_permission = "mlops.view"
    serializer_class = ModelDetailSerializer
    lookup_url_kwarg = "version_id"

    def get_queryset(self) -> QuerySet[ModelVersion]:
        rows = ModelVersion.objects.select_related("machine_type")
        return rows.prefetch_related("events__by", "outcomes__machine")


class PromoteModel(APIView):
    """Put a version into service by hand."""

    required_permission = "mlops.train"

    @extend_schema(
        request=DecisionSerializer,
        responses={
            200: ModelVersionSerializer,
            409: OpenApiResponse(ErrorSerializer, description="It serves already, or cannot."),
        },
    )
    def post(self, request: Request, version_id: UUID) -> Response:
        """Put the version into service; the one before stands by."""
        get_object_or_404(ModelVersion, pk=version_id)
        asked = DecisionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            version = services.promote(
                version_id=version_id, by=_person(request), at=timezone.now(),
                reason=asked.validated_data["reason"],
            )  # fmt: skip
        except services.NotPossible as error:
            raise Conflict(str(error), code="not_possible") from error
        return Response(ModelVersionSerializer(version).data)


class RollBackModel(APIView):
    """Bring the version back that served before."""

    required_permission = "mlops.train"

    @extend_schema(
        parameters=[KIND],
        request=DecisionSerializer,
        responses={
            200: ModelVersionSerializer,
            409: OpenApiResponse(ErrorSerializer, description="None served before."),
        },
    )
    def post(self, request: Request, machine_type_id: UUID) -> Response:
        """Take the version in service out and bring the earlier one back."""
        get_object_or_404(MachineType, pk=machine_type_id)
        asked = DecisionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            version = services.roll_back(
                machine_type_id=machine_type_id, kind=_kind(request), by=_person(request),
                at=timezone.now(), reason=asked.validated_data["reason"],
            )  # fmt: skip
        except services.NotPossible as error:
            raise Conflict(str(error), code="not_possible") from error
        return Response(ModelVersionSerializer(version).data)


class Findings(generics.ListAPIView[Finding]):
    """What the watch over models has found and still holds: drift, intervals that fail."""

    required_permission = "mlops.view"
    serializer_class = FindingSerializer

    def get_queryset(self) -> QuerySet[Finding]:
        return selectors.open_findings()


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


class TypeModel(APIView):
    """The model of one machine type."""

    required_permission = {"GET": "mlops.view", "POST": "mlops.train"}

    @extend_schema(parameters=[KIND], responses=TypeModelSerializer)
    def get(self, request: Request, machine_type_id: UUID) -> Response:
        """Return the model in service, its track record, and whether history supports training."""
        machine_type = get_object_or_404(MachineType, pk=machine_type_id)
        kind = _kind(request)
        answer: dict[str, object] = {
            "readiness": selectors.readiness(machine_type, kind=kind),
            "champion": selectors.champion(machine_type_id=machine_type.pk, kind=kind),
            "track_record": selectors.track_record(machine_type_id=machine_type.pk, kind=kind),
        }
        return Response(TypeModelSerializer(answer).data)

    @extend_schema(
        parameters=[KIND],
        request=None,
        responses={
            202: TrainingSerializer,
            409: OpenApiResponse(ErrorSerializer, description="Not enough data yet."),
        },
    )
    def post(self, request: Request, machine_type_id: UUID) -> Response:
        """Queue a training; one that already waits or runs is returned."""
        get_object_or_404(MachineType, pk=machine_type_id)
        try:
            job = services.request_training(
                machine_type_id=machine_type_id, by=_person(request), kind=_kind(request)
            )
        except services.NotReady as error:
            raise Conflict(str(error), code="not_enough_data") from error
        answer = {
            "job": job.pk,
            "state": job.state,
            "progress": job.progress,
            "message": job.message,
        }
        return Response(TrainingSerializer(answer).data, status=202)
