"""The variables that describe the installation itself, beside those of its parts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from infra.local.application import DEVICE_PORT, WEB_PORT
from infra.local.home import Home

_HANDED_ON = ("TAKT_DATA", "TAKT_DEBUG")


def basics(*, home: Home, environ: Mapping[str, str], services: Sequence[str]) -> dict[str, str]:
    """Fill in what the person has not set; secrets are made once and kept.

    Raises:
        NoFreePort: the port of `TAKT_BASE_URL` or `TAKT_DEVICE_URL` is taken and `services`
            names the web server.
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
    env["TAKT_DEVICE_URL"] = _device_url(
        home=home, given=environ.get("TAKT_DEVICE_URL", ""),
        base_url=env["TAKT_BASE_URL"], serves="web" in services,
    )  # fmt: skip
    for name in ("TAKT_SECRET_KEY", "TAKT_ARTIFACT_KEY"):
        env[name] = environ.get(name) or home.secret(name.lower(), lambda: secrets.token_hex(32))
    return env | {name: environ[name] for name in _HANDED_ON if environ.get(name)}


def _base_url(*, home: Home, given: str, serves: bool) -> str:
    if not given:
        return f"https://localhost:{home.port('web', WEB_PORT)}"
    parts = urlsplit(given)
    host = parts.hostname or ""
    if serves and _is_local(host):
        home.exact_port("web", parts.port or 443)
    return given.rstrip("/")


def _device_url(*, home: Home, given: str, base_url: str, serves: bool) -> str:
    parts = urlsplit(given or base_url)
    if not _is_local(parts.hostname or ""):
        # What stands in front of the portal takes devices where it takes everybody, if nothing
        # else is said.
        return (given or base_url).rstrip("/")
    if not given:
        return f"https://{parts.hostname}:{home.port('devices', DEVICE_PORT)}"
    if serves:
        home.exact_port("devices", parts.port or 443)
    return given.rstrip("/")


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")
