"""Events, and their delivery to webhook endpoints: signed, retried, and spoiled on request.

Signature: docs.stripe.com/webhooks#verify-manually (`t=...,v1=HMAC-SHA256(secret, "t.body")`).
"""

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable

import httpx

from billing.sandbox import switches
from billing.sandbox.call import API_VERSION, Call, Route, created_filter, public
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.store import Object, Store, new_id

RETRY_AFTER_S = (1, 3, 10, 30, 60, 300, 900, 3600)


def emit(
    call: Call, kind: str, body: Object, *, owner: Object | None = None,
    previous: Object | None = None,
) -> Object:  # fmt: skip
    """Record that something happened and queue it for every endpoint that asked for it."""
    data: Object = {"object": public(body)}
    if previous is not None:
        data["previous_attributes"] = previous
    event: Object = {
        "id": new_id("evt"), "object": "event", "api_version": API_VERSION,
        "created": call.now(owner), "data": data, "livemode": False,
        "pending_webhooks": 0, "type": kind,
        "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
    }  # fmt: skip
    return publish(call.store, event)


def publish(store: Store, event: Object) -> Object:
    """Keep an event and queue it for the endpoints that take its type."""
    targets = [
        e for e in store.all("webhook_endpoint")
        if e["status"] == "enabled" and ({"*", event["type"]} & set(e["enabled_events"]))
    ]  # fmt: skip
    event["pending_webhooks"] = len(targets)
    store.insert(event["object"], event)
    for target in targets:
        _queue(store, event["id"], target)
    return event


def tell_change(call: Call, kind: str, body: Object, *, owner: Object | None = None) -> Object:
    """Save an object and emit an event that says what it was before."""
    old = call.store.find(body["object"], body["id"]) or {}
    call.store.save(body)
    previous = _before(public(old), public(body))
    return emit(call, kind, body, owner=owner or body, previous=previous)


def _before(old: Object, new: Object) -> Object:
    """Return the former values of what is different; objects are compared key by key."""
    changed: Object = {}
    for key in old.keys() | new.keys():
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict) and was.get("object") != "list":
            changed[key] = _before(was, now)
        else:
            changed[key] = was
    return changed


def _queue(store: Store, event_id: str, target: Object) -> None:
    if random.random() < switches.number(store, "drop"):  # noqa: S311  chance, not secrecy
        return
    due = time.time() + switches.number(store, "delay_s")
    if random.random() < switches.number(store, "reorder"):  # noqa: S311
        due += random.uniform(0.2, 2)  # noqa: S311
    n_copies = 2 if random.random() < switches.number(store, "duplicate") else 1  # noqa: S311
    for _ in range(n_copies):
        store.run(
            "INSERT INTO delivery (event, url, secret, due) VALUES (?, ?, ?, ?)",
            event_id, target["url"], target["_secret"], due,
        )  # fmt: skip


def resend(store: Store, event_id: str) -> int:
    """Queue an event anew for every endpoint that takes it; return for how many."""
    event = store.lookup(event_id)
    if event is None or event["object"] not in ("event", "v2.core.event"):
        raise missing("event", event_id)
    targets = [
        e for e in store.all("webhook_endpoint") if {"*", event["type"]} & set(e["enabled_events"])
    ]
    for target in targets:
        store.run(
            "INSERT INTO delivery (event, url, secret, due) VALUES (?, ?, ?, ?)",
            event_id, target["url"], target["_secret"], time.time(),
        )  # fmt: skip
    return len(targets)


def signature(body: bytes, *, secret: str, at: int) -> str:
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def deliver_due(
    store: Store, client: httpx.Client, *, clock: Callable[[], float] = time.time
) -> int:
    """Send what is due and return how many attempts were made. Call without a transaction."""
    if switches.is_on(store, "pause"):
        return 0
    rows = store.run(
        "SELECT seq, event, url, secret, attempts FROM delivery "
        "WHERE state = 'pending' AND due <= ? ORDER BY due, seq LIMIT 50",
        clock(),
    )
    for seq, event_id, url, secret, attempts in rows:
        event = store.lookup(event_id)
        if event is None:
            store.run("DELETE FROM delivery WHERE seq = ?", seq)
            continue
        body = json.dumps(_sent(event), indent=2).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(body, secret=secret, at=int(time.time())),
        }
        try:
            answer = client.post(url, content=body, headers=headers)
            ok = 200 <= answer.status_code < 300
        except httpx.HTTPError:
            ok = False
        _record(store, seq, attempts=attempts + 1, ok=ok, at=clock())
    return len(rows)


def _record(store: Store, seq: int, *, attempts: int, ok: bool, at: float) -> None:
    state, due = "pending", at
    if ok:
        state = "done"
        _received(store, seq)
    elif attempts > len(RETRY_AFTER_S):
        state = "failed"
    else:
        due = at + RETRY_AFTER_S[attempts - 1]
    store.run(
        "UPDATE delivery SET attempts = ?, state = ?, due = ? WHERE seq = ?",
        attempts, state, due, seq,
    )  # fmt: skip


def _sent(event: Object) -> Object:
    """Return what is delivered; an event of API v2 does not tell of webhooks."""
    told = public(event)
    if event["object"] == "v2.core.event":
        del told["pending_webhooks"]
    return told


def _received(store: Store, seq: int) -> None:
    """Count one endpoint less that an event has not reached yet; a copy counts once."""
    with store.transaction():
        (event_id, url) = store.run("SELECT event, url FROM delivery WHERE seq = ?", seq)[0]
        before = store.run(
            "SELECT 1 FROM delivery WHERE event = ? AND url = ? AND state = 'done'", event_id, url
        )
        event = store.lookup(event_id)
        if event is not None and not before and event["pending_webhooks"]:
            store.save({**event, "pending_webhooks": event["pending_webhooks"] - 1})


def list_events(call: Call) -> Object:
    p = call.params
    kind, kinds, within = p.text("type"), p.texts("types"), created_filter(p)
    delivered = p.boolean("delivery_success") if "delivery_success" in p else None

    def keep(e: Object) -> bool:
        return (
            kind in (None, e["type"]) and (not kinds or e["type"] in kinds) and within(e)
            and delivered in (None, e["pending_webhooks"] == 0)
        )  # fmt: skip

    return call.page_of("event", url="/v1/events", keep=keep)


def get_event(call: Call) -> Object:
    return call.get("event", call.path["id"])


def create_endpoint(call: Call) -> Object:
    p = call.params
    secret = new_id("whsec", length=32)
    body = endpoint(url=p.required("url"), events=p.texts("enabled_events"), secret=secret)
    if not body["enabled_events"]:
        raise ApiError("Missing required param: enabled_events.", code="parameter_missing")
    body["description"] = p.text("description")
    body["metadata"] = p.mapping("metadata") or {}
    p.skip("api_version")
    p.done()
    call.store.insert("webhook_endpoint", body)
    return {**body, "secret": secret}


def endpoint(*, url: str, events: list[str], secret: str) -> Object:
    return {
        "id": new_id("we"), "object": "webhook_endpoint", "api_version": API_VERSION,
        "application": None, "created": int(time.time()), "description": None,
        "enabled_events": events, "livemode": False, "metadata": {}, "status": "enabled",
        "url": url, "_secret": secret,
    }  # fmt: skip


def list_endpoints(call: Call) -> Object:
    return call.page(call.store.all("webhook_endpoint"), url="/v1/webhook_endpoints")


def get_endpoint(call: Call) -> Object:
    return call.get("webhook_endpoint", call.path["id"])


def delete_endpoint(call: Call) -> Object:
    body = call.get("webhook_endpoint", call.path["id"])
    call.store.delete(body["id"])
    return {"id": body["id"], "object": "webhook_endpoint", "deleted": True}


ROUTES = [
    Route("GET", "/v1/events", list_events),
    Route("GET", "/v1/events/{id}", get_event),
    Route("POST", "/v1/webhook_endpoints", create_endpoint),
    Route("GET", "/v1/webhook_endpoints", list_endpoints),
    Route("GET", "/v1/webhook_endpoints/{id}", get_endpoint),
    Route("DELETE", "/v1/webhook_endpoints/{id}", delete_endpoint),
]
