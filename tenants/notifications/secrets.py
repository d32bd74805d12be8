"""Signing secrets of webhooks: made, sealed for the database, opened again to sign.

A digest would not do, because the sender needs the secret itself. It is sealed with a key that
is derived from the installation's own (HKDF, RFC 5869), so a dump of the database signs nothing.
"""

import base64
import secrets

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes

PREFIX = "whsec_"  # Standard Webhooks, "Signature scheme"
SECRET_BYTES = 32


class SecretLost(Exception):
    """A sealed secret cannot be opened: the installation's key is another one than it was."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(secret: str) -> str:
    return _vault().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """Return the secret that was sealed, also under one of SECRET_KEY_FALLBACKS.

    Raises:
        SecretLost: neither key of this installation opens it.
    """
    try:
        return _vault().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise SecretLost from None


def _vault() -> MultiFernet:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str | bytes) -> bytes:
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"takt.webhook.secret")
    return base64.urlsafe_b64encode(hkdf.derive(force_bytes(key)))
