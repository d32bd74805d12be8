"""Times as telemetry counts them: whole microseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=4096)
def from_s(seconds: int) -> datetime:
    """For hours that many rows share: making a time of every row would take most of the reading."""
    return datetime.fromtimestamp(seconds, UTC)


def from_us(time_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=time_us)


def to_us(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def iso_utc(time_us: int) -> str:
    """RFC 3339 in UTC with a Z, as answers and live messages carry it."""
    return from_us(time_us).isoformat().removesuffix("+00:00") + "Z"
