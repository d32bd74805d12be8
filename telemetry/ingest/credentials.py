"""Which device a token belongs to, without asking the database for each request.

Reads the public tables `tenants_credential`, `tenants_factory` and `tenants_factorylimits`
(owned by tenants). What is remembered is renewed once a second by what has changed; when that
fails for longer than `TRUSTED_S`, nothing remembered is trusted any more, so that a revoked
token is dead within 5 s everywhere, whatever happens.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import Any

import structlog

from telemetry.ingest.errors import AWAY, RequestRefused, unavailable
from telemetry.ingest.limits import FactoryLimits
from telemetry.ingest.state import Device, Factory

log = structlog.get_logger(__name__)

POLL_S = 1.0
TRUSTED_S = 4.0
# changed_at is the start of the transaction that changed the row; it becomes visible at its
# commit. Changes are therefore read again for this long.
OVERLAP_S = 60.0
UNKNOWN_S = 1.0
MAX_UNKNOWN = 20_000

_PREFIX = b"takt_dev_"
_UNAUTHORIZED = ((b"www-authenticate", b'Bearer realm="takt"'),)

_FACTORY_COLUMNS = """
    f.id AS factory_id, f.schema_name,
    coalesce(l.ingest_blocked, false) AS ingest_blocked, l.readings_per_s,
    coalesce(l.standing = 'suspended', false) AS is_suspended, l.standing_until,
    coalesce(l.capped_meters ? 'readings', false) AS is_capped,
    l.device_readings_per_s, coalesce(l.token_in_path_allowed, true) AS token_in_path_allowed,
    coalesce(l.distinct_keys_per_device, 500) AS distinct_keys_per_device
"""
_LOOK_UP = f"""
    SELECT c.digest, c.device_id, c.expires_at, {_FACTORY_COLUMNS}
    FROM public.tenants_credential c
    JOIN public.tenants_factory f ON f.id = c.factory_id
    LEFT JOIN public.tenants_factorylimits l ON l.factory_id = f.id
    WHERE c.digest = ANY($1::bytea[]) AND c.kind = 'device' AND c.revoked_at IS NULL
        AND (c.expires_at IS NULL OR c.expires_at > now())
        AND f.state = 'active'
"""  # noqa: S608  no value from outside
_CHANGED = """
    SELECT digest, expires_at, revoked_at IS NULL AS is_valid FROM public.tenants_credential
    WHERE changed_at > now() - make_interval(secs => $1)
"""
_FACTORIES = f"""
    SELECT {_FACTORY_COLUMNS}
    FROM public.tenants_factory f
    LEFT JOIN public.tenants_factorylimits l ON l.factory_id = f.id
    WHERE f.id = ANY($1::bigint[]) AND f.state = 'active'
"""  # noqa: S608  no value from outside


@dataclass(slots=True)
class _Known:
    device: Device
    expires_at_s: float | None


class Credentials:
    """The tokens and factories this process has met."""

    def __init__(self, *, pool: Any, base_host: str) -> None:
        self._pool = pool
        self._base_host = base_host.lower()
        self._suffix = "." + self._base_host
        self._known: dict[bytes, _Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._factories: dict[int, Factory] = {}
        self._asking: dict[bytes, asyncio.Future[_Known | None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._renewed_at = time.monotonic()

    async def device_for(self, *, authorization: bytes, host: bytes) -> Device:
        """Return the device that may send under this header on this host.

        Raises:
            RequestRefused: 401 for a token that is not valid here; 503 when that cannot be
                known because the database is away.
        """
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not token:
            raise _unauthorized("missing_token", "Send Authorization: Bearer takt_dev_...")
        if not token.startswith(_PREFIX):
            raise _unauthorized("not_a_device_token", "This is not the token of a device.")
        digest = hashlib.sha256(token).digest()
        if time.monotonic() - self._renewed_at > TRUSTED_S:
            raise unavailable("Tokens cannot be checked now; send again in a moment.")
        known = self._known.get(digest)
        if known is None:
            known = await self._ask(digest)
        if known is None or (known.expires_at_s is not None and known.expires_at_s <= time.time()):
            raise _unauthorized("unknown_token", "The token is unknown, revoked or expired.")
        factory = known.device.factory
        if not self._is_own_host(factory, host):
            raise _unauthorized("unknown_token", "The token is unknown, revoked or expired.")
        return known.device

    def _is_own_host(self, factory: Factory, host: bytes) -> bool:
        """A factory's host takes its own devices only; every other host takes any device."""
        if host == factory.seen_host:
            return True
        name = host.decode("latin-1").lower().rsplit(":", 1)[0].removesuffix(".")
        if name.endswith(self._suffix) and name != factory.host_label + self._suffix:
            return False
        factory.seen_host = host
        return True

    async def _ask(self, digest: bytes) -> _Known | None:
        """Ask the database once for each token, however many requests wait for the answer."""
        since = self._unknown.get(digest)
        if since is not None and time.monotonic() - since < UNKNOWN_S:
            return None
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.get_running_loop().create_future()
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look_up())
        try:
            # Shielded: a client that hangs up must not take the answer from the others.
            return await asyncio.shield(asking)
        except AWAY:
            raise unavailable("Tokens cannot be checked now; send again in a moment.") from None

    async def _look_up(self) -> None:
        """Ask for all tokens that have come up while the last question was asked."""
        while asked := self._asking:
            self._asking = {}
            try:
                rows = await self._pool.fetch(_LOOK_UP, list(asked), timeout=3)
            except AWAY as error:
                for waiting in asked.values():
                    waiting.set_exception(error)
                    waiting.exception()  # it may be that nobody waits any more
                continue
            found = {row["digest"]: self._remember(row) for row in rows}
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            for digest, waiting in asked.items():
                if digest not in found:
                    self._unknown[digest] = time.monotonic()
                waiting.set_result(found.get(digest))

    def _remember(self, row: Any) -> _Known:
        expires_at = row["expires_at"]
        known = self._known[row["digest"]] = _Known(
            self._factory_from(row).device(row["device_id"]),
            None if expires_at is None else expires_at.timestamp(),
        )
        self._unknown.pop(row["digest"], None)
        return known

    def _factory_from(self, row: Any) -> Factory:
        factory = self._factories.get(row["factory_id"])
        if factory is None:
            factory = Factory(row["factory_id"], row["schema_name"])
            self._factories[factory.id] = factory
        factory.set_limits(
            FactoryLimits(
                ingest_blocked=row["ingest_blocked"],
                is_suspended=row["is_suspended"],
                kept_until=row["standing_until"] if row["is_suspended"] else None,
                is_capped=row["is_capped"],
                readings_per_s=row["readings_per_s"],
                device_readings_per_s=row["device_readings_per_s"],
                distinct_keys_per_device=row["distinct_keys_per_device"],
                token_in_path_allowed=row["token_in_path_allowed"],
            )
        )
        return factory

    # -- renewal -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Renew what is remembered, once a second, until cancelled."""
        while True:
            try:
                await self.renew()
            except AWAY as error:
                log.warning("telemetry.credentials.not_renewed", error=type(error).__name__)
            await asyncio.sleep(POLL_S)

    async def renew(self) -> None:
        """Drop what was revoked or deleted and read the limits anew."""
        started = time.monotonic()
        gap_s = started - self._renewed_at
        changed = await self._pool.fetch(_CHANGED, OVERLAP_S + gap_s, timeout=3)
        for row in changed:
            known = self._known.get(row["digest"])
            self._unknown.pop(row["digest"], None)
            if known is None:
                continue
            if not row["is_valid"]:
                del self._known[row["digest"]]
            else:
                expires_at = row["expires_at"]
                known.expires_at_s = None if expires_at is None else expires_at.timestamp()
        await self._renew_factories()
        self._renewed_at = started

    async def _renew_factories(self) -> None:
        ids = list(self._factories)
        if not ids:
            return
        rows = await self._pool.fetch(_FACTORIES, ids, timeout=3)
        for row in rows:
            self._factory_from(row)
        gone = set(ids) - {row["factory_id"] for row in rows}
        if gone:
            for factory_id in gone:
                del self._factories[factory_id]
            self._known = {
                digest: known
                for digest, known in self._known.items()
                if known.device.factory.id not in gone
            }


def _unauthorized(code: str, message: str) -> RequestRefused:
    return RequestRefused(401, code, message, headers=_UNAUTHORIZED)
