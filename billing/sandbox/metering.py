"""Meter events and their sums (docs.stripe.com/api/billing/meter-event)."""

from billing.sandbox.call import Call, Route, listing
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.store import Object, new_id

OLDEST_S = 35 * 24 * 3600
FUTURE_S = 5 * 60


def create_event(call: Call) -> Object:
    """Record usage once. A known identifier is refused, also under another idempotency key."""
    p = call.params
    name, identifier = p.required("event_name"), p.text("identifier") or new_id("mev")
    at, payload = p.integer("timestamp"), p.mapping("payload") or {}
    p.done()
    meter = next(
        (
            m for m in call.store.all("billing.meter")
            if m["event_name"] == name and m["status"] == "active"
        ),
        None,
    )  # fmt: skip
    if meter is None:
        raise ApiError(
            f"No active meter found for event name: {name}", code="resource_missing",
            param="event_name",
        )  # fmt: skip
    if len(identifier) > 100:
        raise ApiError(
            "Invalid string: identifier must be at most 100 characters", param="identifier"
        )
    key = meter["customer_mapping"]["event_payload_key"]
    customer = call.store.find("customer", payload.get(key, ""))
    if customer is None:
        raise missing("customer", payload.get(key, ""), param=f"payload[{key}]", status=400)
    value = _value(meter, payload)
    now = call.now(customer)
    at = now if at is None else at
    if not now - OLDEST_S <= at <= now + FUTURE_S:
        raise ApiError(
            "The timestamp must be within the past 35 calendar days or up to 5 minutes in the "
            "future.",
            code="timestamp_too_far_in_past" if at < now else "timestamp_in_future",
            param="timestamp",
        )
    if call.store.run("SELECT 1 FROM meter_event WHERE identifier = ?", identifier):
        raise ApiError(f"An event already exists with identifier {identifier}.")
    call.store.run(
        "INSERT INTO meter_event (identifier, event_name, customer, at, value, created) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        identifier, name, customer["id"], at, value, now,
    )  # fmt: skip
    return {
        "object": "billing.meter_event", "created": now, "event_name": name,
        "identifier": identifier, "livemode": False, "payload": payload, "timestamp": at,
    }  # fmt: skip


def _value(meter: Object, payload: dict[str, str]) -> int:
    key = meter["value_settings"]["event_payload_key"]
    if meter["default_aggregation"]["formula"] == "count":
        return 1
    try:
        return int(payload[key])
    except (KeyError, ValueError):
        raise ApiError(
            f"Invalid meter event payload: {key} must be a whole number.",
            param=f"payload[{key}]",
        ) from None


def usage(call: Call, meter: Object, customer_id: str, start: int, end: int) -> int:
    """Return what a customer used of a meter in [start, end). It may be below zero."""
    if meter["default_aggregation"]["formula"] == "last":
        rows = call.store.run(
            "SELECT value FROM meter_event WHERE event_name = ? AND customer = ? "
            "AND at >= ? AND at < ? ORDER BY at DESC, created DESC LIMIT 1",
            meter["event_name"], customer_id, start, end,
        )  # fmt: skip
        return int(rows[0][0]) if rows else 0
    rows = call.store.run(
        "SELECT COALESCE(SUM(value), 0) FROM meter_event "
        "WHERE event_name = ? AND customer = ? AND at >= ? AND at < ?",
        meter["event_name"], customer_id, start, end,
    )  # fmt: skip
    return int(rows[0][0])


def summaries(call: Call) -> Object:
    """Sum one customer's usage over a range, whole or by hour or day."""
    p, meter = call.params, call.get("billing.meter", call.path["id"])
    customer = call.named("customer", "customer")
    start, end = p.integer("start_time"), p.integer("end_time")
    if start is None or end is None or start % 60 or end % 60 or start >= end:
        raise ApiError(
            "start_time and end_time must be given, in order, and aligned with minutes.",
            param="start_time",
        )
    window = p.choice("value_grouping_window", ("", "hour", "day"), "")
    p.skip("limit", "starting_after", "ending_before")
    p.done()
    step = {"": end - start, "hour": 3600, "day": 86400}[window]
    data = []
    for begin in range(start, end, step):
        until = min(begin + step, end)
        value = usage(call, meter, customer["id"], begin, until)
        if window and not value:
            continue
        data.append(
            {
                "id": new_id("mtrusg"),
                "object": "billing.meter_event_summary",
                "aggregated_value": value,
                "start_time": begin,
                "end_time": until,
                "livemode": False,
                "meter": meter["id"],
            }
        )
    data.reverse()
    return listing(data, url=f"/v1/billing/meters/{meter['id']}/event_summaries")


ROUTES = [
    Route("POST", "/v1/billing/meter_events", create_event),
    Route("GET", "/v1/billing/meters/{id}/event_summaries", summaries),
]
