"""Headers of a signed webhook.

Contract: Standard Webhooks 1.0.0 (standard-webhooks/standard-webhooks, spec/standard-webhooks.md),
the symmetric scheme: HMAC-SHA256 over `id.timestamp.body`, base64, one `v1,` entry a secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from tenants.notifications.secrets import PREFIX


def headers(
    *, message_id: str, body: bytes, secrets: Sequence[str], at: datetime
) -> dict[str, str]:
    """Return the three headers that prove a message; `at` is the time of this attempt."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_mac(secret, content)}" for secret in secrets),
    }


def _mac(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
