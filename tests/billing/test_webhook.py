"""What Stripe delivers: proven, stored once, applied once, in any order."""

import hashlib
import hmac
import itertools
import json
import time

import pytest
from django.test import Client, override_settings

from billing import services
from billing.gateways import StripeAway
from billing.models import InboxEvent, Invoice, Subscription
from tenants.models import Job
from tests.billing.conftest import HOUR, NOV_1, WEBHOOK_SECRET
from tests.billing.test_chain import OCT_10, away, started  # noqa: F401  a fixture
from tests.conftest import PUBLIC_HOST

pytestmark = pytest.mark.slow


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={mac}"


def deliver(body: bytes, signature: str | None, *, host: str = PUBLIC_HOST):
    headers = {} if signature is None else {"Stripe-Signature": signature}
    with override_settings(STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET):
        return Client().post(
            "/stripe/webhook", body, content_type="application/json", secure=True,
            headers=headers, HTTP_HOST=host,
        )  # fmt: skip


def event(kind: str, object_: dict, *, event_id: str = "evt_1") -> bytes:
    return json.dumps({"id": event_id, "type": kind, "data": {"object": object_}}).encode()


INVOICE_EVENT = event("invoice.paid", {"id": "in_1", "customer": "cus_1"})


def test_a_signed_event_is_stored_and_queued_once_however_often_it_comes(db):
    answers = [deliver(INVOICE_EVENT, signed(INVOICE_EVENT)) for _ in range(3)]

    assert [a.status_code for a in answers] == [200, 200, 200]
    assert [a.json()["known"] for a in answers] == [False, True, True]
    assert InboxEvent.objects.count() == 1
    assert Job.objects.filter(task="billing.apply_event").count() == 1


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "nonsense",
        "t=1,v1=",
        signed(INVOICE_EVENT, secret="whsec_other"),
        signed(INVOICE_EVENT + b" "),
        signed(INVOICE_EVENT, at=time.time() - 3600),
        signed(INVOICE_EVENT).replace("v1=", "v0="),
    ],
    ids=["none", "empty", "nonsense", "no-mac", "other-secret", "tampered", "stale", "scheme"],
)
def test_what_stripe_did_not_sign_just_now_changes_nothing(db, signature):
    answer = deliver(INVOICE_EVENT, signature)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature")
    assert not InboxEvent.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"id": 1}'])
def test_a_signed_body_that_is_no_event_is_refused(db, body):
    secret = WEBHOOK_SECRET
    at = int(time.time())
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()

    assert deliver(body, f"t={at},v1={mac}").status_code == 400


def test_without_a_secret_in_the_settings_nothing_is_believed(db):
    with override_settings(STRIPE_WEBHOOK_SECRET=""):
        answer = Client().post(
            "/stripe/webhook", INVOICE_EVENT, content_type="application/json", secure=True,
            headers={"Stripe-Signature": signed(INVOICE_EVENT, secret="")}, HTTP_HOST=PUBLIC_HOST,
        )  # fmt: skip
    assert answer.status_code == 400


def test_the_webhook_is_not_on_a_factory_s_host(acme):
    answer = deliver(INVOICE_EVENT, signed(INVOICE_EVENT), host="acme.localhost:8443")

    assert answer.status_code in (302, 404)  # a visitor is sent to sign in, as for any address
    assert not InboxEvent.objects.exists()


def test_the_webhook_takes_posts_only(db):
    assert Client().get("/stripe/webhook", secure=True, HTTP_HOST=PUBLIC_HOST).status_code == 405


def test_an_event_about_somebody_unknown_is_kept_and_ignored(db, stripe):
    deliver(INVOICE_EVENT, signed(INVOICE_EVENT))

    assert services.apply_event(event_id="evt_1") == "ignored"
    assert not Invoice.objects.exists()


@pytest.fixture
def lived(acme, started, readings, stripe):  # noqa: F811
    """acme after a month at Stripe, of which no event has arrived yet."""
    services.use_card(factory=acme, payment_method="pm_card_visa")
    readings.add("machine:a", OCT_10, 10)
    clock_id = started.account.test_clock_id
    stripe.advance_clock(clock_id=clock_id, to=OCT_10 + HOUR)
    services.roll_up(factory=acme, until=OCT_10 + HOUR, at=OCT_10 + HOUR)
    services.report_usage(factory=acme, at=OCT_10 + HOUR)
    stripe.advance_clock(clock_id=clock_id, to=NOV_1 + 2 * HOUR)
    return started


def test_all_orders_of_the_events_of_a_month_with_repeats_end_in_one_state(acme, lived, stripe):
    customer_id = lived.account.stripe_customer_id
    (invoice,) = stripe.invoices(customer_id)
    subject = {"id": invoice.id, "customer": customer_id}
    subscription = {"id": lived.stripe_id, "customer": customer_id}
    kinds = [
        ("invoice.created", subject),
        ("customer.subscription.updated", subscription),
        ("invoice.finalized", subject),
        ("invoice.paid", subject),
    ]
    states = set()
    for n, order in enumerate(itertools.permutations(kinds)):
        Invoice.objects.all().delete()
        Subscription.objects.filter(pk=lived.pk).update(status="past_due", period_end=OCT_10)
        for i, (kind, body) in enumerate((*order, order[n % 4], order[0])):
            # The two last are repeats of events that came before.
            name = f"evt_{n}_{[k for k, _ in order].index(kind) if i >= 4 else i}"
            raw = event(kind, body, event_id=name)
            deliver(raw, signed(raw))
            services.apply_event(event_id=name)
        states.add(
            (
                *Invoice.objects.values_list("stripe_id", "status", "total_minor", "paid_minor"),
                *Subscription.objects.values_list("status", "period_end"),
                sum(i.lines.count() for i in Invoice.objects.all()),
            )
        )
    assert states == {((invoice.id, "paid", 2900, 2900), ("active", NOV_1.replace(month=12)), 5)}
    assert InboxEvent.objects.filter(state="done").count() == 24 * 4


def test_while_stripe_cannot_be_asked_an_event_waits(acme, lived, wire, stripe):
    (invoice,) = stripe.invoices(lived.account.stripe_customer_id)
    raw = event("invoice.paid", {"id": invoice.id, "customer": invoice.customer_id})
    deliver(raw, signed(raw))
    wire.before = away

    with pytest.raises(StripeAway):
        services.apply_event(event_id="evt_1")
    assert InboxEvent.objects.get().state == "received"
    wire.before = lambda _method, _path: None

    assert services.apply_event(event_id="evt_1") == "done"
    assert Invoice.objects.get().status == "paid"


def test_an_event_that_cannot_be_applied_becomes_a_dead_letter_that_can_be_replayed(acme, lived):
    body = {"id": "in_gone", "customer": lived.account.stripe_customer_id}
    raw = event("invoice.paid", body)
    deliver(raw, signed(raw))

    states = [services.apply_event(event_id="evt_1") for _ in range(6)]

    assert states == ["received"] * 4 + ["dead", "dead"]
    assert "No such invoice" in InboxEvent.objects.get().error
    services.replay_event(event_id="evt_1")
    assert InboxEvent.objects.get().state == "received"


def test_another_customer_s_invoice_in_an_event_changes_nothing_of_ours(
    acme, globex, lived, stripe
):
    """An event names our customer and somebody else's invoice: what Stripe says of it decides."""
    (invoice,) = stripe.invoices(lived.account.stripe_customer_id)
    other = services.account_for(globex)
    type(other).objects.filter(pk=other.pk).update(stripe_customer_id="cus_globex")
    raw = event("invoice.paid", {"id": invoice.id, "customer": "cus_globex"})
    deliver(raw, signed(raw))

    services.apply_event(event_id="evt_1")

    assert not Invoice.objects.filter(account=other).exists()


def test_a_real_delivery_of_the_stand_in_is_believed(db, tmp_path):
    """The stand-in's own signature, over the very bytes that it would send."""
    from billing.gateways import verified_event
    from billing.sandbox.events import signature

    body = json.dumps({"id": "evt_9", "type": "invoice.paid"}, indent=2).encode()
    header = signature(body, secret=WEBHOOK_SECRET, at=int(time.time()))

    assert verified_event(body=body, signature=header, secret=WEBHOOK_SECRET).id == "evt_9"
