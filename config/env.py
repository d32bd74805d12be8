"""Read the environment through typed helpers that refuse a bad value by name.

A value comes from the process environment, else from `var/env.json`, which the local launcher
writes; so `manage.py` in another shell finds the services that `make demo` started.
"""

import functools
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

BASE_DIR = Path(__file__).resolve().parent.parent

# What a serving process cannot do without; tools (linters, makemigrations) can.
REQUIRED_TO_SERVE = ("DATABASE_URL", "VALKEY_URL", "TAKT_SECRET_KEY", "TAKT_BASE_URL")


class BadSetting(Exception):
    """A setting is missing or malformed; names the variable and what is expected of it."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"{name}: {expected}.")
        self.name = name


def var_dir() -> Path:
    """Return the folder for everything that is made at run time."""
    return Path(os.environ.get("TAKT_VAR") or BASE_DIR / "var").resolve()


@functools.cache
def _launched() -> dict[str, str]:
    """Return what the local launcher wrote, or nothing where there is none to be read."""
    try:
        content = json.loads((var_dir() / "env.json").read_text())
    except (FileNotFoundError, PermissionError):
        return {}
    environment = content.get("environment", content)
    return {k: str(v) for k, v in environment.items() if isinstance(v, (str, int))}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name) or _launched().get(name) or default


def flag(name: str, *, default: bool = False) -> bool:
    value = text(name).lower()
    if value in ("", "0", "false", "no", "1", "true", "yes"):
        return default if value == "" else value in ("1", "true", "yes")
    raise BadSetting(name, f"expected 0 or 1, found {value!r}")


def number(name: str, default: int, *, least: int = 0) -> int:
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or int(value) < least:
        raise BadSetting(name, f"expected a whole number of at least {least}, found {value!r}")
    return int(value)


def url(name: str, default: str, *, schemes: tuple[str, ...]) -> str:
    """Return an address with a host and one of `schemes`. The value itself may hold a secret and
    is not repeated in the error."""
    value = text(name, default)
    try:
        parts = urlsplit(value)
        well_formed = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        well_formed = False
    if not well_formed:
        raise BadSetting(name, f"expected an address that starts with {' or '.join(schemes)}://")
    return value


def listener(name: str) -> tuple[str, int] | None:
    """Return host and port to listen at, None where nothing is said."""
    value = text(name)
    host, _, port = value.rpartition(":")
    if not value:
        return None
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadSetting(name, f"expected host:port, found {value!r}")
    return host.strip("[]"), int(port)


def time_zone(name: str, default: str) -> str:
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError):
        raise BadSetting(
            name, f"expected a time zone such as Europe/Berlin, found {value!r}"
        ) from None
    return value


def secret(name: str) -> str:
    """Return a secret of at least 32 characters, or one that lives as long as this process."""
    value = text(name)
    if value and len(value) < 32:
        raise BadSetting(name, "expected at least 32 characters")
    return value or _process_secret(name)


@functools.cache
def _process_secret(_name: str) -> str:
    return secrets.token_urlsafe(48)


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    host: str
    port: int
    user: str
    password: str
    name: str


def database(name: str, default: str) -> DatabaseAddress:
    value = url(name, default, schemes=("postgres", "postgresql"))
    parts = urlsplit(value)
    path = parts.path.lstrip("/")
    if not path:
        raise BadSetting(name, "expected postgres://user:password@host:port/database")
    return DatabaseAddress(
        host=parts.hostname or "",
        port=parts.port or 5432,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        name=unquote(path),
    )


def require_for_serving() -> None:
    """Refuse to serve with a setting left out.

    Raises:
        BadSetting: names the first variable that is missing.
    """
    for name in REQUIRED_TO_SERVE:
        if not text(name):
            raise BadSetting(name, "must be set (see the table in README.md)")
