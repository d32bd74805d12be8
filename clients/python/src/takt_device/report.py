"""What became of everything that was handed to a client, in numbers that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Dropped:
    """A stretch of readings that the queue gave up, by the times they were measured at."""

    reason: str
    n: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class Refused:
    """One reading that the server refused, as it was sent."""

    code: str
    message: str
    reading: str


@dataclass(frozen=True)
class Report:
    """The state of a queue since its file was made, across restarts.

    accepted = queued + sent + the readings dropped; sent = stored + duplicates + those rejected.
    """

    accepted: int
    """Readings for which `send()` returned."""
    queued: int
    """Readings on disk that the server has not answered for."""
    sent: int
    """Readings that the server has answered for."""
    stored: int
    duplicates: int
    """Readings that the server had already: their first answer was lost on its way."""
    rejected: Mapping[str, int]
    """Readings that the server refused, by its code; `Client.refused()` has the newest."""
    dropped: tuple[Dropped, ...]
    set_aside: tuple[str, ...]
    """Files of broken queues, kept as they were found."""
    oldest_queued_at: datetime | None
    last_error: str
    """Why the last attempt failed; empty after one that did not."""
    stopped: str
    """Why nothing is sent any more, although readings are still queued; empty while it is."""
    clock_offset_s: float | None
    """Server's clock less this machine's; None before the first answer."""
