"""Shapes of the webhook API."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from tenants.models import Delivery, WebhookEndpoint
from tenants.notifications.topics import PATTERN


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A server that hears of alarms",
            value={"url": "https://hooks.example/takt", "topics": ["alarms"], "enabled": True},
            request_only=True,
        )
    ]
)
class EndpointSerializer(serializers.ModelSerializer[WebhookEndpoint]):
    """An address of yours that hears of what happens."""

    url = serializers.RegexField(
        r"^https?://[!-~]+$",
        max_length=500,
        help_text="HTTPS, on the public internet, port 443 or 8443.",
    )
    topics = serializers.ListField(
        child=serializers.RegexField(PATTERN),
        max_length=50,
        required=False,
        help_text="What it hears of; everything, where the list is empty.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = (
            "id", "url", "topics", "enabled", "failing_since", "previous_until", "created_at",
        )  # fmt: skip
        read_only_fields = ("id", "failing_since", "previous_until", "created_at")
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "previous_until": {"help_text": "Until then messages carry the old signature too."},
            "failing_since": {"help_text": "Five days after it the endpoint is switched off."},
        }


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Made",
            value={
                "id": "0d9c8a34-6a53-4a0e-9d55-1f2ad2f6b0c1",
                "url": "https://hooks.example/takt",
                "topics": ["alarms"],
                "enabled": True,
                "failing_since": None,
                "previous_until": None,
                "created_at": "2026-11-17T10:00:00Z",
                "secret": "whsec_...",  # nosec B105: an example
            },
            response_only=True,
        )
    ]
)
class NewEndpointSerializer(EndpointSerializer):
    """An endpoint just made, with its signing secret, which is shown only now."""

    secret = serializers.CharField(read_only=True)

    class Meta(EndpointSerializer.Meta):
        fields = (*EndpointSerializer.Meta.fields, "secret")  # type: ignore[assignment]


class NewSecretSerializer(serializers.Serializer[dict[str, str]]):
    """A signing secret just made, shown only now."""

    secret = serializers.CharField()


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message to an endpoint; its id is the message's `webhook-id`."""

    topic = serializers.CharField(source="notification.topic", read_only=True)
    subject = serializers.CharField(source="notification.subject", read_only=True)
    created = serializers.DateTimeField(source="notification.at", read_only=True)

    class Meta:
        model = Delivery
        fields = (
            "id", "topic", "subject", "created", "state", "n_attempts", "next_at", "sent_at",
            "last_error", "response_status", "response_text",
        )  # fmt: skip
        read_only_fields = fields
