"""The variables that describe the installation itself, beside those of its parts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from infra.local.application import WEB_PORT
from infra.local.home import Home

_HANDED_ON = ("TAKT_DATA", "TAKT_DEBUG")


def basics(*, home: Home, environ: Mapping[str, str], services: Sequence[str]) -> dict[str, str]:
    """Fill in what the person has not set; secrets are made once and kept.

    Raises:
        NoFreePort: the port of `TAKT_BASE_URL` is taken and `services` names the web server.
    """
    env = {
        "TAKT_VAR": str(home.var),
        "TAKT_BASE_URL": _base_url(
            home=home, given=environ.get("TAKT_BASE_URL", ""), serves="web" in services
        ),
        "TAKT_MAILBOX": environ.get("TAKT_MAILBOX", "1"),
        "S3_BUCKET": environ.get("S3_BUCKET") or "takt",
        "S3_REGION": environ.get("S3_REGION") or "us-east-1",
    }
    for name in ("TAKT_SECRET_KEY", "TAKT_ARTIFACT_KEY"):
        env[name] = environ.get(name) or home.secret(name.lower(), lambda: secrets.token_hex(32))
    return env | {name: environ[name] for name in _HANDED_ON if environ.get(name)}


def _base_url(*, home: Home, given: str, serves: bool) -> str:
    if not given:
        return f"https://localhost:{home.port('web', WEB_PORT)}"
    parts = urlsplit(given)
    host = parts.hostname or ""
    if serves and (host == "localhost" or host.endswith(".localhost")):
        home.exact_port("web", parts.port or 443)
    return given.rstrip("/")
