"""The stand-in behaves as Stripe does, call by call, through the gateway that Takt uses."""

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest

from billing.gateways import StripeAway, StripeRefused, verified_event
from tests.billing.conftest import API_KEY, HOUR, WEBHOOK_SECRET, free_port, start_standin
from tests.billing.contract import CheckedSession, ContractBroken

OCT_10 = datetime(2026, 10, 10, tzinfo=UTC)
NOV_1 = datetime(2026, 11, 1, tzinfo=UTC)
pytestmark = pytest.mark.slow


@pytest.fixture
def key():
    return f"test-{time.time_ns()}"


@pytest.fixture
def meter(stripe):
    meters = stripe.meters()
    return meters.get("test_usage") or stripe.create_meter(event_name="test_usage", label="Usage")


@pytest.fixture
def price(stripe, meter, key):
    return stripe.create_price(
        lookup_key=key,
        product="Workshop: active machines",
        unit_label="machine",
        currency="eur",
        unit_amount=Decimal(2900),
        meter_id=meter,
    )


@pytest.fixture
def clock(stripe, key):
    return stripe.create_clock(key=f"{key}-clock", at=OCT_10)


@pytest.fixture
def customer(stripe, clock, key):
    return stripe.create_customer(
        key=key, name="Acme", email="o@acme.example", metadata={"a": "b"}, test_clock=clock
    )


@pytest.fixture
def subscription(stripe, customer, price, key):
    return stripe.create_subscription(
        key=f"{key}-sub", customer_id=customer, price_ids=[price], started_at=None, metadata={}
    )


@pytest.fixture
def use(stripe, customer, key):
    def report(quantity, at, name=""):
        return stripe.report_usage(
            identifier=f"{key}{name}{at.timestamp()}",
            event_name="test_usage",
            customer_id=customer,
            quantity=quantity,
            at=at,
        )

    return report


def test_a_period_ends_with_the_calendar_month(subscription):
    assert (subscription.period_start, subscription.period_end) == (OCT_10, NOV_1)


def test_usage_is_invoiced_when_the_month_ends_and_paid_with_the_card(
    stripe, clock, customer, subscription, use, key
):
    stripe.use_card(key=key, customer_id=customer, payment_method="pm_card_visa")
    use(3, OCT_10)
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))

    (invoice,) = stripe.invoices(customer)

    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", 8700, 8700)
    assert [(line.quantity, line.amount) for line in invoice.lines] == [(3, 8700)]
    assert (invoice.period_start, invoice.period_end) == (OCT_10, NOV_1)


def test_usage_told_while_the_invoice_is_a_draft_is_on_it(
    stripe, clock, customer, subscription, use
):
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(minutes=5))
    use(2, NOV_1 - HOUR)

    (draft,) = stripe.invoices(customer)
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))
    (final,) = stripe.invoices(customer)

    assert (draft.status, draft.total) == ("draft", 5800)
    assert final.total == 5800


def test_usage_told_after_the_invoice_is_fixed_changes_nothing_on_it(
    stripe, clock, customer, subscription, use
):
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))
    use(2, NOV_1 - HOUR)

    assert [i.total for i in stripe.invoices(customer)] == [0]


def test_a_sum_below_zero_is_charged_as_nothing(stripe, clock, customer, subscription, use):
    use(3, OCT_10)
    use(-5, OCT_10, name="less")
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))

    (invoice,) = stripe.invoices(customer)

    assert (invoice.lines[0].quantity, invoice.total, invoice.status) == (0, 0, "paid")


def test_usage_is_taken_once_under_any_idempotency_key(stripe, meter, customer, use, wire):
    first = use(3, OCT_10)
    # Another idempotency key is another request to Stripe; the identifier still decides.
    wire.headers["X-Test"] = "again"
    raw = httpx.post(
        f"{stripe._client._requestor.base_addresses['api']}/v1/billing/meter_events",
        headers={"Authorization": f"Bearer {API_KEY}"},
        data={"event_name": "test_usage", "identifier": "same", "payload[value]": "1",
              "payload[stripe_customer_id]": customer, "timestamp": str(int(OCT_10.timestamp()))},
    )  # fmt: skip
    again = httpx.post(raw.request.url, headers=raw.request.headers, content=raw.request.content)

    assert first is True
    assert (raw.status_code, again.status_code) == (200, 400)
    assert again.json()["error"]["message"] == "An event already exists with identifier same."
    assert "code" not in again.json()["error"]
    assert stripe.usage_total(
        meter_id=meter, customer_id=customer, start=OCT_10, end=OCT_10 + HOUR
    ) == 4  # fmt: skip


@pytest.mark.parametrize("offset", [timedelta(days=-35, minutes=-1), timedelta(minutes=6)])
def test_usage_too_old_or_in_the_future_is_refused(use, offset):
    with pytest.raises(StripeRefused, match="35 calendar days"):
        use(1, OCT_10 + offset)


def test_the_preview_shows_the_usage_so_far(stripe, subscription, use):
    use(4, OCT_10)

    assert stripe.preview(subscription.id).total == 4 * 2900


def test_an_exchanged_price_is_billed_for_what_it_counted_and_the_new_one_for_the_rest(
    stripe, clock, customer, subscription, use, meter, key
):
    dearer = stripe.create_price(
        lookup_key=f"{key}-2", product="Plant", unit_label="machine", currency="eur",
        unit_amount=Decimal(4900), meter_id=meter,
    )  # fmt: skip
    use(1, OCT_10)
    stripe.advance_clock(clock_id=clock, to=OCT_10 + 2 * HOUR)
    stripe.exchange_prices(
        key=f"{key}-x", subscription_id=subscription.id, old=subscription.items, new=[dearer]
    )
    use(2, OCT_10 + 3 * HOUR - timedelta(hours=1))
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))

    assert [i.total for i in stripe.invoices(customer)] == [2900 + 9800]


def test_a_refused_card_leaves_the_invoice_open_and_the_subscription_overdue(
    stripe, clock, customer, subscription, use, key
):
    stripe.use_card(key=key, customer_id=customer, payment_method="pm_card_chargeCustomerFail")
    use(1, OCT_10)
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))

    assert [i.status for i in stripe.invoices(customer)] == ["open"]
    assert stripe.subscription(subscription.id).status == "past_due"


def test_a_subscription_that_ends_with_the_month_sends_a_last_invoice(
    stripe, clock, customer, subscription, use, key
):
    stripe.end_with_period(key=f"{key}-end", subscription_id=subscription.id, wanted=True)
    use(1, OCT_10)
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(days=39))

    ended = stripe.subscription(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", NOV_1)
    assert [i.total for i in stripe.invoices(customer)] == [2900]


def test_the_same_idempotency_key_gives_the_same_answer(stripe, key):
    first, again = (
        stripe.create_customer(key=f"{key}-same", name="A", email="", metadata={}) for _ in "12"
    )

    assert first == again


def test_an_idempotency_key_for_another_body_is_refused(stripe, key):
    stripe.create_customer(key=f"{key}-other", name="A", email="", metadata={})

    with pytest.raises(StripeRefused, match="same parameters"):
        stripe.create_customer(key=f"{key}-other", name="B", email="", metadata={})


def test_what_does_not_exist_is_said_as_stripe_says_it(stripe):
    with pytest.raises(StripeRefused, match="No such subscription: 'sub_none'") as refusal:
        stripe.subscription("sub_none")

    assert (refusal.value.code, refusal.value.status) == ("resource_missing", 404)


def test_an_unknown_parameter_is_refused(standin):
    answer = httpx.post(
        f"{standin.url}/v1/customers",
        headers={"Authorization": f"Bearer {API_KEY}"},
        data={"name": "A", "nam": "B"},
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "parameter_unknown"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer sk_test_other"}])
def test_without_the_right_key_nothing_is_answered(standin, header):
    assert httpx.get(f"{standin.url}/v1/customers", headers=header).status_code == 401


def test_a_stripe_that_is_away_is_said_to_be_away(stripe, wire):
    def refuse(_method, _path):
        raise ConnectionError

    wire.before = refuse
    with pytest.raises(StripeAway):
        stripe.subscription("sub_none")


def test_lists_come_in_pages(standin, stripe, key):
    clock = stripe.create_clock(key=f"{key}-pages", at=OCT_10)
    ids = [
        stripe.create_customer(key=f"{key}-{i}", name="A", email="", metadata={}, test_clock=clock)
        for i in range(3)
    ]
    found, after, more = [], None, True
    while more:
        page = httpx.get(
            f"{standin.url}/v1/customers",
            params={
                "limit": 2,
                "test_clock": clock,
                **({"starting_after": after} if after else {}),
            },
            headers={"Authorization": f"Bearer {API_KEY}"},
        ).json()
        found += [c["id"] for c in page["data"]]
        after, more = found[-1], page["has_more"]

    assert found == ids[::-1]


def test_state_survives_a_restart(tmp_path):
    port, headers = free_port(), {"Authorization": f"Bearer {API_KEY}"}
    running = start_standin(tmp_path, port=port)
    made = httpx.post(f"{running.url}/v1/customers", data={"name": "Acme"}, headers=headers).json()
    running.stop()

    running = start_standin(tmp_path, port=port)
    found = httpx.get(f"{running.url}/v1/customers/{made['id']}", headers=headers).json()
    running.stop()

    assert found == made


def test_a_state_of_an_earlier_release_is_brought_up_to_date(tmp_path):
    headers = {"Authorization": f"Bearer {API_KEY}"}
    price = {
        "currency": "eur", "unit_amount": "5", "product_data[name]": "Desk",
        "recurring[interval]": "month",
    }  # fmt: skip
    running = start_standin(tmp_path)
    with httpx.Client(base_url=running.url, headers=headers) as client:
        clock = client.post(
            "/v1/test_helpers/test_clocks", data={"frozen_time": int(OCT_10.timestamp())}
        ).json()["id"]
        customer = client.post(
            "/v1/customers", data={"test_clock": clock, "payment_method": "pm_card_visa"}
        ).json()["id"]
        card = client.get(f"/v1/customers/{customer}/payment_methods").json()["data"][0]["id"]
        price_id = client.post("/v1/prices", data=price).json()["id"]
        items = {"items[0][price]": price_id, "default_payment_method": card}
        client.post("/v1/subscriptions", data={"customer": customer, **items})
    running.stop()
    _make_old(tmp_path / "stripe.sqlite3")

    running = start_standin(tmp_path)
    with httpx.Client(base_url=running.url, headers=headers) as client:
        later = {"frozen_time": int((OCT_10 + timedelta(days=40)).timestamp())}
        client.post(f"/v1/test_helpers/test_clocks/{clock}/advance", data=later)
        found = client.get("/v1/invoices").json()["data"]
    running.stop()

    assert [(i["status"], i["total"]) for i in found] == [("paid", 5), ("paid", 5)]


def _make_old(path):
    """Take away what the first release of the stand-in did not keep."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP INDEX object_due")
        for column in ("due", "clock"):
            db.execute(f"ALTER TABLE object DROP COLUMN {column}")
        for column in ("visible", "canceled"):
            db.execute(f"ALTER TABLE meter_event DROP COLUMN {column}")
        for seq, kind, text in db.execute("SELECT seq, kind, body FROM object").fetchall():
            body = json.loads(text)
            if kind in ("subscription", "payment_method", "customer"):
                body = {k: v for k, v in body.items() if not k.startswith("_")}
                for item in body.get("items", {}).get("data", []):
                    del item["_debits"], item["_tax_rates"]
            db.execute("UPDATE object SET body = ? WHERE seq = ?", (json.dumps(body), seq))


def test_the_card_page_can_be_clicked_through(stripe, customer, key):
    address = stripe.card_page(
        key=f"{key}-page", customer_id=customer, done_url="https://takt.example/done",
        back_url="https://takt.example/back",
    )  # fmt: skip
    page = httpx.get(address)

    answer = httpx.post(address, data={"card": "pm_card_visa"})

    assert "Visa ending in 4242" in page.text
    assert (answer.status_code, answer.headers["location"]) == (303, "https://takt.example/done")


def test_the_portal_shows_the_invoices(stripe, clock, customer, subscription, use, key):
    use(1, OCT_10)
    stripe.advance_clock(clock_id=clock, to=NOV_1 + timedelta(hours=2))

    address = stripe.portal_page(
        key=f"{key}-page", customer_id=customer, back_url="https://takt.example/"
    )

    assert "29.00 EUR" in httpx.get(address).text


def test_the_contract_refuses_what_stripe_does_not_know(wire):
    if wire.contract is None:
        pytest.skip("Stripe's description is absent (set TAKT_DATA)")
    for body in ("nam=x", "name=x&invoice_settings[footers]=y", "balance=much"):
        with pytest.raises(ContractBroken):
            wire.contract.check_request("POST", "/v1/customers", "", body)
    with pytest.raises(ContractBroken):
        wire.contract.check_answer("GET", "/v1/customers/cus_1", 200, {"id": "cus_1"})
    assert isinstance(wire, CheckedSession)


def test_two_calls_at_once_with_one_key_do_the_work_once(standin, key):
    def create(_n):
        return httpx.post(
            f"{standin.url}/v1/customers",
            data={"name": "At once"},
            headers={"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": f"{key}-once"},
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(16)))

    # A call that comes while another has the key is turned away, one that comes later is a replay.
    assert {a.status_code for a in answers} <= {200, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 200}) == 1
    refused = {a.json()["error"]["code"] for a in answers if a.status_code == 409}
    assert refused <= {"idempotency_key_in_use"}


def test_a_refused_call_may_be_made_again_under_its_key(stripe, clock, customer, meter, key):
    def use():
        return stripe.report_usage(
            identifier=key,
            event_name="test_usage",
            customer_id=customer,
            quantity=1,
            at=OCT_10 + HOUR,
        )

    with pytest.raises(StripeRefused, match="in the future"):
        use()
    stripe.advance_clock(clock_id=clock, to=OCT_10 + HOUR)

    assert use() is True


class Listener:
    """A web server that keeps what is delivered to it, and refuses the first deliveries."""

    def __init__(self, *, n_refused: int = 0) -> None:
        self.seen: list[tuple[bytes, str]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.seen.append((body, self.headers["Stripe-Signature"]))
                self.send_response(503 if len(listener.seen) <= n_refused else 200)
                self.end_headers()

            def log_message(self, *_args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for(self, n: int) -> list[tuple[bytes, str]]:
        deadline = time.monotonic() + 15
        while len(self.seen) < n and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.seen

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("switches", "n_refused", "n_expected"),
    [({}, 0, 1), ({}, 1, 2), ({"duplicate": "1"}, 0, 2)],
    ids=["once", "again-after-a-refusal", "twice-on-request"],
)
def test_events_are_delivered_signed(tmp_path, switches, n_refused, n_expected):
    listener = Listener(n_refused=n_refused)
    running = start_standin(tmp_path, webhook_url=listener.url)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    httpx.post(f"{running.url}/_sandbox/switches", data=switches)

    made = httpx.post(f"{running.url}/v1/customers", data={"name": "A"}, headers=headers).json()
    seen = listener.wait_for(n_expected)
    running.stop()
    listener.close()

    events = [verified_event(body=b, signature=s, secret=WEBHOOK_SECRET) for b, s in seen]
    assert [e.kind for e in events] == ["customer.created"] * n_expected
    assert len({e.id for e in events}) == 1
    assert events[0].payload["data"]["object"]["id"] == made["id"]


def test_a_dropped_delivery_is_still_in_the_list_of_events(tmp_path):
    listener = Listener()
    running = start_standin(tmp_path, webhook_url=listener.url)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    httpx.post(f"{running.url}/_sandbox/switches", data={"drop": "1"})
    httpx.post(f"{running.url}/v1/customers", data={"name": "A"}, headers=headers)

    listed = httpx.get(f"{running.url}/v1/events", headers=headers).json()["data"]
    queued = httpx.get(f"{running.url}/_sandbox/deliveries").json()
    running.stop()
    listener.close()

    assert [e["type"] for e in listed] == ["customer.created"]
    assert (queued, listener.seen) == ({}, [])


def test_search_is_refused_as_unknown_and_not_taken_for_an_id(tmp_path):
    running = start_standin(tmp_path)
    headers = {"Authorization": f"Bearer {API_KEY}"}

    refused = httpx.get(
        f"{running.url}/v1/customers/search", params={"query": "a"}, headers=headers
    )
    running.stop()

    assert refused.status_code == 404
    assert "Unrecognized request URL" in refused.json()["error"]["message"]
