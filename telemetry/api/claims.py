"""Claim codes for gateways, and the one door of the API that needs no key."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from drf_spectacular.utils import extend_schema_serializer as schema_of
from rest_framework import exceptions, generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from telemetry import services
from telemetry.api.views import person
from tenants import claims
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import ClaimCode
from tenants.requests import client_address

MANAGE = "telemetry.manage_devices"
# The one answer to every code that is no good, whatever the reason.
REFUSED = {
    "code": "not_found",
    "message": "This code is not valid. Ask whoever gave it to you for a new one.",
    "detail": {},
}


class ClaimCodeSerializer(serializers.ModelSerializer[ClaimCode]):
    """A claim code; the code itself is not kept."""

    class Meta:
        model = ClaimCode
        fields = (
            "id", "hint", "group", "note", "max_uses", "n_used", "created_at", "expires_at",
            "revoked_at",
        )  # fmt: skip
        read_only_fields = ("id", "hint", "n_used", "created_at", "expires_at", "revoked_at")


@schema_of(
    examples=[
        OpenApiExample(
            "Twelve gateways of hall 2",
            value={"max_uses": 12, "group": "Hall 2", "note": "For the fitters"},
            request_only=True,
        )
    ]
)
class NewClaimCodeSerializer(serializers.Serializer[Any]):
    """What a new code is good for, and for how many."""

    max_uses = serializers.IntegerField(min_value=1, max_value=claims.MAX_USES, default=1)
    group = serializers.CharField(max_length=60, default="", allow_blank=True)
    note = serializers.CharField(max_length=120, default="", allow_blank=True)


class MadeClaimCodeSerializer(ClaimCodeSerializer):
    """A code just made, shown only now."""

    code = serializers.CharField(read_only=True)

    class Meta(ClaimCodeSerializer.Meta):
        fields = (*ClaimCodeSerializer.Meta.fields, "code")  # type: ignore[assignment]


@schema_of(
    examples=[
        OpenApiExample(
            "A gateway",
            value={"code": "K7Q-P3M-XAR", "name": "Gateway hall 2", "hardware_id": "b8:27:eb:01"},
            request_only=True,
        )
    ]
)
class ClaimSerializer(serializers.Serializer[Any]):
    """A code, and what the gateway is called."""

    code = serializers.CharField(max_length=40)
    name = serializers.CharField(max_length=120)
    hardware_id = serializers.CharField(max_length=120, default="", allow_blank=True)


class ClaimedSerializer(serializers.Serializer[Any]):
    """The place of a gateway; the token is shown only now."""

    device_id = serializers.IntegerField()
    name = serializers.CharField()
    token = serializers.CharField()
    telemetry_url = serializers.CharField()


class ClaimCodes(generics.GenericAPIView[ClaimCode]):
    """The claim codes of a factory."""

    required_permission = MANAGE
    serializer_class = ClaimCodeSerializer

    def get_queryset(self) -> QuerySet[ClaimCode]:
        if getattr(self, "swagger_fake_view", False):
            return ClaimCode.objects.none()
        return claims.codes(current_factory())

    @extend_schema(responses=ClaimCodeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the codes, newest first, with how often each was used."""
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request=NewClaimCodeSerializer,
        responses={201: MadeClaimCodeSerializer, 409: OpenApiResponse(ErrorSerializer)},
    )
    def post(self, request: Request) -> Response:
        """Make a code that gateways claim a place with for 24 h; it is shown only now."""
        asked = NewClaimCodeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            row, code = claims.make(
                factory=current_factory(),
                at=timezone.now(),
                by=person(request),
                **asked.validated_data,
            )
        except claims.TooManyCodes as error:
            raise Conflict(
                f"{claims.MAX_OPEN_CODES} codes are open: end some first.", code="too_many_codes"
            ) from error
        body = {**ClaimCodeSerializer(row).data, "code": code}
        return Response(body, status=status.HTTP_201_CREATED)


class ClaimCodeDetail(APIView):
    """One claim code."""

    required_permission = MANAGE

    @extend_schema(responses=ClaimCodeSerializer)
    def get(self, request: Request, code_id: int) -> Response:
        """Show what is known of a code."""
        row = get_object_or_404(claims.codes(current_factory()), pk=code_id)
        return Response(ClaimCodeSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, code_id: int) -> Response:
        """End a code at once; the devices that it made stay."""
        if not claims.revoke(
            factory=current_factory(), code_id=code_id, at=timezone.now(), by=person(request)
        ):
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)


class Claim(APIView):
    """Where a gateway that has only a code becomes a device."""

    authentication_classes: tuple[()] = ()
    permission_classes: tuple[()] = ()

    @extend_schema(
        auth=[],
        request=ClaimSerializer,
        responses={
            201: ClaimedSerializer,
            404: OpenApiResponse(ErrorSerializer, description="The code is no good."),
            409: OpenApiResponse(ErrorSerializer, description="The name is taken."),
            429: OpenApiResponse(ErrorSerializer, description="Too many tries; see Retry-After."),
        },
    )
    def post(self, request: Request) -> Response:
        """Turn a claim code into a device and its token, on the public host only."""
        if getattr(request._request, "factory", None) is not None:
            raise Http404
        asked = ClaimSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            claimed = services.claim_device(
                **asked.validated_data,
                address=client_address(request._request),
                at=timezone.now(),
            )
        except claims.CodeRefused:
            return Response(REFUSED, status=status.HTTP_404_NOT_FOUND)
        except claims.TooManyGuesses as error:
            raise exceptions.Throttled(wait=error.retry_after_s) from error
        except services.NameTaken as error:
            raise Conflict(
                "Another device of this factory has this name: send another.", code="name_taken"
            ) from error
        body = {
            "device_id": claimed.device.pk,
            "name": claimed.device.name,
            "token": claimed.token,
            "telemetry_url": f"{settings.DEVICE_URL}/api/v1/telemetry",
        }
        return Response(body, status=status.HTTP_201_CREATED)
