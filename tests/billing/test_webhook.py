"""What Stripe delivers: proven, stored once, applied once, in any order."""

import hashlib
import hmac
import itertools
import json
import logging
import time
from collections.abc import Iterable

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client, override_settings

from billing import services
from billing.gateways import StripeAway
from billing.models import (
    BillingAccount,
    CreditNote,
    InboxEvent,
    Invoice,
    LedgerDelivery,
    PlanTerm,
    Subscription,
)
from tenants.models import FactoryLimits, Job
from tests.billing.conftest import HOUR, NOV_1, WEBHOOK_SECRET
from tests.billing.test_chain import OCT_10, away, started  # noqa: F401  a fixture
from tests.conftest import PUBLIC_HOST

pytestmark = pytest.mark.slow


def signed(body: bytes, *, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={mac}"


_STRIPE = Client()


def deliver(body: bytes, signature: str | None, *, host: str = PUBLIC_HOST):
    headers = {} if signature is None else {"Stripe-Signature": signature}
    with override_settings(STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET):
        return _STRIPE.post(
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


def six_events(stripe, lived) -> list[tuple[str, dict]]:
    """Six different events of a month at Stripe, on real objects; what they say of them is old."""
    customer_id = lived.account.stripe_customer_id
    (invoice,) = stripe.invoices(customer_id)
    subject = {"id": invoice.id, "customer": customer_id, "status": "draft"}
    subscription = {"id": lived.stripe_id, "customer": customer_id, "status": "past_due"}
    return [
        ("customer.subscription.created", subscription),
        ("invoice.created", subject),
        ("invoice.finalized", subject),
        ("invoice.payment_failed", subject),
        ("customer.subscription.updated", subscription),
        ("invoice.paid", subject),
    ]


def mirrored() -> tuple:
    """Everything that events may change."""
    return (
        *Invoice.objects.values_list("stripe_id", "status", "total_minor", "paid_minor"),
        *Subscription.objects.values_list("status", "period_end", "ended_at", "has_card"),
        *BillingAccount.objects.values_list("standing", "cause", "overdue_since"),
        *FactoryLimits.objects.order_by("pk").values_list("plan", "max_machines"),
        *Invoice.objects.order_by("lines").values_list("lines__description", "lines__quantity"),
        PlanTerm.objects.count(),
        LedgerDelivery.objects.filter(state="sent").count(),
    )


@pytest.fixture
def quiet():
    """Without what is logged of thousands of events."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    yield
    logging.disable(before)


def play(
    events: list[tuple[str, dict]], orders: Iterable[tuple[int, ...]], n_done: int = 0
) -> set[tuple]:
    """Deliver and apply events in each of the orders and return the states that they end in.

    Orders that begin alike share their beginning: it is lived once, and what follows is undone
    for the next one. All orders are of one length and begin in one state.
    """
    states = set()
    for i, alike in itertools.groupby(sorted(orders), key=lambda order: order[n_done]):
        same = list(alike)
        with transaction.atomic():
            kind, body = events[i]
            raw = event(kind, body, event_id=f"evt_{i}")
            assert deliver(raw, signed(raw)).status_code == 200
            services.apply_event(event_id=f"evt_{i}", at=NOV_1 + 3 * HOUR)
            if n_done + 1 < len(same[0]):
                states |= play(events, same, n_done + 1)
            else:
                assert InboxEvent.objects.filter(state="done").count() == len(set(same[0]))
                states.add(mirrored())
            transaction.set_rollback(True)
    return states


def with_repeats(order: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Have one event come again at once and another one later, other ones each time."""
    again, late = n % 6, n // 6 % 6
    return (*order[: again + 1], order[again], *order[again + 1 :], order[late])


def test_all_720_orders_of_six_events_with_repeats_end_in_one_state(lived, stripe, quiet):
    events = six_events(stripe, lived)
    # What no event has told of yet; each order begins here.
    Subscription.objects.filter(pk=lived.pk).update(status="past_due", period_end=OCT_10)

    orders = [with_repeats(order, n) for n, order in enumerate(itertools.permutations(range(6)))]
    assert len(set(orders)) == 720

    states = play(events, orders)

    (state,) = states
    (invoice,) = stripe.invoices(lived.account.stripe_customer_id)
    assert state[0] == (invoice.id, "paid", 2900, 2900)
    assert state[1][:2] == ("active", NOV_1.replace(month=12))
    assert state[2][:2] == ("good", "")


def test_all_orders_of_an_end_and_a_failed_payment_end_in_one_state(lived, stripe):
    """The subscription is over at Stripe and its last invoice cannot be paid any more."""
    stripe.cancel_now(key="end", subscription_id=lived.stripe_id, invoice_now=False)
    events = six_events(stripe, lived)[:4]
    events += [("customer.subscription.deleted", events[0][1])]

    states = play(events, itertools.permutations(range(5)))

    (state,) = states
    assert state[1][0] == "canceled"
    assert state[1][2] is not None


@pytest.mark.parametrize("days", [1, 30, 400])
def test_an_event_that_is_replayed_days_later_changes_nothing(lived, stripe, days):
    events = six_events(stripe, lived)
    raw = event(*events[5], event_id="evt_5")
    deliver(raw, signed(raw))
    services.apply_event(event_id="evt_5")
    before = mirrored()
    old = signed(raw, at=time.time() - days * 86_400)

    assert deliver(raw, old).status_code == 400  # the very bytes, signed then
    assert deliver(raw, signed(raw)).json()["known"] is True  # Stripe's own repeat
    assert services.apply_event(event_id="evt_5") == "done"
    assert mirrored() == before
    assert InboxEvent.objects.count() == 1


def test_the_answer_does_not_wait_for_stripe(lived, wire, stripe):
    """The view asks Stripe nothing, so a Stripe that hangs delays no answer."""
    (invoice,) = stripe.invoices(lived.account.stripe_customer_id)
    asked = []
    wire.before = lambda _method, path: asked.append(path)
    raw = event("invoice.paid", {"id": invoice.id, "customer": invoice.customer_id})

    begun = time.perf_counter()
    answer = deliver(raw, signed(raw))

    assert (answer.status_code, asked) == (200, [])
    assert time.perf_counter() - begun < 2


def test_a_payment_opens_the_doors_with_its_event(lived, stripe):
    services.sync_account(account_id=str(lived.account.pk))
    Invoice.objects.update(status="open", n_attempts=1, finalized_at=NOV_1)
    at = NOV_1 + 20 * 24 * HOUR
    assert services.review_standing(account_id=str(lived.account.pk), at=at) == "read_only"
    (invoice,) = stripe.invoices(lived.account.stripe_customer_id)
    raw = event("invoice.paid", {"id": invoice.id, "customer": invoice.customer_id})
    deliver(raw, signed(raw))

    services.apply_event(event_id="evt_1", at=at + HOUR)

    assert BillingAccount.objects.get(pk=lived.account.pk).standing == "good"


def test_a_card_that_is_taken_away_is_known_though_the_event_names_nobody(lived, stripe):
    customer_id = lived.account.stripe_customer_id
    (card,) = stripe.payment_methods(customer_id)
    services.sync_account(account_id=str(lived.account.pk))
    assert Subscription.objects.get().has_card
    stripe.detach_card(key="detach", card_id=card.id)
    body = {
        "id": "evt_1", "type": "payment_method.detached",
        "data": {
            "object": {"id": card.id, "object": "payment_method", "customer": None},
            "previous_attributes": {"customer": customer_id},
        },
    }  # fmt: skip
    raw = json.dumps(body).encode()
    deliver(raw, signed(raw))

    assert services.apply_event(event_id="evt_1") == "done"
    assert not Subscription.objects.get().has_card


def test_a_refund_is_mirrored_with_its_credit_note(lived, stripe):
    (invoice,) = stripe.invoices(lived.account.stripe_customer_id)
    note = stripe.credit_note(
        key="credit", invoice_id=invoice.id, amount=900, refund=True, reason="duplicate", memo="m"
    )
    raw = event("credit_note.created", {"id": note.id, "customer": invoice.customer_id})
    deliver(raw, signed(raw))

    assert services.apply_event(event_id="evt_1") == "done"
    kept = CreditNote.objects.get()
    assert (kept.stripe_id, kept.amount_minor, kept.refunded_minor) == (note.id, 900, 900)


def test_events_that_never_came_are_fetched_and_applied_like_all_others(lived, stripe):
    cache.delete("billing:events_listed_to")
    at = NOV_1 + 3 * HOUR
    n_new = services.fetch_missing_events(at=at)
    kinds = set(InboxEvent.objects.values_list("kind", flat=True))

    assert n_new == InboxEvent.objects.count()
    assert {"invoice.paid", "customer.subscription.created"} <= kinds
    assert Job.objects.filter(task="billing.apply_event").count() == n_new
    assert services.fetch_missing_events(at=at + HOUR) == 0


# -- errors of meters ------------------------------------------------------------------------------
def error_report(row: LedgerDelivery, code: str, *, name: str = "") -> bytes:
    request = {"identifier": name or f"{row.entry.identifier}:{int(time.time())}"}
    kinds = [
        {"code": code, "error_count": 1,
         "sample_errors": [{"error_message": "It was dropped.", "request": request}]},
    ]  # fmt: skip
    body = {
        "id": "evt_1", "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "data": {"reason": {"error_count": 1, "error_types": kinds}},
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/"},
    }  # fmt: skip
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("code", "state", "n_resent"),
    [
        ("archived_meter", "pending", 1),
        ("no_meter", "pending", 1),
        ("meter_event_customer_not_found", "pending", 1),
        ("timestamp_in_future", "pending", 1),
        ("timestamp_too_far_in_past", "late", 0),
        ("meter_event_invalid_value", "refused", 0),
        ("something_new", "refused", 0),
    ],
)
def test_usage_that_stripe_dropped_is_sent_again_where_its_cause_is_gone(
    lived, code, state, n_resent
):
    row = LedgerDelivery.objects.select_related("entry").get(entry__meter="readings")
    raw = error_report(row, code)
    deliver(raw, signed(raw))

    assert services.apply_event(event_id="evt_1") == "done"
    row.refresh_from_db()
    assert (row.state, row.n_resent) == (state, n_resent)
    assert row.error == f"{code}: It was dropped."


def test_an_old_report_of_a_row_that_was_sent_again_since_changes_nothing(lived):
    row = LedgerDelivery.objects.select_related("entry").get(entry__meter="readings")
    LedgerDelivery.objects.filter(pk=row.pk).update(n_resent=1)
    raw = error_report(row, "archived_meter")
    deliver(raw, signed(raw))
    services.apply_event(event_id="evt_1")

    row.refresh_from_db()
    assert (row.state, row.n_resent) == ("sent", 1)


@pytest.mark.parametrize("name", ["nonsense", "p:1:2", "x" * 90, "0" * 32 + ":readings:1:0"])
def test_a_report_of_usage_that_is_not_ours_changes_nothing(lived, name):
    row = LedgerDelivery.objects.select_related("entry").get(entry__meter="readings")
    raw = error_report(row, "archived_meter", name=name)
    deliver(raw, signed(raw))

    assert services.apply_event(event_id="evt_1") == "done"
    assert not LedgerDelivery.objects.exclude(state="sent").exists()


def test_a_notice_without_its_data_has_them_fetched(lived, stripe, monkeypatch):
    row = LedgerDelivery.objects.select_related("entry").get(entry__meter="readings")
    whole = json.loads(error_report(row, "timestamp_in_future"))
    raw = json.dumps({k: v for k, v in whole.items() if k != "data"}).encode()
    monkeypatch.setattr(stripe, "thin_event", {"evt_1": whole}.get)
    deliver(raw, signed(raw))

    services.apply_event(event_id="evt_1")

    row.refresh_from_db()
    assert (row.state, row.n_resent) == ("pending", 1)


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
