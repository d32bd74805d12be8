"""What can happen on this floor, one use case a function."""

from telemetry.services.claims import Claimed, claim_device
from telemetry.services.devices import (
    DeviceRetired,
    NameTaken,
    NoSuchToken,
    Origin,
    RangeEmpty,
    change_device,
    create_device,
    describe_signal,
    retire_device,
    revoke_token,
    rotate_token,
)
from telemetry.services.imports import Imported, import_devices, preview

__all__ = [
    "Claimed",
    "DeviceRetired",
    "Imported",
    "NameTaken",
    "NoSuchToken",
    "Origin",
    "RangeEmpty",
    "change_device",
    "claim_device",
    "create_device",
    "describe_signal",
    "import_devices",
    "preview",
    "retire_device",
    "revoke_token",
    "rotate_token",
]
