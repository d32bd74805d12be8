"""Which parts are replaced by a real one, named by environment variables.

| part     | replaced by                                    | goes with it |
|----------|------------------------------------------------|--------------|
| postgres | `DATABASE_URL`                                 | `MLFLOW_DATABASE_URL` (a schema `mlflow` of the same database otherwise) |
| valkey   | `VALKEY_URL`                                   | |
| s3       | `S3_ENDPOINT_URL`                              | `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` (needed), `S3_REGION`, `S3_BUCKET` |
| stripe   | `STRIPE_API_BASE` or `STRIPE_API_KEY`          | `STRIPE_API_KEY`, `STRIPE_WEBHOOK_SECRET` (needed) |
| web      | `TAKT_BASE_URL`: on localhost the port to use, elsewhere the proxy's address | `TAKT_DEVICE_URL`: where the proxy takes devices, if elsewhere |
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from infra.local.failures import Malformed, ServiceFailed
from infra.local.service import answers

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DEFAULT_PORTS = {
    "postgres": 5432, "postgresql": 5432, "postgresql+psycopg": 5432,
    "redis": 6379, "rediss": 6379, "http": 80, "https": 443,
}  # fmt: skip


@dataclass(frozen=True)
class Replacement:
    """A real part standing in for an embedded one."""

    service: str
    variable: str
    host: str
    port: int

    def check(self) -> None:
        """Refuse to start against a part that cannot be reached.

        Raises:
            ServiceFailed: nobody answers there.
        """
        try:
            answers(self.host, self.port, timeout_s=5.0)
        except OSError as error:
            reason = f"{self.variable} names {self.host}:{self.port}, which does not answer"
            raise ServiceFailed(self.service, f"{reason} ({error})") from error


def replacements(environ: Mapping[str, str]) -> dict[str, Replacement]:
    """Read which parts are replaced, by the name of the part.

    Raises:
        Malformed: a variable cannot be what it stands for, or one that goes with it is missing.
    """
    given = {name: value for name, value in environ.items() if value}
    found = {}
    if url := given.get("DATABASE_URL"):
        parts = _address("DATABASE_URL", url, schemes=("postgres", "postgresql"))
        _database_name("DATABASE_URL", parts)
        found["postgres"] = _replacement("postgres", "DATABASE_URL", parts)
    if url := given.get("MLFLOW_DATABASE_URL"):
        _mlflow_store(url)
    if url := given.get("VALKEY_URL"):
        found["valkey"] = _valkey(url)
    if url := given.get("S3_ENDPOINT_URL"):
        parts = _address("S3_ENDPOINT_URL", url, schemes=("http", "https"))
        _needs(given, "S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
        found["s3"] = _replacement("s3", "S3_ENDPOINT_URL", parts)
    _bucket(given)
    if "STRIPE_API_BASE" in given or "STRIPE_API_KEY" in given:
        found["stripe"] = _stripe(given)
    for variable in ("TAKT_BASE_URL", "TAKT_DEVICE_URL"):
        if url := given.get(variable):
            _base_url(variable, url)
    return found


def replaced_environment(
    environ: Mapping[str, str], found: Mapping[str, Replacement]
) -> dict[str, str]:
    """The variables that describe the replaced parts, with what can be left out filled in."""
    env = {}
    if "postgres" in found:
        url = environ["DATABASE_URL"]
        env["DATABASE_URL"] = url
        env["MLFLOW_DATABASE_URL"] = environ.get("MLFLOW_DATABASE_URL") or _mlflow_schema_of(url)
    if "valkey" in found:
        env["VALKEY_URL"] = environ["VALKEY_URL"]
    if "s3" in found:
        for name in ("S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
            env[name] = environ[name]
    if "stripe" in found:
        env["STRIPE_API_BASE"] = environ.get("STRIPE_API_BASE") or "https://api.stripe.com"
        env["STRIPE_API_KEY"] = environ["STRIPE_API_KEY"]
        env["STRIPE_WEBHOOK_SECRET"] = environ["STRIPE_WEBHOOK_SECRET"]
    return env


# -- one variable each ---------------------------------------------------------------------------
def _address(variable: str, value: str, *, schemes: tuple[str, ...]) -> SplitResult:
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise Malformed(variable, f"is not an address ({error})") from error
    if parts.scheme not in schemes:
        raise Malformed(variable, f"must begin with {expected}")
    if not parts.hostname:
        raise Malformed(variable, f"names no host; expected {expected}...host...")
    if port == 0 or re.search(r"\s", value):
        raise Malformed(variable, "is not an address (port 0 or white space in it)")
    return parts


def _replacement(service: str, variable: str, parts: SplitResult) -> Replacement:
    assert parts.hostname
    return Replacement(
        service, variable, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
    )


def _database_name(variable: str, parts: SplitResult) -> None:
    if not parts.username:
        raise Malformed(variable, "names no user; expected postgres://user:password@host:port/name")
    if not unquote(parts.path.strip("/")) or "/" in parts.path.strip("/"):
        raise Malformed(variable, "names no database after the host (.../name)")


def _mlflow_store(url: str) -> None:
    schemes = ("postgresql+psycopg", "postgresql", "postgres")
    _database_name("MLFLOW_DATABASE_URL", _address("MLFLOW_DATABASE_URL", url, schemes=schemes))


def _mlflow_schema_of(database_url: str) -> str:
    rest = database_url.partition("://")[2]
    joint = "&" if "?" in rest else "?"
    return f"postgresql+psycopg://{rest}{joint}options=-csearch_path%3Dmlflow"


def _valkey(url: str) -> Replacement:
    parts = _address("VALKEY_URL", url, schemes=("redis", "rediss"))
    if not re.fullmatch(r"/?\d*", parts.path):
        raise Malformed("VALKEY_URL", "the part after the host must be a database number (/0)")
    return _replacement("valkey", "VALKEY_URL", parts)


def _bucket(given: Mapping[str, str]) -> None:
    if (bucket := given.get("S3_BUCKET")) and not _BUCKET.fullmatch(bucket):
        raise Malformed("S3_BUCKET", "must be 3-63 lower-case letters, digits, dots or hyphens")


def _stripe(given: Mapping[str, str]) -> Replacement:
    variable = "STRIPE_API_BASE" if "STRIPE_API_BASE" in given else "STRIPE_API_KEY"
    _needs(given, variable, "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET")
    _prefix(given, "STRIPE_API_KEY", ("sk_", "rk_"))
    _prefix(given, "STRIPE_WEBHOOK_SECRET", ("whsec_",))
    base = given.get("STRIPE_API_BASE", "https://api.stripe.com")
    return _replacement(
        "stripe", variable, _address("STRIPE_API_BASE", base, schemes=("http", "https"))
    )


def _prefix(given: Mapping[str, str], variable: str, prefixes: tuple[str, ...]) -> None:
    if not given[variable].startswith(prefixes):
        raise Malformed(variable, f"must begin with {' or '.join(prefixes)}")


def _base_url(variable: str, url: str) -> None:
    parts = _address(variable, url, schemes=("https",))
    if parts.path.strip("/") or parts.query:
        raise Malformed(variable, "must be a host without a path (https://host:port)")


def _needs(given: Mapping[str, str], because: str, *variables: str) -> None:
    for variable in variables:
        if variable not in given:
            raise Malformed(variable, f"is needed when {because} is set")
