"""A cache that may be away: a miss, never an error. It holds JSON."""

import json
from collections.abc import Callable
from typing import Any, cast

import structlog
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = structlog.get_logger()


def _forgiving(name: str, answer: Any) -> Callable[..., Any]:
    def call(self: RedisCache, *args: Any, **kwargs: Any) -> Any:
        try:
            return getattr(RedisCache, name)(self, *args, **kwargs)
        except (RedisError, OSError) as error:
            log.warning("cache.unavailable", operation=name, error=type(error).__name__)
            default = kwargs.get("default", args[1] if name == "get" and len(args) > 1 else answer)
            return default if name == "get" else answer

    return cast("Callable[..., Any]", call)


class JsonSerializer:
    """Keeps values as JSON: Django's own would unpickle whatever somebody put into Valkey."""

    def dumps(self, value: Any) -> int | bytes:
        """Return what is stored; whole numbers as they are, so that Valkey can count.

        Raises:
            TypeError: it is no JSON.
        """
        return value if type(value) is int else json.dumps(value).encode()

    def loads(self, stored: bytes) -> Any:
        """Return what was kept; what is no JSON, as an older release left it, was not there."""
        try:
            return json.loads(stored)
        except ValueError:
            return None


class ForgivingRedisCache(RedisCache):
    """Django's cache on Valkey which answers "not there" while Valkey is away.

    PostgreSQL holds the truth; what is cached can be made again. Limits that must hold while
    Valkey is away are not kept here.
    """

    add = _forgiving("add", True)
    get = _forgiving("get", None)
    set = _forgiving("set", None)
    touch = _forgiving("touch", False)
    delete = _forgiving("delete", False)
    get_many = _forgiving("get_many", {})
    set_many = _forgiving("set_many", [])
    delete_many = _forgiving("delete_many", None)
    has_key = _forgiving("has_key", False)
    incr = _forgiving("incr", 1)
    clear = _forgiving("clear", False)
