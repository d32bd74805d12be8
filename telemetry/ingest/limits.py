"""How much one request, one device and one factory may send."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_UNZIPPED_BYTES = 16 * 1024 * 1024
MAX_READINGS_PER_REQUEST = 10_000
MAX_KEY_LENGTH = 128
MAX_TEXT_LENGTH = 256
# A device that sends a new text with every reading (a time, a serial number) would fill the
# factory's dictionary; this many different texts a device and process are plenty for states,
# programs and products.
MAX_WORDS_PER_DEVICE = 5_000
# What is kept of a refused reading, and how many of them a device.
MAX_ITEM_SHOWN = 300
MAX_REFUSED_KEPT = 100
MAX_ATTRIBUTES_PER_DEVICE = 100
MAX_ATTRIBUTE_BYTES = 1_024
BODY_TIMEOUT_S = 10.0
FUTURE_LIMIT_US = 24 * 3600 * 1_000_000
# A backlog sent at once after a pause is normal: the bucket holds this many seconds of rate.
BURST_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryLimits:
    """What the plan of a factory allows at this door; written by billing into tenants."""

    ingest_blocked: bool = False
    # Not paid for so long that nothing is taken; until then the data are kept.
    is_suspended: bool = False
    kept_until: datetime | None = None
    # The cap on readings is reached, and the owner wants no more until the month ends.
    is_capped: bool = False
    readings_per_s: int | None = None
    device_readings_per_s: int | None = None
    distinct_keys_per_device: int = 500
    token_in_path_allowed: bool = True


def seconds_to_next_month(at: datetime) -> float:
    """Return how long the calendar month (UTC) of a time still lasts."""
    first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return ((first + timedelta(days=32)).replace(day=1) - at).total_seconds()


class TokenBucket:
    """Allow `rate` units a second on average and `burst` at once.

    Counted in this process only: what `rates` falls back to while Valkey is away.
    """

    __slots__ = ("_at", "_level", "burst", "rate")

    def __init__(self, *, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._at = 0.0

    def take(self, n: int, now: float) -> float:
        """Take `n` units at monotonic time `now`.

        Returns:
            0.0, or the seconds to wait when nothing was taken.
        """
        level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if level >= n or level >= self.burst:
            self._level = level - n
            return 0.0
        self._level = level
        return max(0.05, (min(n, self.burst) - level) / self.rate)

    def refill(self, level: float, now: float) -> None:
        """Take over what is known to be left at monotonic time `now`."""
        self._level, self._at = level, now
