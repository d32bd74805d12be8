from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from production import selectors, services
from production.api.serializers import (
    FailureSerializer,
    LineSerializer,
    MachineSerializer,
    MachineTypeSerializer,
)
from production.models import Failure, Line, Machine, MachineType
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.models import User

READ_AND_MANAGE = {
    "GET": "production.view",
    "POST": "production.manage",
    "PATCH": "production.manage",
}


class Lines(generics.ListAPIView[Line]):
    """The lines of the plant with their site and time zone."""

    required_permission = "production.view"
    serializer_class = LineSerializer

    def get_queryset(self) -> QuerySet[Line]:
        return selectors.lines()


class MachineTypes(generics.ListCreateAPIView[MachineType]):
    """Kinds of machines."""

    required_permission = READ_AND_MANAGE
    serializer_class = MachineTypeSerializer

    def get_queryset(self) -> QuerySet[MachineType]:
        return selectors.machine_types()

    def perform_create(self, serializer: BaseSerializer[MachineType]) -> None:
        serializer.instance = services.machine_type(**serializer.validated_data)


class Machines(generics.ListCreateAPIView[Machine]):
    """Machines in the order of the floor."""

    required_permission = READ_AND_MANAGE
    serializer_class = MachineSerializer

    def get_queryset(self) -> QuerySet[Machine]:
        return selectors.machines()

    @extend_schema(
        responses={
            201: MachineSerializer,
            409: OpenApiResponse(ErrorSerializer, description="The plan has no room."),
        }
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().post(request, *args, **kwargs)

    def perform_create(self, serializer: BaseSerializer[Machine]) -> None:
        fields = {k: v for k, v in serializer.validated_data.items() if k != "state"}
        try:
            serializer.instance = services.add_machine(**fields)
        except services.MachineLimitReached as error:
            raise Conflict(str(error), code="machine_limit_reached") from error


class MachineDetail(generics.RetrieveUpdateAPIView[Machine]):
    """One machine."""

    required_permission = READ_AND_MANAGE
    serializer_class = MachineSerializer
    http_method_names = ("get", "patch", "head", "options")
    lookup_url_kwarg = "machine_id"

    def get_queryset(self) -> QuerySet[Machine]:
        return selectors.machines(include_retired=True)


class MachineFailures(generics.ListCreateAPIView[Failure]):
    """The failures of one machine, oldest first."""

    required_permission = {"GET": "production.view", "POST": "production.record"}
    serializer_class = FailureSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Look for the machine before the body: a stranger learns nothing from an error."""
        super().initial(request, *args, **kwargs)
        get_object_or_404(selectors.machines(include_retired=True), pk=self.kwargs["machine_id"])

    def get_queryset(self) -> QuerySet[Failure]:
        if getattr(self, "swagger_fake_view", False):
            return Failure.objects.none()
        return selectors.failures([self.kwargs["machine_id"]])

    def perform_create(self, serializer: BaseSerializer[Failure]) -> None:
        by = self.request.user if isinstance(self.request.user, User) else None
        serializer.instance = services.record_failure(
            machine_id=self.kwargs["machine_id"], by=by, source="api", **serializer.validated_data
        )
