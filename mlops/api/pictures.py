"""Endpoints of pictures: they come in, are looked at, labelled and judged."""

from typing import IO, Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    extend_schema,
)
from rest_framework import exceptions, generics, serializers
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mlops import picture_store, selectors, services
from mlops.api import picture_serializers as forms
from mlops.api.picture_files import picture_answer, verdicts_answer
from mlops.models import InspectionImage
from mlops.services import SetupFields
from mlops.vision import pictures
from mlops.vision.pictures import PictureRefused
from production import selectors as production_selectors
from production import services as production_services
from production.models import Inspection, InspectionPlan
from tenants import limits
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import User
from tenants.storage import StorageUnavailable

REFUSED = OpenApiResponse(
    ErrorSerializer,
    description="Refused by name: too_large, empty, wrong_type, damaged, trailing_data, "
    "several_frames, too_many_pixels, too_small, unsupported or low_range for what is no picture "
    "that is taken; unknown_reference for what is named and not there. Nothing is stored.",
)
TOO_MANY = OpenApiResponse(
    ErrorSerializer,
    description="too_many_pending: the store for files has been away for so long that no further "
    "picture can wait for it. See Retry-After.",
)
LIMIT_REACHED = OpenApiResponse(
    ErrorSerializer,
    description="plan_limit or cap_reached: this month's pictures are used. See Retry-After.",
)
STORE_AWAY = OpenApiResponse(ErrorSerializer, description="The store for files is away.")
EXAMPLE = OpenApiExample(
    "A form with a file",
    {"picture": "(a PNG)", "label": "good", "name": "flange-0815.png"},
    request_only=True, media_type="multipart/form-data",
)  # fmt: skip
RETRY_AFTER_S = 60


class Unavailable(exceptions.APIException):
    """It cannot be done now; trying again later may help."""

    status_code = 503

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.wait = RETRY_AFTER_S  # DRF makes Retry-After of it


class RawPicture(BaseParser):
    """The body is the picture; what is said of it stands in the query."""

    media_type = "image/*"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, bytes]:
        return {"picture": stream.read(pictures.MAX_BYTES + 1)}


def _user(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


class OfPlan(APIView):
    """Something of one inspection plan, which is looked for before the body is read."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        try:
            # Pictures belong to the first version of a plan; any may be named.
            self.plan = production_selectors.first_version(self.kwargs["inspection_plan_id"])
        except InspectionPlan.DoesNotExist:
            raise Http404 from None


class OfPicture(APIView):
    """Something of one picture, which is looked for before the body is read."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        try:
            self.image = selectors.inspection_image(self.kwargs["image_id"])
        except InspectionImage.DoesNotExist:
            raise Http404 from None


def sent_picture(
    request: Request, form: type[serializers.Serializer[Any]]
) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a picture and what is said of it, from a form or a body of its own.

    Raises:
        ValidationError: what is said of it is not right.
    """
    body: Any = request.data
    if not request.content_type.startswith("multipart/"):
        said = form(data=request.query_params)
        said.is_valid(raise_exception=True)
        return body.get("picture", b""), dict(said.validated_data)
    said = form(data=body)
    file = forms.PictureFileSerializer(data=body)
    said.is_valid(raise_exception=True)
    file.is_valid(raise_exception=True)
    sent = file.validated_data["picture"]
    return sent.read(pictures.MAX_BYTES + 1), {"name": sent.name, **said.validated_data}


class PlanPictures(OfPlan, generics.GenericAPIView[InspectionImage]):
    """Pictures of the parts that one inspection plan looks at."""

    required_permission = {"GET": "mlops.view", "POST": "production.record"}
    works_read_only = True
    serializer_class = forms.PictureSerializer
    queryset = InspectionImage.objects.none()
    parser_classes = (MultiPartParser, RawPicture)

    @extend_schema(
        summary="List pictures, newest first",
        parameters=[forms.PictureFilterSerializer],
        responses=forms.PictureSerializer(many=True),
        operation_id="inspection_plans_pictures_list",
    )
    def get(self, request: Request, inspection_plan_id: UUID) -> Response:
        asked = forms.PictureFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        page = self.paginate_queryset(_filtered(self.plan, asked.validated_data))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Add a picture",
        description="To teach or to document; a picture that is to be judged goes to `judge`. "
        "Send a form with the file `picture`, or the picture itself as the body with its "
        "`Content-Type` and the other fields in the query. A picture is known by the digest of its "
        "bytes: sent again, the first one is answered (200 instead of 201).",
        request={
            "multipart/form-data": forms.NewPictureSerializer,
            "image/png": OpenApiTypes.BINARY,
            "image/jpeg": OpenApiTypes.BINARY,
        },
        examples=[EXAMPLE],
        responses={
            200: forms.PictureSerializer, 201: forms.PictureSerializer, 409: REFUSED,
            429: LIMIT_REACHED, 503: TOO_MANY,
        },
        operation_id="inspection_plans_pictures_create",
    )  # fmt: skip
    def post(self, request: Request, inspection_plan_id: UUID) -> Response:
        content, said = sent_picture(request, forms.PictureFieldsSerializer)
        inspection = _inspection(self.plan, lot=said.pop("lot", ""), piece=said.pop("piece", ""))
        fields = {"source": InspectionImage.Source.API.value, **said}
        try:
            image, is_new = services.add_picture(
                plan_id=self.plan.pk, content=content, at=timezone.now(), by=_user(request),
                inspection_id=inspection.pk if inspection else None, **fields,
            )  # fmt: skip
        except PictureRefused as error:
            raise Conflict(error.message, code=error.code) from error
        except production_services.Refused as error:
            raise Conflict(str(error), code=error.code) from error
        except services.TooManyPending as error:
            return too_many_pending(error)
        except limits.LimitReached as error:
            return limit_reached(error)
        return Response(forms.PictureSerializer(image).data, status=201 if is_new else 200)


def too_many_pending(error: picture_store.TooManyPending) -> Response:
    """Say that no picture can wait any more, and when to try again."""
    said = {"code": error.code, "message": str(error), "detail": {}}
    return Response(said, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})


def limit_reached(error: limits.LimitReached) -> Response:
    """Say that no picture is taken any more this month; clients keep theirs and come again."""
    said = {"code": error.code, "message": str(error), "detail": {}}
    wait = str(error.seconds_from(timezone.now()))
    return Response(said, status=429, headers={"Retry-After": wait})


def _filtered(plan: InspectionPlan, asked: dict[str, Any]) -> QuerySet[InspectionImage]:
    rows = selectors.images_of(plan.pk)
    if label := asked.get("label"):
        rows = rows.filter(label="" if label == "none" else label)
    if since := asked.get("since"):
        rows = rows.filter(taken_at__gte=since)
    if kept := asked.get("kept"):
        rows = rows.filter(is_kept=kept == "true")
    return rows


def _inspection(plan: InspectionPlan, *, lot: str, piece: str) -> Inspection | None:
    """Return the newest inspection of a lot or a piece of it under a plan; None without a lot."""
    if not lot:
        return None
    of_plan = Inspection.objects.filter(plan__product_id=plan.product_id, plan__name=plan.name)
    rows = of_plan.filter(lot__code=lot, piece=piece)
    found = rows.order_by("-number").first()
    if found is None:
        raise Conflict("There is no such inspection under this plan.", code="unknown_reference")
    return found


class Judge(OfPlan):
    """The line: a picture in, its verdict out."""

    required_permission = "production.record"
    works_read_only = True
    parser_classes = (MultiPartParser, RawPicture)

    @extend_schema(
        summary="Judge a picture",
        description="Send the picture as in `pictures`. The answer is the verdict of the version "
        "in service, with boxes; before one has been trained, `state` is `no_model`. The picture "
        "is kept, and with `lot` an inspection of it is written down. Sent again, the first "
        "verdict is answered.",
        request={
            "multipart/form-data": forms.JudgePictureSerializer,
            "image/png": OpenApiTypes.BINARY,
            "image/jpeg": OpenApiTypes.BINARY,
        },
        examples=[
            OpenApiExample(
                "A form with a file",
                {"picture": "(a PNG)", "lot": "L-0815", "piece": "7"},
                request_only=True, media_type="multipart/form-data",
            )
        ],
        responses={
            200: forms.ImageVerdictSerializer, 409: REFUSED, 429: LIMIT_REACHED, 503: TOO_MANY,
        },
        operation_id="inspection_plans_judge",
    )  # fmt: skip
    def post(self, request: Request, inspection_plan_id: UUID) -> Response:
        content, said = sent_picture(request, forms.JudgeFieldsSerializer)
        piece = services.Piece(
            said.pop("lot", ""), said.pop("piece", ""), said.pop("machine", None)
        )  # fmt: skip
        try:
            verdict = services.inspect_picture(
                plan_id=self.plan.pk, content=content, at=timezone.now(), piece=piece,
                by=_user(request), **said,
            )  # fmt: skip
        except PictureRefused as error:
            raise Conflict(error.message, code=error.code) from error
        except services.LotUnknown as error:
            raise Conflict(str(error), code="unknown_reference") from error
        except production_services.Refused as error:
            raise Conflict(str(error), code=error.code) from error
        except services.TooManyPending as error:
            return too_many_pending(error)
        except limits.LimitReached as error:
            return limit_reached(error)
        return Response(forms.ImageVerdictSerializer(verdict).data)


class ReviewQueue(OfPlan, generics.ListAPIView[InspectionImage]):
    """Pictures that nobody has labelled, the most doubtful first, then the oldest."""

    required_permission = "mlops.view"
    serializer_class = forms.PictureSerializer

    def get_queryset(self) -> QuerySet[InspectionImage]:
        if getattr(self, "swagger_fake_view", False):
            return InspectionImage.objects.none()
        return selectors.review_queue(self.plan.pk)


class Disagreements(OfPlan):
    """Pictures that people label differently, and how far each two of them agree."""

    required_permission = "mlops.view"

    @extend_schema(summary="Read where people disagree", responses=forms.DisagreementsSerializer)
    def get(self, request: Request, inspection_plan_id: UUID) -> Response:
        found = {
            "images": selectors.disagreements(self.plan.pk),
            "pairs": selectors.pair_agreements(self.plan.pk),
        }
        return Response(forms.DisagreementsSerializer(found).data)


class VisionSetupView(OfPlan):
    """How the pictures of a plan are judged, and what mistakes cost."""

    required_permission = {"GET": "mlops.view", "PUT": "production.manage"}

    @extend_schema(summary="Read how pictures are judged", responses=forms.SetupSerializer)
    def get(self, request: Request, inspection_plan_id: UUID) -> Response:
        return Response(forms.SetupSerializer(SetupFields.of(self.plan)).data)

    @extend_schema(
        summary="Say how pictures are judged, and what mistakes cost",
        request=forms.SetupSerializer,
        responses={
            200: forms.SetupSerializer,
            409: OpenApiResponse(ErrorSerializer, description="setup_refused: `message` says why."),
        },
    )
    def put(self, request: Request, inspection_plan_id: UUID) -> Response:
        form = forms.SetupSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            services.save_setup(plan_id=self.plan.pk, fields=form.setup_fields(), by=_user(request))
        except services.SetupRefused as error:
            raise Conflict(str(error), code="setup_refused") from error
        return Response(forms.SetupSerializer(SetupFields.of(self.plan)).data)


class VerdictTable(OfPlan):
    """Every verdict on the pictures of a plan, for spreadsheets."""

    required_permission = "mlops.view"

    @extend_schema(
        summary="Fetch all verdicts as CSV",
        responses={(200, "text/csv"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, inspection_plan_id: UUID) -> StreamingHttpResponse:
        return verdicts_answer(
            request._request, plan_id=self.plan.pk, factory=current_factory()
        )  # fmt: skip


class Picture(OfPicture):
    """One picture."""

    required_permission = "mlops.view"

    @extend_schema(
        summary="Read a picture's labels and verdict", responses=forms.PictureDetailSerializer
    )
    def get(self, request: Request, image_id: UUID) -> Response:
        return Response(_detail(self.image))


def _detail(image: InspectionImage) -> dict[str, Any]:
    context = {"verdict": selectors.newest_verdict(image)}
    return dict(forms.PictureDetailSerializer(image, context=context).data)


class PictureFile(OfPicture):
    """The pixels of one picture."""

    required_permission = "mlops.view"

    @extend_schema(
        summary="Fetch the picture",
        responses={(200, "image/png"): OpenApiTypes.BINARY, 503: STORE_AWAY},
    )
    def get(self, request: Request, image_id: UUID) -> HttpResponse:
        try:
            content = picture_store.content_of(self.image)
        except picture_store.PictureGone:
            raise Http404 from None
        except StorageUnavailable as error:
            raise Unavailable("The store for files does not answer.") from error
        return picture_answer(content, name=f"{self.image.pk}.png")


class PictureThumbnail(OfPicture):
    """A picture, made small."""

    required_permission = "mlops.view"

    @extend_schema(
        summary="Fetch the picture in small",
        responses={(200, "image/webp"): OpenApiTypes.BINARY, 503: STORE_AWAY},
    )
    def get(self, request: Request, image_id: UUID) -> HttpResponse:
        try:
            content = picture_store.thumbnail_of(self.image)
        except picture_store.PictureGone:
            raise Http404 from None
        except StorageUnavailable as error:
            raise Unavailable("The store for files does not answer.") from error
        return picture_answer(content, name=f"{self.image.pk}.webp", content_type="image/webp")


class PictureHeat(OfPicture):
    """Where the newest verdict found a picture unlike good ones."""

    required_permission = "mlops.view"

    @extend_schema(
        summary="Fetch where a picture is unlike good ones, as a small grey picture",
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, image_id: UUID) -> HttpResponse:
        verdict = selectors.newest_verdict(self.image)
        if verdict is None or verdict.heat is None:
            raise Http404
        return picture_answer(bytes(verdict.heat), name=f"{self.image.pk}-heat.png", max_age_s=0)


class PictureLabels(OfPicture):
    """What people say of one picture."""

    required_permission = "production.record"

    @extend_schema(
        summary="Say what a picture shows",
        description="Nothing is overwritten: the newest label counts. Where the picture belongs to "
        "an inspection, that is judged accordingly. The same `request_id` labels once.",
        request=forms.NewLabelSerializer,
        responses={
            200: forms.PictureDetailSerializer,
            409: OpenApiResponse(
                ErrorSerializer,
                description="region_outside, unknown_defect, regions_need_a_defect, "
                "too_many_regions, mask_refused, or why the inspection cannot be judged so.",
            ),
        },
    )
    def post(self, request: Request, image_id: UUID) -> Response:
        form = forms.NewLabelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said = form.validated_data
        try:
            services.label_picture(
                image_id=self.image.pk, label=said["label"], regions=form.said_regions(),
                note=said.get("note", ""), request_id=said.get("request_id"), at=timezone.now(),
                by=_user(request),
            )  # fmt: skip
        except services.LabelRefused as error:
            raise Conflict(error.message, code=error.code) from error
        except production_services.Refused as error:
            raise Conflict(str(error), code=error.code) from error
        return Response(_detail(selectors.inspection_image(self.image.pk)))


class PictureKeep(OfPicture):
    """Whether one picture is of the regression set."""

    required_permission = "production.record"

    @extend_schema(
        summary="Take a picture into the regression set, or out of it",
        request=forms.KeepSerializer,
        responses=forms.PictureSerializer,
    )
    def post(self, request: Request, image_id: UUID) -> Response:
        form = forms.KeepSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            kept = services.keep_picture(
                image_id=self.image.pk, by=_user(request), **form.validated_data
            )
        except services.PictureUnknown as error:
            raise Conflict(str(error), code="picture_gone") from error
        return Response(forms.PictureSerializer(kept).data)
