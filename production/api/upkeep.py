"""Endpoints of maintenance plans, spare parts and meters."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from production import selectors, services
from production.api.order_serializers import MovementSerializer, NewMovementSerializer
from production.api.upkeep_serializers import (
    MeterSerializer,
    PartSerializer,
    PlanSerializer,
    StockSerializer,
)
from production.models import MachineMeter, MaintenancePlan, SparePart, StockMovement
from tenants.api.errors import Conflict
from tenants.models import User

READ_AND_PLAN = {
    "GET": "production.view",
    "POST": "production.plan_work",
    "PATCH": "production.plan_work",
}
NO_PUT = ("get", "patch", "head", "options")


def _user(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _save_plan(serializer: BaseSerializer[MaintenancePlan], request: Request) -> None:
    assert isinstance(serializer, PlanSerializer)
    try:
        saved = services.save_plan(
            fields=serializer.plan_fields(), by=_user(request), plan=serializer.instance
        )
    except services.PlanInvalid as error:
        raise Conflict(str(error), code="plan_invalid") from error
    serializer.instance = selectors.maintenance_plan(saved.pk)


class Plans(generics.ListCreateAPIView[MaintenancePlan]):
    """Maintenance plans by name."""

    required_permission = READ_AND_PLAN
    serializer_class = PlanSerializer

    def get_queryset(self) -> QuerySet[MaintenancePlan]:
        return selectors.maintenance_plans()

    def perform_create(self, serializer: BaseSerializer[MaintenancePlan]) -> None:
        _save_plan(serializer, self.request)


class PlanDetail(generics.RetrieveUpdateAPIView[MaintenancePlan]):
    """One plan; orders that it has made stay as they are."""

    required_permission = READ_AND_PLAN
    serializer_class = PlanSerializer
    http_method_names = NO_PUT
    lookup_url_kwarg = "plan_id"

    def get_queryset(self) -> QuerySet[MaintenancePlan]:
        return selectors.maintenance_plans()

    def perform_update(self, serializer: BaseSerializer[MaintenancePlan]) -> None:
        _save_plan(serializer, self.request)


def _save_part(serializer: BaseSerializer[SparePart]) -> None:
    assert isinstance(serializer, PartSerializer)
    try:
        serializer.instance = services.save_part(
            fields=serializer.part_fields(), part=serializer.instance
        )
    except services.PartNumberTaken as error:
        raise Conflict(str(error), code="part_number_taken") from error
    except services.LimitsOutOfOrder as error:
        raise Conflict(str(error), code="limits_out_of_order") from error


class Parts(generics.ListCreateAPIView[SparePart]):
    """Spare parts by number."""

    required_permission = READ_AND_PLAN
    serializer_class = PartSerializer

    def get_queryset(self) -> QuerySet[SparePart]:
        return selectors.spare_parts(include_obsolete=True)

    def perform_create(self, serializer: BaseSerializer[SparePart]) -> None:
        _save_part(serializer)


class PartDetail(generics.RetrieveUpdateAPIView[SparePart]):
    """One spare part."""

    required_permission = READ_AND_PLAN
    serializer_class = PartSerializer
    http_method_names = NO_PUT
    lookup_url_kwarg = "part_id"

    def get_queryset(self) -> QuerySet[SparePart]:
        return selectors.spare_parts(include_obsolete=True)

    def perform_update(self, serializer: BaseSerializer[SparePart]) -> None:
        _save_part(serializer)


class PartStock(APIView):
    """The stock of a part, and what will be used before an order of today arrives."""

    required_permission = "production.view"

    @extend_schema(summary="Read the stock of a part", responses=StockSerializer)
    def get(self, request: Request, part_id: Any) -> Response:
        part = get_object_or_404(selectors.spare_parts(include_obsolete=True), pk=part_id)
        (row,) = selectors.stocks([part])
        found = selectors.forecasts([row], at=timezone.now())[part.pk]
        said = {
            "part": part.pk, "stock": row.stock, "reserved": row.reserved,
            "lead_days": found.lead_days, "planned": found.planned, "unplanned": found.unplanned,
            "to_order": found.to_order,
        }  # fmt: skip
        return Response(StockSerializer(said).data)


class PartMovements(generics.GenericAPIView[StockMovement]):
    """What came onto the shelf and left it, newest first."""

    required_permission = {"GET": "production.view", "POST": "production.work"}
    serializer_class = MovementSerializer
    queryset = StockMovement.objects.none()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        rows = selectors.spare_parts(include_obsolete=True)
        self.part = get_object_or_404(rows, pk=self.kwargs["part_id"])

    @extend_schema(summary="List movements", responses=MovementSerializer(many=True))
    def get(self, request: Request, **_kwargs: Any) -> Response:
        page = self.paginate_queryset(selectors.movements(self.part))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Move stock", request=NewMovementSerializer, responses={201: MovementSerializer}
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        form = NewMovementSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            moved = services.move_stock(
                part=self.part, at=timezone.now(), by=_user(request), **form.validated_data
            )
        except services.NothingMoved as error:
            raise Conflict(str(error), code="nothing_moved") from error
        return Response(MovementSerializer(moved).data, status=201)


class Meters(generics.ListCreateAPIView[MachineMeter]):
    """The meters of one machine, as plans know them."""

    required_permission = {"GET": "production.view", "POST": "production.work"}
    serializer_class = MeterSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        get_object_or_404(selectors.machines(include_retired=True), pk=self.kwargs["machine_id"])

    def get_queryset(self) -> QuerySet[MachineMeter]:
        if getattr(self, "swagger_fake_view", False):
            return MachineMeter.objects.none()
        return selectors.meters(self.kwargs["machine_id"])

    def perform_create(self, serializer: BaseSerializer[MachineMeter]) -> None:
        machine_id, said = self.kwargs["machine_id"], serializer.validated_data
        services.report_meter(machine_id=machine_id, **said)
        serializer.instance = self.get_queryset().get(key=said["key"])
