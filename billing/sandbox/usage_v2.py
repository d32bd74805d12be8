"""Usage by API v2: JSON bodies, a session's token, up to 100 events in one call.

Contract: docs.stripe.com/api/v2/billing-meter-stream, .../v2/core/events. Stripe's published
OpenAPI document does not describe API v2, so bodies are checked here by hand.
"""

import secrets
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from billing.sandbox.call import Call, public
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.metering import Usage, UsageRefused, is_known, iso, keep_error, record
from billing.sandbox.store import Object, new_id

SESSION_S = 15 * 60
MAX_EVENTS = 100
_KEYS = {"event_name", "identifier", "payload", "timestamp"}

Body = dict[str, Any]


def open_session(call: Call, _body: Body) -> Object:
    """Give a token that the stream takes for 15 minutes."""
    now = time.time()
    session: Object = {
        "id": new_id("mes_test"), "object": "v2.billing.meter_event_session",
        "authentication_token": f"token_{secrets.token_urlsafe(32)}", "created": iso(now),
        "expires_at": iso(now + SESSION_S), "livemode": False, "_until": now + SESSION_S,
    }  # fmt: skip
    return call.store.insert(session["object"], session)


def check_token(call: Call, token: str) -> None:
    """Let in the token of a session that is open.

    Raises:
        ApiError: it is unknown, or its session is over.
    """
    for session in call.store.scan("v2.billing.meter_event_session"):
        if secrets.compare_digest(session["authentication_token"].encode(), token.encode()):
            if session["_until"] > time.time():
                return
            raise ApiError(
                "The temporary session token has expired.", kind="temporary_session_expired",
                code="billing_meter_event_session_expired",
            )  # fmt: skip
    raise ApiError("Invalid authentication token.", status=401)


def create_event(call: Call, body: Body) -> Object:
    """Record one event, checked at once."""
    sent = _read(body, call, place="")
    if is_known(call, sent.identifier):
        raise ApiError(
            f"An event already exists with identifier {sent.identifier}.",
            code="duplicate_meter_event",
        )
    now, at = record(call, sent)
    return {
        "object": "v2.billing.meter_event", "created": iso(now), "event_name": sent.event_name,
        "identifier": sent.identifier, "livemode": False, "payload": sent.payload,
        "timestamp": iso(at),
    }  # fmt: skip


def stream(call: Call, body: Body) -> Object:
    """Take up to 100 events. What is wrong with one is told later, in an error report."""
    entries = body.pop("events", None)
    if body or not isinstance(entries, list) or not 1 <= len(entries) <= MAX_EVENTS:
        raise ApiError(f"events must be a list of 1 to {MAX_EVENTS} events.", param="events")
    for sent in [_read(entry, call, f"events[{n}].") for n, entry in enumerate(entries)]:
        if is_known(call, sent.identifier):
            continue
        try:
            record(call, sent)
        except UsageRefused as refusal:
            keep_error(call.store, refusal, sent)
    return {}


def _read(entry: Any, call: Call, place: str) -> Usage:
    if not isinstance(entry, dict):
        raise ApiError(f"Invalid object: {place}", param=place)
    for key in entry.keys() - _KEYS:
        raise ApiError(
            f"Received unknown parameter: {place}{key}", code="parameter_unknown",
            param=f"{place}{key}",
        )  # fmt: skip
    name, payload = entry.get("event_name"), entry.get("payload")
    identifier, stamp = entry.get("identifier") or new_id("idmp"), entry.get("timestamp")
    texts = isinstance(payload, dict) and all(isinstance(v, str) for v in payload.values())
    if not isinstance(name, str) or not name:
        raise ApiError(f"Missing required param: {place}event_name.", code="parameter_missing")
    if not texts or not isinstance(payload, dict):
        raise ApiError(f"{place}payload must be a map of texts.", param=f"{place}payload")
    if not isinstance(identifier, str) or len(identifier) > 100:
        raise ApiError(f"Invalid string: {place}identifier", param=f"{place}identifier")
    at = None if stamp is None else _moment(stamp, f"{place}timestamp")
    return Usage(name, identifier, payload, at, call.idempotency_key or identifier)


def _moment(stamp: Any, name: str) -> int:
    try:
        found = datetime.fromisoformat(str(stamp))
    except ValueError:
        raise ApiError(f"Invalid timestamp: {name} must be RFC 3339.", param=name) from None
    if found.tzinfo is None:
        raise ApiError(f"Invalid timestamp: {name} must have a zone.", param=name)
    return int(found.timestamp())


def get_event(call: Call, _body: Body) -> Object:
    found = call.store.find("v2.core.event", call.path["id"])
    if found is None:
        raise missing("event", call.path["id"])
    return {k: v for k, v in public(found).items() if k != "pending_webhooks"}


V2Handler = Callable[[Call, Body], Object]
# Method and path -> what answers; the stream alone is let in by a session's token.
ROUTES: dict[tuple[str, str], V2Handler] = {
    ("POST", "/v2/billing/meter_event_session"): open_session,
    ("POST", "/v2/billing/meter_event_stream"): stream,
    ("POST", "/v2/billing/meter_events"): create_event,
    ("GET", "/v2/core/events/{id}"): get_event,
}
