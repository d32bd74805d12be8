"""What can happen on this floor, one use case a function."""

from telemetry.services.compaction import Compacted, compact, promote
from telemetry.services.devices import (
    DeviceRetired,
    NameTaken,
    NoSuchToken,
    change_device,
    create_device,
    describe_signal,
    retire_device,
    revoke_token,
    rotate_token,
)
from telemetry.services.rollups import rebuild_rollups

__all__ = [
    "Compacted",
    "DeviceRetired",
    "NameTaken",
    "NoSuchToken",
    "change_device",
    "compact",
    "create_device",
    "describe_signal",
    "promote",
    "rebuild_rollups",
    "retire_device",
    "revoke_token",
    "rotate_token",
]
