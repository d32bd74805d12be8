"""The newest reading of each device."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from telemetry.models import Latest, SignalKey
from telemetry.selectors import dictionary
from telemetry.selectors.dictionary import Value


@dataclass(frozen=True, slots=True)
class LatestReading:
    """The newest reading of a device, and what it has sent in all."""

    ts: datetime | None
    received_at: datetime
    values: dict[str, Value]
    n_received: int
    n_stored: int
    n_duplicates: int
    n_rejected: int


def latest_values(device_ids: Iterable[int]) -> dict[int, LatestReading]:
    """Return the newest reading of each device that has ever sent something. Four queries."""
    return _read(list(Latest.objects.filter(device_id__in=list(device_ids))))


def heard_since(
    at: datetime, *, device_ids: Collection[int] = (), n: int
) -> dict[int, LatestReading]:
    """Return the newest reading of the last `n` devices that were heard since a time.

    Heard is also what only repeated or was refused. No device ids: of all devices. One query
    where nothing was heard, else four.
    """
    rows = Latest.objects.filter(received_at__gte=at)
    if device_ids:
        rows = rows.filter(device_id__in=list(device_ids))
    return _read(list(rows.order_by("-received_at", "device_id")[:n]))


def _read(rows: Sequence[Latest]) -> dict[int, LatestReading]:
    if not rows:
        return {}
    keysets = dictionary.keysets({row.keyset_id for row in rows if row.keyset_id is not None})
    codes = {
        int(value)
        for row in rows
        if row.keyset_id is not None
        for key, value in zip(keysets[row.keyset_id], row.vals or (), strict=True)
        if key.kind == SignalKey.Kind.TEXT
    }
    words = dictionary.words(codes)
    return {row.device_id: _latest(row, keysets, words) for row in rows}


def last_received(device_ids: Iterable[int]) -> dict[int, datetime]:
    """Return when each device that has ever sent something last did. One query."""
    rows = Latest.objects.filter(device_id__in=list(device_ids))
    return dict(rows.values_list("device_id", "received_at"))


def _latest(
    row: Latest, keysets: Mapping[int, list[SignalKey]], words: Mapping[int, str]
) -> LatestReading:
    keys = [] if row.keyset_id is None else keysets[row.keyset_id]
    values: dict[str, Value] = {
        key.key: dictionary.decoded(key.kind, value, words)
        for key, value in zip(keys, row.vals or (), strict=True)
    }
    return LatestReading(
        ts=row.ts,
        received_at=row.received_at,
        values=values,
        n_received=row.n_received,
        n_stored=row.n_stored,
        n_duplicates=row.n_duplicates,
        n_rejected=row.n_rejected,
    )
