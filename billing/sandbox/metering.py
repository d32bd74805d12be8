"""Meter events, their sums, their cancellation, and the errors that are told only later.

Contract: docs.stripe.com/api/billing/meter-event, .../billing/subscriptions/usage-based/
recording-usage-api ("Handle meter event errors"). Stripe checks the events of API v2's stream only
later; with the switch `async_meter_errors` those of API v1 as well.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billing.sandbox import events, switches
from billing.sandbox.call import Call, Route
from billing.sandbox.errors import ApiError
from billing.sandbox.store import Object, Store, new_id

OLDEST_S = 35 * 24 * 3600
FUTURE_S = 5 * 60
CANCEL_S = 24 * 3600
MAX_DIGITS = 15
N_SAMPLES = 5


class UsageRefused(ApiError):
    """An event that cannot be counted; `reason` is the code that Stripe's error report has."""

    def __init__(
        self, reason: str, message: str, *, code: str | None = None, param: str | None = None,
        meter: Object | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, code=code, param=param)
        self.reason = reason
        self.meter = meter


@dataclass(frozen=True, slots=True)
class Usage:
    """An event as it was sent; `request` is what an error report calls it by."""

    event_name: str
    identifier: str
    payload: dict[str, str]
    at: int | None
    request: str


def create_event(call: Call) -> Object:
    """Record usage once. A known identifier is refused, also under another idempotency key."""
    p = call.params
    name, identifier = p.required("event_name"), p.text("identifier") or new_id("mev")
    at, payload = p.integer("timestamp"), p.mapping("payload") or {}
    p.done()
    sent = Usage(name, identifier, payload, at, call.idempotency_key or identifier)
    _check_identifier(call, identifier)
    try:
        now, at = record(call, sent)
    except UsageRefused as refusal:
        late = switches.is_on(call.store, "async_meter_errors") and refusal.meter is not None
        if not late:
            raise
        keep_error(call.store, refusal, sent)
        now = call.now()
        at = now if at is None else at
    return {
        "object": "billing.meter_event", "created": now, "event_name": name,
        "identifier": identifier, "livemode": False, "payload": payload, "timestamp": at,
    }  # fmt: skip


def _check_identifier(call: Call, identifier: str) -> None:
    if len(identifier) > 100:
        raise ApiError(
            "Invalid string: identifier must be at most 100 characters", param="identifier"
        )
    if is_known(call, identifier):
        raise ApiError(f"An event already exists with identifier {identifier}.")


def is_known(call: Call, identifier: str) -> bool:
    return bool(call.store.run("SELECT 1 FROM meter_event WHERE identifier = ?", identifier))


def record(call: Call, sent: Usage) -> tuple[int, int]:
    """Count an event; return when it was taken and which time it has.

    Raises:
        UsageRefused: its meter, customer, value or time will not do.
    """
    meter = _meter(call, sent.event_name)
    key = meter["customer_mapping"]["event_payload_key"]
    if not sent.payload.get(key):
        raise UsageRefused(
            "meter_event_no_customer_defined",
            f"The event payload does not have the customer mapping key {key}.",
            param=f"payload[{key}]", meter=meter,
        )  # fmt: skip
    customer = call.store.find("customer", sent.payload[key])
    if customer is None:
        raise UsageRefused(
            "meter_event_customer_not_found", f"No such customer: '{sent.payload[key]}'",
            code="resource_missing", param=f"payload[{key}]", meter=meter,
        )  # fmt: skip
    value, now = _value(meter, sent.payload), call.now(customer)
    at = now if sent.at is None else sent.at
    if not now - OLDEST_S <= at <= now + FUTURE_S:
        code = "timestamp_too_far_in_past" if at < now else "timestamp_in_future"
        raise UsageRefused(
            code,
            "The timestamp must be within the past 35 calendar days or up to 5 minutes in the "
            "future.", code=code, param="timestamp", meter=meter,
        )  # fmt: skip
    visible = time.time() + switches.number(call.store, "meter_delay_s")
    call.store.run(
        "INSERT INTO meter_event (identifier, event_name, customer, at, value, created, visible) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        sent.identifier, sent.event_name, customer["id"], at, value, now, visible,
    )  # fmt: skip
    return now, at


def _meter(call: Call, name: str) -> Object:
    found = [m for m in call.store.all("billing.meter") if m["event_name"] == name]
    for meter in found:
        if meter["status"] == "active":
            return meter
    if found:
        raise UsageRefused(
            "archived_meter", f"The meter for the event name {name} is archived.",
            param="event_name", code="archived_meter", meter=found[0],
        )  # fmt: skip
    raise UsageRefused(
        "no_meter", f"No active meter found for event name: {name}", code="resource_missing",
        param="event_name",
    )  # fmt: skip


def _value(meter: Object, payload: dict[str, str]) -> int:
    key = meter["value_settings"]["event_payload_key"]
    if meter["default_aggregation"]["formula"] == "count":
        return 1
    try:
        value = int(payload[key])
    except (KeyError, ValueError):
        raise UsageRefused(
            "meter_event_invalid_value",
            f"Invalid meter event payload: {key} must be a whole number.",
            param=f"payload[{key}]", meter=meter,
        ) from None  # fmt: skip
    if len(str(abs(value))) > MAX_DIGITS:
        raise UsageRefused(
            "meter_event_value_too_many_digits",
            f"The value in the event payload can have at most {MAX_DIGITS} digits. Received "
            f"{value}.", param=f"payload[{key}]", meter=meter,
        )  # fmt: skip
    return value


def keep_error(store: Store, refusal: UsageRefused, sent: Usage) -> None:
    """Remember an event that was answered with 200 and is not counted."""
    store.run(
        "INSERT INTO meter_error (meter, code, message, request, created) VALUES (?, ?, ?, ?, ?)",
        refusal.meter["id"] if refusal.meter else "", refusal.reason, refusal.message,
        sent.request, time.time(),
    )  # fmt: skip


def report_errors(store: Store) -> int:
    """Tell of the errors that came together, an event per meter; return how many events.

    Source: docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api#handle-errors
    """
    rows = store.run("SELECT meter, code, message, request, created FROM meter_error ORDER BY seq")
    by_meter: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        by_meter.setdefault(row[0], []).append(row)
    for meter_id, errors in by_meter.items():
        events.publish(store, _error_report(meter_id, errors))
    if rows:
        store.run("DELETE FROM meter_error")
    return len(by_meter)


def _error_report(meter_id: str, errors: list[tuple[Any, ...]]) -> Object:
    by_code: dict[str, list[tuple[Any, ...]]] = {}
    for error in errors:
        by_code.setdefault(error[1], []).append(error)
    kinds = [
        {
            "code": code, "error_count": len(found),
            "sample_errors": [
                {"error_message": e[2], "request": {"identifier": e[3]}}
                for e in found[:N_SAMPLES]
            ],
        }
        for code, found in by_code.items()
    ]  # fmt: skip
    n, moments = len(errors), [error[4] for error in errors]
    related = {
        "id": meter_id, "type": "billing.meter", "url": f"/v1/billing/meters/{meter_id}",
    } if meter_id else None  # fmt: skip
    kind = "error_report_triggered" if meter_id else "no_meter_found"
    return {
        "id": new_id("evt_test"), "object": "v2.core.event", "context": None,
        "created": iso(time.time()),
        "data": {
            "developer_message_summary": f"There {'is' if n == 1 else 'are'} {n} invalid "
            f"event{'' if n == 1 else 's'}",
            "reason": {"error_count": n, "error_types": kinds},
            "validation_start": iso(min(moments)), "validation_end": iso(max(moments)),
        },
        "livemode": False, "pending_webhooks": 0, "reason": None, "related_object": related,
        "type": f"v1.billing.meter.{kind}",
    }  # fmt: skip


def iso(at: float) -> str:
    """Write a time as API v2 does."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def usage(call: Call, meter: Object, customer_id: str, start: int, end: int) -> int:
    """Return what is counted of a customer's usage in [start, end). It may be below zero."""
    is_last = meter["default_aggregation"]["formula"] == "last"
    chosen = "value" if is_last else "COALESCE(SUM(value), 0)"
    order = " ORDER BY at DESC, created DESC LIMIT 1" if is_last else ""
    rows = call.store.run(
        f"SELECT {chosen} FROM meter_event WHERE event_name = ? AND customer = ? "  # noqa: S608
        f"AND at >= ? AND at < ? AND canceled = 0 AND visible <= ?{order}",
        meter["event_name"], customer_id, start, end, time.time(),
    )  # fmt: skip
    return int(rows[0][0]) if rows else 0


def summaries(call: Call) -> Object:
    """Sum one customer's usage over a range, whole or by hour or day."""
    p, meter = call.params, call.get("billing.meter", call.path["id"])
    customer = call.named("customer", "customer")
    start, end = p.integer("start_time"), p.integer("end_time")
    window = p.choice("value_grouping_window", ("", "hour", "day"), "")
    unit = {"": 60, "hour": 3600, "day": 86400}[window]
    if start is None or end is None or start % unit or end % unit or start >= end:
        raise ApiError(
            "start_time and end_time must be given, in order, and aligned with minutes (with "
            "UTC hours or days where value_grouping_window says so).", param="start_time",
        )  # fmt: skip
    found = []
    for begin in range(start, end, unit if window else end - start):
        until = begin + unit if window else end
        value = usage(call, meter, customer["id"], begin, until)
        if value or not window:
            found.append(_summary(meter, customer, value, begin, until))
    return call.page(found[::-1], url=f"/v1/billing/meters/{meter['id']}/event_summaries")


def _summary(meter: Object, customer: Object, value: int, begin: int, until: int) -> Object:
    return {
        # Summaries are computed; the id is the same each time, so that pages can be turned.
        "id": f"mtrusg_test_{customer['id'][4:]}{begin}x{until}",
        "object": "billing.meter_event_summary", "aggregated_value": value,
        "start_time": begin, "end_time": until, "livemode": False, "meter": meter["id"],
    }  # fmt: skip


def cancel_event(call: Call) -> Object:
    """Take back an event within 24 hours of its receipt."""
    p = call.params
    p.choice("type", ("cancel",), "")
    name, identifier = p.required("event_name"), p.child("cancel").required("identifier")
    p.done()
    rows = call.store.run(
        "SELECT customer, created, canceled FROM meter_event "
        "WHERE identifier = ? AND event_name = ?", identifier, name,
    )  # fmt: skip
    if not rows:
        raise ApiError(
            f"No event with identifier '{identifier}' was found for the event name {name}.",
            code="resource_missing", param="cancel[identifier]",
        )  # fmt: skip
    customer_id, created, canceled = rows[0]
    owner = call.store.find("customer", customer_id)
    if canceled or call.now(owner) - created > CANCEL_S:
        raise ApiError(
            "The event is already cancelled, or it was received more than 24 hours ago.",
            param="cancel[identifier]",
        )
    call.store.run("UPDATE meter_event SET canceled = 1 WHERE identifier = ?", identifier)
    return {
        "object": "billing.meter_event_adjustment", "cancel": {"identifier": identifier},
        "event_name": name, "livemode": False, "status": "complete", "type": "cancel",
    }  # fmt: skip


ROUTES = [
    Route("POST", "/v1/billing/meter_events", create_event),
    Route("POST", "/v1/billing/meter_event_adjustments", cancel_event),
    Route("GET", "/v1/billing/meters/{id}/event_summaries", summaries),
]
