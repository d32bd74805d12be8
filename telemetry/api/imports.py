"""Many devices at once."""

from dataclasses import asdict
from typing import Any

from django.db import IntegrityError
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from telemetry import device_list, services
from telemetry.api.views import person
from tenants.api.errors import Conflict, ErrorSerializer

_LIST = (
    "name,group,tags,machine,note\nPress 7 gateway,Hall 2,press|line-a,press-7,Behind the door\n"
)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Look before the import", value={"csv": _LIST, "dry_run": True}, request_only=True
        ),
        OpenApiExample("Import", value={"csv": _LIST}, request_only=True),
    ]
)
class ImportSerializer(serializers.Serializer[Any]):
    """A list of devices as CSV; `dry_run` makes nothing and says what an import would."""

    csv = serializers.CharField(trim_whitespace=False, max_length=device_list.MAX_BYTES)
    dry_run = serializers.BooleanField(default=False)


class BadLineSerializer(serializers.Serializer[Any]):
    """A line that makes no device, and why."""

    number = serializers.IntegerField()
    text = serializers.CharField(allow_blank=True)
    reason = serializers.CharField()


class ImportedSerializer(serializers.Serializer[Any]):
    """A device just made, with its token, which is shown only now."""

    device_id = serializers.IntegerField()
    name = serializers.CharField()
    token = serializers.CharField()


class ImportResultSerializer(serializers.Serializer[Any]):
    """What an import made (or would make), and every line that it left out."""

    n_good = serializers.IntegerField()
    bad = BadLineSerializer(many=True)
    devices = ImportedSerializer(many=True)


class DeviceImport(APIView):
    """Devices from a list."""

    required_permission = "telemetry.manage_devices"

    @extend_schema(
        request=ImportSerializer,
        responses={
            200: ImportResultSerializer,
            201: ImportResultSerializer,
            409: OpenApiResponse(
                ErrorSerializer,
                description="bad_list: the text is no list of devices; name_taken: a name was "
                "taken meanwhile. Nothing was made.",
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Make the devices of the good lines, all or none; bad lines are named with a reason."""
        asked = ImportSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        text = asked.validated_data["csv"]
        made: list[services.Imported] = []
        try:
            if asked.validated_data["dry_run"]:
                found = services.preview(text=text)
            else:
                made, found = services.import_devices(text=text, by=person(request))
        except device_list.BadList as error:
            # The body is as the document asks for it; that the text is no list is another matter.
            raise Conflict(str(error), code="bad_list") from error
        except IntegrityError as error:
            raise Conflict(
                "A name was taken at the same moment; nothing was made.", code="name_taken"
            ) from error
        body = {
            "n_good": len(found.good),
            "bad": [asdict(line) for line in found.bad],
            "devices": [asdict(one) for one in made],
        }
        return Response(body, status=status.HTTP_201_CREATED if made else status.HTTP_200_OK)
