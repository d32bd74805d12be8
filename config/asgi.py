"""The one door: ingest in front of Django, everything else through it."""

import gc
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

from config import env
from telemetry.ingest import dialects
from telemetry.ingest.app import IngestApp, send_answer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

env.require_for_serving()
portal: Any = get_asgi_application()
ingest = IngestApp(
    database_url=env.text("DATABASE_URL"),
    valkey_url=settings.VALKEY_URL,
    base_url=settings.BASE_URL,
)

# What is loaded by now stays: the collector need not look at it again and again. Requests make
# no cycles, so that looking every 50,000 objects instead of every 2,000 is often enough; it was
# an eighth of the time that a reading takes.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 20)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Send readings, and the server's own start and end, to ingest; the rest to Django.

    Django's handler costs 2 ms of CPU a request, so the branch stands before it (docs/adr/0003).
    """
    if scope["type"] == "lifespan" or scope["path"] == dialects.PATH:
        await ingest(scope, receive, send)
    elif (dialect := dialects.find(scope)) is not None:
        await ingest.serve(dialect, scope, receive, send)
    elif dialects.answers_ping(scope):
        await send_answer(dialects.PONG, send)
    else:
        await portal(_with_one_cookie_header(scope), receive, send)


def _with_one_cookie_header(scope: Scope) -> Scope:
    """Join the cookies that HTTP/2 sends in fields of their own (RFC 9113, 8.2.3).

    Django joins repeated fields with a comma, which makes one broken cookie of two: browsers
    lose their session as soon as they carry a second cookie.
    """
    if scope["type"] != "http":
        return scope
    headers = scope["headers"]
    cookies = [value for name, value in headers if name == b"cookie"]
    if len(cookies) < 2:
        return scope
    others = [(name, value) for name, value in headers if name != b"cookie"]
    return {**scope, "headers": [*others, (b"cookie", b"; ".join(cookies))]}
