"""Meters of the stand-in: late errors, cancellation, summaries, API v2; and what switches spoil."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from billing.answers import UsageEvent
from billing.gateways import StripeRefused
from tests.billing.conftest import API_KEY, HOUR, start_standin
from tests.billing.contract import Refused
from tests.billing.test_standin import Listener
from tests.billing.world import DAY, OCT_1, World

AUTH = {"Authorization": f"Bearer {API_KEY}"}
pytestmark = pytest.mark.slow


@pytest.fixture
def world(api):
    return World(api)


@pytest.fixture
def total(world):
    def counted(start=OCT_1, end=OCT_1 + DAY):
        found = world.api.get(
            f"/v1/billing/meters/{world.meter}/event_summaries", customer=world.customer,
            start_time=start, end_time=end,
        )["data"]  # fmt: skip
        return sum(row["aggregated_value"] for row in found)

    return counted


def test_summaries_are_by_hour_or_day(world):
    world.advance(OCT_1 + 2 * DAY)
    for at in (OCT_1, OCT_1 + HOUR / 2, OCT_1 + 3 * HOUR, OCT_1 + DAY):
        world.use(2, at)
    path = f"/v1/billing/meters/{world.meter}/event_summaries"
    span = {"customer": world.customer, "start_time": OCT_1, "end_time": OCT_1 + 2 * DAY}
    by_hour = world.api.get(path, value_grouping_window="hour", **span)["data"]
    by_day = world.api.get(path, value_grouping_window="day", **span)["data"]
    page = world.api.get(path, value_grouping_window="hour", limit=2, **span)
    rest = world.api.get(
        path, value_grouping_window="hour", limit=2, starting_after=page["data"][-1]["id"], **span
    )

    assert [row["aggregated_value"] for row in by_hour] == [2, 2, 4]
    assert [row["aggregated_value"] for row in by_day] == [2, 6]
    assert page["has_more"] is True
    assert page["data"] + rest["data"] == by_hour
    with pytest.raises(Refused, match="aligned"):
        world.api.get(path, **{**span, "start_time": OCT_1 + timedelta(seconds=1)})


def test_an_event_is_taken_back_within_a_day(world, total):
    for n, at in enumerate((OCT_1, OCT_1)):
        world.api.post(
            "/v1/billing/meter_events", event_name="subscription_tests", timestamp=at,
            identifier=f"{world.customer}-{n}",
            payload={"stripe_customer_id": world.customer, "value": 5},
        )  # fmt: skip
    cancel = {"event_name": "subscription_tests", "type": "cancel"}
    path = "/v1/billing/meter_event_adjustments"
    world.api.post(path, cancel={"identifier": f"{world.customer}-0"}, **cancel)
    after_one = total()
    world.advance(OCT_1 + DAY + HOUR)
    with pytest.raises(Refused, match="24 hours"):
        world.api.post(path, cancel={"identifier": f"{world.customer}-1"}, **cancel)
    with pytest.raises(Refused, match="No event"):
        world.api.post(path, cancel={"identifier": "none"}, **cancel)

    assert (after_one, total()) == (5, 5)


@pytest.mark.parametrize(
    ("payload", "offset", "code"),
    [
        ({"stripe_customer_id": "cus_none", "value": "1"}, HOUR * 0, "customer_not_found"),
        ({"value": "1"}, HOUR * 0, "no_customer_defined"),
        ({"value": "much"}, HOUR * 0, "invalid_value"),
        ({"value": "1234567890123456"}, HOUR * 0, "too_many_digits"),
        ({"value": "1"}, -36 * DAY, "timestamp_too_far_in_past"),
    ],
)
def test_with_late_errors_an_event_is_taken_and_reported(tmp_path, payload, offset, code):
    listener = Listener()
    running = start_standin(tmp_path, webhook_url=listener.url)
    with httpx.Client(base_url=running.url, headers=AUTH) as client:
        meter, customer = _meter_and_customer(client)
        if "stripe_customer_id" not in payload and code != "no_customer_defined":
            payload = {"stripe_customer_id": customer, **payload}
        at = int((datetime.now(UTC) + offset).timestamp())
        body = {"event_name": "u", "timestamp": str(at), "identifier": "one"}
        body |= {f"payload[{k}]": v for k, v in payload.items()}
        refused = client.post("/v1/billing/meter_events", data=body)
        client.post("/_sandbox/switches", data={"async_meter_errors": "1"})
        taken = client.post("/v1/billing/meter_events", data=body, headers={"Idempotency-Key": "k"})
        told = [_json(body) for body, _ in listener.wait_for(3)]
        (report,) = [e for e in told if e["object"] == "v2.core.event"]
        fetched = client.get(f"/v2/core/events/{report['id']}").json()
    running.stop()
    listener.close()

    assert (refused.status_code, taken.status_code) == (400, 200)
    assert report["type"] == "v1.billing.meter.error_report_triggered"
    assert report["related_object"]["id"] == meter
    (kind,) = report["data"]["reason"]["error_types"]
    assert code in kind["code"]
    assert kind["sample_errors"][0]["request"] == {"identifier": "k"}
    assert fetched == report


def _meter_and_customer(client):
    meter = client.post(
        "/v1/billing/meters",
        data={"event_name": "u", "display_name": "U", "default_aggregation[formula]": "sum"},
    )
    customer = client.post("/v1/customers", data={"name": "A"})
    return meter.json()["id"], customer.json()["id"]


def _json(body):
    return httpx.Response(200, content=body).json()


def test_usage_is_counted_only_after_a_while_where_a_switch_says_so(world, total, switch):
    switch(meter_delay_s=1.5)
    world.use(3, OCT_1)
    early = total()
    deadline = time.monotonic() + 10
    while total() == 0 and time.monotonic() < deadline:
        time.sleep(0.2)

    assert (early, total()) == (0, 3)


# -- API v2 ----------------------------------------------------------------------------------------
def usage(world, identifier, quantity=1, at=OCT_1, customer=None):
    return UsageEvent(
        identifier=f"{world.customer}-{identifier}", event_name="subscription_tests",
        customer_id=customer or world.customer, quantity=quantity, at=at,
    )  # fmt: skip


def test_a_batch_is_told_in_one_call_and_each_event_counts_once(world, stripe, wire, total):
    batch = [usage(world, n, quantity=n) for n in range(100)]
    outcomes = stripe.report_usage_batch(batch)
    again = stripe.report_usage_batch(batch[:50])

    assert {o.status for o in outcomes + again} == {"sent"}
    assert total() == sum(range(100))
    paths = [path for _, path in wire.calls if path.startswith("/v2")]
    assert paths == [
        "/v2/billing/meter_event_session", "/v2/billing/meter_event_stream",
        "/v2/billing/meter_event_stream",
    ]  # fmt: skip


def test_a_wrong_event_spoils_no_batch(world, stripe, total):
    stripe.report_usage_batch([usage(world, "good"), usage(world, "bad", customer="cus_none")])

    assert total() == 1


def test_without_a_stream_events_are_told_one_by_one(world, stripe, total, monkeypatch):
    def absent():
        raise StripeRefused("Unrecognized request URL", code=None, status=404)

    monkeypatch.setattr(stripe, "_event_stream", absent)
    first = stripe.report_usage_batch([usage(world, 1), usage(world, 2)])
    again = stripe.report_usage_batch(
        # Another time is another request; under the same key the first answer would be repeated.
        [
            usage(world, 1, at=OCT_1 + timedelta(seconds=1)),
            usage(world, 3, customer="cus_none"),
            usage(world, 4),
        ]
    )

    assert [o.status for o in first] == ["sent", "sent"]
    assert [o.status for o in again] == ["known", "refused", "sent"]
    assert "cus_none" in again[1].reason
    assert total() == 3


def test_the_stream_wants_a_session_and_at_most_a_hundred_events(standin, world):
    event = {
        "event_name": "subscription_tests", "payload": {"stripe_customer_id": world.customer,
        "value": "1"}, "timestamp": "2026-10-01T00:00:00Z",
    }  # fmt: skip
    url = f"{standin.url}/v2/billing/meter_event_stream"
    token = httpx.post(f"{standin.url}/v2/billing/meter_event_session", headers=AUTH).json()
    session = {"Authorization": f"Bearer {token['authentication_token']}"}

    answers = [
        httpx.post(url, headers=headers, json={"events": events}).status_code
        for headers, events in (
            (AUTH, [event]), (session, [event] * 101), (session, []),
            (session, [{**event, "much": 1}]), (session, [event]),
        )
    ]  # fmt: skip
    one = httpx.post(f"{standin.url}/v2/billing/meter_events", headers=AUTH, json=event)
    unknown = {**event, "payload": {"stripe_customer_id": "cus_none", "value": "1"}}
    refused = httpx.post(f"{standin.url}/v2/billing/meter_events", headers=AUTH, json=unknown)

    assert answers == [401, 400, 400, 400, 200]
    assert one.json()["object"] == "v2.billing.meter_event"
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "resource_missing")


# -- what switches spoil ---------------------------------------------------------------------------
def test_a_lost_answer_is_found_again_under_its_key(world, switch):
    switch(lose_answers=1)
    with pytest.raises(Refused) as lost:
        world.api.post("/v1/customers", key=f"{world.customer}-lost", name="Lost")
    switch(lose_answers=0)
    found = world.api.post("/v1/customers", key=f"{world.customer}-lost", name="Lost")
    known = world.api.get("/v1/customers", limit=100)["data"]

    assert (lost.value.status, found["name"]) == (500, "Lost")
    assert [c["id"] for c in known if c["name"] == "Lost"].count(found["id"]) == 1


def test_a_share_of_calls_finds_nobody(world, switch):
    switch(away=1)
    with pytest.raises(Refused) as away:
        world.invoices()
    switch(away=0)

    assert (away.value.status, world.invoices()) == (503, [])


def test_calls_above_the_rate_are_turned_away(standin, switch):
    switch(rate_limit_per_s=5)
    answers = [httpx.get(f"{standin.url}/v1/prices", headers=AUTH) for _ in range(20)]
    switch(rate_limit_per_s=0)

    refused = [a for a in answers if a.status_code == 429]
    assert 5 <= len(refused) < 20
    assert refused[0].json()["error"]["code"] == "rate_limit"


@pytest.mark.parametrize(
    ("headers", "identifiers", "status", "code"),
    [
        ({}, ("a", "b"), 429, "lock_timeout"),
        ({"Idempotency-Key": "one"}, ("c", "c"), 409, "idempotency_key_in_use"),
    ],
    ids=["meter", "key"],
)
def test_a_second_call_at_once_is_turned_away(standin, world, headers, identifiers, status, code):
    """One event at a time for a customer and meter; one call at a time under a key."""
    customers = [world.customer] if not headers else [world.customer, "cus_other"]

    def send(n):
        return httpx.post(
            f"{standin.url}/v1/billing/meter_events", headers={**AUTH, **headers}, timeout=20,
            data={"event_name": "subscription_tests", "payload[value]": "1",
                  "payload[stripe_customer_id]": customers[n % len(customers)],
                  "identifier": world.clock + identifiers[n],
                  "timestamp": str(int(OCT_1.timestamp()))},
        )  # fmt: skip

    # While another has the state's write lock, the first call works on and on.
    other = sqlite3.connect(standin.folder / "stripe.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(send, 0)
        time.sleep(0.5)
        second = send(1)
        other.execute("ROLLBACK")
    other.close()

    assert (second.status_code, second.json()["error"]["code"]) == (status, code)
    assert first.result().status_code == 200
    assert send(1).status_code in (200, 400)


@pytest.mark.parametrize(
    "values", [{"dropp": "1"}, {"drop": "much"}, {"after_dunning": "sue"}, {"dunning_days": "5,3"}]
)
def test_a_switch_that_is_none_is_refused(standin, values):
    before = httpx.get(f"{standin.url}/_sandbox/switches").json()
    answer = httpx.post(f"{standin.url}/_sandbox/switches", data=values)

    assert answer.status_code == 400
    assert httpx.get(f"{standin.url}/_sandbox/switches").json() == before


def test_a_pause_holds_deliveries_back_and_an_event_is_sent_again_on_request(tmp_path):
    listener = Listener()
    running = start_standin(tmp_path, webhook_url=listener.url)
    with httpx.Client(base_url=running.url, headers=AUTH) as client:
        client.post("/_sandbox/switches", data={"pause": "1"})
        client.post("/v1/customers", data={"name": "A"})
        time.sleep(0.8)
        held = len(listener.seen)
        waiting = client.get("/v1/events", params={"delivery_success": "false"}).json()["data"]
        client.post("/_sandbox/switches", data={"pause": "0"})
        listener.wait_for(1)
        again = client.post(f"/_sandbox/events/{waiting[0]['id']}/resend").json()
        listener.wait_for(2)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            done = client.get("/v1/events", params={"delivery_success": "true"}).json()["data"]
            if done:
                break
            time.sleep(0.1)
    running.stop()
    listener.close()

    assert (held, len(waiting), again) == (0, 1, {"queued": 1})
    assert (len(listener.seen), len(done)) == (2, 1)
