"""Endpoints of inspection plans, inspections and nonconformances."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from production import selectors, services
from production.api import quality_serializers as forms
from production.api.quality_lists import asked_choice, asked_id, refusals, user_of
from production.api.quality_lots import READ_AND_MANAGE, READ_AND_RECORD, product_called
from production.models import (
    DefectType,
    Inspection,
    InspectionPlan,
    Lot,
    Nonconformance,
    Product,
    Verdict,
)


class DefectTypes(generics.ListCreateAPIView[DefectType]):
    """Kinds of defects, by code."""

    required_permission = READ_AND_MANAGE
    serializer_class = forms.DefectTypeSerializer
    queryset = DefectType.objects.order_by("code")

    def perform_create(self, serializer: Any) -> None:
        with refusals():
            serializer.instance = services.save_defect_type(**serializer.validated_data)


class InspectionPlans(generics.GenericAPIView[InspectionPlan]):
    """Inspection plans by product, name and version."""

    required_permission = READ_AND_MANAGE
    serializer_class = forms.InspectionPlanSerializer
    queryset = InspectionPlan.objects.none()

    @extend_schema(
        summary="List inspection plans",
        parameters=[
            OpenApiParameter("product", OpenApiTypes.UUID),
            OpenApiParameter("state", enum=InspectionPlan.State.values),
        ],
        responses=forms.InspectionPlanSerializer(many=True),
        operation_id="inspection_plans_list",
    )
    def get(self, request: Request) -> Response:
        rows = selectors.inspection_plans()
        if product_id := asked_id(request, "product"):
            rows = rows.filter(product=product_id)
        if state := asked_choice(request, "state", InspectionPlan.State.values):
            rows = rows.filter(state=state)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Make an inspection plan",
        request=forms.NewInspectionPlanSerializer,
        responses={201: forms.InspectionPlanSerializer},
        operation_id="inspection_plans_create",
    )
    def post(self, request: Request) -> Response:
        form = forms.NewInspectionPlanSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals():
            product = product_called(form.validated_data["product"])
            plan = services.make_inspection_plan(
                product_id=product.pk, fields=form.plan_fields(), at=timezone.now(),
                by=user_of(request),
            )  # fmt: skip
        shown = selectors.inspection_plan(plan.pk)
        return Response(forms.InspectionPlanSerializer(shown).data, status=201)


class InspectionPlanDetail(generics.RetrieveAPIView[InspectionPlan]):
    """One version of a plan."""

    required_permission = "production.view"
    serializer_class = forms.InspectionPlanSerializer
    lookup_url_kwarg = "inspection_plan_id"

    def get_queryset(self) -> Any:
        return selectors.inspection_plans()


class InspectionPlanVersions(APIView):
    """What a plan says from now on. The plan is looked for before the body is read."""

    required_permission = "production.manage"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.plan = get_object_or_404(InspectionPlan, pk=self.kwargs["inspection_plan_id"])

    @extend_schema(
        summary="Revise an inspection plan",
        description="A plan without results is altered; one with results gets a new version.",
        request=forms.RevisedPlanSerializer,
        responses={201: forms.InspectionPlanSerializer},
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        form = forms.RevisedPlanSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals():
            plan = services.revise_inspection_plan(
                plan_id=self.plan.pk, fields=form.plan_fields(), at=timezone.now(),
                by=user_of(request),
            )  # fmt: skip
        shown = selectors.inspection_plan(plan.pk)
        return Response(forms.InspectionPlanSerializer(shown).data, status=201)


class Inspections(generics.GenericAPIView[Inspection]):
    """Inspections, newest first."""

    required_permission = READ_AND_RECORD
    serializer_class = forms.InspectionSerializer
    queryset = Inspection.objects.none()

    @extend_schema(
        summary="List inspections",
        parameters=[
            OpenApiParameter("plan", OpenApiTypes.UUID),
            OpenApiParameter("lot", OpenApiTypes.UUID),
            OpenApiParameter("machine", OpenApiTypes.UUID),
            OpenApiParameter("state", enum=Inspection.State.values),
            OpenApiParameter("verdict", enum=Verdict.values),
        ],
        responses=forms.InspectionSerializer(many=True),
        operation_id="inspections_list",
    )
    def get(self, request: Request) -> Response:
        rows = selectors.inspections()
        for name in ("plan", "lot", "machine"):
            if wanted := asked_id(request, name):
                rows = rows.filter(**{name: wanted})
        if state := asked_choice(request, "state", Inspection.State.values):
            rows = rows.filter(state=state)
        if verdict := asked_choice(request, "verdict", Verdict.values):
            rows = rows.filter(verdict=verdict)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Record an inspection",
        request=forms.NewInspectionSerializer,
        responses={201: forms.InspectionDetailSerializer},
        operation_id="inspections_record",
    )
    def post(self, request: Request) -> Response:
        form = forms.NewInspectionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said = form.validated_data
        names = ("piece", "source", "verdict", "defects", "note", "inspected_at", "made_at")
        with refusals():
            found = services.record_inspection(
                plan_id=said["plan"], at=timezone.now(), by=user_of(request),
                lot_id=said["lot"] or _lot_called(said["plan"], said["lot_code"]),
                order_id=said["order"], machine_id=said["machine"], run_id=said["run"],
                measurements=form.measured(), request_id=said.get("request_id"),
                **{name: said[name] for name in names},
            )  # fmt: skip
        shown = selectors.inspection(found.pk)
        return Response(forms.InspectionDetailSerializer(shown).data, status=201)


def _lot_called(plan_id: Any, code: str) -> Any:
    if not code:
        return None
    found = Lot.objects.filter(product__inspection_plans=plan_id, code=code).first()
    if found is None:
        raise services.Unknown("lot", code)
    return found.pk


class InspectionDetail(APIView):
    """One inspection with all that was written down on it."""

    required_permission = "production.view"

    @extend_schema(summary="Read an inspection", responses=forms.InspectionDetailSerializer)
    def get(self, request: Request, inspection_id: Any) -> Response:
        get_object_or_404(Inspection, pk=inspection_id)
        return Response(forms.InspectionDetailSerializer(selectors.inspection(inspection_id)).data)


class InspectionVerdicts(APIView):
    """Verdicts of one inspection. It is looked for before the body is read."""

    required_permission = "production.record"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.inspection = get_object_or_404(Inspection, pk=self.kwargs["inspection_id"])

    @extend_schema(
        summary="Judge an inspection",
        request=forms.JudgeSerializer,
        responses=forms.InspectionDetailSerializer,
    )
    def post(self, request: Request, **_kwargs: Any) -> Response:
        form = forms.JudgeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals():
            services.judge(
                inspection_id=self.inspection.pk, at=timezone.now(), by=user_of(request),
                **form.validated_data,
            )  # fmt: skip
        shown = selectors.inspection(self.inspection.pk)
        return Response(forms.InspectionDetailSerializer(shown).data)


class Nonconformances(generics.GenericAPIView[Nonconformance]):
    """Nonconformances, newest first; those that are not closed, oldest first."""

    required_permission = READ_AND_RECORD
    serializer_class = forms.NonconformanceSerializer
    queryset = Nonconformance.objects.none()

    @extend_schema(
        summary="List nonconformances",
        parameters=[
            OpenApiParameter("state", enum=[*Nonconformance.State.values, "unclosed"]),
            OpenApiParameter("lot", OpenApiTypes.UUID),
        ],
        responses=forms.NonconformanceSerializer(many=True),
        operation_id="nonconformances_list",
    )
    def get(self, request: Request) -> Response:
        state = asked_choice(request, "state", [*Nonconformance.State.values, "unclosed"])
        rows = selectors.nonconformances()
        if state == "unclosed":
            rows = selectors.open_nonconformances()
        elif state:
            rows = rows.filter(state=state)
        if lot_id := asked_id(request, "lot"):
            rows = rows.filter(lot=lot_id)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Report a nonconformance",
        request=forms.NewNonconformanceSerializer,
        responses={201: forms.NonconformanceDetailSerializer},
        operation_id="nonconformances_report",
    )
    def post(self, request: Request) -> Response:
        form = forms.NewNonconformanceSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said = form.validated_data
        with refusals():
            product = product_called(said["product"])
            found = services.report_nonconformance(
                product_id=product.pk, lot_id=_lot_of(product, said["lot_code"]),
                machine_id=said["machine"], defect_type=_defect_called(said["defect"]),
                source=said["source"], quantity=said["quantity"], text=said["text"],
                at=timezone.now(), by=user_of(request), request_id=said.get("request_id"),
            )  # fmt: skip
        shown = selectors.nonconformance(found.pk)
        return Response(forms.NonconformanceDetailSerializer(shown).data, status=201)


def _lot_of(product: Product, code: str) -> Any:
    if not code:
        return None
    found = selectors.lots().filter(product=product, code=code).first()
    if found is None:
        raise services.Unknown("lot", code)
    return found.pk


def _defect_called(code: str) -> DefectType | None:
    if not code:
        return None
    found = selectors.defect_types().filter(code=code).first()
    if found is None:
        raise services.Unknown("defect", code)
    return found


class NonconformanceDetail(APIView):
    """One nonconformance with its life."""

    required_permission = "production.view"

    @extend_schema(summary="Read a nonconformance", responses=forms.NonconformanceDetailSerializer)
    def get(self, request: Request, nonconformance_id: Any) -> Response:
        get_object_or_404(Nonconformance, pk=nonconformance_id)
        shown = selectors.nonconformance(nonconformance_id)
        return Response(forms.NonconformanceDetailSerializer(shown).data)


class _Step(APIView):
    """A step in its life. The nonconformance is looked for before the body is read."""

    required_permission = "production.plan_work"
    form: type[forms.StepSerializer] = forms.StepSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.found = get_object_or_404(Nonconformance, pk=self.kwargs["nonconformance_id"])

    def post(self, request: Request, **_kwargs: Any) -> Response:
        form = self.form(data=request.data)
        form.is_valid(raise_exception=True)
        with refusals():
            self.take(
                nonconformance_id=self.found.pk, at=timezone.now(), by=user_of(request),
                **form.validated_data,
            )  # fmt: skip
        shown = selectors.nonconformance(self.found.pk)
        return Response(forms.NonconformanceDetailSerializer(shown).data)

    def take(self, **said: Any) -> None:
        raise NotImplementedError


def _step(summary: str, form: type[forms.StepSerializer]) -> Any:
    post = extend_schema(
        summary=summary, request=form, responses=forms.NonconformanceDetailSerializer
    )
    return extend_schema_view(post=post)


@_step("Set the material apart", forms.StepSerializer)
class Contain(_Step):
    required_permission = "production.record"

    def take(self, **said: Any) -> None:
        services.contain_nonconformance(**said)


@_step("Decide what becomes of the material", forms.DecideSerializer)
class Decide(_Step):
    form = forms.DecideSerializer

    def take(self, **said: Any) -> None:
        services.decide_nonconformance(**said)


@_step("Close it: what was decided has been done", forms.StepSerializer)
class Close(_Step):
    def take(self, **said: Any) -> None:
        services.close_nonconformance(**said)


# The last part of the address -> what it does.
STEPS: dict[str, type[_Step]] = {"contain": Contain, "decide": Decide, "close": Close}
