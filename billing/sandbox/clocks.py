"""The passing of time: what falls due, and test clocks that move it.

Contract: docs.stripe.com/billing/testing/test-clocks.
"""

from billing.sandbox import invoices, subscriptions
from billing.sandbox.call import Call, Route
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.store import Object, new_id

KEPT_S = 30 * 24 * 3600


def tick(call: Call, *, clock: str | None, until: int) -> None:
    """Do everything that falls due up to a moment, in the order of time."""
    while True:
        due = [moment for moment in _due(call, clock) if moment[0] <= until]
        if not due:
            return
        at, _, kind, object_id = min(due)
        body = call.get(kind, object_id)
        if kind == "subscription":
            subscriptions.renew_due(call, body, at=at)
        elif body["status"] == "draft":
            invoices.finalize(call, body, at=at)
        else:
            invoices.collect(call, body, at=at)


def _due(call: Call, clock: str | None) -> list[tuple[int, int, str, str]]:
    moments = []
    for sub in call.store.all("subscription"):
        if sub["test_clock"] == clock and sub["status"] in subscriptions.LIVE:
            end = subscriptions.period(sub)[1]
            if sub["status"] == "trialing":
                end = min(end, sub["trial_end"])
            moments.append((end, 1, "subscription", sub["id"]))
    for invoice in call.store.all("invoice"):
        if invoice["test_clock"] != clock or not invoice["auto_advance"]:
            continue
        if invoice["status"] == "draft":
            moments.append((invoice["automatically_finalizes_at"], 0, "invoice", invoice["id"]))
        elif invoice["status"] == "open" and invoice["next_payment_attempt"]:
            moments.append((invoice["next_payment_attempt"], 0, "invoice", invoice["id"]))
    return moments


def create(call: Call) -> Object:
    p = call.params
    frozen = p.integer("frozen_time")
    if frozen is None:
        raise ApiError("Missing required param: frozen_time.", code="parameter_missing")
    body: Object = {
        "id": new_id("clock"), "object": "test_helpers.test_clock", "created": call.now(),
        "deletes_after": call.now() + KEPT_S, "frozen_time": frozen, "livemode": False,
        "name": p.text("name"), "status": "ready", "status_details": {},
    }  # fmt: skip
    p.done()
    return call.store.insert("test_helpers.test_clock", body)


def get(call: Call) -> Object:
    return call.get("test_helpers.test_clock", call.path["id"])


def list_(call: Call) -> Object:
    return call.page(call.store.all("test_helpers.test_clock"), url="/v1/test_helpers/test_clocks")


def advance(call: Call) -> Object:
    """Move a clock forward. The time passes in steps, so that each event bears its own moment."""
    body = call.get("test_helpers.test_clock", call.path["id"])
    target = call.params.integer("frozen_time")
    call.params.done()
    if target is None or target <= body["frozen_time"]:
        raise ApiError(
            "Invalid frozen_time: the clock can only be advanced to a time in its future.",
            param="frozen_time",
        )
    while True:
        due = [m[0] for m in _due(call, body["id"]) if m[0] <= target]
        if not due:
            break
        moment = max(min(due), body["frozen_time"])
        body["frozen_time"] = moment
        call.store.save(body)
        tick(call, clock=body["id"], until=moment)
    body["frozen_time"] = target
    call.store.save(body)
    emit(call, "test_helpers.test_clock.ready", body)
    return body


def delete(call: Call) -> Object:
    body = call.get("test_helpers.test_clock", call.path["id"])
    for kind in ("customer", "subscription", "invoice"):
        for other in call.store.all(kind):
            if other["test_clock"] == body["id"]:
                call.store.delete(other["id"])
    call.store.delete(body["id"])
    return {"id": body["id"], "object": "test_helpers.test_clock", "deleted": True}


ROUTES = [
    Route("POST", "/v1/test_helpers/test_clocks", create),
    Route("GET", "/v1/test_helpers/test_clocks", list_),
    Route("GET", "/v1/test_helpers/test_clocks/{id}", get),
    Route("POST", "/v1/test_helpers/test_clocks/{id}/advance", advance),
    Route("DELETE", "/v1/test_helpers/test_clocks/{id}", delete),
]
