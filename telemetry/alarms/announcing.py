"""Tells people and open pages of alarms.

People hear through `tenants.notifications`, pages through the factory's stream.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
import redis
import structlog
from django.conf import settings
from django.db import transaction

from tenants import names
from tenants.context import current_factory
from tenants.notifications import notify, register_topic

log = structlog.get_logger(__name__)

TOPIC = "alarms"


def register() -> None:
    """Let people choose alarms among what they are told; called when the app is ready."""
    words = "A rule raised an alarm, or nobody has taken one."
    register_topic(TOPIC, label="Alarms", words=words)


def tell_people(
    *,
    severity: int,
    subject: str,
    text: str,
    path: str,
    key: str,
    at: datetime,
    recipients: Sequence[int] | None = None,
) -> None:
    """Tell who wants to know, in the caller's transaction, once a `key`."""
    notify(
        factory=current_factory(),
        topic=TOPIC,
        severity=severity,
        subject=subject,
        text=text,
        path=path,
        key=key,
        recipients=recipients,
        at=at,
    )


def tell_pages(alarm_ids: Sequence[int]) -> None:
    """Have open pages ask again for their alarms, once the transaction has ended."""
    channel = names.channel("live")
    message = message_of(alarm_ids)
    transaction.on_commit(lambda: publish(channel, message))


def message_of(alarm_ids: Sequence[int]) -> bytes:
    """Return the message as `telemetry.live` knows it among the readings."""
    return msgspec.json.encode({"alarm": {"ids": list(alarm_ids)[:100]}})


@cache
def _client() -> Any:
    return redis.Redis.from_url(
        settings.VALKEY_URL, socket_timeout=1.0, socket_connect_timeout=1.0, retry=None
    )


def publish(channel: str, message: bytes) -> None:
    """Send it to who listens; pages that miss it ask again within half a minute."""
    try:
        _client().publish(channel, message)
    except (redis.RedisError, OSError) as error:
        log.warning("telemetry.alarms.unheard", error=type(error).__name__)
