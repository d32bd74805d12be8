"""Webhooks against a real server: signed, tried again, given up, replayed, switched off."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from tenants import jobs
from tenants.models import AuditEntry, Delivery, Job, Membership, Notification, WebhookEndpoint
from tenants.notifications import delivering, endpoints, notify, secrets, sending, signing
from tenants.notifications.endpoints import EndpointOff, TooManyEndpoints
from tests.tenants.receiver import listening

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def hints(monkeypatch):
    """Catch the messages to the broker; the tests play the worker."""
    monkeypatch.setattr(jobs, "_send", lambda *_args: None)


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with listening() as server:
        yield server


@pytest.fixture
def endpoint(acme, receiver):
    made, _ = endpoints.create(factory=acme, url=receiver.url, topics=[], by=None, at=NOON)
    return made


def tell(factory, *, key="alarm-1", topic="alarms", at=NOON):
    return notify(
        factory=factory,
        topic=topic,
        severity=1,
        subject="=Mill 1 <b>stands</b>",
        text="Since 11:48.",
        path="/machines/",
        key=key,
        recipients=[],
        at=at,
    )


def try_(at=NOON):
    """Deliver what is due to endpoints, and return the newest delivery."""
    due = Delivery.objects.filter(channel="webhook", state__in=Delivery.OPEN_STATES)
    for pk in due.filter(next_at__lte=at).values_list("pk", flat=True):
        delivering.deliver(delivery_id=pk, at=at)
    return Delivery.objects.filter(channel="webhook").latest("notification__at")


def is_proven(request, secret):
    """Check a signature as the specification tells receivers to."""
    headers = request.headers
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")


def test_a_message_is_signed_and_says_what_happened(acme, receiver):
    _, secret = endpoints.create(factory=acme, url=receiver.url, topics=[], by=None, at=NOON)
    tell(acme)

    delivery = try_()

    (request,) = receiver.requests
    assert is_proven(request, secret)
    assert request.path == "/hooks/takt"
    assert request.headers["webhook-timestamp"] == str(int(NOON.timestamp()))
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert json.loads(request.body) == {
        "id": request.headers["webhook-id"],
        "type": "alarms",
        "created": "2026-11-17T12:00:00+00:00",
        "data": {
            "factory": "acme",
            "severity": 1,
            "subject": "=Mill 1 <b>stands</b>",
            "text": "Since 11:48.",
            "url": "https://acme.localhost:8443/machines/",
            "key": "alarm-1",
        },
    }
    assert (delivery.state, delivery.response_status, delivery.response_text) == (
        "sent", 200, "thanks",
    )  # fmt: skip


def test_the_signature_is_that_of_the_specification_s_libraries():
    """The vector of the reference libraries' own tests (standard-webhooks, libraries/)."""
    headers = signing.headers(
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        body=b'{"test": 2432232314}',
        secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        at=datetime.fromtimestamp(1614265330, UTC),
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_an_endpoint_hears_of_its_topics_alone(acme, receiver):
    endpoints.create(factory=acme, url=receiver.url, topics=["billing"], by=None, at=NOON)

    assert tell(acme) == 0
    assert tell(acme, key="bill", topic="billing") == 1


def test_an_endpoint_hears_nothing_of_another_factory(endpoint, globex):
    assert tell(globex) == 0


def test_a_failure_is_tried_ten_times_over_a_day_and_then_given_up(acme, endpoint, receiver):
    receiver.status, receiver.answer = 500, b"out of \x1b[31morder\n" * 40
    tell(acme)
    at, tries = NOON, []
    while (delivery := try_(at)).state == "failed":
        assert delivery.next_at > at
        tries.append(at)
        at = delivery.next_at

    assert (delivery.state, delivery.n_attempts) == ("dead", len(receiver.requests)) == ("dead", 10)
    assert timedelta(hours=18) < at - NOON < timedelta(hours=29)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1
    assert len({request.headers["webhook-timestamp"] for request in receiver.requests}) == 10
    assert delivery.last_error == "It answered 500."
    assert len(delivery.response_text) == 200
    assert delivery.response_text.isprintable()


def test_what_was_given_up_can_be_sent_again(acme, endpoint, receiver):
    receiver.status = 500
    tell(acme)
    delivery = try_()
    Delivery.objects.update(state="dead", n_attempts=10)
    receiver.status = 204

    assert delivering.replay(delivery=delivery, at=NOON)
    assert not delivering.replay(delivery=delivery, at=NOON)
    assert try_().state == "sent"
    first, again = receiver.requests
    assert first.headers["webhook-id"] == again.headers["webhook-id"]


def test_what_arrived_is_not_sent_again(acme, endpoint, receiver):
    tell(acme)
    delivery = try_()

    assert not delivering.replay(delivery=delivery, at=NOON)
    try_(NOON + timedelta(days=1))
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("value", "least"),
    [
        ("3600", timedelta(hours=1)),
        ("Tue, 17 Nov 2026 14:00:00 GMT", timedelta(hours=2)),
        ("999999999", timedelta(days=1)),  # within reason
        ("soon", timedelta(seconds=8)),
        ("-5", timedelta(seconds=8)),
    ],
)
def test_the_other_side_says_when_to_come_again(acme, endpoint, receiver, value, least):
    receiver.status, receiver.headers = 503, {"Retry-After": value}
    tell(acme)

    wait = try_().next_at - NOON

    assert least <= wait <= least * 1.5


def test_a_worker_that_dies_after_the_message_is_out_sends_it_again(
    acme, endpoint, receiver, monkeypatch
):
    tell(acme)
    with monkeypatch.context() as killed:
        killed.setattr(delivering, "_record", lambda *_a: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            try_()

    try_(NOON + delivering.LEASE - timedelta(seconds=1))  # still somebody's
    assert len(receiver.requests) == 1
    delivery = try_(NOON + delivering.LEASE)

    first, again = receiver.requests
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    assert (delivery.state, delivery.n_attempts) == ("sent", 2)


def test_the_whole_way_through_a_job(acme, endpoint, receiver):
    tell(acme)
    Delivery.objects.update(next_at=NOON - timedelta(days=1000))
    (job,) = Job.objects.filter(task="tenants.deliver")

    jobs.run(str(job.pk))

    job.refresh_from_db()
    assert (job.state, job.result) == ("done", {"n_sent": 1})
    assert len(receiver.requests) == 1


def test_a_redirect_is_not_followed(acme, endpoint, receiver):
    with listening() as elsewhere:
        receiver.status, receiver.headers = 307, {"Location": elsewhere.url}
        tell(acme)
        delivery = try_()

    assert "redirect" in delivery.last_error
    assert elsewhere.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 20"])
def test_a_server_that_drips_is_cut_off(settings, monkeypatch, head):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    monkeypatch.setattr(sending, "DEADLINE_S", 0.3)
    server = socket.create_server(("127.0.0.1", 0))

    def drip():
        conversation, _ = server.accept()
        with conversation, suppress(OSError):
            conversation.send(head)
            for _ in range(500):
                conversation.send(b"0")
                time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    started = time.monotonic()

    answer = sending.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, at=NOON)

    server.close()
    assert (answer.status, bool(answer.error)) == (None, True)
    assert time.monotonic() - started < 5  # not the ten seconds for which it goes on


def test_while_a_secret_is_rotated_both_prove_a_message(acme, receiver):
    made, old = endpoints.create(factory=acme, url=receiver.url, topics=[], by=None, at=NOON)
    new = endpoints.rotate(endpoint=made, by=None, at=NOON)
    tell(acme, key="same day")
    try_()
    tomorrow = NOON + endpoints.OLD_SECRET_VALID_FOR
    tell(acme, key="next day", at=tomorrow)
    try_(tomorrow)

    same_day, next_day = receiver.requests
    assert is_proven(same_day, old)
    assert is_proven(same_day, new)
    assert is_proven(next_day, new)
    assert not is_proven(next_day, old)


def test_no_secret_lies_in_the_database(acme, receiver):
    made, old = endpoints.create(factory=acme, url=receiver.url, topics=[], by=None, at=NOON)
    new = endpoints.rotate(endpoint=made, by=None, at=NOON)

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(e)::text FROM tenants_webhookendpoint e")
        rows = " ".join(row for (row,) in cursor.fetchall())
        cursor.execute("SELECT row_to_json(e)::text FROM tenants_auditentry e")
        rows += " ".join(row for (row,) in cursor.fetchall())

    assert str(made.pk) in rows
    for secret in (old, new):
        assert secret not in rows
        assert secret.removeprefix("whsec_") not in rows


def test_a_secret_survives_a_change_of_the_installation_s_key(settings):
    sealed = secrets.seal("whsec_abc")
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 40, [old]
    assert secrets.unseal(sealed) == "whsec_abc"

    settings.SECRET_KEY_FALLBACKS = []

    with pytest.raises(secrets.SecretLost):
        secrets.unseal(sealed)


def test_a_message_that_cannot_be_signed_is_not_sent(acme, endpoint, receiver, settings):
    settings.SECRET_KEY = "n" * 40
    tell(acme)

    delivery = try_()

    assert (delivery.state, receiver.requests) == ("dead", [])
    assert "rotate it" in delivery.last_error


def test_an_endpoint_that_fails_for_days_is_switched_off_and_its_admins_told(
    acme, endpoint, receiver
):
    receiver.status = 500
    tell(acme, key="first")
    try_()
    later = NOON + endpoints.OFF_AFTER
    tell(acme, key="last", at=later)

    try_(later)

    endpoint.refresh_from_db()
    assert not endpoint.enabled
    notice = Notification.objects.get(topic="webhooks")
    admins = Membership.objects.filter(factory=acme, role__in=("owner", "admin"))
    told = Delivery.objects.filter(notification=notice, channel="inbox")
    assert {d.user_id for d in told} == {m.user_id for m in admins}
    assert AuditEntry.objects.filter(factory=acme, action="webhook.switched_off").exists()
    assert tell(acme, key="after", at=later) == 0


def test_what_waits_for_an_endpoint_that_is_off_is_kept_for_a_replay(acme, endpoint, receiver):
    tell(acme)
    endpoints.change(endpoint=endpoint, changes={"enabled": False}, by=None)
    delivery = try_()
    assert (delivery.state, receiver.requests) == ("dead", [])
    with pytest.raises(EndpointOff):
        delivering.replay(delivery=delivery, at=NOON)

    endpoints.change(endpoint=delivery.endpoint, changes={"enabled": True}, by=None)
    delivering.replay(delivery=delivery, at=NOON)

    assert try_().state == "sent"


def test_one_success_forgets_the_failures(acme, endpoint, receiver):
    receiver.status = 500
    tell(acme)
    delivery = try_()
    receiver.status = 200
    try_(delivery.next_at)

    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_an_endpoint_that_is_gone_is_switched_off_at_once(acme, endpoint, receiver):
    receiver.status = 410
    tell(acme)

    delivery = try_()

    endpoint.refresh_from_db()
    assert (delivery.state, endpoint.enabled) == ("dead", False)


def test_a_dead_endpoint_holds_one_job_and_a_few_attempts(acme, endpoint):
    WebhookEndpoint.objects.update(failing_since=NOON)
    for n in range(30):
        tell(acme, key=f"alarm-{n}")

    delivering.sweep(at=NOON)
    delivering.sweep(at=NOON)

    (job,) = Job.objects.filter(task="tenants.deliver")
    assert len(job.kwargs["delivery_ids"]) == delivering.A_TICK_WHILE_FAILING


def test_a_ping_arrives_and_is_in_nobody_s_inbox(endpoint, receiver):
    endpoints.ping(endpoint=endpoint, at=NOON)
    try_()

    assert json.loads(receiver.requests[0].body)["type"] == "ping"
    assert not Delivery.objects.filter(channel="inbox").exists()


def test_nothing_is_sent_to_an_endpoint_that_is_off(endpoint):
    endpoints.change(endpoint=endpoint, changes={"enabled": False}, by=None)

    with pytest.raises(EndpointOff):
        endpoints.ping(endpoint=endpoint, at=NOON)


def test_a_factory_has_twenty_endpoints_at_most(acme, receiver):
    for _ in range(endpoints.MAX_ENDPOINTS):
        endpoints.create(factory=acme, url=receiver.url, topics=[], by=None, at=NOON)

    with pytest.raises(TooManyEndpoints):
        endpoints.create(factory=acme, url=receiver.url, topics=[], by=None, at=NOON)


def test_what_admins_do_is_in_the_audit_without_the_address_s_path(acme, endpoint):
    endpoints.rotate(endpoint=endpoint, by=None, at=NOON)
    endpoints.remove(endpoint=endpoint, by=None)

    entries = AuditEntry.objects.filter(factory=acme, action__startswith="webhook.")
    assert [e.action for e in entries.order_by("id")] == [
        "webhook.made",
        "webhook.secret_rotated",
        "webhook.removed",
    ]
    assert {e.target for e in entries} == {"127.0.0.1"}
