"""What can happen on this floor, one use case a function."""

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
from telemetry.services.exports import (
    MAX_EXPORT_SIGNALS,
    ExportRefused,
    NotReady,
    cancel_export,
    file_of,
    request_export,
    tidy_exports,
    write_export,
)

__all__ = [
    "MAX_EXPORT_SIGNALS",
    "DeviceRetired",
    "ExportRefused",
    "NameTaken",
    "NoSuchToken",
    "NotReady",
    "cancel_export",
    "change_device",
    "create_device",
    "describe_signal",
    "file_of",
    "request_export",
    "retire_device",
    "revoke_token",
    "rotate_token",
    "tidy_exports",
    "write_export",
]
