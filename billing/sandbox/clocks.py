"""The passing of time: what falls due, and test clocks that move it.

Contract: docs.stripe.com/billing/testing/test-clocks, docs.stripe.com/api/test_clocks/advance
"""

from billing.sandbox import calendar, checkout, invoices, lifecycle, switches
from billing.sandbox.call import Call, Route
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.store import Object, new_id

KEPT_S = 30 * 24 * 3600
LONGEST_S = 2 * 366 * 24 * 3600
MAX_INTERVALS = 2


def due_of(body: Object) -> int | None:
    """Return when an object next changes by itself; the store keeps an index of it."""
    if body["object"] == "subscription":
        return lifecycle.due_of(body)
    if body["object"] == "invoice":
        return invoices.due_of(body)
    return checkout.due_of(body) if body["object"] == "checkout.session" else None


def tick(call: Call, *, clock: str | None, until: int) -> None:
    """Do everything that falls due up to a moment, in the order of time."""
    while (due := call.store.due(clock, until=until)) is not None:
        _pass(call, due[1], at=due[0])


def _pass(call: Call, body: Object, *, at: int) -> None:
    """Do what is due of one object."""
    if body["object"] == "subscription":
        lifecycle.pass_time(call, body, at=at)
    elif body["object"] == "invoice":
        invoices.pass_time(call, body, at=at)
    else:
        checkout.expire(call, body)
    again = call.store.lookup(body["id"])
    # A step that leaves its own moment behind would go on for ever.
    if again is not None and again == body and due_of(again) == at:
        raise RuntimeError(f"{body['id']} does not get past {at}")


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
    call.store.insert("test_helpers.test_clock", body)
    emit(call, "test_helpers.test_clock.created", body)
    return body


def get(call: Call) -> Object:
    return call.get("test_helpers.test_clock", call.path["id"])


def list_(call: Call) -> Object:
    return call.page_of("test_helpers.test_clock", url="/v1/test_helpers/test_clocks")


def advance(call: Call) -> Object:
    """Move a clock forward. The time passes in steps, so that each event bears its own moment.

    The answer says `advancing`, as Stripe's does; here the clock is ready by then.
    """
    body = call.get("test_helpers.test_clock", call.path["id"])
    target = call.params.integer("frozen_time")
    call.params.done()
    if target is None or target <= body["frozen_time"]:
        raise ApiError(
            "Invalid frozen_time: the clock can only be advanced to a time in its future.",
            param="frozen_time",
        )
    latest = _latest(call, body)
    if switches.is_on(call.store, "clock_limit") and target > latest:
        raise ApiError(
            "Test clock advancement cannot be more than two intervals in the future from the "
            f"shortest subscription in this test clock ({latest}).", param="frozen_time",
        )  # fmt: skip
    advancing = {
        "status": "advancing",
        "status_details": {"advancing": {"target_frozen_time": target}},
    }
    told = {**body, **advancing}
    emit(call, "test_helpers.test_clock.advancing", told)
    while (due := call.store.due(body["id"], until=target)) is not None:
        body["frozen_time"] = max(due[0], body["frozen_time"])
        call.store.save(body)
        _pass(call, due[1], at=due[0])
    body["frozen_time"] = target
    call.store.save(body)
    emit(call, "test_helpers.test_clock.ready", body)
    return told


def _latest(call: Call, clock: Object) -> int:
    """Return how far a clock may go: two intervals of the shortest subscription, or two years."""
    frozen = int(clock["frozen_time"])
    ends = [frozen + LONGEST_S]
    for body in call.store.on_clock(clock["id"]):
        if body["object"] == "subscription" and body["status"] in ("trialing", *lifecycle.RENEWS):
            ends += [
                calendar.anchored(
                    frozen, interval=item["price"]["recurring"]["interval"],
                    count=item["price"]["recurring"]["interval_count"], steps=MAX_INTERVALS,
                )
                for item in body["items"]["data"]
            ]  # fmt: skip
    return min(ends)


def delete(call: Call) -> Object:
    """Delete a clock and everything that lives by it."""
    body = call.get("test_helpers.test_clock", call.path["id"])
    call.params.done()
    for other in call.store.on_clock(body["id"]):
        call.store.delete(other["id"])
    call.store.delete(body["id"])
    emit(call, "test_helpers.test_clock.deleted", body)
    return {"id": body["id"], "object": "test_helpers.test_clock", "deleted": True}


ROUTES = [
    Route("POST", "/v1/test_helpers/test_clocks", create),
    Route("GET", "/v1/test_helpers/test_clocks", list_),
    Route("GET", "/v1/test_helpers/test_clocks/{id}", get),
    Route("POST", "/v1/test_helpers/test_clocks/{id}/advance", advance),
    Route("DELETE", "/v1/test_helpers/test_clocks/{id}", delete),
]
