"""Tells open pages that something they show has changed.

A hint, not the fact: what cannot be sent is dropped, and a page that connects again asks anew.
The pages listen by `telemetry.live`.
"""

import functools
import json
from typing import Any

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from tenants import names

log = structlog.get_logger(__name__)


@functools.cache
def _client(url: str) -> Any:
    return Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=None)


def announce(topic: str, *, schema: str | None = None) -> None:
    """Have parts of the factory's pages that show `topic` drawn again (`data-refresh-on`)."""
    message = json.dumps({"topic": topic}, separators=(",", ":"))
    try:
        _client(settings.VALKEY_URL).publish(names.channel("live", schema=schema), message)
    except (RedisError, OSError) as error:
        log.warning("announcing.away", error=type(error).__name__)
