"""What was refused of a device, and why. Written by ingest."""

from collections.abc import Sequence

from django.db.models import QuerySet

from telemetry.models import RefusalCount, RefusedReading, RefusedRequest


def refusal_counts(device_id: int) -> list[RefusalCount]:
    """Return how often each code was the reason, the most frequent first."""
    return list(RefusalCount.objects.filter(device_id=device_id).order_by("-n", "code"))


def refused_readings(device_id: int, *, n: int) -> Sequence[RefusedReading]:
    """Return the last readings refused, newest first; ingest keeps a bounded number."""
    return list(RefusedReading.objects.filter(device_id=device_id).order_by("-at", "-pk")[:n])


def refused_requests_of(device_id: int) -> QuerySet[RefusedRequest]:
    """Return how many whole requests were refused, by code; they are no readings."""
    return RefusedRequest.objects.filter(device_id=device_id).order_by("-last_at", "code")
