"""Names outside PostgreSQL: each starts with the schema of the factory that it belongs to."""

import re

from tenants.context import current_schema

# Schema names are made of a visitor's words only through `schema_name_from`.
RESERVED = frozenset(
    [
        "public",
        "pg_catalog",
        "information_schema",
        "takt",
        "mlflow",
        "admin",
        "api",
        "app",
        "apps",
        "assets",
        "auth",
        "beta",
        "billing",
        "blog",
        "cdn",
        "cell",
        "dashboard",
        "demo_data",
        "docs",
        "download",
        "edge",
        "email",
        "files",
        "ftp",
        "gateway",
        "health",
        "help",
        "host",
        "in",
        "ingest",
        "internal",
        "live",
        "login",
        "localhost",
        "mail",
        "mailbox",
        "media",
        "metrics",
        "monitor",
        "mqtt",
        "my",
        "news",
        "ns",
        "portal",
        "root",
        "sandbox",
        "secure",
        "shop",
        "signup",
        "smtp",
        "staff",
        "staging",
        "static",
        "status",
        "stripe",
        "support",
        "system",
        "test",
        "webhook",
        "webhooks",
        "www",
    ]
)
_ALLOWED = re.compile(r"^[a-z][a-z0-9_]{2,40}$")


def is_allowed_schema_name(name: str) -> bool:
    """Say whether a schema may have this name: allowed letters, not reserved, not PostgreSQL's."""
    return bool(_ALLOWED.fullmatch(name)) and name not in RESERVED and not name.startswith("pg_")


def host_label(schema_name: str) -> str:
    """Return the label of the factory's host; an underscore is not allowed in one."""
    return schema_name.replace("_", "-")


def cache_key(*parts: str | int) -> str:
    return ":".join([current_schema(), *map(str, parts)])


def channel(kind: str, *, schema: str | None = None) -> str:
    """Return the live channel of a factory on Valkey."""
    return f"takt:{schema or current_schema()}:{kind}"


def object_key(*parts: str, schema: str | None = None) -> str:
    """Return the key of an object on S3.

    Raises:
        ValueError: a part would leave the factory's prefix.
    """
    for part in parts:
        if not part or part in (".", "..") or "\\" in part or part.startswith("/"):
            raise ValueError(f"not a part of an object key: {part!r}")
        if any(piece in ("", ".", "..") for piece in part.split("/")):
            raise ValueError(f"not a part of an object key: {part!r}")
    return "/".join([schema or current_schema(), *parts])


def mlflow_experiment(kind: str) -> str:
    return f"{current_schema()}/{kind}"


def mlflow_model(kind: str) -> str:
    return f"{current_schema()}.{kind}"
