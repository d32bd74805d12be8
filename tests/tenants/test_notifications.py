"""What is written down, for whom, once; and what becomes of mails."""

import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from django.core import mail
from django.db import connections, transaction
from django.utils import timezone

from tenants import jobs
from tenants.models import Delivery, Factory, Job, Membership, Notification, User
from tenants.notifications import delivering, inbox, notify, preferences
from tenants.notifications.preferences import Least, PreferenceRefused, QuietChoice

NOON = datetime(2026, 11, 17, 11, 0, tzinfo=UTC)  # a Tuesday, 12:00 in Berlin
NIGHT = datetime(2026, 11, 17, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
MORNING = datetime(2026, 11, 18, 5, 0, tzinfo=UTC)  # 06:00 in Berlin


@pytest.fixture(autouse=True)
def hints(monkeypatch):
    """Catch the messages to the broker; the tests play the worker."""
    sent: list[str] = []
    monkeypatch.setattr(jobs, "_send", lambda job_id, *_args: sent.append(job_id))
    return sent


def tell(factory, *, key="alarm-1", severity=2, at=NOON, **changes):
    fields = {
        "topic": "alarms",
        "subject": "Mill 1 vibrates",
        "text": "Since 11:48. A worn bearing is the usual reason.",
        "path": "/machines/",
        **changes,
    }
    return notify(factory=factory, severity=severity, key=key, at=at, **fields)


def person(role, stem="acme"):
    return User.objects.get(email=f"{role}@{stem}.example")


def work(at):
    """Deliver everything that is due, as the sweeper and a worker do."""
    due = Delivery.objects.filter(state__in=Delivery.OPEN_STATES, next_at__lte=at)
    return sum(
        delivering.deliver(delivery_id=pk, at=at)
        for pk in due.order_by("next_at", "pk").values_list("pk", flat=True)
    )


def mails_to(user):
    return [sent for sent in mail.outbox if sent.to == [user.email]]


def only(factory, *people):
    """Let nobody but these hear of anything by default."""
    for membership in Membership.objects.filter(factory=factory).exclude(user__in=people):
        preferences.save(
            user=membership.user, factory=factory, least={"": Least(0, 0)}, quiet=QuietChoice()
        )


def test_everyone_hears_of_what_is_high_by_mail_and_in_takt(acme):
    n_members = Membership.objects.filter(factory=acme).count()

    assert tell(acme) == 2 * n_members
    assert work(NOON) == n_members
    assert mails_to(person("viewer"))[0].subject == "Acme Precision: Mill 1 vibrates"
    assert "https://acme.localhost:8443/machines/" in mails_to(person("viewer"))[0].body
    assert inbox.n_unread(user=person("viewer"), factory=acme) == 1


def test_what_is_medium_stays_in_the_list(acme):
    tell(acme, severity=3)

    assert {d.channel for d in Delivery.objects.all()} == {"inbox"}


def test_a_key_is_told_once(acme, globex):
    first = tell(acme)

    assert tell(acme, subject="Again") == 0
    assert tell(globex) == first
    assert Notification.objects.filter(factory=acme).count() == 1


def test_what_is_undone_is_not_told(acme, hints, django_capture_on_commit_callbacks):
    def told_and_undone():
        with transaction.atomic():
            tell(acme)
            raise RuntimeError

    with django_capture_on_commit_callbacks(execute=True), pytest.raises(RuntimeError):
        told_and_undone()

    assert not Notification.objects.exists()
    assert hints == []


def test_named_people_are_told_and_those_that_left_are_not(acme):
    engineer, viewer, outsider = (
        person("engineer"),
        person("viewer"),
        User.objects.get(email="outsider@example.com"),
    )
    Membership.objects.get(factory=acme, user=viewer).delete()

    n_planned = tell(acme, severity=3, recipients=[engineer.pk, viewer.pk, outsider.pk])

    assert n_planned == 2
    assert {d.user for d in Delivery.objects.all()} == {engineer}


def test_a_topic_of_its_own_wins_over_everything_else(acme):
    owner = person("owner")
    only(acme, owner)
    preferences.save(
        user=owner,
        factory=acme,
        least={"": Least(mail=0, inbox=1), "alarms": Least(mail=3, inbox=3)},
        quiet=QuietChoice(),
    )

    assert tell(acme, key="a", severity=3) == 2
    assert tell(acme, key="b", severity=3, topic="billing") == 0
    assert tell(acme, key="c", severity=1, topic="billing") == 1


def test_who_left_before_the_quiet_hours_ended_gets_no_mail(acme):
    owner, viewer = person("owner"), person("viewer")
    only(acme, viewer)
    preferences.save(
        user=viewer, factory=acme, least={"": Least()}, quiet=QuietChoice(time(22), time(6))
    )
    tell(acme, at=NIGHT)
    Membership.objects.get(factory=acme, user=viewer).delete()

    work(MORNING)

    assert mails_to(viewer) == mails_to(owner) == []
    assert Delivery.objects.get(channel="mail").last_error == "No longer a member."


def test_quiet_hours_hold_mails_and_end_in_one(acme):
    owner = person("owner")
    only(acme, owner)
    preferences.save(
        user=owner, factory=acme, least={"": Least()}, quiet=QuietChoice(time(22), time(6))
    )
    for n in range(3):
        tell(acme, key=f"night-{n}", subject=f"Stop {n}", at=NIGHT + timedelta(minutes=n))
    assert work(MORNING - timedelta(seconds=1)) == 0

    assert work(MORNING) == 1

    (digest,) = mails_to(owner)
    assert digest.subject == "Acme Precision: 3 notifications"
    assert [digest.body.index(f"Stop {n}") for n in range(3)] == sorted(
        digest.body.index(f"Stop {n}") for n in range(3)
    )
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


@pytest.mark.parametrize(("breaks_through", "n_at_night"), [(True, 1), (False, 0)])
def test_critical_breaks_through_where_the_person_says_so(acme, breaks_through, n_at_night):
    owner = person("owner")
    only(acme, owner)
    preferences.save(
        user=owner,
        factory=acme,
        least={"": Least()},
        quiet=QuietChoice(time(22), time(6), critical_breaks_through=breaks_through),
    )

    tell(acme, severity=1, at=NIGHT)

    assert work(NIGHT) == n_at_night
    assert work(MORNING) == 1 - n_at_night


def test_quiet_hours_follow_the_person_s_own_clock(acme):
    owner = person("owner")
    only(acme, owner)
    quiet = QuietChoice(time(22), time(6), time_zone="America/New_York")
    preferences.save(user=owner, factory=acme, least={"": Least()}, quiet=quiet)

    tell(acme, at=NIGHT)  # 17:30 in New York

    assert work(NIGHT) == 1


def test_low_ones_come_in_one_mail_a_day(acme):
    owner = person("owner")
    only(acme, owner)
    preferences.save(user=owner, factory=acme, least={"": Least(mail=4)}, quiet=QuietChoice())
    for n in range(2):
        tell(acme, key=f"low-{n}", severity=4)
    tell(acme, key="high", severity=2)

    assert work(NOON) == 1
    assert work(datetime(2026, 11, 18, 6, 0, tzinfo=UTC)) == 1  # 07:00 in Berlin

    assert [sent.subject for sent in mails_to(owner)] == [
        "Acme Precision: Mill 1 vibrates",
        "Acme Precision: 2 notifications",
    ]


@pytest.mark.parametrize(
    ("field", "quiet"),
    [
        ("starts", QuietChoice(time(22), None)),
        ("ends", QuietChoice(time(22), time(22))),
        ("days", QuietChoice(days=(0, 1, 2, 3, 4, 5, 6))),
        ("days", QuietChoice(days=(7,))),
        ("time_zone", QuietChoice(time_zone="Europe/Atlantis")),
    ],
)
def test_quiet_hours_that_would_lose_mails_are_refused(acme, field, quiet):
    with pytest.raises(PreferenceRefused) as refusal:
        preferences.save(user=person("owner"), factory=acme, least={}, quiet=quiet)

    assert refusal.value.field == field


def test_a_mail_server_that_is_away_is_tried_again(acme, settings):
    owner = person("owner")
    only(acme, owner)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nothing listens there
    tell(acme)
    assert work(NOON) == 0
    delivery = Delivery.objects.get(channel="mail")
    assert (delivery.state, delivery.n_attempts) == ("failed", 1)

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

    assert work(NOON + timedelta(seconds=5)) == 0
    assert work(NOON + timedelta(seconds=13)) == 1
    assert len(mails_to(owner)) == 1


def test_a_mail_keeps_its_message_id_when_its_worker_dies(acme, monkeypatch):
    owner = person("owner")
    only(acme, owner)
    tell(acme)
    with monkeypatch.context() as killed:
        # The mail is out; the worker dies before it can say so.
        killed.setattr(delivering, "_settle", lambda *_a, **_k: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            work(NOON)

    assert work(NOON + timedelta(seconds=59)) == 0
    assert work(NOON + delivering.LEASE) == 1

    first, again = mails_to(owner)
    assert first.extra_headers["Message-ID"] == again.extra_headers["Message-ID"]


def test_a_subject_cannot_add_a_header(acme):
    tell(acme, subject="Stop\r\nBcc: thief@example.com\x00\u2028 now")

    work(NOON)

    sent = mails_to(person("owner"))[0].message()
    assert sent["Bcc"] is None
    assert sent["Subject"] == "Acme Precision: Stop Bcc: thief@example.com now"


@pytest.mark.parametrize(
    "wrong",
    [
        {"severity": 0},
        {"severity": 5},
        {"topic": ""},
        {"key": ""},
        {"path": "https://thief.example/"},
        {"path": "//thief.example/"},
        {"path": "/\\thief.example/"},
        {"path": "machines/"},
        {"path": "/" + "x" * 500},
    ],
)
def test_a_notification_leads_to_a_page_of_the_factory_or_is_refused(acme, wrong):
    with pytest.raises(ValueError, match=r"severity|topic|key|page"):
        tell(acme, **wrong)


def test_work_is_queued_with_the_notification_and_found_again_by_the_sweeper(acme):
    tell(acme)
    assert Job.objects.filter(task="tenants.deliver", factory=acme).count() == 1
    Job.objects.all().delete()  # whatever became of it

    n_queued = delivering.sweep(at=NOON)

    (job,) = Job.objects.filter(task="tenants.deliver")
    assert len(job.kwargs["delivery_ids"]) == n_queued
    assert delivering.sweep(at=NOON) == n_queued
    assert Job.objects.filter(task="tenants.deliver").count() == 1


def test_old_notifications_are_tidied_away(acme):
    now = timezone.now()
    tell(acme, key="old", at=now - timedelta(days=91))
    tell(acme, key="young", at=now - timedelta(days=89))

    jobs.call("tenants.tidy")

    assert [n.key for n in Notification.objects.all()] == ["young"]


def test_read_is_read_for_one_person_and_one_factory(acme, globex):
    owner, viewer = person("owner"), person("viewer")
    tell(acme, key="a")
    tell(acme, key="b")
    first = inbox.inbox(user=owner, factory=acme)[0].notification_id

    assert inbox.mark_read(user=owner, factory=globex, at=NOON, notification_id=first) == 0
    assert inbox.mark_read(user=owner, factory=acme, at=NOON, notification_id=first) == 1
    assert inbox.n_unread(user=owner, factory=acme) == 1
    assert inbox.mark_read(user=owner, factory=acme, at=NOON) == 1
    assert inbox.n_unread(user=viewer, factory=acme) == 2


@pytest.fixture
def committed_factory(django_db_setup, django_db_blocker):
    """A factory with one member that other connections see too; it is removed by hand."""
    with django_db_blocker.unblock():
        factory = Factory.objects.create(schema_name="at_once", name="At once", state="failed")
        user = User.objects.create_user("owner@at-once.example")
        Membership.objects.create(user=user, factory=factory, role="owner")
        yield factory
        Factory.objects.filter(pk=factory.pk).delete()
        user.delete()
        connections.close_all()


@pytest.mark.slow
def test_two_at_once_with_one_key_are_told_once(committed_factory):
    """The second writes while the first has not committed: it waits, and finds it done."""
    gate, counts = threading.Barrier(2, timeout=10), []

    def call():
        with transaction.atomic():
            gate.wait()
            counts.append(tell(committed_factory, at=timezone.now()))
        connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert sorted(counts) == [0, 2]
    assert Delivery.objects.filter(factory=committed_factory).count() == 2
