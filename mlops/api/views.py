from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mlops import selectors, services
from mlops.api.serializers import (
    ModelVersionSerializer,
    PredictionSerializer,
    TrainingSerializer,
    TypeModelSerializer,
)
from mlops.models import ModelVersion, Prediction
from production import selectors as production_selectors
from production.models import MachineType
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.models import User


class Predictions(generics.ListAPIView[Prediction]):
    """The newest prediction of each machine, shortest remaining life first."""

    required_permission = "mlops.view"
    serializer_class = PredictionSerializer
    pagination_class = None

    def get_queryset(self) -> QuerySet[Prediction]:
        return Prediction.objects.none()  # for the API's description only

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        machines = production_selectors.machines().values_list("pk", flat=True)
        found = selectors.latest_predictions(list(machines)).values()
        rows = sorted(found, key=lambda p: (p.rul is None, p.rul or 0.0, str(p.machine_id)))
        return Response(PredictionSerializer(rows, many=True).data)


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
        return selectors.predictions_of(machine.pk)


class Models(generics.ListAPIView[ModelVersion]):
    """Model versions, newest first."""

    required_permission = "mlops.view"
    serializer_class = ModelVersionSerializer

    def get_queryset(self) -> QuerySet[ModelVersion]:
        return selectors.model_versions()


class TypeModel(APIView):
    """The model of one machine type."""

    required_permission = {"GET": "mlops.view", "POST": "mlops.train"}

    @extend_schema(responses=TypeModelSerializer)
    def get(self, request: Request, machine_type_id: UUID) -> Response:
        """Return the model in service and whether the history supports training."""
        machine_type = get_object_or_404(MachineType, pk=machine_type_id)
        answer: dict[str, object] = {
            "readiness": selectors.readiness(machine_type),
            "champion": selectors.champion(machine_type_id=machine_type.pk),
        }
        return Response(TypeModelSerializer(answer).data)

    @extend_schema(
        request=None,
        responses={
            202: TrainingSerializer,
            409: OpenApiResponse(ErrorSerializer, description="Not enough data yet."),
        },
    )
    def post(self, request: Request, machine_type_id: UUID) -> Response:
        """Queue a training; one that already waits or runs is returned."""
        get_object_or_404(MachineType, pk=machine_type_id)
        by = request.user if isinstance(request.user, User) else None
        try:
            job = services.request_training(machine_type_id=machine_type_id, by=by)
        except services.NotReady as error:
            raise Conflict(str(error), code="not_enough_data") from error
        answer = {
            "job": job.pk,
            "state": job.state,
            "progress": job.progress,
            "message": job.message,
        }
        return Response(TrainingSerializer(answer).data, status=202)
