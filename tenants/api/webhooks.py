"""Webhook endpoints of a factory, and what was sent to them."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants.api import serializers
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import Delivery, User, WebhookEndpoint
from tenants.notifications import delivering, endpoints
from tenants.notifications.addresses import AddressRefused

MANAGE = "webhooks.manage"
_CONFLICT = OpenApiResponse(
    ErrorSerializer, description="It contradicts what is stored or allowed."
)
_DELIVERY = OpenApiExample(
    "Tried once",
    value={
        "id": "5b1f0a3e-7c9d-4e2f-8a6b-1c2d3e4f5a6b",
        "topic": "alarms",
        "subject": "Mill 1 vibrates",
        "created": "2026-11-17T10:00:00Z",
        "state": "failed",
        "n_attempts": 1,
        "next_at": "2026-11-17T10:00:10Z",
        "sent_at": None,
        "last_error": "It answered 500.",
        "response_status": 500,
        "response_text": "out of order",
    },
    response_only=True,
)


def _person(request: Request) -> User | None:
    """Who acts, for the audit log; None for an API key."""
    return request.user if isinstance(request.user, User) else None


def _endpoint(endpoint_id: UUID) -> WebhookEndpoint:
    try:
        return endpoints.endpoint(endpoint_id, factory=current_factory())
    except WebhookEndpoint.DoesNotExist:
        raise Http404 from None


def _delivery(endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    found = endpoints.deliveries_to(_endpoint(endpoint_id)).filter(pk=delivery_id).first()
    if found is None:
        raise Http404
    return found


class Endpoints(generics.ListCreateAPIView[WebhookEndpoint]):
    """The factory's webhook endpoints, oldest first."""

    required_permission = MANAGE
    serializer_class = serializers.EndpointSerializer

    def get_queryset(self) -> QuerySet[WebhookEndpoint]:
        return endpoints.endpoints_of(current_factory())

    @extend_schema(responses={201: serializers.NewEndpointSerializer, 409: _CONFLICT})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make an endpoint. The answer holds its signing secret, which is shown only now."""
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        try:
            made, secret = endpoints.create(
                factory=current_factory(),
                url=sent.validated_data["url"],
                topics=sent.validated_data.get("topics", []),
                by=_person(request),
                at=timezone.now(),
            )
        except AddressRefused as refusal:
            raise Conflict(str(refusal), code="address_refused") from refusal
        except endpoints.TooManyEndpoints as refusal:
            raise Conflict(
                f"A factory has {endpoints.MAX_ENDPOINTS} endpoints at most: remove one first.",
                code="too_many_endpoints",
            ) from refusal
        body = {**serializers.EndpointSerializer(made).data, "secret": secret}
        return Response(body, status=status.HTTP_201_CREATED)


class Endpoint(generics.RetrieveUpdateDestroyAPIView[WebhookEndpoint]):
    """One endpoint."""

    required_permission = MANAGE
    serializer_class = serializers.EndpointSerializer
    http_method_names = ["get", "patch", "delete", "head", "options"]

    def get_object(self) -> WebhookEndpoint:
        return _endpoint(self.kwargs["endpoint_id"])

    @extend_schema(responses={200: serializers.EndpointSerializer, 409: _CONFLICT})
    def patch(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change its address or topics, or switch it off and on."""
        endpoint = self.get_object()
        sent = self.get_serializer(endpoint, data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        try:
            endpoints.change(
                endpoint=endpoint, changes=dict(sent.validated_data), by=_person(request)
            )
        except AddressRefused as refusal:
            raise Conflict(str(refusal), code="address_refused") from refusal
        return Response(serializers.EndpointSerializer(endpoint).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove it, with the record of what it was sent."""
        endpoints.remove(endpoint=self.get_object(), by=_person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class EndpointSecret(APIView):
    """The signing secret of an endpoint."""

    required_permission = MANAGE

    @extend_schema(request=None, responses={201: serializers.NewSecretSerializer})
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Make a new signing secret; messages carry the old signature too for a day."""
        secret = endpoints.rotate(
            endpoint=_endpoint(endpoint_id), by=_person(request), at=timezone.now()
        )
        return Response({"secret": secret}, status=status.HTTP_201_CREATED)


class EndpointPing(APIView):
    """A message that says nothing, to see whether it arrives."""

    required_permission = MANAGE

    @extend_schema(
        request=None,
        responses={202: serializers.DeliverySerializer, 409: _CONFLICT},
        examples=[_DELIVERY],
    )
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Send a message of the type `ping`; its delivery says what became of it."""
        try:
            sent = endpoints.ping(endpoint=_endpoint(endpoint_id), at=timezone.now())
        except endpoints.EndpointOff as refusal:
            raise Conflict("The endpoint is switched off.", code="endpoint_off") from refusal
        return Response(serializers.DeliverySerializer(sent).data, status.HTTP_202_ACCEPTED)


@extend_schema(examples=[_DELIVERY])
class Deliveries(generics.ListAPIView[Delivery]):
    """What was or will be sent to an endpoint, newest first."""

    required_permission = MANAGE
    serializer_class = serializers.DeliverySerializer

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        return endpoints.deliveries_to(_endpoint(self.kwargs["endpoint_id"]))


class DeliveryReplay(APIView):
    """A delivery once more."""

    required_permission = MANAGE

    @extend_schema(
        request=None,
        responses={202: serializers.DeliverySerializer, 409: _CONFLICT},
        examples=[_DELIVERY],
    )
    def post(self, request: Request, endpoint_id: UUID, delivery_id: UUID) -> Response:
        """Send a message again that failed or was given up, under the same id."""
        delivery = _delivery(endpoint_id, delivery_id)
        try:
            is_planned = delivering.replay(delivery=delivery, at=timezone.now())
        except endpoints.EndpointOff as refusal:
            raise Conflict("The endpoint is switched off.", code="endpoint_off") from refusal
        if not is_planned:
            raise Conflict("This message arrived, or is on its way.", code="not_failed")
        delivery.refresh_from_db()
        return Response(serializers.DeliverySerializer(delivery).data, status.HTTP_202_ACCEPTED)
