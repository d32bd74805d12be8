from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from django.http import Http404
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
    SubjectModelSerializer,
    TrainingSerializer,
)
from mlops.models import Finding, Kind, ModelVersion, Prediction
from production import selectors as production_selectors
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.models import User

KIND = OpenApiParameter(
    "kind", str, enum=list(Kind.values), description="Which kind; remaining_life if not given."
)
KIND_OF_MACHINES = OpenApiParameter(
    "kind", str, enum=[Kind.REMAINING_LIFE.value, Kind.ANOMALY.value],
    description="Which kind; remaining_life if not given.",
)  # fmt: skip
KIND_OF_PLANS = OpenApiParameter(
    "kind", str, enum=[Kind.QUALITY.value, Kind.VISION.value],
    description="Which kind; vision if not given.",
)  # fmt: skip


def _kind(request: Request, codes: Sequence[str], default: str = Kind.REMAINING_LIFE) -> str:
    """Return the kind of model that is asked for.

    Raises:
        ValidationError: there is no such kind here.
    """
    kind = request.query_params.get("kind", str(default))
    if kind not in codes:
        raise ValidationError({"kind": [f"One of {', '.join(codes)}."]})
    return kind


@extend_schema_view(get=extend_schema(parameters=[KIND_OF_MACHINES]))
class Predictions(generics.ListAPIView[Prediction]):
    """The newest prediction of each machine, the most pressing first."""

    required_permission = "mlops.view"
    serializer_class = PredictionSerializer
    pagination_class = None

    def get_queryset(self) -> QuerySet[Prediction]:
        return Prediction.objects.none()  # for the API's description only

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        machines = production_selectors.machines().values_list("pk", flat=True)
        found = selectors.latest_predictions(
            list(machines), kind=_kind(request, kinds.codes_of_machines())
        ).values()
        rows = sorted(found, key=_pressing)
        return Response(PredictionSerializer(rows, many=True).data)


def _pressing(prediction: Prediction) -> tuple[bool, float, str]:
    left = prediction.health if prediction.kind == Kind.ANOMALY else prediction.rul
    return left is None, left or 0.0, str(prediction.machine_id)


@extend_schema_view(get=extend_schema(parameters=[KIND_OF_MACHINES]))
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
        return selectors.predictions_of(
            machine.pk, kind=_kind(self.request, kinds.codes_of_machines())
        )


@extend_schema_view(get=extend_schema(parameters=[KIND]))
class Models(generics.ListAPIView[ModelVersion]):
    """Model versions, newest first."""

    required_permission = "mlops.view"
    serializer_class = ModelVersionSerializer

    def get_queryset(self) -> QuerySet[ModelVersion]:
        if getattr(self, "swagger_fake_view", False):
            return ModelVersion.objects.none()
        return selectors.model_versions(_kind(self.request, kinds.codes()))


class Model(generics.RetrieveAPIView[ModelVersion]):
    """A model version with what happened to it and how its predictions turned out."""

    required_permission = "mlops.view"
    serializer_class = ModelDetailSerializer
    lookup_url_kwarg = "version_id"

    def get_queryset(self) -> QuerySet[ModelVersion]:
        rows = ModelVersion.objects.select_related("machine_type", "inspection_plan__product")
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


class Findings(generics.ListAPIView[Finding]):
    """What the watch over models has found and still holds: drift, intervals that fail."""

    required_permission = "mlops.view"
    serializer_class = FindingSerializer

    def get_queryset(self) -> QuerySet[Finding]:
        return selectors.open_findings()


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


class _SubjectModel(APIView):
    """The model of one subject, and the asking for a new one."""

    required_permission = {"GET": "mlops.view", "POST": "mlops.train"}

    def kind(self) -> str:
        raise NotImplementedError

    def answer(self, subject_id: UUID) -> Response:
        kind = self.kind()
        subject = _subject(kind, subject_id)
        found: dict[str, object] = {
            "readiness": selectors.readiness(subject, kind=kind),
            "champion": selectors.champion(subject_id=subject.pk, kind=kind),
            "track_record": selectors.track_record(subject_id=subject.pk, kind=kind),
        }
        return Response(SubjectModelSerializer(found).data)

    def queue(self, subject_id: UUID) -> Response:
        kind = self.kind()
        _subject(kind, subject_id)
        try:
            job = services.request_training(
                subject_id=subject_id, by=_person(self.request), kind=kind
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

    def bring_back(self, subject_id: UUID) -> Response:
        kind = self.kind()
        _subject(kind, subject_id)
        asked = DecisionSerializer(data=self.request.data)
        asked.is_valid(raise_exception=True)
        try:
            version = services.roll_back(
                subject_id=subject_id, kind=kind, by=_person(self.request),
                at=timezone.now(), reason=asked.validated_data["reason"],
            )  # fmt: skip
        except services.NotPossible as error:
            raise Conflict(str(error), code="not_possible") from error
        return Response(ModelVersionSerializer(version).data)


def _subject(kind: str, subject_id: UUID) -> Any:
    try:
        return kinds.of(kind).subject(subject_id)
    except ObjectDoesNotExist:
        raise Http404 from None


TRAININGS = {
    202: TrainingSerializer,
    409: OpenApiResponse(ErrorSerializer, description="Not enough data yet."),
}
ROLLED_BACK = {
    200: ModelVersionSerializer,
    409: OpenApiResponse(ErrorSerializer, description="None served before."),
}


class TypeModel(_SubjectModel):
    """The model of one machine type."""

    def kind(self) -> str:
        return _kind(self.request, kinds.codes_of_machines())

    @extend_schema(parameters=[KIND_OF_MACHINES], responses=SubjectModelSerializer)
    def get(self, request: Request, machine_type_id: UUID) -> Response:
        """Return the model in service, its track record, and whether history supports training."""
        return self.answer(machine_type_id)

    @extend_schema(parameters=[KIND_OF_MACHINES], request=None, responses=TRAININGS)
    def post(self, request: Request, machine_type_id: UUID) -> Response:
        """Queue a training; one that already waits or runs is returned."""
        return self.queue(machine_type_id)


class RollBackTypeModel(TypeModel):
    """Bring the version back that served before."""

    http_method_names = ["post", "options"]

    @extend_schema(parameters=[KIND_OF_MACHINES], request=DecisionSerializer, responses=ROLLED_BACK)
    def post(self, request: Request, machine_type_id: UUID) -> Response:
        """Take the version in service out and bring the earlier one back."""
        return self.bring_back(machine_type_id)


class PlanModel(_SubjectModel):
    """The model of one inspection plan: of its pictures, or of what process data say."""

    def kind(self) -> str:
        return _kind(self.request, kinds.codes_of_plans(), Kind.VISION)

    @extend_schema(parameters=[KIND_OF_PLANS], responses=SubjectModelSerializer)
    def get(self, request: Request, inspection_plan_id: UUID) -> Response:
        """Return the model in service, its track record, and whether there is enough to learn."""
        return self.answer(inspection_plan_id)

    @extend_schema(parameters=[KIND_OF_PLANS], request=None, responses=TRAININGS)
    def post(self, request: Request, inspection_plan_id: UUID) -> Response:
        """Queue a training; one that already waits or runs is returned."""
        return self.queue(inspection_plan_id)


class RollBackPlanModel(PlanModel):
    """Bring the version back that served before."""

    http_method_names = ["post", "options"]

    @extend_schema(parameters=[KIND_OF_PLANS], request=DecisionSerializer, responses=ROLLED_BACK)
    def post(self, request: Request, inspection_plan_id: UUID) -> Response:
        """Take the version in service out and bring the earlier one back."""
        return self.bring_back(inspection_plan_id)
