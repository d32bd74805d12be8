from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from telemetry import selectors, services
from telemetry.api import serializers
from telemetry.models import Device, Signal
from tenants import credentials
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import Credential, User

READ_AND_MANAGE = {
    "GET": "telemetry.view",
    "POST": "telemetry.manage_devices",
    "PATCH": "telemetry.manage_devices",
    "DELETE": "telemetry.manage_devices",
}
FLEET_PARAMETERS = [
    OpenApiParameter("q", str, description="Part of the name, machine or hardware id."),
    OpenApiParameter("group", str, description="The group, as it is written."),
    OpenApiParameter("tag", str, description="One of the tags."),
    OpenApiParameter(
        "state",
        str,
        enum=selectors.FILTERS,
        description="live: heard within 5 min; silent: not; never: nothing came yet; clock_off: "
        "its clock is over 60 s off; retired.",
    ),
]
_CONFLICT = OpenApiResponse(ErrorSerializer, description="It contradicts what is stored.")


def person(request: Request) -> User | None:
    """Who acts, for the audit log; None for an API key."""
    return request.user if isinstance(request.user, User) else None


def find_device(device_id: int) -> Device:
    try:
        return selectors.device(device_id)
    except Device.DoesNotExist:
        raise Http404 from None


def device_with_health(device_id: int) -> Device:
    try:
        return selectors.fleet_device(device_id, at=timezone.now())
    except Device.DoesNotExist:
        raise Http404 from None


class Devices(generics.ListCreateAPIView[Device]):
    """The devices of a factory."""

    required_permission = READ_AND_MANAGE
    serializer_class = serializers.DeviceSerializer

    def get_queryset(self) -> QuerySet[Device]:
        if getattr(self, "swagger_fake_view", False):
            return Device.objects.none()
        asked = serializers.FleetQuerySerializer(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        query = selectors.FleetQuery(**asked.validated_data)
        return selectors.fleet(at=timezone.now(), query=query)

    @extend_schema(parameters=FLEET_PARAMETERS)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List devices by name; those that are retired only where `state` asks for them."""
        return super().get(request, *args, **kwargs)

    @extend_schema(responses={201: serializers.NewDeviceSerializer, 409: _CONFLICT})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a device. The answer holds its token, which is shown only now."""
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        machine = sent.validated_data.get("machine")
        try:
            device, token = services.create_device(
                name=sent.validated_data["name"],
                machine_id=machine.pk if machine else None,
                note=sent.validated_data.get("note", ""),
                group=sent.validated_data.get("group", ""),
                tags=sent.validated_data.get("tags", ()),
                by=person(request),
            )
        except services.NameTaken as error:
            raise Conflict("Another device has this name.", code="name_taken") from error
        shown = serializers.DeviceSerializer(device_with_health(device.pk))
        body = {**shown.data, "token": token}
        return Response(body, status=status.HTTP_201_CREATED)


class DeviceDetail(generics.RetrieveUpdateDestroyAPIView[Device]):
    """One device, retired or not."""

    required_permission = READ_AND_MANAGE
    serializer_class = serializers.DeviceSerializer
    http_method_names = ["get", "patch", "delete", "head", "options"]

    def get_object(self) -> Device:
        return device_with_health(self.kwargs["device_id"])

    def perform_update(self, serializer: BaseSerializer[Device]) -> None:
        assert serializer.instance is not None
        try:
            services.change_device(
                device=serializer.instance,
                changes=dict(serializer.validated_data),
                by=person(self.request),
            )
        except services.NameTaken as error:
            raise Conflict("Another device has this name.", code="name_taken") from error

    @extend_schema(responses={204: None})
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Retire the device: its tokens die within 5 s, its readings stay."""
        services.retire_device(device=self.get_object(), at=timezone.now(), by=person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeviceTokens(APIView):
    """The tokens of a device; two may be valid at a time, so that it can be switched over."""

    required_permission = READ_AND_MANAGE

    @extend_schema(responses=serializers.TokenSerializer(many=True))
    def get(self, request: Request, device_id: int) -> Response:
        device = find_device(device_id)
        rows = Credential.objects.filter(factory=current_factory(), device_id=device.pk)
        return Response(serializers.TokenSerializer(rows.order_by("-id"), many=True).data)

    @extend_schema(request=None, responses={201: serializers.NewTokenSerializer, 409: _CONFLICT})
    def post(self, request: Request, device_id: int) -> Response:
        """Make a second token; the first stays valid until it is revoked."""
        try:
            token = services.rotate_token(device=find_device(device_id), by=person(request))
        except credentials.TooManyTokens as error:
            raise Conflict(
                "Two tokens are valid already: revoke one first.", code="too_many_tokens"
            ) from error
        except services.DeviceRetired as error:
            raise Conflict("The device is retired.", code="device_retired") from error
        return Response({"token": token}, status=status.HTTP_201_CREATED)


class DeviceToken(APIView):
    """One token of a device."""

    required_permission = READ_AND_MANAGE

    @extend_schema(responses=serializers.TokenSerializer)
    def get(self, request: Request, device_id: int, credential_id: int) -> Response:
        """Show what is known of a token: its first characters and since when it is valid."""
        row = get_object_or_404(
            Credential,
            pk=credential_id,
            factory=current_factory(),
            device_id=find_device(device_id).pk,
        )
        return Response(serializers.TokenSerializer(row).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, device_id: int, credential_id: int) -> Response:
        """Revoke the token; it is refused everywhere within 5 s."""
        try:
            services.revoke_token(
                device=find_device(device_id), credential_id=credential_id, by=person(request)
            )
        except services.NoSuchToken:
            raise Http404 from None
        return Response(status=status.HTTP_204_NO_CONTENT)


class Signals(generics.ListAPIView[Signal]):
    """What a device reports."""

    required_permission = "telemetry.view"
    serializer_class = serializers.SignalSerializer

    def get_queryset(self) -> QuerySet[Signal]:
        if getattr(self, "swagger_fake_view", False):
            return Signal.objects.none()
        return selectors.signals_of([find_device(self.kwargs["device_id"]).pk])


class SignalDetail(generics.RetrieveUpdateAPIView[Signal]):
    """One signal; label, unit, role, scale and range can be corrected, older readings follow."""

    required_permission = READ_AND_MANAGE
    serializer_class = serializers.SignalSerializer
    http_method_names = ["get", "patch", "head", "options"]

    def get_object(self) -> Signal:
        try:
            return selectors.signal(
                device_id=self.kwargs["device_id"], signal_id=self.kwargs["signal_id"]
            )
        except Signal.DoesNotExist:
            raise Http404 from None

    def perform_update(self, serializer: BaseSerializer[Signal]) -> None:
        assert serializer.instance is not None
        try:
            services.describe_signal(
                signal=serializer.instance, by=person(self.request), **serializer.validated_data
            )
        except services.RangeEmpty as error:
            raise Conflict(
                "The lower limit must lie below the upper one.", code="range_empty"
            ) from error


class Series(APIView):
    """Signals of a device over a range, in buckets."""

    required_permission = "telemetry.view"

    @extend_schema(
        parameters=[
            OpenApiParameter("key", str, many=True, required=True, description="Repeat it."),
            OpenApiParameter("start", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("end", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("n", int, description="Buckets at most, up to 5000. Default 500."),
        ],
        responses={200: serializers.SeriesSerializer, 400: ErrorSerializer},
        examples=[
            OpenApiExample(
                "One hour of a spindle",
                value={
                    "device_id": 1,
                    "start": "2026-11-17T10:00:00Z",
                    "end": "2026-11-17T11:00:00Z",
                    "bucket_ms": 1800000.0,
                    "keys": {
                        "spindle_load_pct": {
                            "t": [1795428000000], "min": [12.0], "avg": [48.3], "max": [91.5],
                            "n": [1800],
                        }
                    },
                },
                response_only=True,
            )
        ],
    )  # fmt: skip
    def get(self, request: Request, device_id: int) -> Response:
        """Min, average, max and count per bucket; gaps are absent buckets, never filled in."""
        device = find_device(device_id)
        query = {name: request.query_params[name] for name in request.query_params}
        asked = serializers.SeriesQuerySerializer(
            data={**query, "key": request.query_params.getlist("key")}
        )
        asked.is_valid(raise_exception=True)
        found = selectors.series(
            device_id=device.pk,
            keys=asked.validated_data["key"],
            start=asked.validated_data["start"],
            end=asked.validated_data["end"],
            n_buckets=asked.validated_data["n"],
        )
        return Response(asdict(found))


class Latest(APIView):
    """The newest reading of each device."""

    required_permission = "telemetry.view"

    @extend_schema(responses=serializers.LatestSerializer(many=True))
    def get(self, request: Request) -> Response:
        ids = list(selectors.devices().values_list("pk", flat=True))
        found = selectors.latest_values(ids)
        return Response([{"device_id": pk, **asdict(found[pk])} for pk in ids if pk in found])


class DeviceLatest(APIView):
    """The newest reading of one device."""

    required_permission = "telemetry.view"

    @extend_schema(responses=serializers.LatestSerializer)
    def get(self, request: Request, device_id: int) -> Response:
        device = find_device(device_id)
        found = selectors.latest_values([device.pk]).get(device.pk)
        if found is None:
            raise Http404
        return Response({"device_id": device.pk, **asdict(found)})


class Revisions(APIView):
    """Values of a device that were replaced by different ones."""

    required_permission = "telemetry.view"

    @extend_schema(
        parameters=[
            OpenApiParameter("start", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("end", {"type": "string", "format": "date-time"}, required=True),
        ],
        responses=serializers.RevisionSerializer(many=True),
    )
    def get(self, request: Request, device_id: int) -> Response:
        device = find_device(device_id)
        asked = serializers.RangeSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        return Response(selectors.revisions(device_id=device.pk, **asked.validated_data))
