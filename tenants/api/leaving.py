"""The export of everything, for members who may pay for the factory or delete it."""

from datetime import datetime
from uuid import UUID

from django.http import Http404, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants import export, streaming
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import Job, User
from tenants.storage import StorageUnavailable

_EXAMPLE = OpenApiExample(
    "Ready",
    value={
        "id": "0d9c8a34-6a53-4a0e-9d55-1f2ad2f6b0c1",
        "state": "done",
        "progress": 1.0,
        "message": "",
        "created_at": "2026-11-17T10:00:00Z",
        "finished_at": "2026-11-17T10:12:00Z",
        "expires_at": "2026-12-17T10:12:00Z",
        "n_bytes": 73_400_320,
    },
    response_only=True,
)


class StoreAway(exceptions.APIException):
    """The store for files does not answer."""

    status_code = 503
    default_detail = "The store for files does not answer. Try again in a minute."


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


class FactoryExportSerializer(serializers.ModelSerializer[Job]):
    """An export of everything and how far it is."""

    expires_at = serializers.SerializerMethodField()
    n_bytes = serializers.SerializerMethodField()

    class Meta:
        model = Job
        fields = (
            "id", "state", "progress", "message", "created_at", "finished_at", "expires_at",
            "n_bytes",
        )  # fmt: skip
        read_only_fields = fields

    def get_expires_at(self, job: Job) -> datetime | None:
        return export.expires_at(job)

    def get_n_bytes(self, job: Job) -> int | None:
        return job.result["n_bytes"] if job.result else None


class FactoryExports(APIView):
    """Exports of everything that the factory has."""

    required_permission = "billing.manage"
    works_suspended = True
    works_read_only = True

    @extend_schema(
        summary="List exports of everything, newest first",
        responses=FactoryExportSerializer(many=True),
        examples=[_EXAMPLE],
    )
    def get(self, request: Request) -> Response:
        found = export.exports_of(current_factory())
        return Response(FactoryExportSerializer(found, many=True).data)

    @extend_schema(
        summary="Export everything",
        description="All tables as CSV, readings as Parquet by device and month, pictures, the"
        " cards of models and a manifest with checksums, in one ZIP, written by a job. One that"
        " is being written is answered again. API keys may not ask for it.",
        request=None,
        responses={202: FactoryExportSerializer},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        job = export.request_export(by=_person(request))
        return Response(FactoryExportSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class FactoryExportFile(APIView):
    """The ZIP of an export of everything."""

    required_permission = "billing.manage"
    works_suspended = True

    def check_permissions(self, request: Request) -> None:
        """Look for it first: to who has no right, another factory's is not there either."""
        if request.user is not None and request.user.is_authenticated:
            try:
                self.job = export.export_of(current_factory(), job_id=self.kwargs["everything_id"])
            except Job.DoesNotExist:
                raise Http404 from None
        super().check_permissions(request)

    @extend_schema(
        summary="Fetch the ZIP",
        responses={
            (200, "application/zip"): OpenApiTypes.BINARY,
            409: OpenApiResponse(ErrorSerializer, description="There is no file, or no more."),
            503: OpenApiResponse(ErrorSerializer, description="The store for files is away."),
        },
    )
    def get(self, request: Request, everything_id: UUID) -> HttpResponseBase:
        """Fetch the file. It is kept for 30 days after it was written."""
        job = self.job
        try:
            pieces = export.file_of(job, by=_person(request))
        except export.NotReady:
            raise Conflict(
                "This export has no file: it is not ready, or was removed.", code="no_file"
            ) from None
        except StorageUnavailable as error:
            raise StoreAway from error
        return streaming.attachment(
            request._request,
            pieces,
            name=export.file_name(job),
            content_type="application/zip",
            n_bytes=job.result["n_bytes"] if job.result else None,
        )
