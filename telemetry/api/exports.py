"""Exports of readings, for programs: ask, look how far it is, fetch the file."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import exceptions, generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from telemetry import downloads, selectors, services
from telemetry.models import Export
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.models import User
from tenants.storage import StorageUnavailable


class StoreAway(exceptions.APIException):
    """The store for files does not answer."""

    status_code = 503
    default_detail = "The store for files does not answer. Try again in a minute."


class ExportSerializer(serializers.ModelSerializer[Export]):
    """An export and how far it is."""

    class Meta:
        model = Export
        fields = (
            "id", "signal_ids", "start", "end", "form", "state", "progress", "message", "n_rows",
            "n_bytes", "asked_by", "created_at", "finished_at", "expires_at",
        )  # fmt: skip


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A week of two signals as Parquet",
            value={
                "signal": [12, 40],
                "start": "2026-11-10T00:00:00Z",
                "end": "2026-11-17T00:00:00Z",
                "form": "parquet",
            },
            request_only=True,
        )
    ]
)
class NewExportSerializer(serializers.Serializer[Any]):
    """What to write into a file, and in which form."""

    signal = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**31 - 1),
        min_length=1,
        max_length=services.MAX_EXPORT_SIGNALS,
    )
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    form = serializers.ChoiceField(choices=Export.Form.choices)


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _export(export_id: UUID) -> Export:
    try:
        return selectors.export(export_id)
    except Export.DoesNotExist:
        raise Http404 from None


class Exports(generics.ListAPIView[Export]):
    """Exports of the factory, newest first."""

    required_permission = "telemetry.export"
    works_read_only = True
    serializer_class = ExportSerializer

    def get_queryset(self) -> QuerySet[Export]:
        return selectors.exports()

    @extend_schema(
        request=NewExportSerializer,
        responses={
            202: ExportSerializer,
            409: OpenApiResponse(ErrorSerializer, description="More than an export may hold."),
        },
    )
    def post(self, request: Request) -> Response:
        """Have readings written into a file by a job; the answer says where to look for it."""
        sent = NewExportSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        wanted = list(dict.fromkeys(sent.validated_data["signal"]))
        rows = selectors.signals(ids=wanted).in_bulk()
        if missing := [pk for pk in wanted if pk not in rows]:
            raise Conflict(f"There is no signal {missing[0]}.", code="unknown_reference")
        try:
            export = services.request_export(
                signals=[rows[pk] for pk in wanted],
                start=sent.validated_data["start"],
                end=sent.validated_data["end"],
                form=sent.validated_data["form"],
                at=timezone.now(),
                by=_person(request),
            )
        except services.ExportRefused as refusal:
            raise Conflict(str(refusal), code=refusal.code) from refusal
        return Response(ExportSerializer(export).data, status=status.HTTP_202_ACCEPTED)


class ExportDetail(APIView):
    """One export."""

    required_permission = "telemetry.export"
    works_read_only = True
    http_method_names = ["get", "delete", "head", "options"]

    @extend_schema(responses=ExportSerializer)
    def get(self, request: Request, export_id: UUID) -> Response:
        """Say how far an export is."""
        return Response(ExportSerializer(_export(export_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, export_id: UUID) -> Response:
        """Cancel an export that waits or is being written; one that has ended stays as it is."""
        services.cancel_export(export=_export(export_id), at=timezone.now(), by=_person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExportFile(APIView):
    """The file of an export."""

    required_permission = "telemetry.export"

    @extend_schema(
        responses={
            (200, "text/csv"): OpenApiTypes.BINARY,
            (200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY,
            409: OpenApiResponse(ErrorSerializer, description="There is no file, or no more."),
            503: OpenApiResponse(ErrorSerializer, description="The store for files is away."),
        }
    )
    def get(self, request: Request, export_id: UUID) -> HttpResponseBase:
        """Fetch the file. It is kept for seven days after it was written."""
        export = _export(export_id)
        try:
            pieces = services.file_of(export=export, by=_person(request))
        except services.NotReady:
            raise Conflict(
                "This export has no file: it is not ready, or was removed.", code="no_file"
            ) from None
        except StorageUnavailable as error:
            raise StoreAway from error
        return downloads.attachment(request._request, export, pieces)
