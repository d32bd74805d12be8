"""The inbox, the choices and the webhooks as people see them."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants import jobs
from tenants.models import Delivery, User
from tenants.notifications import delivering, endpoints, inbox, notify, preferences
from tests.tenants.receiver import listening


@pytest.fixture(autouse=True)
def hints(monkeypatch):
    monkeypatch.setattr(jobs, "_send", lambda *_args: None)


@pytest.fixture
def told(acme):
    """Return `told(...)`: everyone at acme is told of something."""

    def tell(subject="Mill 1 vibrates", *, key="alarm-1", at=None, **changes: Any):
        fields: dict[str, Any] = {
            "topic": "alarms",
            "severity": 2,
            "text": "Since 11:48.",
            "path": "/machines/",
        }
        fields |= changes
        notify(factory=acme, subject=subject, key=key, at=at or timezone.now(), **fields)

    return tell


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with listening() as server:
        yield server


@pytest.fixture
def endpoint(acme, receiver):
    made, _ = endpoints.create(
        factory=acme, url=receiver.url, topics=[], by=None, at=timezone.now()
    )
    return made


def text(answer):
    return answer.content.decode()


def owner():
    return User.objects.get(email="owner@acme.example")


def test_an_empty_inbox_says_what_it_is_for(portal):
    page = text(portal("viewer").get("/notifications/"))

    assert "Nothing unread" in page
    assert "appears here" in page


def test_what_is_unread_is_in_the_list_and_in_the_frame_of_every_page(portal, told):
    told("Mill 1 vibrates")

    assert "Mill 1 vibrates" in text(portal("viewer").get("/notifications/"))
    assert "1 unread" in text(portal("viewer").get("/machines/"))


def test_the_frame_asks_once_however_often_it_shows_the_count(portal, told):
    viewer = portal("viewer")
    told()

    with CaptureQueriesContext(connection) as queries:
        viewer.get("/settings/")

    assert sum("tenants_delivery" in query["sql"] for query in queries) == 1


def test_opening_one_marks_it_read_and_leads_to_its_page(portal, acme, told):
    told()
    (delivery,) = inbox.inbox(user=owner(), factory=acme)

    answer = portal().post(f"/notifications/{delivery.notification_id}/read/", {"open": "1"})

    assert answer.headers["Location"] == "/machines/"
    assert inbox.n_unread(user=owner(), factory=acme) == 0
    assert "Mill 1 vibrates" not in text(portal().get("/notifications/"))
    assert "Mill 1 vibrates" in text(portal().get("/notifications/all/"))


def test_all_are_marked_as_read_for_the_reader_alone(portal, acme, told):
    told(key="a")
    told(key="b")

    portal().post("/notifications/read/")

    viewer = User.objects.get(email="viewer@acme.example")
    assert inbox.n_unread(user=owner(), factory=acme) == 0
    assert inbox.n_unread(user=viewer, factory=acme) == 2


def test_what_others_were_told_is_not_found(portal, acme, told):
    viewer = User.objects.get(email="viewer@acme.example")
    told(recipients=[viewer.pk])
    (delivery,) = inbox.inbox(user=viewer, factory=acme)

    assert portal().post(f"/notifications/{delivery.notification_id}/read/").status_code == 404


def test_what_a_device_or_a_person_wrote_is_shown_and_not_run(portal, told):
    told('=HYPERLINK("https://thief.example")<script>alert(1)</script>', text="<img src=x>")

    page = text(portal().get("/notifications/"))

    assert "<script>alert" not in page
    assert "<img" not in page
    assert "=HYPERLINK(&quot;https://thief.example&quot;)&lt;script&gt;" in page


def test_the_number_of_queries_does_not_grow_with_the_rows(portal, told):
    told(key="first")
    counts = []
    for n in (1, 12):
        for k in range(n):
            told(key=f"{n}-{k}")
        viewer = portal("viewer")
        viewer.get("/notifications/")
        with CaptureQueriesContext(connection) as queries:
            viewer.get("/notifications/")
        counts.append(len(queries))

    assert counts[0] == counts[1]


CHOICES = {
    "mail-": "1", "inbox-": "4", "mail-alarms": "1", "inbox-alarms": "3",
    "mail-webhooks": "0", "inbox-webhooks": "3", "mail-support": "4", "inbox-support": "4",
    "starts": "22:00", "ends": "06:00", "days": ["5", "6"], "time_zone": "",
}  # fmt: skip


def test_a_person_chooses_what_reaches_them_and_when(portal, acme):
    answer = portal("viewer").post("/notifications/preferences/", CHOICES, follow=True)

    viewer = User.objects.get(email="viewer@acme.example")
    assert "you are told as you chose" in text(answer)
    chosen = preferences.choices_of(viewer, factory=acme)
    assert (chosen[""].mail, chosen["webhooks"].inbox) == (1, 3)
    quiet = preferences.quiet_of(viewer, factory=acme)
    assert (quiet.days, quiet.critical_breaks_through) == ((5, 6), False)
    page = text(portal("viewer").get("/notifications/preferences/"))
    assert 'value="22:00"' in page
    assert '<option value="1" selected>' in page


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"ends": ""}, "both a start and an end"),
        ({"ends": "22:00"}, "The end is the start"),
        ({"days": list("0123456")}, "One day at least"),
        ({"mail-": "7"}, "valid choice"),
        ({"time_zone": "Europe/Atlantis"}, "valid choice"),
        ({"starts": "25:00"}, "valid time"),
    ],
)
def test_choices_that_cannot_be_kept_come_back_with_the_reason(portal, acme, wrong, words):
    answer = portal().post("/notifications/preferences/", CHOICES | wrong)

    assert answer.status_code == 422
    assert words in text(answer)
    assert preferences.quiet_of(owner(), factory=acme).starts is None


def test_a_held_mail_arrives_when_the_chosen_hours_end(portal, acme, told):
    for role in ("admin", "engineer", "operator", "viewer"):
        portal(role).post(
            "/notifications/preferences/", {**CHOICES, "mail-": "0", "mail-alarms": "0"}
        )
    portal().post(
        "/notifications/preferences/", CHOICES | {"mail-": "2", "mail-alarms": "2", "days": []}
    )
    night = timezone.now().replace(hour=23, minute=0) + timedelta(days=1)

    told(at=night)

    (held,) = Delivery.objects.filter(channel="mail")
    assert held.state == "held"
    assert delivering.deliver(delivery_id=held.pk, at=held.next_at) == 1
    assert mail.outbox[-1].to == ["owner@acme.example"]


def test_a_webhook_is_made_and_its_secret_shown_once(portal, acme, receiver):
    admin = portal("admin")

    page = text(admin.post("/settings/webhooks/", {"url": receiver.url, "topics": ["webhooks"]}))

    secret = page.split('id="secret">')[1].split("<")[0]
    (made,) = endpoints.endpoints_of(acme)
    assert endpoints.valid_secrets(made, at=timezone.now()) == [secret]
    assert made.topics == ["webhooks"]
    for path in ("/settings/webhooks/", f"/settings/webhooks/{made.pk}/"):
        seen = text(admin.get(path))
        assert receiver.url in seen
        assert secret not in seen


def test_an_address_inside_is_refused_on_the_page(portal, acme):
    answer = portal().post("/settings/webhooks/", {"url": "https://localhost/hooks"})

    assert answer.status_code == 422
    assert "not on the public internet" in text(answer)
    assert 'value="https://localhost/hooks"' in text(answer)
    assert not endpoints.endpoints_of(acme).exists()


def test_a_ping_is_followed_and_sent_again_on_the_page(portal, endpoint, receiver):
    url, admin = f"/settings/webhooks/{endpoint.pk}/", portal("admin")
    receiver.status, receiver.answer = 500, b"<script>out of order</script>"
    admin.post(f"{url}ping/")
    delivery = Delivery.objects.get()
    delivering.deliver(delivery_id=delivery.pk, at=timezone.now())
    page = text(admin.get(url))
    assert "It answered 500." in page
    assert "&lt;script&gt;out of order" in page

    receiver.status = 200
    admin.post(f"{url}deliveries/{delivery.pk}/replay/")
    delivering.deliver(delivery_id=delivery.pk, at=timezone.now())

    page = text(admin.get(url))
    assert "Delivered" in page
    assert "Send again" not in page


def test_a_webhook_is_rotated_switched_off_and_removed(portal, acme, endpoint):
    url, admin = f"/settings/webhooks/{endpoint.pk}/", portal("admin")

    page = text(admin.post(f"{url}secret/"))
    assert page.split('id="secret">')[1].startswith("whsec_")
    assert "the new and the old secret" in page
    assert "Switched off" in text(admin.post(f"{url}switch/", {"enabled": "0"}, follow=True))
    assert "Switch it on to send" in text(admin.post(f"{url}ping/", follow=True))
    assert "is removed" in text(admin.post(f"{url}remove/", follow=True))
    assert not endpoints.endpoints_of(acme).exists()


def test_the_notice_of_a_webhook_that_was_switched_off_leads_to_its_page(
    portal, acme, endpoint, receiver
):
    receiver.status = 410
    endpoints.ping(endpoint=endpoint, at=timezone.now())
    delivering.deliver(delivery_id=Delivery.objects.get().pk, at=timezone.now())
    (delivery,) = inbox.inbox(user=owner(), factory=acme)

    page = portal().post(
        f"/notifications/{delivery.notification_id}/read/", {"open": "1"}, follow=True
    )

    assert page.status_code == 200
    assert "Switched off" in text(page)
