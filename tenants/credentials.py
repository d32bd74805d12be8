"""Tokens of devices and API clients: made, found, revoked. Only their digests are kept."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from tenants.models import Credential, Factory

DEVICE_PREFIX = "takt_dev_"
API_PREFIX = "takt_api_"
VALID_AT_A_TIME = 2  # the old and the new one, while a device is switched over


class TooManyTokens(Exception):
    """A device has two valid tokens already; one must be revoked first."""


def digest(token: str) -> bytes:
    """Return what is kept of a token: 32 bytes, SHA-256. (256 random bits need no slow hash.)"""
    return hashlib.sha256(token.encode()).digest()


def _issue(*, prefix: str, factory: Factory, **fields: object) -> str:
    token = prefix + secrets.token_urlsafe(32)
    Credential.objects.create(factory=factory, digest=digest(token), hint=token[:13], **fields)
    return token


def valid(at: datetime | None = None) -> Q:
    """Return the condition under which a credential is accepted."""
    return Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=at or timezone.now()))


def issue_device_token(*, factory: Factory, device_id: int, name: str) -> str:
    """Make a token for a device and return it, for the only time.

    Raises:
        TooManyTokens: two are valid already.
    """
    n_valid = Credential.objects.filter(valid(), factory=factory, device_id=device_id).count()
    if n_valid >= VALID_AT_A_TIME:
        raise TooManyTokens
    return _issue(
        prefix=DEVICE_PREFIX,
        factory=factory,
        kind=Credential.Kind.DEVICE,
        device_id=device_id,
        name=name,
    )


def issue_device_tokens(*, factory: Factory, names: Mapping[int, str]) -> dict[int, str]:
    """Make a first token for each of many new devices and return them by device."""
    tokens = {device_id: DEVICE_PREFIX + secrets.token_urlsafe(32) for device_id in names}
    now = timezone.now()
    Credential.objects.bulk_create(
        Credential(
            factory=factory,
            kind=Credential.Kind.DEVICE,
            device_id=device_id,
            name=names[device_id],
            digest=digest(token),
            hint=token[:13],
            changed_at=now,
        )
        for device_id, token in tokens.items()
    )
    return tokens


def issue_api_key(*, factory: Factory, name: str) -> str:
    """Make an API key of a factory and return it, for the only time."""
    return _issue(prefix=API_PREFIX, factory=factory, kind=Credential.Kind.API, name=name)


def revoke(*, credential_id: int, factory: Factory) -> bool:
    """End a credential; it is refused everywhere within 5 s. False where there was none to end."""
    now = timezone.now()
    return bool(
        Credential.objects.filter(pk=credential_id, factory=factory, revoked_at=None).update(
            revoked_at=now, changed_at=now
        )
    )


def revoke_device(*, factory: Factory, device_id: int) -> int:
    """End every token of a device and return how many there were."""
    now = timezone.now()
    return Credential.objects.filter(factory=factory, device_id=device_id, revoked_at=None).update(
        revoked_at=now, changed_at=now
    )


def find_api_key(token: str) -> Credential | None:
    """Return the valid API key for a token, with its factory."""
    if not token.startswith(API_PREFIX):
        return None
    return (
        Credential.objects.select_related("factory__limits")
        .filter(valid(), kind=Credential.Kind.API, digest=digest(token))
        .first()
    )
