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

from billing.sandbox.call import API_VERSION, Call, Route, public
from billing.sandbox.errors import ApiError
from billing.sandbox.store import Object, Store, new_id

RETRY_AFTER_S = (1, 3, 10, 30, 60, 300, 900, 3600)
SWITCHES = ("drop", "duplicate", "reorder", "delay_s")


def emit(call: Call, kind: str, body: Object, *, owner: Object | None = None) -> Object:
    """Record that something happened and queue it for every endpoint that asked for it."""
    event: Object = {
        "id": new_id("evt"), "object": "event", "api_version": API_VERSION,
        "created": call.now(owner), "data": {"object": public(body)}, "livemode": False,
        "pending_webhooks": 0, "type": kind,
        "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
    }  # fmt: skip
    targets = [
        e for e in call.store.all("webhook_endpoint")
        if e["status"] == "enabled" and ({"*", kind} & set(e["enabled_events"]))
    ]  # fmt: skip
    event["pending_webhooks"] = len(targets)
    call.store.insert("event", event)
    for target in targets:
        _queue(call.store, event["id"], target)
    return event


def switches(store: Store) -> dict[str, float]:
    """Return how deliveries are spoiled: shares of 1, and seconds for the delay."""
    return {name: float(store.setting(f"switch.{name}", "0")) for name in SWITCHES}


def _queue(store: Store, event_id: str, target: Object) -> None:
    spoil = switches(store)
    if random.random() < spoil["drop"]:  # noqa: S311  chance, not secrecy
        return
    due = time.time() + spoil["delay_s"]
    if random.random() < spoil["reorder"]:  # noqa: S311
        due += random.uniform(0.2, 2)  # noqa: S311
    n_copies = 2 if random.random() < spoil["duplicate"] else 1  # noqa: S311
    for _ in range(n_copies):
        store.run(
            "INSERT INTO delivery (event, url, secret, due) VALUES (?, ?, ?, ?)",
            event_id, target["url"], target["_secret"], due,
        )  # fmt: skip


def signature(body: bytes, *, secret: str, at: int) -> str:
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signed}"


def deliver_due(
    store: Store, client: httpx.Client, *, clock: Callable[[], float] = time.time
) -> int:
    """Send what is due and return how many attempts were made. Call without a transaction."""
    rows = store.run(
        "SELECT seq, event, url, secret, attempts FROM delivery "
        "WHERE state = 'pending' AND due <= ? ORDER BY due, seq LIMIT 50",
        clock(),
    )
    for seq, event_id, url, secret, attempts in rows:
        event = store.find("event", event_id)
        if event is None:
            store.run("DELETE FROM delivery WHERE seq = ?", seq)
            continue
        body = json.dumps(public(event), indent=2).encode()
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
    elif attempts > len(RETRY_AFTER_S):
        state = "failed"
    else:
        due = at + RETRY_AFTER_S[attempts - 1]
    store.run(
        "UPDATE delivery SET attempts = ?, state = ?, due = ? WHERE seq = ?",
        attempts, state, due, seq,
    )  # fmt: skip


def list_events(call: Call) -> Object:
    p, found = call.params, call.store.all("event")
    kind, kinds, created = p.text("type"), p.texts("types"), p.child("created")
    since, until = created.integer("gte", 0) or 0, created.integer("lte")
    found = [
        e for e in found
        if kind in (None, e["type"]) and (not kinds or e["type"] in kinds)
        and e["created"] >= since and (until is None or e["created"] <= until)
    ]  # fmt: skip
    return call.page(found, url="/v1/events")


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
