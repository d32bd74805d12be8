"""What was refused of a device, and why. Written by ingest."""

from collections.abc import Sequence

from telemetry.models import RefusalCount, RefusedReading


def refusal_counts(device_id: int) -> list[RefusalCount]:
    """Return how often each code was the reason, the most frequent first."""
    return list(RefusalCount.objects.filter(device_id=device_id).order_by("-n", "code"))


def refused_readings(device_id: int, *, n: int) -> Sequence[RefusedReading]:
    """Return the last readings refused, newest first; ingest keeps a bounded number."""
    return list(RefusedReading.objects.filter(device_id=device_id).order_by("-at", "-pk")[:n])
