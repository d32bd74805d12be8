"""What was refused of a device."""

from django.db.models import QuerySet

from telemetry.models import RefusedRequest


def refused_requests_of(device_id: int) -> QuerySet[RefusedRequest]:
    """Return how many whole requests were refused, by code; they are no readings."""
    return RefusedRequest.objects.filter(device_id=device_id).order_by("-last_at", "code")
