"""What can happen on this floor, one use case a function."""

from telemetry.services.archiving import (
    Archived,
    NoArchiveFile,
    archive,
    restore,
    sweep_archive,
)
from telemetry.services.claims import Claimed, claim_device
from telemetry.services.compaction import Compacted, compact, waits_for_compaction
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
from telemetry.services.retention import Expired, expire
from telemetry.services.rollups import rebuild_rollups
from telemetry.services.usage import fold_usage

__all__ = [
    "Archived",
    "Claimed",
    "Compacted",
    "DeviceRetired",
    "Expired",
    "Imported",
    "NameTaken",
    "NoArchiveFile",
    "NoSuchToken",
    "Origin",
    "RangeEmpty",
    "archive",
    "change_device",
    "claim_device",
    "compact",
    "create_device",
    "describe_signal",
    "expire",
    "fold_usage",
    "import_devices",
    "preview",
    "rebuild_rollups",
    "restore",
    "retire_device",
    "revoke_token",
    "rotate_token",
    "sweep_archive",
    "waits_for_compaction",
]
