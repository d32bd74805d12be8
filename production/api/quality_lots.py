"""Endpoints of products, orders, lots and the runs that make them."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView

from production import selectors, services
from production.api import quality_serializers as forms
from production.api.quality_lists import (
    asked_choice,
    asked_id,
    first_error,
    refusals,
    user_of,
)
from production.models import Lot, OperationRun, Product, ProductionOrder

READ_AND_MANAGE = {"GET": "production.view", "POST": "production.manage"}
READ_AND_RECORD = {"GET": "production.view", "POST": "production.record"}


class Products(generics.ListCreateAPIView[Product]):
    """Items that are made, by number."""

    required_permission = READ_AND_MANAGE
    serializer_class = forms.ProductSerializer

    def get_queryset(self) -> QuerySet[Product]:
        return selectors.products()

    def perform_create(self, serializer: BaseSerializer[Product]) -> None:
        with refusals():
            serializer.instance = services.make_product(**serializer.validated_data)


class ProductDetail(generics.RetrieveAPIView[Product]):
    """One item."""

    required_permission = "production.view"
    serializer_class = forms.ProductSerializer
    lookup_url_kwarg = "product_id"

    def get_queryset(self) -> QuerySet[Product]:
        return selectors.products()


class ProductionOrders(generics.ListCreateAPIView[ProductionOrder]):
    """Production orders, newest first."""

    required_permission = {"GET": "production.view", "POST": "production.plan_work"}
    serializer_class = forms.ProductionOrderSerializer

    def get_queryset(self) -> QuerySet[ProductionOrder]:
        return selectors.production_orders()

    def perform_create(self, serializer: BaseSerializer[ProductionOrder]) -> None:
        said = dict(serializer.validated_data)
        with refusals():
            said["product"] = product_called(said["product"]["item_no"])
            serializer.instance = services.make_order(**said)


def product_called(item_no: str) -> Product:
    """Return the item with a number.

    Raises:
        Unknown: there is none.
    """
    found = selectors.products().filter(item_no=item_no).first()
    if found is None:
        raise services.Unknown("product", item_no)
    return found


class Lots(generics.GenericAPIView[Lot]):
    """Lots and serials, newest first."""

    required_permission = READ_AND_RECORD
    serializer_class = forms.LotSerializer
    queryset = Lot.objects.none()

    @extend_schema(
        summary="List or search lots",
        parameters=[
            OpenApiParameter("q", str, description="Part of a code."),
            OpenApiParameter("product", OpenApiTypes.UUID),
            OpenApiParameter("state", enum=Lot.State.values),
        ],
        responses=forms.LotSerializer(many=True),
        operation_id="lots_list",
    )
    def get(self, request: Request) -> Response:
        rows = selectors.lots(request.query_params.get("q", ""))
        if product_id := asked_id(request, "product"):
            rows = rows.filter(product=product_id)
        if state := asked_choice(request, "state", Lot.State.values):
            rows = rows.filter(state=state)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Make a lot",
        request=forms.NewLotSerializer,
        responses={201: forms.LotSerializer},
        operation_id="lots_create",
    )
    def post(self, request: Request) -> Response:
        form = forms.NewLotSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals():
            receipt = services.record_lots(
                items=[form.lot_fields()], at=timezone.now(), by=user_of(request), is_strict=True
            )
        return Response(forms.LotSerializer(receipt.rows[0]).data, status=201)


class LotDetail(APIView):
    """One lot with its life and its runs."""

    required_permission = "production.view"

    @extend_schema(summary="Read a lot", responses=forms.LotDetailSerializer)
    def get(self, request: Request, lot_id: Any) -> Response:
        get_object_or_404(Lot, pk=lot_id)
        return Response(forms.LotDetailSerializer(selectors.lot(lot_id)).data)


class LotState(APIView):
    """A step in the life of a lot. The lot is looked for before the body is read."""

    required_permission = "production.record"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.lot = get_object_or_404(Lot, pk=self.kwargs["lot_id"])

    @extend_schema(
        summary="Hold, release, ship or scrap a lot",
        request=forms.LotStateSerializer,
        responses=forms.LotDetailSerializer,
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        form = forms.LotStateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals():
            services.move_lot(
                lot_id=self.lot.pk, at=timezone.now(), by=user_of(request), **form.validated_data
            )
        return Response(forms.LotDetailSerializer(selectors.lot(self.lot.pk)).data)


def _take_list(
    request: Request,
    outer: type[Serializer[Any]],
    inner: type[Serializer[Any]],
    store: Callable[[list[Any]], services.Receipt[Any]],
) -> Response:
    """Check each item by itself, store those that are good, and say which are not and why."""
    form = outer(data=request.data)
    form.is_valid(raise_exception=True)
    good: list[tuple[int, Any]] = []
    rejected: list[services.Rejection] = []
    for index, raw in enumerate(form.validated_data["items"]):
        item = inner(data=raw)
        if item.is_valid():
            good.append((index, item))
        else:
            rejected.append(services.Rejection(index, "invalid", first_error(item.errors)))
    receipt = store([item for _, item in good])
    rejected += [
        services.Rejection(good[row.index][0], row.code, row.message) for row in receipt.rejected
    ]
    said = {
        "n_stored": receipt.n_stored, "n_changed": receipt.n_changed, "n_known": receipt.n_known,
        "rejected": sorted(rejected, key=lambda row: row.index),
    }  # fmt: skip
    return Response(forms.ListReceiptSerializer(said).data)


class LotList(APIView):
    """Many lots at once."""

    required_permission = "production.record"

    @extend_schema(
        summary="Make up to 500 lots and serials",
        request=forms.LotListSerializer,
        responses=forms.ListReceiptSerializer,
    )
    def post(self, request: Request) -> Response:
        by, at = user_of(request), timezone.now()
        return _take_list(
            request, forms.LotListSerializer, forms.NewLotSerializer,
            lambda items: services.record_lots(
                items=[item.lot_fields() for item in items], at=at, by=by
            ),
        )  # fmt: skip


class Runs(generics.GenericAPIView[OperationRun]):
    """Runs of operations."""

    required_permission = READ_AND_RECORD
    serializer_class = forms.RunSerializer
    queryset = OperationRun.objects.none()

    @extend_schema(
        summary="List runs",
        parameters=[
            OpenApiParameter("lot", OpenApiTypes.UUID),
            OpenApiParameter("machine", OpenApiTypes.UUID),
        ],
        responses=forms.RunSerializer(many=True),
        operation_id="operation_runs_list",
    )
    def get(self, request: Request) -> Response:
        rows = selectors.runs().order_by("-started_at", "-pk")
        if lot_id := asked_id(request, "lot"):
            rows = rows.filter(lot=lot_id)
        if machine_id := asked_id(request, "machine"):
            rows = rows.filter(machine=machine_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Write down up to 500 runs",
        request=forms.RunListSerializer,
        responses=forms.ListReceiptSerializer,
        operation_id="operation_runs_record",
    )
    def post(self, request: Request) -> Response:
        at = timezone.now()
        return _take_list(
            request, forms.RunListSerializer, forms.NewRunSerializer,
            lambda items: services.record_runs(items=[item.run_fields() for item in items], at=at),
        )  # fmt: skip
