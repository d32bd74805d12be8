"""Endpoints of work orders: one address a step, so that the role table decides each."""

from typing import Any

from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import generics
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from production import photos, selectors, services, strokes
from production.api import order_serializers as forms
from production.models import CheckItem, OrderPhoto, SparePart, WorkOrder
from production.services import Actor
from tenants import storage
from tenants.api.errors import Conflict
from tenants.models import User
from tenants.permissions import API_KEY_PERMISSIONS, allowed

DETAIL = forms.OrderDetailSerializer
_REFUSED = (services.NotPossible, services.NotAMember, strokes.NotStrokes)


def _user(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _may(request: Request, permission: str) -> bool:
    asked: Any = request._request
    if asked.api_credential is not None:
        return permission in API_KEY_PERMISSIONS
    return allowed(asked.membership.role, permission)


def _choice(request: Request, name: str, known: list[str]) -> str | None:
    wanted = request.query_params.get(name)
    return wanted if wanted in known else None


class Orders(generics.GenericAPIView[WorkOrder]):
    """Work orders, newest first; open ones by due time."""

    required_permission = {"GET": "production.view", "POST": "production.work"}
    serializer_class = forms.OrderSerializer
    queryset = WorkOrder.objects.none()

    @extend_schema(
        summary="List work orders",
        parameters=[
            OpenApiParameter("state", enum=[*WorkOrder.State.values, "open"]),
            OpenApiParameter("kind", enum=WorkOrder.Kind.values),
            OpenApiParameter("machine", OpenApiTypes.UUID),
        ],
        responses=forms.OrderSerializer(many=True),
        operation_id="work_orders_list",
    )
    def get(self, request: Request) -> Response:
        rows = selectors.work_orders()
        if request.query_params.get("state") == "open":
            rows = selectors.open_orders()
        if state := _choice(request, "state", WorkOrder.State.values):
            rows = rows.filter(state=state)
        if kind := _choice(request, "kind", WorkOrder.Kind.values):
            rows = rows.filter(kind=kind)
        if machine := request.query_params.get("machine"):
            rows = rows.filter(machine__in=selectors.machines_with_id(machine))
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Ask for work",
        request=forms.NewOrderSerializer,
        responses={201: forms.OrderSerializer},
        operation_id="work_orders_create",
    )
    def post(self, request: Request) -> Response:
        form = forms.NewOrderSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        try:
            order = services.create_work_order(
                machine_id=fields.pop("machine"), at=timezone.now(), by=_user(request),
                is_approved=_may(request, "production.plan_work"), **fields,
            )  # fmt: skip
        except services.NoSuchMachine as error:
            raise Conflict("There is no such machine.", code="unknown_reference") from error
        except services.NotPossible as error:
            raise Conflict(str(error), code="not_possible") from error
        return Response(forms.OrderSerializer(order).data, status=201)


def find(order_id: Any) -> WorkOrder:
    try:
        return selectors.work_order(order_id)
    except WorkOrder.DoesNotExist:
        raise Http404 from None


class OrderDetail(APIView):
    """One work order with all that was written down on it."""

    required_permission = "production.view"

    @extend_schema(summary="Read a work order", responses=DETAIL)
    def get(self, request: Request, order_id: Any) -> Response:
        return Response(DETAIL(find(order_id)).data)


class Step(APIView):
    """A step in the life of an order. The order is looked for before the body is read."""

    required_permission = "production.work"
    form: type[Serializer[Any]] = forms.RequestSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.order = find(self.kwargs["order_id"])

    def post(self, request: Request, **_kwargs: Any) -> Response:
        form = self.form(data=request.data)
        form.is_valid(raise_exception=True)
        by = _user(request)
        actor = Actor(by, timezone.now(), form.validated_data.get("request_id"))
        try:
            self.take(form, actor)
        except _REFUSED as refusal:
            raise Conflict(str(refusal), code="not_possible") from refusal
        return Response(DETAIL(find(self.order.pk)).data)

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        raise NotImplementedError


def _step(summary: str, form: type[Serializer[Any]]) -> Any:
    post = extend_schema(summary=summary, request=form, responses=DETAIL)
    return extend_schema_view(post=post)


@_step("Approve a proposal", forms.RequestSerializer)
class Approve(Step):
    required_permission = "production.plan_work"

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        services.approve(order=self.order, **actor.fields())


@_step("Say when and by whom", forms.ScheduleSerializer)
class Schedule(Step):
    required_permission = "production.plan_work"
    form = forms.ScheduleSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        person_id = form.validated_data["assigned_to"]
        person = User.objects.filter(pk=person_id).first() if person_id else None
        if person_id and person is None:
            raise services.NotAMember
        services.schedule(
            order=self.order, scheduled_for=form.validated_data["scheduled_for"],
            assigned_to=person, **actor.fields(),
        )  # fmt: skip


@_step("Begin the work", forms.RequestSerializer)
class Start(Step):
    def take(self, form: Serializer[Any], actor: Actor) -> None:
        services.start(order=self.order, **actor.fields())


@_step("End the work with what was found", forms.CompleteSerializer)
class Complete(Step):
    form = forms.CompleteSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        assert isinstance(form, forms.CompleteSerializer)
        said = form.validated_data
        services.complete(
            order=self.order, verdict=said["verdict"], note=said["note"], code=form.code(),
            downtime_minutes=said["downtime_minutes"], **actor.fields(),
        )  # fmt: skip


@_step("Say that it was done well", forms.WordsSerializer)
class Verify(Step):
    required_permission = "production.plan_work"
    form = forms.WordsSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        services.verify(order=self.order, text=form.validated_data["text"], **actor.fields())


@_step("Decide that it will not be done", forms.RejectSerializer)
class Reject(Step):
    required_permission = "production.plan_work"
    form = forms.RejectSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        said = form.validated_data
        services.reject(
            order=self.order, text=said["text"], verdict=said["verdict"], **actor.fields()
        )


@_step("Add a few words", forms.WordsSerializer)
class Comment(Step):
    form = forms.WordsSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        services.comment(order=self.order, text=form.validated_data["text"], **actor.fields())


@_step("Book time", forms.NewLabourSerializer)
class Labour(Step):
    form = forms.NewLabourSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        said = form.validated_data
        services.add_labour(
            order=self.order, minutes=said["minutes"],
            rate_minor_per_h=said["rate_minor_per_h"], actor=actor,
        )  # fmt: skip


@_step("Take a part off the shelf", forms.UsePartSerializer)
class UsePart(Step):
    form = forms.UsePartSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        said = form.validated_data
        try:
            part = selectors.spare_part(said["part"])
        except SparePart.DoesNotExist as error:
            raise Conflict("There is no such part.", code="unknown_reference") from error
        services.use_part(order=self.order, part=part, quantity=said["quantity"], actor=actor)


@_step("Tick off a line of the checklist", forms.CheckSerializer)
class Check(Step):
    form = forms.CheckSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        try:
            self.item = selectors.check_item(order_id=self.order.pk, item_id=self.kwargs["item_id"])
        except CheckItem.DoesNotExist:
            raise Http404 from None

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        said = form.validated_data
        services.check(
            order=self.order, item=self.item, is_ok=said["is_ok"], value=said["value"], actor=actor
        )


@_step("Sign the work", forms.SignatureSerializer)
class Sign(Step):
    form = forms.SignatureSerializer

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        said = form.validated_data
        services.sign(order=self.order, name=said["name"], drawn=said["strokes"], actor=actor)


class Photos(Step):
    form = forms.NewPhotoSerializer
    parser_classes = (MultiPartParser,)

    @extend_schema(
        summary="Add a photo",
        request={"multipart/form-data": forms.NewPhotoSerializer},
        examples=[
            OpenApiExample(
                "A form with a file",
                {"photo": "(a JPEG)", "request_id": forms.REQUEST},
                request_only=True,
                media_type="multipart/form-data",
            )
        ],
        responses={
            200: DETAIL,
            503: OpenApiResponse(description="The store for files does not answer."),
        },
    )
    def post(self, request: Request, **kwargs: Any) -> Response:
        try:
            return super().post(request, **kwargs)
        except storage.StorageUnavailable:
            return Response(
                {"code": "storage_unavailable", "message": "Try again later.", "detail": {}},
                status=503,
            )

    def take(self, form: Serializer[Any], actor: Actor) -> None:
        sent = form.validated_data["photo"]
        try:
            services.add_photo(
                order=self.order, content=sent.read(photos.MAX_BYTES + 1), actor=actor
            )
        except photos.NotAPhoto as error:
            raise Conflict(str(error), code="not_a_photo") from error


class Photo(APIView):
    """One photo, as a file to save."""

    required_permission = "production.view"

    @extend_schema(
        summary="Fetch a photo",
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY, 503: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, order_id: Any, photo_id: Any) -> HttpResponse:
        try:
            photo = selectors.order_photo(order_id=order_id, photo_id=photo_id)
            content = storage.get_bytes(key=photo.object_key)
        except (OrderPhoto.DoesNotExist, storage.ObjectMissing):
            raise Http404 from None
        except storage.StorageUnavailable:
            return Response(
                {"code": "storage_unavailable", "message": "Try again later.", "detail": {}},
                status=503,
            )
        return photo_answer(content, name=f"{photo.pk}.jpg")


def photo_answer(content: bytes, *, name: str) -> HttpResponse:
    """Answer a photo as a file, which no browser takes for anything else."""
    answer = HttpResponse(content, content_type="image/jpeg")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


# The last part of the address -> what it does.
STEPS: dict[str, type[Step]] = {
    "approve": Approve,
    "schedule": Schedule,
    "start": Start,
    "complete": Complete,
    "verify": Verify,
    "reject": Reject,
    "comments": Comment,
    "labour": Labour,
    "parts": UsePart,
    "signature": Sign,
    "photos": Photos,
}
