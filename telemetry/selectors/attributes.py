"""What devices say of themselves besides readings."""

from django.db.models import QuerySet

from telemetry.models import DeviceAttribute


def attributes_of(device_id: int) -> QuerySet[DeviceAttribute]:
    """Return the attributes of a device by name; `limits.MAX_ATTRIBUTES_PER_DEVICE` at most."""
    return DeviceAttribute.objects.filter(device_id=device_id).order_by("key")
