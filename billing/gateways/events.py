"""What Stripe says happened: delivered and signed, or listed and fetched."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import stripe

from billing.gateways.calls import Calls, seconds, wrapped

WEBHOOK_TOLERANCE_S = 300


class BadSignature(Exception):
    """A webhook's body was not signed by Stripe, not for us, or too long ago."""


@dataclass(frozen=True, slots=True)
class StripeEvent:
    id: str
    kind: str
    payload: dict[str, Any]


class Events(Calls):
    """Calls on events."""

    def events(self, *, since: datetime, kinds: Sequence[str]) -> Iterator[StripeEvent]:
        """Yield the events of up to 20 kinds since a moment (30 days at most), newest first."""
        with wrapped():
            found = self._v1.events.list(
                {"created": {"gte": seconds(since)}, "types": list(kinds), "limit": 100}
            )
            for body in found.auto_paging_iter():
                # As in a webhook, where decimals are text.
                payload = json.loads(json.dumps(body.to_dict(), default=str))
                yield StripeEvent(body.id, body.type, payload)

    def thin_event(self, event_id: str) -> dict[str, Any]:
        """Return an event of API v2 with its data, which its notification may leave out."""
        with wrapped():
            found: dict[str, Any] = self._client.v2.core.events.retrieve(event_id).to_dict()
            return found


def verified_event(*, body: bytes, signature: str, secret: str) -> StripeEvent:
    """Return what a webhook says, once its signature over the raw body holds.

    Raises:
        BadSignature: forged, tampered with, signed with another secret, or older than 5 minutes.
    """
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, WEBHOOK_TOLERANCE_S)
        payload = json.loads(body)
        return StripeEvent(payload["id"], payload["type"], payload)
    except (stripe.SignatureVerificationError, ValueError, KeyError, TypeError) as error:
        raise BadSignature(type(error).__name__) from error
