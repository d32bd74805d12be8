"""What can happen on this floor, one use case a function."""

from telemetry.services.archiving import Archived, NoArchiveFile, archive, restore, sweep_archive
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
from telemetry.services.exports import (
    EXPORT_KEPT_FOR,
    MAX_EXPORT_BYTES,
    MAX_EXPORT_ROWS,
    MAX_EXPORT_SIGNALS,
    MAX_OPEN_EXPORTS,
    ExportRefused,
    NotReady,
    cancel_export,
    file_of,
    request_export,
    tidy_exports,
    write_export,
)
from telemetry.services.forgetting import forget_hours
from telemetry.services.imports import Imported, import_devices, preview
from telemetry.services.meters import feed_plans
from telemetry.services.retention import Expired, expire
from telemetry.services.rollups import rebuild_rollups
from telemetry.services.usage import fold_usage

__all__ = [
    "EXPORT_KEPT_FOR",
    "MAX_EXPORT_BYTES",
    "MAX_EXPORT_ROWS",
    "MAX_EXPORT_SIGNALS",
    "MAX_OPEN_EXPORTS",
    "Archived",
    "Claimed",
    "Compacted",
    "DeviceRetired",
    "Expired",
    "ExportRefused",
    "Imported",
    "NameTaken",
    "NoArchiveFile",
    "NoSuchToken",
    "NotReady",
    "Origin",
    "RangeEmpty",
    "archive",
    "cancel_export",
    "change_device",
    "claim_device",
    "compact",
    "create_device",
    "describe_signal",
    "expire",
    "feed_plans",
    "file_of",
    "fold_usage",
    "forget_hours",
    "import_devices",
    "preview",
    "rebuild_rollups",
    "request_export",
    "restore",
    "retire_device",
    "revoke_token",
    "rotate_token",
    "sweep_archive",
    "tidy_exports",
    "waits_for_compaction",
    "write_export",
]
