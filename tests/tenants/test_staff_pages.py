"""The pages of Takt's own staff: for them alone, on the public host alone."""

import re
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.middleware import POLICY
from tenants import audit, credentials, jobs, support
from tenants.context import factory_context
from tenants.models import (
    AuditEntry,
    Delivery,
    Factory,
    Job,
    Membership,
    Notification,
    OutgoingMail,
    User,
)
from tests.billing import staff_records
from tests.conftest import PUBLIC_HOST, host_of, sign_in
from tests.tenants.staff import EMAIL, PASSWORD, Desk, desk, staff_person

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
LABELS = [model._meta.label for model in MODELS]


def address(model: type[models.Model]) -> str:
    return f"/staff/{model._meta.app_label}/{model._meta.model_name}/"


@pytest.fixture
def sam(acme: Any) -> Desk:
    return desk(staff_person())


@pytest.fixture
def records(sam: Desk, acme: Any, globex: Any) -> None:
    """Something to show in the lists that the cast leaves empty."""
    now = timezone.now()
    support.ask(factory=acme, by=sam.user, reason="It is silent", at=now)
    staff_records.make_all(acme)
    jobs.enqueue(task="tenants.tidy")
    credentials.issue_api_key(factory=acme, name="Reporting")
    OutgoingMail.objects.create(to="a@example.com", subject="Your link", body="secret link")
    told = Notification.objects.create(
        factory=acme, key="told", topic="alarms", severity=2, subject="Mill 1 is hot", text="-",
        path="/", at=now,
    )  # fmt: skip
    Delivery.objects.create(
        notification=told, factory=acme, channel="mail", next_at=now, state="dead",
        user=User.objects.get(email="owner@acme.example"),
    )  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_staff_open_every_list_and_search_it(sam, records, model):
    assert sam.get(address(model)).status_code == 200
    assert sam.get(address(model) + "?q=acme").status_code == 200
    assert admin.site._registry[model].search_fields


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_a_record_opens_and_cannot_be_written(sam, records, model):
    found = model._default_manager.order_by("-pk").first()
    assert found is not None, f"let the fixture make a {model._meta.label}"
    path = f"{address(model)}{quote(found.pk)}/change/"

    assert sam.get(path).status_code == 200
    assert sam.post(path, {}).status_code == 403
    assert sam.get(f"{address(model)}{found.pk}/delete/").status_code == 403
    assert sam.get(f"{address(model)}add/").status_code == 403


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_who_is_no_staff_meets_404(acme, model):
    owner = desk(User.objects.get(email="owner@acme.example"))

    assert owner.get(address(model)).status_code == 404
    assert owner.post(address(model), {"action": "run_again"}).status_code == 404


@pytest.mark.parametrize("path", ["/staff/", *map(address, MODELS)])
def test_a_factory_s_host_has_no_such_pages(sam, acme, portal, path):
    on_their_host = sign_in(sam.user, acme)

    assert on_their_host.get(path, secure=True, HTTP_HOST=host_of(acme)).status_code == 404
    assert portal("owner").get(path).status_code == 404


def test_who_is_not_signed_in_is_sent_to_the_portal_s_own_page(acme):
    answer = Client().get("/staff/tenants/job/", secure=True, HTTP_HOST=PUBLIC_HOST)

    assert answer.headers["Location"] == "/accounts/login/?next=/staff/tenants/job/"
    for path in ("/staff/login/", "/staff/password_change/", "/staff/logout/"):
        assert Client().get(path, secure=True, HTTP_HOST=PUBLIC_HOST).status_code == 404


def more_jobs() -> None:
    for n in range(20):
        jobs.enqueue(task="tenants.deliver", factory=Factory.objects.all()[n % 2], key=f"more-{n}")


def more_people() -> None:
    people = [User.objects.create_user(f"{n}@example.com") for n in range(20)]
    acme = Factory.objects.get(schema_name="acme")
    Membership.objects.bulk_create(Membership(user=u, factory=acme, role="viewer") for u in people)


def more_entries() -> None:
    for factory in [*Factory.objects.all()] * 10:
        audit.record(action="test", actor=None, factory=factory)


@pytest.mark.parametrize(
    ("path", "add"),
    [
        ("/staff/tenants/job/", more_jobs),
        ("/staff/tenants/user/", more_people),
        ("/staff/tenants/membership/", more_people),
        ("/staff/tenants/factory/1/change/", more_people),
        ("/staff/tenants/auditentry/", more_entries),
    ],
)
def test_a_longer_list_asks_no_more_of_the_database(
    sam, acme, path, add, django_assert_num_queries
):
    path = path.replace("/1/", f"/{acme.pk}/")
    with CaptureQueriesContext(connection) as few:
        sam.get(path)
    add()

    with django_assert_num_queries(len(few)):
        sam.get(path)


INLINE = re.compile(r"<script(?![^>]*\bsrc=)|<style\b|\sstyle=|\son[a-z]+=\"", re.IGNORECASE)


@pytest.mark.parametrize("path", ["/staff/", "/staff/billing/subscription/prices/", *LABELS])
def test_the_pages_hold_the_content_policy_without_inline_script_or_style(sam, records, path):
    paths = [path]
    if not path.startswith("/"):
        model = MODELS[LABELS.index(path)]
        found = model._default_manager.latest("pk")
        paths = [address(model), f"{address(model)}{quote(found.pk)}/change/"]
    for each in paths:
        answer = sam.get(each)
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert not INLINE.search(answer.content.decode()), each


@pytest.mark.parametrize(
    ("model", "hidden"),
    [
        ("user", "scrypt"),
        ("credential", "Reporting"),
        ("outgoingmail", "secret link"),
        ("outgoingmail", "Your link"),
        ("delivery", "Mill 1 is hot"),
    ],
)
def test_what_is_not_for_staff_is_not_shown(sam, records, model, hidden):
    path = f"/staff/tenants/{model}/"
    found = admin.site._registry
    newest = next(m for m in found if m._meta.model_name == model)._default_manager.latest("pk")

    assert hidden not in sam.get(path).content.decode()
    assert hidden not in sam.get(f"{path}{newest.pk}/change/").content.decode()


def test_of_a_factory_s_own_acts_staff_see_who_and_when_not_what(sam, acme):
    audit.record(action="device.changed", actor=None, target="Secret press", factory=acme)

    text = sam.get("/staff/tenants/auditentry/").content.decode()

    assert "device.changed" in text
    assert "Secret press" not in text


def dead_job(factory: Any) -> Job:
    job = jobs.enqueue(task="tenants.deliver", kwargs={"delivery_ids": []}, factory=factory)
    Job.objects.filter(pk=job.pk).update(state=Job.State.DEAD, n_attempts=5)
    return job


def test_a_dead_job_runs_again_and_the_factory_can_read_who_did_it(sam, acme, portal):
    job = dead_job(acme)

    sam.act("/staff/tenants/job/", "run_again", job.pk)

    job.refresh_from_db()
    assert (job.state, job.n_attempts) == (Job.State.QUEUED, 0)
    entry = AuditEntry.objects.get(factory=acme, action="staff.job_run_again")
    assert entry.actor_name == EMAIL
    assert EMAIL in portal("owner").get("/audit/").content.decode()


def test_a_job_whose_work_was_queued_anew_is_left(sam, acme):
    old = jobs.enqueue(task="tenants.tidy", key="same")
    Job.objects.filter(pk=old.pk).update(state=Job.State.DEAD)
    jobs.enqueue(task="tenants.tidy", key="same")

    sam.act("/staff/tenants/job/", "run_again", old.pk)

    old.refresh_from_db()
    assert old.state == Job.State.DEAD
    assert not AuditEntry.objects.filter(action="staff.job_run_again").exists()


def test_a_message_that_was_given_up_is_sent_again(sam, records, acme):
    delivery = Delivery.objects.get(state="dead")

    sam.act("/staff/tenants/delivery/", "send_again", delivery.pk)

    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.PLANNED
    assert AuditEntry.objects.filter(factory=acme, action="staff.sent_again").exists()


def test_a_write_after_an_hour_asks_for_the_password(acme):
    old = desk(staff_person(), signed_in_s_ago=3_700)
    job = dead_job(acme)

    assert old.get("/staff/tenants/job/").status_code == 200
    chosen = {"action": "run_again", "index": "0", "_selected_action": str(job.pk)}
    answer = old.post("/staff/tenants/job/", chosen)

    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    job.refresh_from_db()
    assert job.state == Job.State.DEAD


def test_after_the_password_the_write_goes_on(acme):
    user = staff_person()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    old, job = desk(user, signed_in_s_ago=3_700), dead_job(acme)
    chosen = {"action": "run_again", "index": "0", "_selected_action": str(job.pk)}
    asked = old.post("/staff/tenants/job/", chosen).headers["Location"]
    assert old.get(asked).status_code == 200

    old.post(asked, {"password": PASSWORD, "next": "/staff/tenants/job/"})

    job.refresh_from_db()
    assert job.state == Job.State.QUEUED


def test_staff_are_made_and_ended_on_the_command_line_with_a_trace(acme):
    User.objects.create_user(EMAIL, PASSWORD)

    call_command("make_staff", EMAIL.upper(), stdout=StringIO())
    assert User.objects.get(email=EMAIL).is_staff
    call_command("make_staff", EMAIL, "--end", stdout=StringIO())

    assert not User.objects.get(email=EMAIL).is_staff
    entries = AuditEntry.objects.filter(factory=None, target=EMAIL).order_by("id")
    assert [entry.action for entry in entries] == ["staff.made", "staff.ended"]
    with pytest.raises(CommandError):
        call_command("make_staff", "nobody@example.com")


def test_who_is_no_staff_any_more_meets_404_with_the_next_request(sam):
    assert sam.get("/staff/").status_code == 200

    call_command("make_staff", EMAIL, "--end", stdout=StringIO())

    assert sam.get("/staff/").status_code == 404


def test_a_factory_s_schema_has_no_tables_of_the_staff_pages(acme):
    with factory_context(acme), connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema FROM information_schema.tables WHERE table_name = %s",
            ["django_admin_log"],
        )
        assert cursor.fetchall() == [("public",)]


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
@pytest.mark.parametrize("key", ["abc", "0", "00000000-0000-0000-0000-000000000000", "%00"])
def test_an_address_of_no_record_leads_back_to_the_list(sam, model, key):
    answer = sam.get(f"{address(model)}{key}/change/", follow=True)

    assert answer.status_code in {200, 404}
